"""Like-Opt's hybrid search beside LangChain's EnsembleRetriever: same passages, same embedder.

LangChain runs as its documentation shows it (bench/peers/langchain.py): BM25Retriever over
rank_bm25, an embedded Chroma, reciprocal rank fusion. Both have the title and the text of a
passage, and the vectors that Like-Opt's worker made; both embed a question on one thread with
Like-Opt's embedder. They take turns at the same questions: at first the question is embedded, the
second time both remember its vector.

Like-Opt's time and CPU hold everything: the engine, the socket and this process, its client.
LangChain's are measured inside its process, and hold no socket.
"""

import json
import random
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from bench import common, peers
from likeopt.cli import parts
from likeopt.cli.eval import fill
from likeopt.retrieval import evaluate
from likeopt.retrieval.types import SearchRequest
from likeopt.services import Services
from likeopt.storage import access, changes, engine_queries, jobs
from likeopt.storage.reader import DEFAULT_COLLECTION

ROUNDS = 5
# rank_bm25 takes 70 ms for a question over 10,000 passages: this is a minute and a half of it.
QUERIES = 500
SIZES = (2000, 10_000)
LIKEOPT, LANGCHAIN = "Like-Opt", "LangChain"
NEW, REMEMBERED = "embedded", "remembered"


class Taken(msgspec.Struct, frozen=True):
    """What a retriever took for some questions, and what it found: ids of passages."""

    ms: list[float]
    cpu_s: float
    found: list[list[str]]


Rounds = dict[tuple[str, str], list[Taken]]


def main() -> None:
    """Measure and report."""
    xquad, korean, english = map(common.data_set, ("xquad_en", "msdocs_ko", "msdocs_en"))
    msdocs = _together(korean, english)
    sets = [xquad, *(evaluate.sample(msdocs, passages=n, queries=QUERIES) for n in SIZES)]
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    for data in sets:
        questions = list(data.queries.items())
        # A small sample has few judged questions; time does not ask whether they are judged.
        others = [one for one in msdocs.queries.items() if one[0] not in data.queries]
        random.Random(7).shuffle(others)
        questions += others[: max(0, QUERIES - len(questions))]
        found, build = _measure(data, questions)
        rows += found
        about[f"{data.name} {len(data.corpus):,}"] = build
    common.report("peer", rows, rounds=ROUNDS, **about)


def _together(*sets: evaluate.DataSet) -> evaluate.DataSet:
    """One set; the same pages stand in each, under the same names."""
    return evaluate.DataSet(
        "msdocs",
        [
            evaluate.Passage(f"{data.name}:{p.id}", p.text, p.title)
            for data in sets
            for p in data.corpus
        ],
        {f"{data.name}:{id_}": text for data in sets for id_, text in data.queries.items()},
        {
            f"{data.name}:{id_}": {f"{data.name}:{p}": grade for p, grade in grades.items()}
            for data in sets
            for id_, grades in data.qrels.items()
        },
    )


