"""Results of searches, remembered for as long as nothing that they depend on has changed.

The key names all of it (see `Searcher`), so nothing is ever invalidated: what was found in a
library that has changed since is never asked for again, and is dropped at the next look.

What misses a part is not kept, but told to all who ask at the same time: while nothing is found by
meaning, too, the same search is done once. Not if time was short: others may have more of it.

Kept are encoded responses: their size is known to the byte, one is never shared between two who
could change it, and decoding ten hits of 1,200 characters takes 18 µs.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import msgspec

from likeopt.retrieval.types import LATE, Remembered, SearchResponse

# About 2,000 results of ten passages.
MOST_BYTES = 32 << 20
# What an entry takes beside its response: key, bytes object and places in two tables.
_OVERHEAD = 300

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SearchResponse).decode


class Results:
    """Responses by key, the least recently used ones first to go. Thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._library: Hashable = None
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        # Searches that run: what they find, or None if that is not for others.
        self._running: dict[bytes, Future[bytes | None]] = {}
        self._bytes = 0
        self._hits = self._misses = self._shared = self._evictions = 0

    def find(
        self,
        library: Hashable,
        key: bytes,
        compute: Callable[[], SearchResponse],
        wait: float,
    ) -> SearchResponse:
        """The response for `key`: a remembered one, that of the same search which runs already,
        or what `compute` returns.

        `library` is the part of the key that all searches of one moment share. The other search
        is waited for `wait` seconds at most; if it fails, has to leave something out because it
        took too long, or takes longer, `compute` is called here: its caller has a deadline of its
        own. Responses that were not computed here have no stages. Raises what `compute` raises.
        """
        with self._lock:
            self._forget_others(library)
            if body := self._kept.get(key):
                self._kept.move_to_end(key)
                self._hits += 1
                return _decode(body)
            other = self._running.get(key)
            if other is None:
                self._misses += 1
                mine = self._running[key] = Future()
        if other is None:
            return self._compute(library, key, compute, mine)
        if body := _result(other, wait):
            with self._lock:
                self._shared += 1
            return _decode(body)
        with self._lock:
            self._misses += 1
        return compute()

    def counts(self, library: Hashable) -> Remembered:
        """How it went so far. What belongs to another library than `library` is dropped, so that
        what was deleted does not stay because nobody searches."""
        with self._lock:
            self._forget_others(library)
            return Remembered(
                hits=self._hits,
                misses=self._misses,
                shared=self._shared,
                evictions=self._evictions,
                entries=len(self._kept),
                bytes=self._bytes,
            )

    def clear(self) -> None:
        """Forget what is remembered."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _compute(
        self,
        library: Hashable,
        key: bytes,
        compute: Callable[[], SearchResponse],
        mine: "Future[bytes | None]",
    ) -> SearchResponse:
        body: bytes | None = None
        whole = False
        try:
            response = compute()
            whole = not response.degraded
            if all(part.reason != LATE for part in response.degraded):
                body = _encode(msgspec.structs.replace(response, stages={}))
            return response
        finally:
            with self._lock:
                del self._running[key]
                if body is not None and whole and library == self._library:
                    self._keep(key, body)
            mine.set_result(body)

    def _keep(self, key: bytes, body: bytes) -> None:
        size = len(body) + _OVERHEAD
        if size > self._most_bytes:
            return
        self._kept[key] = body
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest) + _OVERHEAD
            self._evictions += 1

    def _forget_others(self, library: Hashable) -> None:
        """Drop what belongs to another library. A search that began before a change may come
        late and drop what is new: that costs a few searches once, and is never wrong."""
        if library != self._library:
            self._library = library
            self._kept.clear()
            self._bytes = 0


def _result(other: "Future[bytes | None]", wait: float) -> bytes | None:
    try:
        return other.result(max(0.0, wait))
    except TimeoutError:
        return None
