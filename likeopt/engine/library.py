"""What the engine knows of the library: follows the database and the indexes on disk.

At every search one statement reads the counters; only what changed since is read. The lexical
index is looked at before the counters, so what it shows is never newer than what is known here.
"""

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import msgspec
import numpy as np

from likeopt.cache.opening import open_cache
from likeopt.cache.tags import LocalTags
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.catalogue import Catalogue, Readable
from likeopt.engine.embedding import QueryEmbeddings
from likeopt.errors import EngineUnavailable, LikeOptError
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.embed import Embedder
from likeopt.retrieval.lexical import LexicalReader, LexicalSnapshot
from likeopt.retrieval.types import FAILED, Degraded, Filters
from likeopt.retrieval.vector import Vector, VectorBatch, VectorIndex
from likeopt.retrieval.vector.local import LocalVectors, vector_root
from likeopt.storage import engine_queries
from likeopt.storage.db import Database, run_here
from likeopt.storage.engine_queries import EmbeddingRow, Revisions

# Makes the embedder of that name, or the one that the settings choose (also for None).
OpenEmbedder = Callable[[str | None], Embedder]

# Queries embedded at the same time: the built-in model takes a core each, a server a socket.
EMBED_LOCAL = 2
EMBED_REMOTE = 8

_log = logging.getLogger(__name__)

_ROWS = 5000
# The mean of so many cosines is exact to 0.003 (they spread by 0.03 around it).
_SAMPLE = 256
# A backend that failed is left alone for so many seconds: each attempt may take until a search's
# deadline, on a thread that others need.
_PAUSE = 2.0
_OPENING = "The model is being opened."


class Semantic(msgspec.Struct, weakref=True):
    """Search by meaning with one model; closed when no search has it any more.

    `background` is the mean of some of the library's vectors, None while there are none: a
    question's cosine with it is what any passage has. It was taken when there were `sampled`.
    `number` tells it from others of the same model that were opened before.
    """

    number: int
    embeddings: QueryEmbeddings
    vectors: VectorIndex
    background: Vector | None = None
    sampled: int = 0

    def __post_init__(self) -> None:
        weakref.finalize(self, _close, self.vectors, self.embeddings)


class View(msgspec.Struct):
    """The library at one moment. `lexical` and `semantic` are None where they cannot be used;
    `degraded` says why, unless there is nothing to search yet. `library`, `embeddings` and
    `searches` (what was found before is forgotten) are counters of the database; `era` changes when
    there is another database, or an older copy."""

    era: int
    library: int
    embeddings: int
    searches: int
    applied: int
    lexical: LexicalSnapshot | None
    semantic: Semantic | None
    degraded: list[Degraded]


