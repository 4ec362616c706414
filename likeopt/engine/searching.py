"""One search, from a question to hits: both indexes at the same time, then one ranking.

    analyse    the question's terms, and how rare they are
    embed      waiting for its vector, which other threads make (remembered ones cost nothing)
    lexical    passages by words, on a thread of its own
    vector     passages by meaning, meanwhile
    fuse       one ranking
    rows       the best passages' texts, from the database
    sentences  highlights, coverage, best sentences

One of the two searches may fail: the response then says which, and why.
"""

import logging
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

import msgspec
import numpy as np

from likeopt.clock import Clock
from likeopt.engine.library import Library, Semantic, View
from likeopt.errors import Busy, EngineUnavailable, LikeOptError
from likeopt.monitoring.stages import Stages
from likeopt.retrieval import fuse, highlight
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.lexical import FoundWords, LexicalSnapshot, Weighed
from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.types import (
    Degraded,
    EmbedRequest,
    EmbedResponse,
    EngineStatus,
    Hit,
    SearchRequest,
    SearchResponse,
)
from likeopt.retrieval.vector import Found, Vector
from likeopt.storage import engine_queries
from likeopt.storage.db import Database
from likeopt.storage.engine_queries import PassageRow

# Passages that each search puts into the fusion, at least: 100 made no difference.
DEPTH = 50
# A passage that has each term of a question once, at mean length, has the sum of their idf as its
# BM25 score; half of that is a good match (19 of 20 best matches on XQuAD and SciFact have more).
CONVINCING = 0.5
# Seconds of a search's deadline, at most a quarter of it, for what follows the two searches.
_RESERVE = 0.25

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Meaning(msgspec.Struct, frozen=True):
    """What the search by meaning found, with the question's vector."""

    found: Found
    query: Vector
    model: str
    # The cosine that any passage has with this question.
    background: float | None


class _Ranked(msgspec.Struct, frozen=True):
    """The fused ranking, best first, and by passage id: rank and score in either list."""

    order: fuse.Ranking
    words: dict[int, tuple[int, float]]
    meaning: dict[int, tuple[int, float]]


class Searcher:
    """Answers the engine's requests, each on its caller's thread. Thread-safe."""

    def __init__(self, library: Library, db: Database, clock: Clock, *, threads: int) -> None:
        """`threads` searches by words run at the same time."""
        self._library = library
        self._db = db
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "lexical")

    def search(self, request: SearchRequest, deadline: float) -> SearchResponse:
        """Find passages. `deadline` is on the clock's monotonic side.

        Raises EngineUnavailable when no search works, Busy past the deadline, StorageUnavailable
        when the database does not answer.
        """
        stages = Stages(self._clock)
        now = self._clock.monotonic()
        deadline -= min(_RESERVE, (deadline - now) / 4)
        with stages.time("library"):
            view = self._library.view(deadline)
            readable = self._library.readable(view, request.collections, request.filters)
        depth = max(DEPTH, 2 * request.k)
        semantic = view.semantic if request.mode != "lexical" else None
        lexical = view.lexical if request.mode != "vector" else None
        vector = self._begin_embedding(semantic, request.query, deadline, view.degraded)
        with stages.time("analyse"):
            weighed = _weigh(self._library.analyser, view.lexical, request.query)
        words = (
            self._pool.submit(self._by_words, lexical, weighed, depth, readable.scope, stages)
            if lexical
            else None
        )
        meaning = None
        if semantic and vector:
            with stages.time("embed"):
                query = self._await(vector, "embedding", deadline, view.degraded)
            if query is not None:
                with stages.time("vector"):
                    meaning = self._by_meaning(semantic, query, depth, readable.scope, view)
        found = self._await(words, "lexical", deadline, view.degraded) if words else None
        degraded = _concerning(request, view.degraded)
        if found is None and meaning is None and degraded:
            reasons = " ".join(part.reason for part in degraded)
            raise EngineUnavailable(f"Search does not work: {reasons}", retry_after=1.0)
        with stages.time("fuse"):
            ranked = _fuse(found, meaning, weighed)
        with stages.time("rows"):
            hits = self._hits(ranked, meaning, request)
        with stages.time("sentences"):
            for hit in hits:
                _mark(hit, self._library.analyser, weighed, request.sentences)
        return SearchResponse(
            hits,
            view.library,
            readable.pending,
            degraded,
            {name: round(millis, 3) for name, millis in stages.millis.items()},
        )

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
        return EngineStatus(
            generation=view.library,
            lexical_revision=view.lexical.applied if view.lexical else 0,
            chunks=self._library.catalogue.passages(view.applied),
            vectors=vectors,
            delta=delta,
            embedder=view.semantic.embeddings.model if view.semantic else "",
            vector_backend=self._library.backend,
            degraded=view.degraded,
        )

    def close(self) -> None:
        """Let searches by words that run finish, and no others."""
        self._pool.shutdown(cancel_futures=True)

    def _begin_embedding(
        self, semantic: Semantic | None, query: str, deadline: float, degraded: list[Degraded]
    ) -> "Future[Vector] | None":
        try:
            return semantic.embeddings.vector(query, deadline) if semantic else None
        except Busy as error:
            degraded.append(Degraded("embedding", error.message))
            return None

    def _by_words(
        self, snapshot: LexicalSnapshot, weighed: Weighed, depth: int, scope: Scope, stages: Stages
    ) -> FoundWords:
        with stages.time("lexical"):
            return snapshot.search(weighed.known, depth, scope)

    def _by_meaning(
        self, semantic: Semantic, query: Vector, depth: int, scope: Scope, view: View
    ) -> _Meaning | None:
        try:
            found = semantic.vectors.search(query, depth, scope)
        except LikeOptError as error:
            view.degraded.append(self._library.broke("vector", error.message))
            return None
        background = semantic.background
        return _Meaning(
            found,
            query,
            semantic.embeddings.model,
            None if background is None else float(background @ query),
        )

    def _await(
        self, future: "Future[T]", part: str, deadline: float, degraded: list[Degraded]
    ) -> T | None:
        """The future's result; None, and a note in `degraded`, if it fails or is late."""
        try:
            error = future.exception(max(0.0, deadline - self._clock.monotonic()))
        except (TimeoutError, CancelledError):
            degraded.append(Degraded(part, "It took too long."))
            return None
        if error is None:
            return future.result()
        if isinstance(error, LikeOptError):
            degraded.append(Degraded(part, error.message))
        else:
            # tantivy's panics, which are not even Exceptions, end here too.
            _log.error("search failed: %s", part, exc_info=error)
            degraded.append(Degraded(part, "It failed; the log says why."))
        return None

    def _hits(self, ranked: _Ranked, meaning: _Meaning | None, request: SearchRequest) -> list[Hit]:
        best = ranked.order[: request.k]
        ids = [passage for passage, _ in best]
        # Passages found by words only: how near they are says whether they answer.
        unknown = [passage for passage in ids if passage not in ranked.meaning]
        model = meaning.model if meaning else ""
        rows, vectors = self._db.read(
            lambda c: (
                engine_queries.passages(c, ids),
                engine_queries.vectors_of(c, model, unknown) if meaning and unknown else {},
            )
        )
        readable = set(request.collections)
        hits = []
        for passage, score in best:
            row = rows.get(passage)
            if row is None or row.collection_id not in readable:
                continue  # Deleted, or moved, since the counters were read.
            hit = _hit(row, score, ranked)
            if meaning and passage in vectors:
                stored = np.frombuffer(vectors[passage], dtype="<f2").astype(np.float32)
                hit.similarity = float(stored @ meaning.query)
            hits.append(hit)
        return hits


