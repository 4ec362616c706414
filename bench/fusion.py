"""Which fusion, and how much the search by meaning counts in it.

Only on SciFact and XQuAD: what is chosen here must hold on the other sets without having seen
them (`quality` shows whether it does). Uses the libraries that `quality` makes and keeps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import msgspec

from bench import common
from bench.quality import PASSAGES, QUESTIONS
from likeopt.cli.eval import fill
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.engine.server import open_by_name
from likeopt.retrieval import evaluate, fuse
from likeopt.retrieval.fuse import Ranking
from likeopt.retrieval.types import SearchRequest
from likeopt.services import Services
from likeopt.storage.reader import DEFAULT_COLLECTION

SETS = ("scifact_dev", "xquad_en")
# Damping of ranks, from the paper.
RRF_K = 60

Fusion = Callable[..., Ranking]


def main() -> None:
    """Measure and report."""
    rows: list[dict[str, Any]] = []
    for name in SETS:
        part = evaluate.sample(common.data_set(name), passages=PASSAGES, queries=QUESTIONS)
        with common.library(f"quality/{name}-{len(part.corpus)}") as services:
            names = fill(services, part)
            for label, function in _fusions().items():
                with patch.object(fuse, "convex", function):
                    scores = _scores(services, part, names)
                rows.append(
                    {
                        "set": name,
                        "fusion": label,
                        "nDCG@10": round(scores.ndcg_10, 4),
                        "recall@10": round(scores.recall_10, 4),
                        "MRR@10": round(scores.mrr_10, 4),
                        "hit@1": round(scores.hit_1, 4),
                    }
                )
    common.report("fusion", rows)


def _fusions() -> dict[str, Fusion]:
    weights = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)
    convex = {f"convex {w}": partial(fuse.convex, weight=w) for w in weights}
    return {"reciprocal rank": _reciprocal_rank, "min-max": _min_max, **convex}


def _reciprocal_rank(lexical: Ranking, vector: Ranking, *_args: Any, **_options: Any) -> Ranking:
    """Sum of 1 / (k + rank), rank from 1 (Cormack, Clarke and Büttcher 2009, "Reciprocal Rank
    Fusion outperforms Condorcet and individual Rank Learning Methods")."""
    scores: dict[int, float] = {}
    for ranking in (lexical, vector):
        for rank, (passage, _) in enumerate(ranking, 1):
            scores[passage] = scores.get(passage, 0.0) + 1 / (RRF_K + rank)
    return _ranked(scores)


def _min_max(lexical: Ranking, vector: Ranking, *_args: Any, **_options: Any) -> Ranking:
    """Mean of the scores, each list's scaled to 0..1; what a list does not hold has zero."""
    scores: dict[int, float] = {}
    for ranking in (lexical, vector):
        least = ranking[-1][1] if ranking else 0.0
        span = (ranking[0][1] - least if ranking else 0.0) or 1.0
        for passage, score in ranking:
            scores[passage] = scores.get(passage, 0.0) + (score - least) / span / 2
    return _ranked(scores)


def _ranked(scores: Mapping[int, float]) -> Ranking:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _scores(
    services: Services, part: evaluate.DataSet, names: dict[str, list[str]]
) -> evaluate.Scores:
    config: Config = services.config
    library = Library(config, services.db, services.clock, partial(open_by_name, config))
    searcher = Searcher(library, services.db, services.clock, threads=1)
    runs: dict[str, list[str]] = {}
    for query, text in part.queries.items():
        request = SearchRequest(text[:2000], [DEFAULT_COLLECTION])
        found = searcher.search(request, services.clock.monotonic() + 60)
        if found.degraded:
            raise RuntimeError(msgspec.to_builtins(found.degraded))
        runs[query] = [names[hit.document_id][hit.ordinal] for hit in found.hits]
    searcher.close()
    library.close()
    return evaluate.score(runs, part.qrels)
