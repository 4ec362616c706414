"""Search over 127,000 real passages: how fast, how exact, how large.

The texts are msdocs_ko and msdocs_en, all of them. Embedding them all would take half a day, so
6,000 passages are embedded for real and every other passage gets the vector of one of them, turned
by a random angle that makes its nearest neighbours as far away as real ones are; every figure that
depends on it says "perturbed". Queries are the sets' own; only the rows that say so
ask again what was asked.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from bench import common
from likeopt.cli import parts
from likeopt.cli.eval import fill
from likeopt.retrieval import evaluate
from likeopt.retrieval.embed import Embedder, open_embedder
from likeopt.retrieval.search import EngineClient
from likeopt.retrieval.types import Mode, SearchRequest
from likeopt.services import Services
from likeopt.storage import changes, indexing, jobs
from likeopt.storage.indexing import Unembedded
from likeopt.storage.reader import DEFAULT_COLLECTION
from likeopt.worker.embedding import text_of

REAL = 6000
# Cosine between a real vector and its copy: the median real passage of msdocs has its nearest
# neighbour at 0.93.
NEAR = 0.93
QUERIES = 600

Floats = NDArray[np.float32]


def main() -> None:
    """Measure and report."""
    korean, english = (common.data_set(name) for name in ("msdocs_ko", "msdocs_en"))
    both = evaluate.DataSet(
        "msdocs",
        # The same pages stand in both, under the same names.
        [
            evaluate.Passage(f"{data.name}:{passage.id}", passage.text, passage.title)
            for data in (korean, english)
            for passage in data.corpus
        ],
        {f"{data.name}:{id_}": q for data in (korean, english) for id_, q in data.queries.items()},
        {},
    )
    with common.library("search") as services:
        rate = _build(services, both)
        with parts.engine(services):
            with parts.worker(services.config):
                rate |= _settle(services, len(both.corpus))
            queries = list(dict.fromkeys(both.queries.values()))
            random.Random(7).shuffle(queries)
            recall = _recall(services, queries[: QUERIES // 2])
            rows = _times(services, queries)
        with common.serving(services.config) as server:
            memory = _memory(server, queries[-QUERIES:])
        sizes = {
            part: common.disk_mib(services.config.data_dir / part) for part in ("indexes", ".")
        }
    for row in rows:
        row["recall@10"] = recall if row["mode"] != "lexical" else None
    common.report(
        "search",
        rows,
        passages=len(both.corpus),
        vectors="perturbed (see bench/search.py)",
        pss_mib=memory,
        disk_mib={"indexes": sizes["indexes"], "all": sizes["."]},
        indexing=rate,
    )


def _build(services: Services, data: evaluate.DataSet) -> dict[str, Any]:
    start = time.perf_counter()
    before = services.db.read(changes.visible)[1]
    fill(services, data)
    written = time.perf_counter() - start
    if before:
        return {"note": "library kept from an earlier run"}
    _embed(services)
    return {"passages_written_per_s": round(len(data.corpus) / written)}


def _embed(services: Services) -> None:
    """Vectors through the path that the worker's take."""
    embedder = open_embedder(services.config, threads=2)
    owner = "bench:0"
    services.db.write(lambda c: indexing.aim_at(c, embedder.model))
    made = _Vectors(embedder)
    while claimed := _claim(services, owner):
        ids = [job.document_id for job in claimed if job.document_id]
        while missing := _missing(services, embedder.model, ids):
            pairs = list(zip(missing, made.of(missing), strict=True))
            _store(services, owner, claimed, embedder.model, pairs)


def _claim(services: Services, owner: str) -> list[jobs.Job]:
    clock = services.clock
    return services.db.write(lambda c: jobs.claim(c, clock, owner, 600_000, "embed", 200))


def _missing(services: Services, model: str, ids: list[str]) -> list[Unembedded]:
    return services.db.read(lambda c: indexing.unembedded(c, model, ids, 500))


def _store(
    services: Services,
    owner: str,
    claimed: list[jobs.Job],
    model: str,
    pairs: list[tuple[Unembedded, bytes]],
) -> None:
    clock = services.clock
    services.db.write(lambda c: indexing.add_embeddings(c, clock, owner, claimed, model, pairs))


