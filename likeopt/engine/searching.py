"""One search, from a question to hits: both indexes at the same time, then one ranking.

    analyse    the question's terms, and how rare they are
    lexical    passages by words
    embed      meanwhile, on another thread: the question's vector (remembered ones cost nothing)
    vector     and passages by meaning
    near       how near the passages are that only the words found
    fuse       one ranking
    rows       the best passages' texts, from the database
    sentences  highlights, coverage, best sentences

One of the two searches may fail: the response then says which, and why. A response that misses
nothing is remembered (`likeopt.engine.results`): asked again it costs the look at the counters.

tantivy searches without the GIL and usearch with it. So the thread that has the GIL searches by
words, and with that lets go of it, and the one that waits for it searches by meaning; the other
way round they run one after the other (1.3 ms longer with 100,000 passages).
"""

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from likeopt.clock import Clock
from likeopt.engine.library import Library, View
from likeopt.engine.results import MOST_BYTES, Results
from likeopt.errors import Busy, EngineUnavailable, LikeOptError
from likeopt.monitoring.stages import Stages
from likeopt.retrieval import fuse, highlight
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.lexical import FoundWords, LexicalSnapshot, Weighed
from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.types import (
    FAILED,
    LATE,
    Degraded,
    EmbedRequest,
    EmbedResponse,
    EngineStatus,
    EngineUse,
    ForgetRequest,
    Forgotten,
    Hit,
    Remembered,
    SearchRequest,
    SearchResponse,
)
from likeopt.retrieval.vector import Found, Vector, VectorIndex
from likeopt.storage import engine_queries
from likeopt.storage.db import Database, run_here
from likeopt.storage.engine_queries import PassageRow

# Passages that each search puts into the fusion, at least: 100 made no difference.
DEPTH = 50
# A passage that has each term of a question once, at mean length, has the sum of their idf as its
# BM25 score; half of that is a good match (19 of 20 best matches on XQuAD and SciFact have more).
CONVINCING = 0.5
# Seconds of a search's deadline, at most a quarter of it, for what follows the two searches.
_RESERVE = 0.25

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode

T = TypeVar("T")


class Run(Protocol):
    """Does work where it belongs, here or on another thread, and returns what it returns."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


class _Search(msgspec.Struct, frozen=True):
    """What both searches of one request need to know."""

    request: SearchRequest
    view: View
    scope: Scope
    deadline: float
    stages: Stages

    @property
    def depth(self) -> int:
        return max(DEPTH, 2 * self.request.k)

    def without(self, part: str, reason: str) -> None:
        """Note that `part` did not work."""
        self.view.degraded.append(Degraded(part, reason))


class _Meaning(msgspec.Struct, frozen=True):
    """What the search by meaning found, with the question's vector."""

    found: Found
    query: Vector
    vectors: VectorIndex
    # The cosine that any passage has with this question.
    background: float | None


class _Ranked(msgspec.Struct, frozen=True):
    """The fused ranking, best first, and by passage id: rank and score in either list."""

    order: fuse.Ranking
    words: dict[int, tuple[int, float]]
    meaning: dict[int, tuple[int, float]]
    # Of passages that `meaning` does not hold.
    cosines: dict[int, float]


