"""The built-in vector index: a memory-mapped base, and an exact delta of what came after it.

The base is made by the indexing worker (`local_writer`, which describes its files); only the
engine opens it. Embeddings newer than the base are read from the database into memory and
compared one by one, so a passage is found by meaning as soon as its embedding is committed.
"""

import hashlib
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from usearch.index import Index
from usearch.index import search as exact_search

from likeopt.errors import IndexDamaged
from likeopt.retrieval.generations import Generations, checksum
from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.vector import Found, Vector, VectorBatch, merge, nothing

Matrix = NDArray[np.float16]
Number = TypeVar("Number", np.int64, np.float16)
# (after this revision) -> rows in order of revision, at most a few thousand; empty at the end.
ReadDelta = Callable[[int], VectorBatch]

SCHEMA = 1
ABOUT, VECTORS, IDS, GRAPH = "about.json", "vectors.f16", "ids.i64", "graph.usearch"
# Up to so many allowed passages are compared one by one: exact, and 3 ms for 10,000 scattered
# rows; a graph that has to be asked for 20 times too many takes as long and may miss some.
EXACT = 10_000
# Candidates of the graph that are scored again with their float16 vectors. Of 127,000 perturbed
# passages 96 hold 0.970 of the ten nearest, 128 0.979, 192 0.992; 1 ms of CPU (bench/search.py).
CANDIDATES = 160
# Beyond so many candidates an exact scan of the whole base is faster (100,000 rows: 15 ms).
MOST_CANDIDATES = 8192
# Rows that a delta may hold, 768 bytes each: more means that the base was lost and the worker is
# making another one.
MOST_DELTA = 200_000
_BLOCK = 16_384
_MARGIN = 32


class About(msgspec.Struct, frozen=True):
    """What a base was made with, and the checksums of its files."""

    schema: int
    database: str
    model: str
    dim: int
    revision: int
    rows: int
    # Rows that were taken out of the graph since it was last built from nothing.
    removed: int
    checksums: dict[str, int]


class Base:
    """An opened base. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Raises IndexDamaged when files are missing or have the wrong size."""
        try:
            self.about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
            rows, dim = self.about.rows, self.about.dim
            self.chunk_ids, self.version_ids = _mapped(folder / IDS, np.int64, (2, rows))
            self.vectors = _mapped(folder / VECTORS, np.float16, (rows, dim))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise IndexDamaged(f"The vector index cannot be opened: {error}") from None
        self.rows = rows
        self.folder = folder
        self._graph: Index | None = None
        # usearch searches in scratch memory that belongs to the index, one per native thread.
        self._lock = threading.Lock()

    def verify(self) -> None:
        """Read all files once, 1 GB/s; IndexDamaged if any has changed since it was written."""
        for name, expected in self.about.checksums.items():
            try:
                found = checksum(self.folder / name)
            except OSError as error:
                raise IndexDamaged(f"The vector index cannot be read: {error}") from None
            if found != expected:
                raise IndexDamaged(f"{name} of the vector index has the wrong checksum.")

    def map_graph(self) -> None:
        """Make the base ready to be searched, while its generation stands. Raises IndexDamaged."""
        if self.rows:
            self._graph = open_graph(self, view=True)

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        if not self.rows:
            return nothing()
        rows, similarities = best(query, self.vectors, self._candidates(query, k, scope), k)
        return Found(self.chunk_ids[rows], self.version_ids[rows], similarities)

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        if not self.rows:
            return {}
        at = np.minimum(np.searchsorted(self.chunk_ids, chunk_ids), self.rows - 1)
        rows = at[self.chunk_ids[at] == chunk_ids]
        cosines = self.vectors[rows].astype(np.float32) @ query
        return dict(zip(self.chunk_ids[rows].tolist(), cosines.tolist(), strict=True))

    def _candidates(self, query: Vector, k: int, scope: Scope) -> Ids:
        """Allowed rows, among them the `k` nearest: all of them if they are few, else those that
        the graph finds. It is asked for more until enough of what it finds is allowed."""
        if scope.passages > EXACT:
            count = max(CANDIDATES, math.ceil(k * 1.2 / scope.share))
            while count <= min(MOST_CANDIDATES, self.rows):
                rows = self._nearest(query, count)
                rows = rows[scope.permits(self.version_ids[rows])]
                if len(rows) >= k:
                    return rows
                count *= 4
        return np.flatnonzero(scope.permits(self.version_ids))

    def _nearest(self, query: Vector, count: int) -> Ids:
        """Rows that the graph takes for the nearest, in no particular order."""
        assert self._graph is not None
        with self._lock:
            keys = self._graph.search(query, count, threads=1).keys
        return np.searchsorted(self.chunk_ids, keys.astype(np.int64)).astype(np.int64)


