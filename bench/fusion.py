"""Which fusion, and how much the search by meaning counts in it.

Chosen on SciFact and XQuAD only; on the other sets the choice is only compared with words alone
and meaning alone. `minus better` is the nDCG@10 of the fusion in force minus that of the better of
those two, with the 95 % interval of a paired bootstrap over the questions: where it holds zero,
the set does not tell them apart. Uses the libraries that `quality` makes and keeps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import common
from bench.quality import PASSAGES, QUESTIONS, SETS
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

TUNED = ("scifact_dev", "xquad_en")
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
WORDS, MEANING, BOTH = "words", "meaning", f"convex {fuse.VECTOR_WEIGHT}"
# Damping of ranks, from the paper.
RRF_K = 60

Fusion = Callable[..., Ranking]
Values = NDArray[np.float64]


def main() -> None:
    """Measure and report."""
    rows: list[dict[str, Any]] = []
    for name in SETS:
        part = evaluate.sample(common.data_set(name), passages=PASSAGES, queries=QUESTIONS)
        with common.library(f"quality/{name}-{len(part.corpus)}") as services:
            names = fill(services, part)
            judged = {}
            for label, function in _fusions(every=name in TUNED).items():
                with patch.object(fuse, "convex", function):
                    judged[label] = _judge(services, part, names)
        means = {label: [round(m, 4) for m in each.mean(axis=0)] for label, each in judged.items()}
        for label, (ndcg, recall, hit) in means.items():
            row = {"set": name, "fusion": label, "nDCG@10": ndcg, "recall@10": recall, "hit@1": hit}
            if label == BOTH:
                better = max(WORDS, MEANING, key=lambda one: means[one][0])
                row["minus better"] = _difference(judged[BOTH][:, 0], judged[better][:, 0])
            rows.append(row)
    common.report("fusion", rows, tuned_on=TUNED)


def _difference(one: Values, other: Values) -> str:
    """Mean of a difference and its interval (Efron and Tibshirani 1993, percentile method)."""
    generator = np.random.default_rng(7)
    difference = one - other
    picks = generator.integers(0, len(difference), (2000, len(difference)))
    low, high = np.quantile(difference[picks].mean(axis=1), (0.025, 0.975))
    return f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def _fusions(*, every: bool) -> dict[str, Fusion]:
    convex = fuse.convex
    fusions: dict[str, Fusion] = {
        WORDS: partial(convex, weight=0.0),
        MEANING: partial(convex, weight=1.0),
        "reciprocal rank": _reciprocal_rank,
        "min-max": _min_max,
    }
    if every:
        fusions |= {f"convex {weight}": partial(convex, weight=weight) for weight in WEIGHTS}
    return fusions | {BOTH: convex}


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


def _judge(services: Services, part: evaluate.DataSet, names: dict[str, list[str]]) -> Values:
    """nDCG@10, recall@10 and hit@1 of each question, [questions, 3]."""
    config: Config = services.config
    library = Library(config, services.db, services.clock, partial(open_by_name, config))
    searcher = Searcher(library, services.db, services.clock, threads=1)
    judged = []
    for query, text in part.queries.items():
        request = SearchRequest(text[:2000], [DEFAULT_COLLECTION])
        found = searcher.search(request, services.clock.monotonic() + 60)
        if found.degraded:
            raise RuntimeError(msgspec.to_builtins(found.degraded))
        run = [names[hit.document_id][hit.ordinal] for hit in found.hits]
        scores = evaluate.score({query: run}, {query: part.qrels[query]})
        judged.append((scores.ndcg_10, scores.recall_10, scores.hit_1))
    searcher.close()
    library.close()
    return np.array(judged)