class Library:
    """Follows one database. Thread-safe."""

    def __init__(
        self, config: Config, db: Database, clock: Clock, open_embedder: OpenEmbedder
    ) -> None:
        self.analyser = Analyser(config.analyser)
        self.catalogue = Catalogue()
        self.backend = config.vector_backend
        # Without a layer nothing is remembered, of searches neither.
        self.remembers = bool(config.cache_layers)
        self._config = config
        self._db = db
        self._clock = clock
        self._open_embedder = open_embedder
        self._indexes = config.data_dir / "indexes"
        self._lexical = LexicalReader(self._indexes / "lexical", self.analyser)
        self._lock = threading.Lock()
        self._seen: Revisions | None = None
        self._opener = ThreadPoolExecutor(1, "open")
        self._opening: tuple[tuple[str, str | None], Future[Semantic]] | None = None
        self._opened = 0
        self._era = 0
        self._broken: tuple[float, Degraded] | None = None

    def view(self, deadline: float) -> View:
        """Catch up with everything and say what there is.

        `deadline` is on the clock's monotonic side; a model that is still being opened is waited
        for until then. Raises StorageUnavailable when the database does not answer,
        EngineUnavailable while somebody else still reads a large library.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            raise EngineUnavailable("The library is being opened.", retry_after=1.0)
        try:
            now, lexical, degraded = self._catch_up()
            era = self._era
        finally:
            self._lock.release()
        applied = lexical.applied if lexical else now.library
        semantic = self._meaning(now, deadline, degraded)
        counters = now.library, now.embeddings, now.searches
        return View(era, *counters, applied, lexical, semantic, degraded)

    def broke(self, part: str, reason: str) -> Degraded:
        """Search by meaning failed: it is left alone for a moment, and searches go without."""
        _log.warning("no search by meaning: %s: %s", part, reason)
        why = Degraded(part, FAILED)
        with self._lock:
            self._broken = self._clock.monotonic() + _PAUSE, why
        return why

    def readable(self, view: View, collections: list[str], filters: Filters) -> Readable:
        """What a search of these collections may return from `view`."""
        return self.catalogue.readable(view.applied, collections, filters, self._tagged)

    def close(self) -> None:
        """Release the indexes and the model."""
        self._opener.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._forget()

    def _catch_up(self) -> tuple[Revisions, LexicalSnapshot | None, list[Degraded]]:
        degraded: list[Degraded] = []
        before = self._seen or self._db.read(engine_queries.revisions)
        lexical: LexicalSnapshot | None = None
        try:
            if before.database_id:
                lexical = self._lexical.refresh(before.database_id)
        except LikeOptError as error:
            degraded.append(Degraded("lexical", error.message))
        now = self._db.read(engine_queries.revisions)
        if now.database_id != before.database_id or now.library < before.library:
            # Another database, or an older backup of it, in the same place.
            self._forget()
            lexical = None
        self._follow_versions(now, lexical.applied if lexical else now.library)
        if lexical is None and not degraded and any(self.catalogue.passages(now.library)):
            degraded.append(Degraded("lexical", "The index of words is being built."))
        self._seen = now
        return now, lexical, degraded

    def _follow_versions(self, now: Revisions, applied: int) -> None:
        after = self.catalogue.revision
        if now.library > after:
            # At first only what is still shown of the past; later everything that was retired.
            retired_after = after or applied
            self._db.read(
                lambda c: self.catalogue.apply(
                    engine_queries.changed_versions(c, after, retired_after), now.library
                )
            )
        models = [model for model in (now.embedding_model, now.target_model) if model]
        if self._seen and now.embeddings > self._seen.embeddings and models:
            since = self._seen.embeddings
            self.catalogue.embedded(
                self._db.read(lambda c: engine_queries.embedded_counts(c, models, since))
            )

    def _meaning(
        self, now: Revisions, deadline: float, degraded: list[Degraded]
    ) -> Semantic | None:
        """What searches by meaning, up to date; None, and why in `degraded`, if nothing does.

        Outside the lock: a model's or Chroma's server may let us wait, and searches by words
        must not wait with us.
        """
        if not now.database_id:
            return None
        with self._lock:
            # Others may have seen more since: their model is not put out again.
            latest = self._seen or now
            if latest.database_id != now.database_id:
                degraded.append(Degraded("embedding", _OPENING))
                return None
            if self._broken:
                until, why = self._broken
                if self._clock.monotonic() < until:
                    degraded.append(why)
                    return None
                # One search tries whether it works again; the others go on without.
                self._broken = self._clock.monotonic() + _PAUSE, why
            opening = self._open_for(now.database_id, latest.embedding_model)
        try:
            error = opening.exception(max(0.0, deadline - self._clock.monotonic()))
        except (TimeoutError, CancelledError):
            degraded.append(Degraded("embedding", _OPENING))
            return None
        if error is not None:
            if not isinstance(error, LikeOptError):
                _log.error("the model cannot be opened", exc_info=error)
            degraded.append(self.broke("embedding", str(error)))
            return None
        semantic = opening.result()
        semantic.embeddings.follow(now.queries)
        try:
            semantic.vectors.refresh(now.embeddings)
            self._sample(semantic)
        except LikeOptError as failure:
            degraded.append(self.broke("vector", failure.message))
            return None
        with self._lock:
            self._broken = None
        return semantic

    def _open_for(self, database_id: str, model: str | None) -> "Future[Semantic]":
        """Search with the model whose vectors serve, which is the old one while those of a new
        model are being made. Called with the lock held."""
        if self._opening:
            (of, asked), opening = self._opening
            if of == database_id and _serves(opening, asked, model):
                return opening
        self._opened += 1
        opening = self._opener.submit(self._open, self._opened, database_id, model)
        self._opening = (database_id, model), opening
        return opening

    def _open(self, number: int, database_id: str, model: str | None) -> Semantic:
        embedder = self._open_embedder(model)
        threads = EMBED_REMOTE if self._config.embedder == "openai" else EMBED_LOCAL
        cache = open_cache(
            self._config, tenant=database_id, clock=self._clock, tags=LocalTags(), run=run_here
        )
        return Semantic(
            number,
            QueryEmbeddings(embedder, self._clock, cache, threads=threads),
            self._vectors(database_id, embedder),
        )

    def _sample(self, semantic: Semantic) -> None:
        """Take the background anew when there are twice as many vectors as the last time."""
        count = sum(semantic.vectors.sizes())
        if not count or count < 2 * semantic.sampled:
            return
        model = semantic.embeddings.model
        rows = self._db.read(lambda c: engine_queries.some_vectors(c, model, _SAMPLE))
        if rows:
            vectors = np.frombuffer(b"".join(rows), dtype="<f2").reshape(len(rows), -1)
            semantic.background = vectors.mean(axis=0, dtype=np.float32)
            semantic.sampled = count

    def _vectors(self, database_id: str, embedder: Embedder) -> VectorIndex:
        model, dim = embedder.model, embedder.dim
        if self.backend == "chroma":
            # Its HTTP client takes 60 ms to import.
            from likeopt.retrieval.vector.chroma import ChromaVectors  # noqa: PLC0415

            return ChromaVectors(
                self._config.chroma_url,
                database_id=database_id,
                model=model,
                read_vectors=lambda ids: self._db.read(
                    lambda c: engine_queries.vectors_of(c, model, ids)
                ),
            )

        def read_delta(after: int) -> VectorBatch:
            rows = self._db.read(lambda c: engine_queries.embeddings_after(c, model, after, _ROWS))
            return _batch(rows, dim)

        return LocalVectors(
            vector_root(self._indexes, model),
            database_id=database_id,
            model=model,
            dim=dim,
            read_delta=read_delta,
        )

    def _forget(self) -> None:
        self._era += 1
        self.catalogue = Catalogue()
        self._lexical = LexicalReader(self._indexes / "lexical", self.analyser)
        self._seen = None
        self._opening = None

    def _tagged(self, tags: list[str]) -> list[str]:
        return self._db.read(lambda c: engine_queries.documents_with_tags(c, tags))


def _serves(opening: "Future[Semantic]", asked: str | None, model: str | None) -> bool:
    """Whether what is opened for `asked` does for `model`. The first vectors of a library name the
    model, which before was the one that the settings choose."""
    if not opening.done():
        return asked in (None, model)
    if opening.exception():
        return False
    return asked == model or (asked is None and opening.result().embeddings.model == model)


def _close(vectors: VectorIndex, embeddings: QueryEmbeddings) -> None:
    vectors.close()
    embeddings.close()


def _batch(rows: list[EmbeddingRow], dim: int) -> VectorBatch:
    return VectorBatch(
        np.array([row.chunk_id for row in rows], dtype=np.int64),
        np.array([row.version_id for row in rows], dtype=np.int64),
        np.array([row.revision for row in rows], dtype=np.int64),
        np.frombuffer(b"".join(row.vector for row in rows), dtype="<f2").reshape(-1, dim),
    )
