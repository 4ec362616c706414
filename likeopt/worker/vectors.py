"""Keeps the built-in vector index up with the table of embeddings."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from likeopt.clock import Clock
from likeopt.errors import IndexDamaged
from likeopt.retrieval.generations import Generations
from likeopt.retrieval.vector import VectorBatch
from likeopt.retrieval.vector.local import vector_root
from likeopt.retrieval.vector.local_writer import LocalVectorBuilder
from likeopt.storage import changes, facts, indexing, revisions
from likeopt.storage.db import Database

READ = 2000
# The built-in index reads new vectors from the database itself: merging them is not urgent.
CHECK_SECONDS = 5.0

_log = logging.getLogger(__name__)


class VectorFollower(Protocol):
    """Two exist: `LocalVectors`, and `ChromaVectors` for a Chroma server."""

    def follow(self, interrupted: Callable[[], bool]) -> None:
        """Do what is due. Long work asks `interrupted` twice a second, and stops when it is."""
        ...


class Table:
    """The table of embeddings, for the model whose vectors are being made."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def model(self) -> str | None:
        return self.db.read(lambda c: facts.get(c, indexing.TARGET_MODEL))

    def revision(self, name: str) -> int:
        return self.db.read(lambda c: revisions.current(c, name))

    def database_id(self) -> str:
        return self.db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or ""

    def dim(self, model: str) -> int:
        """Of the first vector; 0 while there is none."""
        first = self.db.read(lambda c: changes.vectors(c, model, 0, 0, 1))
        return len(first[0].vector) // 2 if first else 0

    def batches(self, model: str, after: int) -> Iterator[VectorBatch]:
        """Vectors of visible passages after a revision."""
        key = (after + 1, 0)
        while rows := self._read(model, *key):
            yield VectorBatch(
                chunk_ids=np.array([row.chunk_id for row in rows], dtype=np.int64),
                version_ids=np.array([row.version_id for row in rows], dtype=np.int64),
                revisions=np.array([row.revision for row in rows], dtype=np.int64),
                vectors=np.frombuffer(b"".join(row.vector for row in rows), dtype="<f2").reshape(
                    len(rows), -1
                ),
            )
            key = (rows[-1].revision, rows[-1].chunk_id)

    def _read(self, model: str, revision: int, chunk_id: int) -> list[changes.Vector]:
        return self.db.read(lambda c: changes.vectors(c, model, revision, chunk_id, READ))


class LocalVectors:
    """Merges new vectors into the built-in index when there are many."""

    def __init__(self, db: Database, clock: Clock, indexes: Path) -> None:
        self._table = Table(db)
        self._clock = clock
        self._indexes = indexes
        self._next = 0.0
        self._revision = -1

    def follow(self, interrupted: Callable[[], bool]) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + CHECK_SECONDS
        revision = self._table.revision("embeddings")
        model = self._table.model()
        if model is None:
            return
        root = vector_root(self._indexes, model)
        if revision == self._revision and Generations(root).damage() is None:
            return
        dim = self._table.dim(model)
        if not dim or self._merge(root, model, dim, revision, interrupted):
            self._revision = revision

    def _merge(
        self, root: Path, model: str, dim: int, revision: int, interrupted: Callable[[], bool]
    ) -> bool:
        builder = LocalVectorBuilder(
            root, database_id=self._table.database_id(), model=model, dim=dim
        )
        try:
            base, fresh = builder.state().revision, False
        except IndexDamaged as error:
            _log.warning("building the vector index anew: %s", error.message)
            base, fresh = 0, True
        delta = self._table.db.read(lambda c: changes.newer_vectors(c, model, base))
        if not fresh and not builder.wants_merge(delta):
            return True
        _, visible = self._table.db.read(changes.visible)
        return builder.merge(
            revision,
            self._table.batches(model, base),
            np.array(visible, dtype=np.int64),
            fresh=fresh,
            stop=interrupted,
        )
