"""Makes the base of the built-in vector index, in the machine's indexing worker.

A base is a folder with four files, one row a passage, in order of passage ids:

    vectors.f16     float16 [rows, dim], L2-normalised: exact similarities
    ids.i64         int64 [2, rows]: passage ids, then version ids
    graph.usearch   HNSW graph (Malkov and Yashunin 2018, arXiv:1603.09320) over int8 vectors
    about.json      what it was made with, up to which revision, and the files' checksums

The graph only proposes candidates, which are scored again with the float16 vectors. int8 alone
finds 0.74 of the ten nearest where vectors lie in a narrow cone, as those of e5 do; with 64
candidates scored again it finds 0.996, as a graph over float16 does, in 58 % of its size.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from usearch.index import Index

from likeopt.errors import IndexDamaged
from likeopt.retrieval.generations import Generations, checksum
from likeopt.retrieval.scope import Ids
from likeopt.retrieval.vector import VectorBatch
from likeopt.retrieval.vector.local import (
    ABOUT,
    GRAPH,
    IDS,
    SCHEMA,
    VECTORS,
    About,
    Base,
    Matrix,
    open_base,
    open_graph,
)

# Edges a node, and the effort of finding them, 0.5 ms a row. With usearch's defaults (16 and 128)
# as many candidates of 127,000 perturbed passages hold 0.97 of the ten nearest instead of 0.99.
_EDGES = 24
_EFFORT = 160
# A graph loses quality with each row that is taken out of it, so it is made anew at a fifth.
_MOST_REMOVED = 0.2
_BLOCK = 2048


class BaseState(msgspec.Struct, frozen=True):
    """What the base in force holds: rows up to `revision` of the counter `embeddings`."""

    revision: int
    count: int


class LocalVectorBuilder:
    """Merges new embeddings into a new base, beside the one in force, and publishes it."""

    def __init__(self, root: Path, *, database_id: str, model: str, dim: int) -> None:
        """`root` is `vector_root(...)` of the same model."""
        self._generations = Generations(root)
        self._database_id = database_id
        self._model = model
        self._dim = dim

    def state(self) -> BaseState:
        """The base in force, or zeros. Raises IndexDamaged when it has to be built anew: it is
        damaged, the engine reported it so, or it belongs to another database or model."""
        base = self._open()
        return BaseState(base.about.revision, base.rows) if base else BaseState(0, 0)

    def wants_merge(self, delta: int) -> bool:
        """Whether `delta` embeddings newer than the base are enough to make a new one.

        An exact delta of 10,000 rows costs a search 1 ms; merging costs a second per 4,000 rows.
        """
        return delta >= max(2000, self.state().count // 10)

    def merge(
        self,
        revision: int,
        batches: Iterable[VectorBatch],
        live: Ids,
        *,
        fresh: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Publish a base that holds everything up to `revision`; False if `stop` said so first.

        `batches` are the embeddings after the base's revision (all of them if `fresh`) up to
        `revision`; `live` are the versions worth keeping. `stop` is asked every half second.
        """
        base = None if fresh else self._open()
        if base:
            base.verify()
        with self._generations.create("the vector index") as folder:
            spool = _Spool(folder / "spool", self._dim)
            for batch in batches:
                spool.append(batch)
                if stop():
                    return False
            rows = _Rows(base, spool, live)
            graph, removed = _graph(base, rows, self._dim)
            # Graph nodes are passages, so those that the old graph has are not added again.
            for chunk_ids, vectors in rows.blocks(only_new=len(graph) > 0):
                graph.add(chunk_ids, vectors, threads=1)
                if stop():
                    return False
            rows.write(folder)
            _save(graph, folder / GRAPH)
            spool.remove()
            self._describe(folder, revision, len(rows.chunk_ids), removed)
            self._generations.publish(folder)
        return True

    def _describe(self, folder: Path, revision: int, rows: int, removed: int) -> None:
        about = About(
            schema=SCHEMA,
            database=self._database_id,
            model=self._model,
            dim=self._dim,
            revision=revision,
            rows=rows,
            removed=removed,
            checksums={name: checksum(folder / name) for name in (VECTORS, IDS, GRAPH)},
        )
        (folder / ABOUT).write_bytes(msgspec.json.encode(about))

    def _open(self) -> Base | None:
        if reason := self._generations.damage():
            raise IndexDamaged(reason)
        folder = self._generations.current()
        return open_base(folder, self._database_id, self._model, self._dim) if folder else None