class _Vectors:
    """Real ones first, then copies of them, turned."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._generator = np.random.default_rng(7)
        self._real: list[Floats] = []

    def of(self, passages: list[Unembedded]) -> list[bytes]:
        if len(self._real) < REAL:
            vectors = self._embedder.passages([text_of(passage) for passage in passages])
            self._real += list(vectors)
        else:
            vectors = _turned(self._generator, self._real, len(passages))
        return [vector.astype("<f2").tobytes() for vector in vectors]


def _turned(generator: np.random.Generator, real: list[Floats], count: int) -> Floats:
    base = np.stack([real[i] for i in generator.integers(0, len(real), count)])
    noise = generator.standard_normal(base.shape).astype(np.float32)
    noise -= (noise * base).sum(axis=1, keepdims=True) * base
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    turned: Floats = NEAR * base + np.sqrt(1 - NEAR**2) * noise
    return turned


def _settle(services: Services, passages: int) -> dict[str, Any]:
    """Wait for both indexes; how long the words took."""
    start = time.perf_counter()
    words = None
    words_follow = parts.words_follow(services)
    while True:
        state = services.engine.status(deadline_ms=10_000)
        if words is None and words_follow():
            words = time.perf_counter() - start
        if words is not None and state.delta <= max(2000, state.vectors // 10):
            break
        time.sleep(0.25)
    merged = time.perf_counter() - start
    return {
        "words_indexed_per_s": round(passages / max(words, 0.01)),
        "vector_merge_s": round(merged - words, 1),
        "delta": state.delta,
    }


def _exact(services: Services) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    model = services.engine.embed(["a"]).model
    rows = _rows(services, model, 0, 0)
    while rows:
        vectors = np.frombuffer(b"".join(row.vector for row in rows), dtype="<f2")
        yield (
            np.array([row.chunk_id for row in rows]),
            vectors.reshape(len(rows), -1).astype(np.float32),
        )
        rows = _rows(services, model, rows[-1].revision, rows[-1].chunk_id)


def _rows(services: Services, model: str, revision: int, chunk_id: int) -> list[changes.Vector]:
    return services.db.read(lambda c: changes.vectors(c, model, revision, chunk_id, 5000))


def _recall(services: Services, queries: list[str]) -> float:
    """Share of the exact ten nearest that search by meaning returns."""
    ids, vectors = zip(*_exact(services), strict=True)
    chunk_ids, matrix = np.concatenate(ids), np.concatenate(vectors)
    found = 0
    for query in queries:
        vector = np.frombuffer(services.engine.embed([query[:2000]]).vectors[0], dtype="<f4")
        best = chunk_ids[np.argpartition(-(matrix @ vector), 10)[:10]]
        hits = _ask(services.engine, query, "vector")
        found += len(np.intersect1d(best, hits))
    return round(found / (10 * len(queries)), 4)


def _ask(client: EngineClient, query: str, mode: Mode, k: int = 10) -> list[int]:
    request = SearchRequest(query[:2000], [DEFAULT_COLLECTION], k, mode, deadline_ms=60_000)
    found = client.search(request)
    if found.degraded:
        raise RuntimeError(found.degraded)
    return [hit.chunk_id for hit in found.hits]


def _times(services: Services, queries: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    parts_ = [queries[i : i + QUERIES] for i in range(0, len(queries) - QUERIES + 1, QUERIES)]
    for query in queries[-50:]:
        _ask(services.engine, query, "lexical")  # warm-up: pages of the index, not embeddings
    # With another k it is another search, whose embedding is remembered and whose result is not.
    modes: list[tuple[Mode, str, list[str], int]] = [
        ("lexical", "uncached", parts_[0], 10),
        ("hybrid", "uncached, embedding included", parts_[1], 10),
        ("vector", "embedding cached", parts_[1], 10),
        ("hybrid", "embedding cached", parts_[1], 11),
        ("hybrid", "repeated", parts_[1], 10),
    ]
    for mode, what, part, k in modes:
        times = _one(services, part, mode, k)
        rate = round(1000 * len(times) / sum(times))
        rows.append(
            {"mode": mode, "what": what, "clients": 1, **common.spread(times), "searches/s": rate}
        )
    for what, part, k in (
        ("uncached, embedding included", parts_[2], 10),
        ("embedding cached", parts_[1], 12),
        ("repeated", parts_[1], 10),
    ):
        rows.append({"mode": "hybrid", "what": what, "clients": 8, **_eight(services, part, k)})
    return rows


def _one(services: Services, queries: list[str], mode: Mode, k: int) -> list[float]:
    return [common.timed(partial(_ask, services.engine, query, mode, k)) for query in queries]


def _memory(server: common.Server, queries: list[str]) -> dict[str, float]:
    """Of every process of a server that has just answered these, over HTTP."""
    while server.get("/ready") is None:
        time.sleep(0.1)
    for query in queries:
        if server.get(f"/api/v1/search?{urlencode({'q': query[:1000]})}") is None:
            raise RuntimeError(f"no answer to {query}")
    return server.memory()


def _eight(services: Services, queries: list[str], k: int) -> dict[str, float]:
    with ThreadPoolExecutor(8) as pool:
        start = time.perf_counter()
        shares = pool.map(lambda i: _one(services, queries[i::8], "hybrid", k), range(8))
        times = [one for share in shares for one in share]
        seconds = time.perf_counter() - start
    return {**common.spread(times), "searches/s": round(len(queries) / seconds)}
