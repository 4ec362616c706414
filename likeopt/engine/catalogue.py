"""Which passages may be returned: every version of the library, in columns.

A version is visible in the index snapshot of revision r if it was published at or before r, not
retired by then, and its document still exists. So a reader sees a changed document's old version
until the index has the new one, and never neither. Deletions, and what filters look at, take
effect with the database's commit, whatever the indexes still hold.

48 bytes a version, indexed by the version's id, and no Python objects.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeopt.retrieval.scope import Scope
from likeopt.retrieval.types import Filters
from likeopt.storage.engine_queries import VersionRow

_NEVER = np.iinfo(np.int64).max
# Masks kept: one byte a version each.
_MASKS = 16

_COLUMNS: dict[str, type[np.generic]] = {
    "published": np.int64,
    "retired": np.int64,
    "updated": np.int64,
    "document": np.uint64,
    "collection": np.int32,
    "media": np.int32,
    "passages": np.int32,
    "embedded": np.int32,
}


class Readable(msgspec.Struct, frozen=True):
    """What one search may return, and how many of these passages have no embedding yet."""

    scope: Scope
    pending: int


class Catalogue:
    """The columns, up to library revision `revision`. Thread-safe."""

    def __init__(self) -> None:
        self.revision = 0
        self._lock = threading.Lock()
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros(0, dtype=kind) for name, kind in _COLUMNS.items()
        }
        self._codes: dict[str, int] = {}
        self._masks: OrderedDict[tuple[object, ...], Readable] = OrderedDict()

    def apply(self, batches: Iterable[list[VersionRow]], revision: int) -> None:
        """Take in the rows that changed up to `revision`."""
        with self._lock:
            for rows in batches:
                self._put(rows)
            self.revision = revision
            self._masks.clear()

    def embedded(self, counts: Collection[tuple[int, int]]) -> None:
        """Set how many passages of versions have embeddings: (version id, passages)."""
        if not counts:
            return
        with self._lock:
            column = self._columns["embedded"]
            ids, values = np.array(list(counts), dtype=np.int64).T
            known = ids < len(column)
            column[ids[known]] = values[known]
            self._masks.clear()

    def passages(self, applied: int) -> tuple[int, int]:
        """Visible passages of the whole library, and how many of them have embeddings."""
        with self._lock:
            visible = self._visible(applied)
            passages, embedded = (
                int(self._columns[name][visible].sum()) for name in ("passages", "embedded")
            )
            return passages, embedded

    def readable(
        self,
        applied: int,
        collections: Collection[str],
        filters: Filters,
        tagged: Callable[[list[str]], Collection[str]],
    ) -> Readable:
        """What a reader of `collections` may see through `filters` in the snapshot `applied`.

        `tagged` finds the documents that carry any of some tags.
        """
        key = (applied, tuple(collections), msgspec.msgpack.encode(filters))
        with self._lock:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key]
            revision = self.revision
        # A query of its own, so outside the lock.
        with_tags = tagged(filters.tags) if filters.tags else None
        with self._lock:
            visible = self._visible(applied)
            allowed = visible & self._in_scope(collections, filters)
            if with_tags is not None:
                allowed &= self._of_documents(with_tags)
            columns = self._columns
            passages = columns["passages"]
            total = int(passages[visible].sum())
            chosen = passages[allowed]
            missing = np.maximum(chosen - columns["embedded"][allowed], 0)
            scope = Scope(allowed, int(chosen.sum()), total)
            readable = Readable(scope, int(missing.sum()))
            if revision == self.revision:
                self._masks[key] = readable
                if len(self._masks) > _MASKS:
                    self._masks.popitem(last=False)
            return readable

    def _put(self, rows: list[VersionRow]) -> None:
        if not rows:
            return
        ids = np.array([row.version_id for row in rows])
        self._reach(int(ids.max()) + 1)
        columns = self._columns
        columns["published"][ids] = [
            _NEVER if row.deleted else row.published_revision for row in rows
        ]
        columns["retired"][ids] = [
            _NEVER if row.retired_revision is None else row.retired_revision for row in rows
        ]
        columns["updated"][ids] = [row.updated_at for row in rows]
        columns["document"][ids] = np.array(
            [_key(row.document_id) for row in rows], dtype=np.uint64
        )
        columns["collection"][ids] = [self._code(row.collection_id) for row in rows]
        columns["media"][ids] = [self._code(row.media_type) for row in rows]
        columns["passages"][ids] = [row.chunk_count for row in rows]
        columns["embedded"][ids] = [row.embedded_count for row in rows]

    def _reach(self, size: int) -> None:
        old = len(self._columns["published"])
        if size <= old:
            return
        grown = max(size, old + old // 2, 256)
        for name, column in self._columns.items():
            # A version that is not known is one that was never published.
            fill = _NEVER if name == "published" else 0
            self._columns[name] = np.concatenate(
                [column, np.full(grown - old, fill, dtype=column.dtype)]
            )

    def _visible(self, applied: int) -> NDArray[np.bool_]:
        columns = self._columns
        visible: NDArray[np.bool_] = (columns["published"] <= applied) & (
            columns["retired"] > applied
        )
        return visible

    def _in_scope(self, collections: Collection[str], filters: Filters) -> NDArray[np.bool_]:
        columns = self._columns
        readable = set(collections)
        if filters.collections:
            readable &= set(filters.collections)
        allowed = self._coded("collection", readable)
        if filters.media_types:
            allowed &= self._coded("media", filters.media_types)
        if filters.documents:
            allowed &= self._of_documents(filters.documents)
        if filters.updated_after is not None:
            allowed &= columns["updated"] >= filters.updated_after
        if filters.updated_before is not None:
            allowed &= columns["updated"] < filters.updated_before
        return allowed

    def _coded(self, column: str, names: Collection[str]) -> NDArray[np.bool_]:
        wanted = np.zeros(len(self._codes) + 1, dtype=np.bool_)
        wanted[[self._codes[name] for name in names if name in self._codes]] = True
        allowed: NDArray[np.bool_] = wanted[self._columns[column]]
        return allowed

    def _of_documents(self, documents: Collection[str]) -> NDArray[np.bool_]:
        keys = np.array([_key(document) for document in documents], dtype=np.uint64)
        return np.isin(self._columns["document"], keys)

    def _code(self, name: str) -> int:
        """A small number for a collection or media type, from 1."""
        return self._codes.setdefault(name, len(self._codes) + 1)


def _key(document_id: str) -> int:
    """64 bits of a document's id; the chance that two of 100,000 share them is 3 in 10 billion."""
    return int.from_bytes(hashlib.blake2b(document_id.encode(), digest_size=8).digest(), "big")
