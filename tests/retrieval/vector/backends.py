"""The two vector backends behind one face, so that they can be held to the same tests."""

import uuid
from pathlib import Path
from typing import Protocol

import numpy as np

from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.vector import Vector, VectorBatch, VectorIndex
from likeopt.retrieval.vector.chroma import ChromaPusher, ChromaState, ChromaVectors
from likeopt.retrieval.vector.local import LocalVectors, vector_root
from likeopt.retrieval.vector.local_writer import LocalVectorBuilder

MODEL = "fake"
Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def cone(count: int, dim: int, seed: int, *, clusters: int = 300) -> Vectors:
    """Unit vectors as text embeddings are: in clusters, within a narrow cone (cosines of 0.8)."""
    shape = np.random.default_rng(1)
    axis = shape.normal(size=dim) * 3
    centres = shape.normal(size=(clusters, dim))
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(count, dim)) * 0.7
    vectors = (axis + centres[rng.integers(0, clusters, count)] + spread).astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def batch(chunk_ids: Ids, version_ids: Ids, vectors: Vectors, revision: int = 1) -> VectorBatch:
    """Rows of the table `embeddings`, all of one revision."""
    revisions = np.full(len(chunk_ids), revision, dtype=np.int64)
    return VectorBatch(chunk_ids, version_ids, revisions, vectors.astype(np.float16))


def scope(versions: Ids, passages: int, total: int) -> Scope:
    """A scope of these versions."""
    allowed = np.zeros(int(versions.max()) + 1 if len(versions) else 0, dtype=np.bool_)
    allowed[versions] = True
    return Scope(allowed, passages, total)


class Backend(Protocol):
    """How a test fills an index, as the indexing worker would."""

    revision: int

    def fill(self, added: VectorBatch | None, live: Ids, removed: Ids) -> None: ...

    def index(self) -> VectorIndex: ...


class LocalBackend:
    """Everything goes into the base; `delta` is what the table has beyond it."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.root = vector_root(folder, MODEL)
        self.dim = dim
        self.revision = 0
        self.delta: list[VectorBatch] = []

    def builder(self) -> LocalVectorBuilder:
        return LocalVectorBuilder(self.root, database_id="db", model=MODEL, dim=self.dim)

    def fill(self, added: VectorBatch | None, live: Ids, removed: Ids) -> None:
        self.revision += 1
        assert self.builder().merge(self.revision, [added] if added else [], live)

    def index(self) -> LocalVectors:
        return LocalVectors(
            self.root, database_id="db", model=MODEL, dim=self.dim, read_delta=self._after
        )

    def _after(self, revision: int) -> VectorBatch:
        for newer in self.delta:
            if newer.revisions[0] > revision:
                return newer
        return batch(*(np.empty(0, dtype=np.int64),) * 2, np.empty((0, self.dim), dtype=np.float32))


class ChromaBackend:
    """A collection of its own in the session's server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database_id = uuid.uuid4().hex
        self.revision = 0
        self.stored: dict[int, bytes] = {}

    def pusher(self) -> ChromaPusher:
        return ChromaPusher(self.url, database_id=self.database_id, model=MODEL)

    def fill(self, added: VectorBatch | None, live: Ids, removed: Ids) -> None:
        self.revision += 1
        if added:
            rows = (row.astype("<f2").tobytes() for row in added.vectors)
            self.stored |= dict(zip(added.chunk_ids.tolist(), rows, strict=True))
        state = ChromaState(self.revision, self.revision)
        pusher = self.pusher()
        pusher.push(state, [added] if added else [], removed.tolist())
        pusher.close()

    def index(self) -> ChromaVectors:
        return ChromaVectors(
            self.url,
            database_id=self.database_id,
            model=MODEL,
            read_vectors=lambda ids: {id_: self.stored[id_] for id_ in ids if id_ in self.stored},
            timeout=30.0,
        )


def exact(query: Vector, vectors: Vectors, among: Ids, k: int) -> set[int]:
    """Rows of the `k` nearest of `among`."""
    similarities = vectors[among] @ query
    return set(among[np.argsort(-similarities, kind="stable")[:k]].tolist())
