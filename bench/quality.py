"""How well search finds the right passage, on every data set at hand.

Words alone on the whole sets; words, meaning and both on at most 5,000 passages of each (a seeded
sample that holds every passage that answers a sampled question), because embedding all of them
would take half a day. One configuration for all sets; what was tuned, was tuned on scifact and
xquad only.
"""

import msgspec

from bench import common
from likeopt.cli.eval import Row, measure
from likeopt.config import Config
from likeopt.retrieval import evaluate

SETS = ("xquad_en", "scifact_dev", "boolq_en", "msdocs_en", "msdocs_ko")
PASSAGES = 5000
QUESTIONS = 300


def main() -> None:
    """Measure and report."""
    rows: list[Row] = []
    for name in SETS:
        data = common.data_set(name)
        whole = evaluate.sample(data, passages=len(data.corpus), queries=len(data.qrels))
        rows += measure(Config(), whole, ["lexical"], common.WORK / "quality")[0]
        part = evaluate.sample(data, passages=PASSAGES, queries=QUESTIONS)
        rows += measure(Config(), part, ["lexical", "vector", "hybrid"], common.WORK / "quality")[0]
        print(name, "done", flush=True)
    common.report(
        "quality",
        [
            {
                "set": row.data,
                "passages": row.passages,
                "questions": row.scores.queries,
                "mode": row.mode,
                **{
                    k: round(v, 3)
                    for k, v in msgspec.to_builtins(row.scores).items()
                    if k != "queries"
                },
                "p50 ms": row.p50_ms,
                "p95 ms": row.p95_ms,
            }
            for row in rows
        ],
    )