class Delta:
    """Rows in memory that are newer than the base, appended as they are read. Thread-safe for
    one appender and many readers: a reader only sees rows that are complete."""

    def __init__(self, dim: int, revision: int) -> None:
        self.revision = revision
        self.rows = 0
        self._ids = np.empty((2, 256), dtype=np.int64)
        self._revisions = np.empty(256, dtype=np.int64)
        self._vectors = np.empty((256, dim), dtype=np.float16)

    def append(self, batch: VectorBatch) -> None:
        n, more = self.rows, len(batch.chunk_ids)
        if n + more > len(self._revisions):
            self._grow(max(n + more, 2 * n))
        self._ids[0, n : n + more] = batch.chunk_ids
        self._ids[1, n : n + more] = batch.version_ids
        self._revisions[n : n + more] = batch.revisions
        self._vectors[n : n + more] = batch.vectors
        self.revision = int(batch.revisions[-1])
        self.rows = n + more

    def _grow(self, capacity: int) -> None:
        n = self.rows
        ids = np.empty((2, capacity), dtype=np.int64)
        revisions = np.empty(capacity, dtype=np.int64)
        vectors = np.empty((capacity, self._vectors.shape[1]), dtype=np.float16)
        ids[:, :n], revisions[:n], vectors[:n] = (
            self._ids[:, :n],
            self._revisions[:n],
            self._vectors[:n],
        )
        self._ids, self._revisions, self._vectors = ids, revisions, vectors

    def after(self, revision: int) -> "Delta":
        """A copy with the rows newer than `revision`."""
        newer = np.flatnonzero(self._revisions[: self.rows] > revision)
        copy = Delta(self._vectors.shape[1], max(revision, self.revision))
        if len(newer):
            copy.append(
                VectorBatch(
                    self._ids[0, newer],
                    self._ids[1, newer],
                    self._revisions[newer],
                    self._vectors[newer],
                )
            )
        return copy

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        n, ids, vectors = self.rows, self._ids, self._vectors
        if not n:
            return nothing()
        rows, similarities = best(query, vectors, np.flatnonzero(scope.permits(ids[1, :n])), k)
        return Found(ids[0, rows], ids[1, rows], similarities)

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        n, ids, vectors = self.rows, self._ids, self._vectors
        rows = np.flatnonzero(np.isin(ids[0, :n], chunk_ids))
        cosines = vectors[rows].astype(np.float32) @ query
        return dict(zip(ids[0, rows].tolist(), cosines.tolist(), strict=True))


