"""The first layer: the memory of one process, bounded by bytes and by entries.

What was used least recently goes first. An LRU of its own, because what is held and thrown out is
counted for each use, in bytes, and no library was found that does that at this price: see
docs/decisions/0006-memory-layer.md for what was measured.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable

from likeopt.cache.backends.layer import Size
from likeopt.cache.keys import use_of
from likeopt.cache.stats import BYTES, ENTRIES, EVICTIONS, Row, Stats
from likeopt.clock import Clock

# What an entry costs beside its data: key, tuple, numbers and their places in a dict and a list;
# 380 bytes by tracemalloc, for keys of 80 characters.
ENTRY_BYTES = 400
# So many entries as if the smallest were of this size.
_SMALLEST = 1024
# Nothing may take more than this part of the room: it would cost everything else its place.
LARGEST_PART = 8


class _Held:
    """What is held for one use."""

    __slots__ = ("bytes", "entries", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.entries = 0
        self.bytes = 0

    def count(self, entries: int, size: int) -> None:
        self.entries += entries
        self.bytes += size
        self.row.put(ENTRIES, self.entries)
        self.row.put(BYTES, self.bytes)


class MemoryLayer:
    """See `Layer`; never fails. A forked child begins with an empty one."""

    name = "memory"

    def __init__(
        self, max_bytes: int, clock: Clock, stats: Stats, *, max_entries: int | None = None
    ) -> None:
        self._stats = stats
        self._max_bytes = max_bytes
        self._max_entries = max_entries or max_bytes // _SMALLEST
        self._clock = clock
        self._open()

    def get(self, key: str) -> bytes | None:
        """See `Layer`."""
        with self._mine():
            found = self._kept.get(key)
            if found is None:
                return None
            if found[1] > self._clock.monotonic():
                self._kept.move_to_end(key)
                return found[0]
            self._drop(key)
            return None

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """See `Layer`."""
        return {key: data for key in keys if (data := self.get(key)) is not None}

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """See `Layer`."""
        size = len(data) + ENTRY_BYTES
        until = self._clock.monotonic() + ttl
        with self._mine():
            if size > self._max_bytes // LARGEST_PART:
                self._drop(key)
                return
            before = self._kept.pop(key, None)
            self._kept[key] = data, until
            if before is None:
                self._count(key, 1, size)
            else:
                self._count(key, 0, len(data) - len(before[0]))
            while self._bytes > self._max_bytes or len(self._kept) > self._max_entries:
                self._drop(oldest := next(iter(self._kept)))
                self._held[use_of(oldest)].row.add(EVICTIONS)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Layer`."""
        with self._mine():
            for key in keys:
                self._drop(key)

    def clear(self, use: str | None) -> Size:
        """See `Layer`."""
        with self._mine():
            chosen = [key for key in self._kept if use in (None, use_of(key))]
            return Size(len(chosen), sum(map(self._drop, chosen)))

    def sizes(self) -> dict[str, Size]:
        """See `Layer`."""
        with self._mine():
            return {use: Size(held.entries, held.bytes) for use, held in self._held.items()}

    def close(self) -> None:
        """See `Layer`."""
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        # The least recently used first: the data, and the monotonic time when it ends.
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._held: dict[str, _Held] = {}
        self._bytes = 0

    def _mine(self) -> threading.Lock:
        # A thread of the parent may have held the lock at the moment of the fork.
        if os.getpid() != self._pid:
            self._open()
        return self._lock

    def _drop(self, key: str) -> int:
        """Forget a key; returns the bytes that it took."""
        gone = self._kept.pop(key, None)
        if gone is None:
            return 0
        size = len(gone[0]) + ENTRY_BYTES
        self._count(key, -1, -size)
        return size

    def _count(self, key: str, entries: int, size: int) -> None:
        use = use_of(key)
        held = self._held.get(use)
        if held is None:
            held = self._held[use] = _Held(self._stats.row(use, self.name))
        self._bytes += size
        held.count(entries, size)
