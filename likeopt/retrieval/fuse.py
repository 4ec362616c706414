"""One ranking from two: pure functions over lists of (passage id, score), best first.

Scores of the two searches have nothing in common (BM25 has no upper bound, cosines of one model
lie between 0.75 and 0.9), so they are never averaged as they are.
"""

from collections.abc import Sequence

Ranking = Sequence[tuple[int, float]]

# Share of the vector search in the fused score. Chosen on XQuAD and SciFact, where nDCG@10 is 0.985
# and 0.821 with it (words alone 0.969 and 0.795, meaning alone 0.970 and 0.760; reciprocal ranks
# 0.978 and 0.814); from 0.4 to 0.6 it hardly moves.
VECTOR_WEIGHT = 0.6
# Damping of ranks, from the paper.
RRF_K = 60


def convex(
    lexical: Ranking,
    vector: Ranking,
    *,
    weight: float = VECTOR_WEIGHT,
    convincing: float = 0.0,
    background: float | None = None,
) -> Ranking:
    """Weighted sum of the scores, each scaled to 0..1 (Bruch, Gai and Ingber 2023, "An Analysis
    of Fusion Functions for Hybrid Retrieval", arXiv:2210.11934).

    Zero is what a passage that has nothing to do with the question has: no BM25 score, and the
    cosine `background` (by default the lowest in the list). One is the list's best, or the BM25
    score `convincing` if even the best does not reach it: the few words that a Korean question
    shares with English passages must not count as much as a good match. `weight` is the vector
    search's share.
    """
    scores = _scaled(lexical, 0.0, convincing, 1 - weight)
    lowest = vector[-1][1] if vector else 0.0
    floor = lowest if background is None else min(background, lowest)
    for passage, score in _scaled(vector, floor, 0.0, weight).items():
        scores[passage] = scores.get(passage, 0.0) + score
    return _ranked(scores)


def reciprocal_rank(lexical: Ranking, vector: Ranking, *, k: int = RRF_K) -> Ranking:
    """Sum of 1 / (k + rank), rank from 1 (Cormack, Clarke and Büttcher 2009, "Reciprocal Rank
    Fusion outperforms Condorcet and individual Rank Learning Methods")."""
    scores: dict[int, float] = {}
    for ranking in (lexical, vector):
        for rank, (passage, _) in enumerate(ranking, 1):
            scores[passage] = scores.get(passage, 0.0) + 1 / (k + rank)
    return _ranked(scores)


def _scaled(ranking: Ranking, floor: float, top: float, weight: float) -> dict[int, float]:
    span = max(ranking[0][1], top) - floor if ranking else 0.0
    if span <= 0:
        # One passage, or all alike: each of them is the best of its list.
        return {passage: weight for passage, _ in ranking}
    return {passage: weight * (score - floor) / span for passage, score in ranking}


def _ranked(scores: dict[int, float]) -> Ranking:
    """Best first; the lower id first among equals, so that the order does not depend on chance."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