class Searcher:
    """Answers the engine's requests, each on its caller's thread. Thread-safe."""

    def __init__(
        self,
        library: Library,
        db: Database,
        clock: Clock,
        *,
        threads: int,
    ) -> None:
        """`threads` searches by meaning run at the same time."""
        self._library = library
        self._db = db
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "meaning")
        self._results = Results(MOST_BYTES if library.remembers else 0)

    def search(
        self, request: SearchRequest, deadline: float, run: Run = run_here
    ) -> SearchResponse:
        """Find passages. `deadline` is on the clock's monotonic side; `run` does what there is to
        do when the result is not known yet.

        Raises what `run` raises, EngineUnavailable when no search works, StorageUnavailable when
        the database does not answer.
        """
        stages = Stages(self._clock)
        now = self._clock.monotonic()
        deadline -= min(_RESERVE, (deadline - now) / 4)
        with stages.time("library"):
            view = self._library.view(deadline)

        def compute() -> SearchResponse:
            return run(lambda: self._search(request, view, deadline, stages))

        key = _key(request, view)
        if key is None:
            return compute()
        wait = deadline - self._clock.monotonic()
        found = self._results.find(_library_of(view), key, compute, wait)
        if not found.stages:
            found.stages = _rounded(stages)
        return found

    def _search(
        self, request: SearchRequest, view: View, deadline: float, stages: Stages
    ) -> SearchResponse:
        with stages.time("library"):
            readable = self._library.readable(view, request.collections, request.filters)
        search = _Search(request, view, readable.scope, deadline, stages)
        vector = self._begin_embedding(search)
        with stages.time("analyse"):
            weighed = _weigh(self._library.analyser, view.lexical, request.query)
        meaning = self._pool.submit(self._by_meaning, search, vector) if vector else None
        words = self._by_words(search, weighed)
        near = self._await(meaning, search) if meaning else None
        if words is None and near is None and (degraded := _concerning(request, view.degraded)):
            reasons = " ".join(part.reason for part in degraded)
            raise EngineUnavailable(f"Search does not work: {reasons}", retry_after=1.0)
        with stages.time("near"):
            cosines = self._cosines(search, words, near)
        with stages.time("fuse"):
            ranked = _fuse(words, near, cosines, weighed)
        with stages.time("rows"):
            hits = self._hits(ranked, request)
        with stages.time("sentences"):
            for hit in hits:
                _mark(hit, self._library.analyser, weighed, request.sentences)
        degraded = _concerning(request, view.degraded)
        return SearchResponse(hits, view.library, readable.pending, degraded, _rounded(stages))

    def embed(self, request: EmbedRequest, deadline: float) -> EmbedResponse:
        """Vectors of queries. Raises ModelUnavailable, Busy."""
        semantic = self._library.view(deadline).semantic
        if semantic is None:
            raise EngineUnavailable("There is no embedding model yet.", retry_after=1.0)
        vectors = [semantic.embeddings.vector(query, deadline) for query in request.queries]
        rows = []
        for vector in vectors:
            try:
                rows.append(vector.result(max(0.0, deadline - self._clock.monotonic())))
            except TimeoutError:
                raise Busy("The model did not answer in time.", retry_after=1.0) from None
        return EmbedResponse(
            semantic.embeddings.model, [row.astype("<f4").tobytes() for row in rows]
        )

    def status(self, deadline: float) -> EngineStatus:
        """What is served. Raises StorageUnavailable."""
        view = self._library.view(deadline)
        vectors, delta = view.semantic.vectors.sizes() if view.semantic else (0, 0)
        passages, embedded = self._library.catalogue.passages(view.applied)
        return EngineStatus(
            generation=view.library,
            lexical_revision=view.lexical.applied if view.lexical else 0,
            chunks=passages,
            embedded=embedded if view.semantic else 0,
            vectors=vectors,
            delta=delta,
            embedder=view.semantic.embeddings.model if view.semantic else "",
            vector_backend=self._library.backend,
            degraded=view.degraded,
            searches=self._results.counts(_library_of(view)),
            queries=view.semantic.embeddings.counts() if view.semantic else Remembered(),
        )

    def forget(self, request: ForgetRequest, deadline: float) -> Forgotten:
        """Forget results and vectors; says how many there were. Raises StorageUnavailable."""
        view = self._library.view(deadline)
        gone: dict[EngineUse, Remembered] = {}
        if "searches" in request.uses:
            gone["searches"] = self._results.counts(_library_of(view))
            self._results.clear()
        if "queries" in request.uses and view.semantic:
            gone["queries"] = view.semantic.embeddings.counts()
            view.semantic.embeddings.clear()
        return Forgotten(gone)

    def close(self) -> None:
        """Give up the searches by meaning that wait; those that run finish on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _by_words(self, search: _Search, weighed: Weighed) -> FoundWords | None:
        snapshot = search.view.lexical
        if snapshot is None or search.request.mode == "vector":
            return None
        try:
            with search.stages.time("lexical"):
                return snapshot.search(weighed.known, search.depth, search.scope)
        except LikeOptError as error:
            search.without("lexical", error.message)
        except BaseException:  # noqa: BLE001  (a panic in Rust, which is no Exception)
            _log.exception("search by words failed")
            search.without("lexical", "It failed; the log says why.")
        return None

    def _begin_embedding(self, search: _Search) -> "Future[Vector] | None":
        semantic = search.view.semantic
        if semantic is None or search.request.mode == "lexical":
            return None
        try:
            return semantic.embeddings.vector(search.request.query, search.deadline)
        except Busy as error:
            search.without("embedding", error.message)
            return None

    def _by_meaning(self, search: _Search, vector: "Future[Vector]") -> _Meaning | None:
        semantic = search.view.semantic
        if semantic is None:
            return None
        try:
            with search.stages.time("embed"):
                # Raised here, it would hold this search and its model in a circle.
                failed = vector.exception(max(0.0, search.deadline - self._clock.monotonic()))
        except (TimeoutError, CancelledError):
            search.without("embedding", LATE)
            return None
        if isinstance(failed, Busy):
            search.without("embedding", failed.message)
            return None
        if isinstance(failed, LikeOptError):
            _log.warning("no search by meaning: embedding: %s", failed.message)
            search.without("embedding", FAILED)
            return None
        query = vector.result()
        try:
            with search.stages.time("vector"):
                found = semantic.vectors.search(query, search.depth, search.scope)
        except LikeOptError as error:
            search.view.degraded.append(self._library.broke("vector", error.message))
            return None
        background = semantic.background
        return _Meaning(
            found,
            query,
            semantic.vectors,
            None if background is None else float(background @ query),
        )

    def _await(self, meaning: "Future[_Meaning | None]", search: _Search) -> _Meaning | None:
        try:
            # The other thread keeps the deadline itself, unless it never came to begin.
            error = meaning.exception(max(0.0, search.deadline - self._clock.monotonic()) + 0.05)
        except (TimeoutError, CancelledError):
            meaning.cancel()
            search.without("vector", LATE)
            return None
        if error is not None:
            _log.error("search by meaning failed", exc_info=error)
            search.without("vector", FAILED)
            return None
        return meaning.result()

    def _cosines(
        self, search: _Search, words: FoundWords | None, near: _Meaning | None
    ) -> dict[int, float]:
        """Similarities of the passages found by words only, as far as they are embedded."""
        if words is None or near is None:
            return {}
        unknown = np.setdiff1d(words.chunk_ids, near.found.chunk_ids)
        try:
            return near.vectors.similarities(near.query, unknown)
        except LikeOptError as error:
            search.view.degraded.append(self._library.broke("vector", error.message))
            return {}

    def _hits(self, ranked: _Ranked, request: SearchRequest) -> list[Hit]:
        best = ranked.order[: request.k]
        ids = [passage for passage, _ in best]
        rows = self._db.read(lambda c: engine_queries.passages(c, ids))
        readable = set(request.collections)
        return [
            _hit(row, score, ranked)
            for passage, score in best
            # Else deleted, or moved, since the counters were read.
            if (row := rows.get(passage)) and row.collection_id in readable
        ]


def _library_of(view: View) -> tuple[int, int, int, int]:
    """The part of every key that changes with each change of documents or vectors, and when an
    administrator has results forgotten."""
    return view.era, view.library, view.embeddings, view.searches


def _key(request: SearchRequest, view: View) -> bytes | None:
    """Stands for all that the result depends on. Not for the deadline, which can only leave
    something out, and such a result is not kept. What is out from the beginning is told to nobody
    for whom it works. None while vectors are on their way of which nothing here tells when they
    arrive.

    Rows are read later than the counters, so they are never older than the key says.
    """
    words, meaning = view.lexical, view.semantic
    model: tuple[object, ...] = ()
    if meaning is not None and request.mode != "lexical":
        state = meaning.vectors.state(view.embeddings)
        if state is None:
            return None
        model = (meaning.number, meaning.embeddings.model, meaning.sampled, state)
    parts = (
        msgspec.structs.replace(request, deadline_ms=0),
        _library_of(view),
        None if words is None else (words.number, words.applied),
        model,
        [part.part for part in _concerning(request, view.degraded)],
    )
    return hashlib.blake2b(_encode(parts), digest_size=16).digest()


def _rounded(stages: Stages) -> dict[str, float]:
    return {name: round(millis, 3) for name, millis in stages.millis.items()}


def _weigh(analyser: Analyser, snapshot: LexicalSnapshot | None, query: str) -> Weighed:
    terms = analyser.query_terms(query)
    if snapshot:
        return snapshot.weigh(terms)
    return Weighed(dict.fromkeys(terms, 1.0), [])


def _concerning(request: SearchRequest, degraded: list[Degraded]) -> list[Degraded]:
    """Those of the parts that do not work that this search would have used."""
    unused = {"lexical": ("vector", "embedding"), "vector": ("lexical",), "hybrid": ()}
    return [part for part in degraded if part.part not in unused[request.mode]]


def _fuse(
    words: FoundWords | None,
    meaning: _Meaning | None,
    cosines: dict[int, float],
    weighed: Weighed,
) -> _Ranked:
    by_words = _pairs(words.chunk_ids, words.scores) if words else []
    by_meaning = _pairs(meaning.found.chunk_ids, meaning.found.similarities) if meaning else []
    order = fuse.convex(
        by_words,
        by_meaning,
        cosines,
        convincing=CONVINCING * sum(weighed.idf.values()),
        background=meaning.background if meaning else None,
    )
    return _Ranked(order, _places(by_words), _places(by_meaning), cosines)


def _pairs(chunk_ids: Ids, scores: Vector) -> list[tuple[int, float]]:
    return list(zip(chunk_ids.tolist(), scores.tolist(), strict=True))


def _places(ranking: fuse.Ranking) -> dict[int, tuple[int, float]]:
    return {passage: (rank, score) for rank, (passage, score) in enumerate(ranking, 1)}


def _hit(row: PassageRow, score: float, ranked: _Ranked) -> Hit:
    lexical_rank, lexical_score = ranked.words.get(row.chunk_id, (None, None))
    unranked = None, ranked.cosines.get(row.chunk_id)
    vector_rank, similarity = ranked.meaning.get(row.chunk_id, unranked)
    return Hit(
        chunk_id=row.chunk_id,
        document_id=row.document_id,
        version_id=row.version_id,
        collection_id=row.collection_id,
        document_name=row.document_name,
        media_type=row.media_type,
        ordinal=row.ordinal,
        text=row.text,
        context=row.context,
        start=row.start,
        end=row.end,
        page=row.page,
        score=score,
        lexical_rank=lexical_rank,
        vector_rank=vector_rank,
        lexical_score=lexical_score,
        similarity=similarity,
    )


def _mark(hit: Hit, analyser: Analyser, weighed: Weighed, sentences: int) -> None:
    marks = highlight.mark(analyser, hit.text, hit.context, weighed.idf)
    hit.highlights = marks.highlights
    hit.coverage = highlight.coverage(marks, weighed.idf)
    if sentences:
        hit.sentences = highlight.best_sentences(
            hit.text, hit.context, marks, weighed.idf, hit.similarity, sentences
        )