def _measure(
    data: evaluate.DataSet, questions: list[tuple[str, str]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    with common.library(f"peer-{data.name}-{len(data.corpus)}") as services:
        library = fill(services, data)
        with parts.engine(services):
            with parts.worker(services.config):
                embedded = _settle(services)
            folder = services.config.data_dir
            model = _export(services, library, folder)
            models = services.config.data_dir / "models"
            with peers.running("langchain", folder, models) as langchain:
                ready = langchain({"queries": []})
                if ready["model"] != model:
                    raise RuntimeError(f"LangChain embeds with {ready['model']}, not {model}")
                taken = _rounds(services, library, langchain, [text for _, text in questions])
                memory = {
                    LIKEOPT: common.pss_mib(common.child("likeopt: engine")),
                    LANGCHAIN: langchain({"queries": []})["pss_mib"],
                }
    ids = [id_ for id_, _ in questions]
    rows = [_row(data, ids, taken, memory, which) for which in taken]
    return rows, {"embedding_s": embedded, "langchain_index_s": ready["built_s"]}


def _settle(services: Services) -> float:
    """Wait for words and vectors; the seconds that it took."""
    start = time.perf_counter()
    reader = services.db.read(access.local_reader)
    words_follow = parts.words_follow(services)
    while services.db.read(lambda c: jobs.summary(c, reader)).pending_embeddings:
        time.sleep(0.5)
    # The graph is made of what is newer in the background; a tenth of it is scanned.
    most = len(_vectors(services)) // 10
    while not words_follow() or services.engine.status(deadline_ms=10_000).delta > max(2000, most):
        time.sleep(0.5)
    return round(time.perf_counter() - start, 1)


def _vectors(services: Services) -> list[changes.Vector]:
    model = services.engine.embed(["a"], deadline_ms=60_000).model
    return services.db.read(lambda c: changes.vectors(c, model, 0, 0, max(SIZES)))


def _export(services: Services, library: dict[str, list[str]], folder: Path) -> str:
    """Passages and vectors for the peer; the name of the model that made them."""
    rows = _vectors(services)
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as file:
        for start in range(0, len(rows), 500):
            ids = [row.chunk_id for row in rows[start : start + 500]]
            passages = services.db.read(partial(engine_queries.passages, chunk_ids=ids))
            for one in map(passages.__getitem__, ids):
                line = {
                    "id": library[one.document_id][one.ordinal],
                    "text": f"{one.context}\n{one.text}" if one.context else one.text,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    stored = np.frombuffer(b"".join(row.vector for row in rows), "<f2").reshape(len(rows), -1)
    np.save(folder / "vectors.npy", stored.astype(np.float32))
    return services.engine.embed(["a"]).model


def _rounds(
    services: Services, library: dict[str, list[str]], langchain: peers.Ask, queries: list[str]
) -> Rounds:
    """Each part of the questions twice to both, who take turns at beginning."""
    engine = common.child("likeopt: engine")

    def ask_likeopt(part: list[str]) -> Taken:
        before = _cpu_s(engine) + time.process_time()
        ms: list[float] = []
        found: list[list[str]] = []
        for query in part:
            start = time.perf_counter()
            hits = services.engine.search(SearchRequest(query, [DEFAULT_COLLECTION])).hits
            ms.append((time.perf_counter() - start) * 1000)
            found.append([library[hit.document_id][hit.ordinal] for hit in hits])
        return Taken(ms, _cpu_s(engine) + time.process_time() - before, found)

    def ask_langchain(part: list[str]) -> Taken:
        answer = langchain({"queries": part})
        return Taken(answer["ms"], answer["cpu_s"], answer["found"])

    asks = [(LIKEOPT, ask_likeopt), (LANGCHAIN, ask_langchain)]
    taken: Rounds = {(name, what): [] for what in (NEW, REMEMBERED) for name, _ in asks}
    for _, ask in asks:
        ask(["warm up"])
    size = -(-len(queries) // ROUNDS)
    for turn, start in enumerate(range(0, len(queries), size)):
        for what in (NEW, REMEMBERED):
            for name, ask in asks if turn % 2 else asks[::-1]:
                taken[name, what].append(ask(queries[start : start + size]))
    return taken


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _row(
    data: evaluate.DataSet,
    ids: list[str],
    taken: Rounds,
    memory: dict[str, float],
    which: tuple[str, str],
) -> dict[str, Any]:
    name, what = which
    ours = taken[LIKEOPT, what]
    runs = dict(zip(ids, (found for one in taken[which] for found in one.found), strict=True))
    scores = evaluate.score(runs, data.qrels)
    p50, p95, cpu = ([kind(one) for one in taken[which]] for kind in (_p50, _p95, _cpu_ms))
    return {
        "set": data.name,
        "passages": len(data.corpus),
        "retriever": name,
        "question": what,
        "p50 ms": _median(p50),
        "p50 of rounds": f"{min(p50):.2f}-{max(p50):.2f}",
        "p95 ms": _median(p95),
        "CPU ms": _median(cpu),
        # Within a round, so that a busy machine disturbs both sides.
        "p50 ratio": _median([x / _p50(y) for x, y in zip(p50, ours, strict=True)]),
        "CPU ratio": _median([x / _cpu_ms(y) for x, y in zip(cpu, ours, strict=True)]),
        "PSS MiB": memory[name],
        "judged": scores.queries,
        "hit@1": round(scores.hit_1, 3),
        "hit@10": round(scores.hit_10, 3),
        "nDCG@10": round(scores.ndcg_10, 3),
    }


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def _p50(one: Taken) -> float:
    return statistics.median(one.ms)


def _p95(one: Taken) -> float:
    return common.spread(one.ms)["p95"]


def _cpu_ms(one: Taken) -> float:
    return one.cpu_s * 1000 / len(one.ms)