class LocalVectors:
    """Base and delta together: the built-in `VectorIndex`."""

    def __init__(
        self, root: Path, *, database_id: str, model: str, dim: int, read_delta: ReadDelta
    ) -> None:
        """`root` is where `LocalVectorBuilder` publishes for the same database and model."""
        self._generations = Generations(root)
        self._database_id = database_id
        self._model = model
        self._read_delta = read_delta
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._base: Base | None = None
        self._delta = Delta(dim, 0)
        self._dim = dim

    def refresh(self, revision: int) -> None:
        with self._lock:
            self._follow_base()
            while self._delta.revision < revision:
                if self._delta.rows > MOST_DELTA:
                    raise IndexDamaged("The vector index is being built again.")
                batch = self._read_delta(self._delta.revision)
                if not len(batch.chunk_ids):
                    self._delta.revision = revision
                else:
                    self._delta.append(batch)

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        with self._lock:
            base, delta = self._base, self._delta
        if not scope.passages:
            return nothing()
        newer = delta.search(query, k, scope)
        if base is None:
            return newer
        return merge(newer, base.search(query, k, scope), k)

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        with self._lock:
            base, delta = self._base, self._delta
        found = base.similarities(query, chunk_ids) if base else {}
        return found | delta.similarities(query, chunk_ids)

    def state(self, revision: int) -> str | None:
        with self._lock:
            if self._delta.revision < revision:
                return None
            return self._folder.name if self._folder else ""

    def sizes(self) -> tuple[int, int]:
        with self._lock:
            return (self._base.rows if self._base else 0), self._delta.rows

    def close(self) -> None:
        with self._lock:
            self._base, self._folder = None, None

    def _follow_base(self) -> None:
        if self._generations.follow(self._use) is None and self._folder:
            self._base, self._folder, self._delta = None, None, Delta(self._dim, 0)

    def _use(self, folder: Path) -> Path:
        if folder == self._folder:
            return folder
        base = open_base(folder, self._database_id, self._model, self._dim)
        base.verify()
        base.map_graph()
        # What the delta has not read yet and the base has must not be skipped, nor read twice.
        revision = base.about.revision
        kept = self._delta.revision >= revision and self._base is not None
        self._delta = self._delta.after(revision) if kept else Delta(self._dim, revision)
        self._base, self._folder = base, folder
        return folder


def vector_root(indexes: Path, model: str) -> Path:
    """Where the base of a model is published: one folder a model, so that the vectors of the
    old model serve while those of a new one are made."""
    return indexes / f"vectors-{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def open_base(folder: Path, database_id: str, model: str, dim: int) -> Base:
    """Open a base; IndexDamaged unless it belongs to this database and model."""
    base = Base(folder)
    about = base.about
    made_with = (about.schema, about.database, about.model, about.dim)
    if made_with != (SCHEMA, database_id, model, dim):
        raise IndexDamaged("The vector index was made with another model or database.")
    return base


def open_graph(base: Base, *, view: bool) -> Index:
    """A base's graph: mapped (`view`) to search it, else in memory, to change it."""
    try:
        # A mapped graph needs no table from keys to nodes: rows are found by binary search.
        index = Index.restore(
            str(base.folder / GRAPH),
            view=view,
            enable_key_lookups=not view,
            expansion_search=CANDIDATES,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise IndexDamaged(f"The vector index's graph cannot be opened: {error}") from None
    if index is None or len(index) != base.rows:
        raise IndexDamaged("The vector index's graph does not fit its rows.")
    return index


def best(query: Vector, vectors: Matrix, rows: Ids, k: int) -> tuple[Ids, Vector]:
    """The `k` of `rows` that are nearest to `query`, best first, with their cosines.

    Many are first thinned out by usearch, which computes with the CPU's own float16: 1.2 ms for
    20,000 x 384, for which numpy, widening the matrix to float32, takes 14 ms. Rounding the query
    as well, that mixes up about one in a hundred at the edge, hence the margin.
    """
    if len(rows) > 4 * (k + _MARGIN):
        half = query.astype(np.float16)
        kept = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            count = min(k + _MARGIN, len(block))
            nearest = exact_search(vectors[block], half, count, "ip", exact=True, threads=1)
            kept.append(block[nearest.keys.astype(np.int64)])
        rows = np.concatenate(kept)
    similarities: Vector = vectors[rows].astype(np.float32) @ query
    order = np.lexsort((rows, -similarities))[:k]
    return rows[order], similarities[order]


def _mapped(path: Path, dtype: type[Number], shape: tuple[int, int]) -> NDArray[Number]:
    """`path` as a read-only mapped array; ValueError if it does not have that size."""
    if path.stat().st_size != shape[0] * shape[1] * np.dtype(dtype).itemsize:
        raise ValueError(f"{path.name} has the wrong size")
    if not shape[0] * shape[1]:
        return np.empty(shape, dtype=dtype)
    # A plain view of the map: numpy's own class for maps costs 10 µs at each indexing.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=shape))