class _Spool:
    """New rows on disk, as they come: a library of a million passages is 0.8 GB of them."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._shape = (-1, dim)
        self._ids: list[Ids] = []
        path.touch()

    def append(self, batch: VectorBatch) -> None:
        self._ids.append(np.stack([batch.chunk_ids, batch.version_ids]))
        with self._path.open("ab") as file:
            batch.vectors.tofile(file)

    def read(self) -> tuple[Ids, Matrix]:
        """(ids int64 [2, n], vectors [n, dim], mapped)."""
        if not self._ids:
            return np.empty((2, 0), dtype=np.int64), np.empty((0, self._shape[1]), np.float16)
        vectors = np.memmap(self._path, dtype=np.float16, mode="r").reshape(self._shape)
        return np.concatenate(self._ids, axis=1), vectors

    def remove(self) -> None:
        self._path.unlink()


class _Rows:
    """The rows of the next base: what is kept of the old one, and what is new."""

    def __init__(self, base: Base | None, spool: _Spool, live: Ids) -> None:
        ids, self._new = spool.read()
        wanted = np.isin(ids[1], live)
        # Of two vectors of one passage the later one counts.
        last = len(wanted) - 1 - np.unique(ids[0, ::-1], return_index=True)[1]
        added = np.sort(last[wanted[last]])
        self._old: Matrix = base.vectors if base else self._new[:0]
        old = np.stack([base.chunk_ids, base.version_ids]) if base else ids[:, :0]
        keep = np.isin(old[1], live) & ~np.isin(old[0], ids[0])
        self.gone: Ids = old[0, ~keep]
        kept = np.flatnonzero(keep)
        chunk_ids = np.concatenate([old[0, kept], ids[0, added]])
        version_ids = np.concatenate([old[1, kept], ids[1, added]])
        # Where a row is: below zero in the old matrix (-1 - row), else in the new one.
        source = np.concatenate([-1 - kept, added])
        order = np.argsort(chunk_ids)
        self.chunk_ids, self.version_ids = chunk_ids[order], version_ids[order]
        self._source = source[order]

    def blocks(self, *, only_new: bool) -> Iterator[tuple[Ids, Matrix]]:
        """(passage ids, vectors), in order of ids, a few thousand rows at a time."""
        wanted = np.flatnonzero(self._source >= 0) if only_new else np.arange(len(self._source))
        for start in range(0, len(wanted), _BLOCK):
            rows = wanted[start : start + _BLOCK]
            source = self._source[rows]
            vectors = np.empty((len(rows), self._new.shape[1]), dtype=np.float16)
            vectors[source < 0] = self._old[-1 - source[source < 0]]
            vectors[source >= 0] = self._new[source[source >= 0]]
            yield self.chunk_ids[rows], vectors

    def write(self, folder: Path) -> None:
        np.stack([self.chunk_ids, self.version_ids]).tofile(folder / IDS)
        with (folder / VECTORS).open("wb") as file:
            for _, vectors in self.blocks(only_new=False):
                vectors.tofile(file)


def _graph(base: Base | None, rows: _Rows, dim: int) -> tuple[Index, int]:
    """The graph to add to, and how many rows have been taken out of it since it was empty."""
    if base:
        removed = base.about.removed + len(rows.gone)
        if removed <= _MOST_REMOVED * base.rows:
            index = open_graph(base, view=False)
            if len(rows.gone):
                index.remove(rows.gone)
            return index, removed
    index = Index(ndim=dim, metric="cos", dtype="i8", connectivity=_EDGES, expansion_add=_EFFORT)
    return index, 0


def _save(graph: Index, path: Path) -> None:
    try:
        graph.save(str(path))
    except RuntimeError as error:
        # usearch does not say why, and a full disk is what happens.
        raise OSError(errno.ENOSPC, str(error)) from None