def _weigh(analyser: Analyser, snapshot: LexicalSnapshot | None, query: str) -> Weighed:
    terms = analyser.query_terms(query)
    if snapshot:
        return snapshot.weigh(terms)
    return Weighed(dict.fromkeys(terms, 1.0), [])


def _concerning(request: SearchRequest, degraded: list[Degraded]) -> list[Degraded]:
    """Those of the parts that do not work that this search would have used."""
    unused = {"lexical": ("vector", "embedding"), "vector": ("lexical",), "hybrid": ()}
    return [part for part in degraded if part.part not in unused[request.mode]]


def _fuse(words: FoundWords | None, meaning: _Meaning | None, weighed: Weighed) -> _Ranked:
    by_words = _pairs(words.chunk_ids, words.scores) if words else []
    by_meaning = _pairs(meaning.found.chunk_ids, meaning.found.similarities) if meaning else []
    order = fuse.convex(
        by_words,
        by_meaning,
        convincing=CONVINCING * sum(weighed.idf.values()),
        background=meaning.background if meaning else None,
    )
    return _Ranked(order, _places(by_words), _places(by_meaning))


def _pairs(chunk_ids: Ids, scores: Vector) -> list[tuple[int, float]]:
    return list(zip(chunk_ids.tolist(), scores.tolist(), strict=True))


def _places(ranking: fuse.Ranking) -> dict[int, tuple[int, float]]:
    return {passage: (rank, score) for rank, (passage, score) in enumerate(ranking, 1)}


def _hit(row: PassageRow, score: float, ranked: _Ranked) -> Hit:
    lexical_rank, lexical_score = ranked.words.get(row.chunk_id, (None, None))
    vector_rank, similarity = ranked.meaning.get(row.chunk_id, (None, None))
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
    marks = highlight.mark(analyser, hit.text, weighed.idf)
    hit.highlights = marks.highlights
    hit.coverage = highlight.coverage(marks, set(analyser.terms(hit.context)), weighed.idf)
    if sentences:
        hit.sentences = highlight.best_sentences(
            hit.text, marks, weighed.idf, hit.similarity, sentences
        )
