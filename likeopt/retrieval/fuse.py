"""One ranking from two: pure functions over lists of (passage id, score), best first.

Scores of the two searches have nothing in common (BM25 has no upper bound, cosines of one model
lie between 0.75 and 0.9), so they are never averaged as they are.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

Ranking = Sequence[tuple[int, float]]

# Share of the vector search in the fused score. Chosen on 5,000 passages of SciFact and on XQuAD,
# where nDCG@10 is 0.717 and 0.990 with it (words alone 0.692 and 0.972, meaning alone 0.661 and
# 0.976, reciprocal ranks 0.718 and 0.980); from 0.4 to 0.7 it hardly moves (bench/fusion.py).
VECTOR_WEIGHT = 0.6

_NONE: Mapping[int, float] = MappingProxyType({})


def convex(
    lexical: Ranking,
    vector: Ranking,
    similarities: Mapping[int, float] = _NONE,
    *,
    weight: float = VECTOR_WEIGHT,
    convincing: float = 0.0,
    background: float | None = None,
) -> Ranking:
    """Weighted sum of the scores, each scaled to 0..1 (Bruch, Gai and Ingber 2023, "An Analysis
    of Fusion Functions for Hybrid Retrieval", arXiv:2210.11934).

    `similarities` are the cosines of passages that only `lexical` holds; one whose cosine nobody
    knows, because it is not embedded yet, counts by its words alone.

    Zero is what a passage that has nothing to do with the question has: no BM25 score, and the
    cosine `background` (by default the lowest in `vector`). One is the list's best, or the BM25
    score `convincing` if even the best does not reach it: the few words that a Korean question
    shares with English passages must not count as much as a good match. `weight` is the vector
    search's share.
    """
    words = _scaled(lexical, 0.0, convincing)
    lowest = vector[-1][1] if vector else 0.0
    floor = lowest if background is None else min(background, lowest)
    meaning = _scaled([*vector, *similarities.items()], floor, 0.0)
    scores = {passage: weight * score for passage, score in meaning.items()}
    for passage, score in words.items():
        scores[passage] = (1 - weight) * score + scores.get(passage, weight * score)
    return _ranked(scores)


def _scaled(ranking: Ranking, floor: float, top: float) -> dict[int, float]:
    span = max([top, *(score for _, score in ranking)]) - floor
    if span <= 0:
        # One passage, or all alike: each of them is the best of its list.
        return {passage: float(score >= floor) for passage, score in ranking}
    return {passage: max(0.0, score - floor) / span for passage, score in ranking}


def _ranked(scores: dict[int, float]) -> Ranking:
    """Best first; the lower id first among equals, so that the order does not depend on chance."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
