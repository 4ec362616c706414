"""Retrieval quality on data sets in the BEIR layout (Thakur et al. 2021, arXiv:2104.08663).

A set is a folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`, each plain or gzipped:
`{"_id", "title", "text"}`, `{"_id", "text"}` and `query-id <tab> corpus-id <tab> score`.
"""

import gzip
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from likeopt.errors import BadInput


class Passage(msgspec.Struct, frozen=True):
    """One row of a corpus, or a query."""

    id: str
    text: str
    title: str = ""


class _Row(msgspec.Struct, frozen=True):
    """Most sets say `_id`, some `id`."""

    text: str
    title: str = ""
    id: str = ""
    bare: str = msgspec.field(name="_id", default="")


class DataSet(msgspec.Struct, frozen=True):
    """`qrels` maps a query's id to the ids of the passages that answer it, with their grades."""

    name: str
    corpus: list[Passage]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


class Scores(msgspec.Struct, frozen=True):
    """Means over queries, 0 to 1. `hit` is the share of queries with any right passage."""

    queries: int
    ndcg_10: float
    recall_10: float
    mrr_10: float
    hit_1: float
    hit_10: float


def load(folder: Path) -> DataSet:
    """Read a set; BadInput says which file is missing or which line is wrong."""
    corpus = list(_rows(folder, "corpus.jsonl"))
    queries = {row.id: row.text for row in _rows(folder, "queries.jsonl")}
    qrels: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(folder, "qrels.tsv"), 1):
        cells = line.rstrip("\n").split("\t")
        if number == 1 and not cells[-1].lstrip("-").isdigit():
            continue
        if len(cells) < 3:
            raise BadInput(f"{folder}/qrels.tsv, line {number}: expected query, passage and score")
        # TREC files have a second column that means nothing.
        query, passage, grade = cells[0], cells[-2], int(cells[-1])
        if grade > 0 and query in queries:
            qrels.setdefault(query, {})[passage] = grade
    return DataSet(folder.name, corpus, queries, qrels)


def _open(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise BadInput(f"{folder} has no {name} or {name}.gz; expected the BEIR layout")


def _lines(folder: Path, name: str) -> Iterator[str]:
    path = _open(folder, name)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        yield from file


def _rows(folder: Path, name: str) -> Iterator[Passage]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in enumerate(_lines(folder, name), 1):
        try:
            row = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise BadInput(f"{folder}/{name}, line {number}: {error}") from None
        id_ = row.bare or row.id
        if not id_:
            raise BadInput(f"{folder}/{name}, line {number}: neither _id nor id")
        yield Passage(id_, row.text, row.title)


def sample(data: DataSet, *, passages: int, queries: int, seed: int = 7) -> DataSet:
    """A seeded part of a set: up to `queries` judged queries, all passages that answer them, and
    random others up to `passages`. Deterministic for a seed."""
    judged = sorted(data.qrels)
    random.Random(seed).shuffle(judged)  # noqa: S311  (a sample, not a secret)
    known = {passage.id for passage in data.corpus}
    chosen: list[str] = []
    needed: set[str] = set()
    for query in judged[:queries]:
        answers = data.qrels[query].keys() & known
        if answers and len(needed | answers) <= passages:
            chosen.append(query)
            needed |= answers
    rest = sorted(known - needed)
    random.Random(seed + 1).shuffle(rest)  # noqa: S311
    keep = needed | set(rest[: max(0, passages - len(needed))])
    return DataSet(
        data.name,
        [passage for passage in data.corpus if passage.id in keep],
        {query: data.queries[query] for query in chosen},
        {query: data.qrels[query] for query in chosen},
    )


def score(runs: Mapping[str, Sequence[str]], qrels: Mapping[str, Mapping[str, int]]) -> Scores:
    """Judge ranked passage ids (best first) per query; a query without a run counts as zero."""
    ndcg = recall = mrr = hit_1 = hit_10 = 0.0
    for query, grades in qrels.items():
        top = list(runs.get(query, ()))[:10]
        gains = [grades.get(passage, 0) for passage in top]
        ideal = sorted(grades.values(), reverse=True)[:10]
        ndcg += _dcg(gains) / _dcg(ideal)
        recall += sum(gain > 0 for gain in gains) / len(grades)
        first = next((rank for rank, gain in enumerate(gains, 1) if gain > 0), None)
        mrr += 1 / first if first else 0.0
        hit_1 += first == 1
        hit_10 += first is not None
    count = max(len(qrels), 1)
    return Scores(
        len(qrels), ndcg / count, recall / count, mrr / count, hit_1 / count, hit_10 / count
    )


def _dcg(gains: Sequence[int]) -> float:
    """Discounted cumulative gain (Järvelin & Kekäläinen 2002), the form trec_eval uses."""
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
