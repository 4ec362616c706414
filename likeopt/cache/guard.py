"""One layer as the cache uses it: what does not work is a miss, and counted.

A layer may be several servers that share the keys between them; each has a breaker of its own.
"""

import logging
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from likeopt.cache import stats as s
from likeopt.cache.backends.layer import Layer, LayerBusy, LayerFailed, Size
from likeopt.cache.breaker import Breaker
from likeopt.cache.keys import use_of
from likeopt.cache.lease import Lease
from likeopt.clock import Clock

T = TypeVar("T")


class Cleared(msgspec.Struct, frozen=True):
    """What clearing a layer did. `entries` and `bytes` are None where it cannot count them;
    `failed` says that it did not answer, and may still hold everything."""

    layer: str
    entries: int | None = None
    bytes: int | None = None
    failed: bool = False


class Guard:
    """The layer `name`, kept in `servers`. Nothing here raises."""

    def __init__(self, servers: Sequence[Layer], clock: Clock, stats: s.Stats) -> None:
        self.name = servers[0].name
        self._servers = [(server, Breaker(clock)) for server in servers]
        self._clock = clock
        self._stats = stats

    def get(self, key: str) -> bytes | None:
        """What is kept under the key. Whoever asked says with `looked` whether it was of use."""
        server, breaker = self._of(key)
        if not breaker.allows():
            self.row(key).add(s.REFUSED)
            return None
        # `_try` without a closure: this is done several times for every request.
        try:
            data = server.get(key)
        except LayerFailed as error:
            self._failed(breaker, use_of(key), error)
            return None
        if breaker.succeeded():
            self._note_breakers()
        return data

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """What is kept under those of the keys that are there."""
        found: dict[str, bytes] = {}
        for number, (server, breaker) in enumerate(self._servers):
            chosen = [key for key in keys if self._number(key) == number]
            if chosen:
                began = self._clock.monotonic()
                none: dict[str, bytes] = {}
                ask = partial(server.get_many, chosen)
                found |= self._try(breaker, use_of(chosen[0]), ask, none)
                each = (self._clock.monotonic() - began) / len(chosen)
                self.row(chosen[0]).read(each, len(chosen))
        return found

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """Keep `data` for `ttl` seconds, if that works."""
        server, breaker = self._of(key)
        row = self.row(key)
        if not breaker.allows():
            row.add(s.REFUSED)
            return
        # As in `get`.
        try:
            server.set(key, data, ttl)
        except LayerFailed as error:
            self._failed(breaker, use_of(key), error)
            return
        if breaker.succeeded():
            self._note_breakers()
        row.add(s.SETS)

    def set_leased(self, lease: Lease, key: str, data: bytes, ttl: float) -> bool:
        """As `set`, but False if somebody has a later lease, and so nothing was kept."""
        _, breaker = self._of(key)
        work = partial(lease.store, key, data, round(ttl * 1000))
        kept = self._try(breaker, use_of(key), work, None)
        if kept:
            self.row(key).add(s.SETS)
        return kept is not False

    def delete(self, keys: Sequence[str]) -> None:
        """Forget these keys, if that works."""
        for key in keys:
            server, breaker = self._of(key)
            self._try(breaker, use_of(key), partial(server.delete, [key]), None)

    def clear(self, use: str | None) -> Cleared:
        """Forget everything kept for a use, or for any; breakers keep nothing from trying."""
        gone: Size | None = Size()
        for server, breaker in self._servers:
            try:
                part = server.clear(use)
            except LayerFailed as error:
                self._failed(breaker, use or "", error)
                return Cleared(self.name, failed=True)
            gone = None if gone is None or part is None else gone + part
        return Cleared(self.name) if gone is None else Cleared(self.name, gone.entries, gone.bytes)

    def sizes(self) -> dict[str, Size] | None:
        """What the layer holds, by use (see `Layer.sizes`); None if it does not answer."""
        held: dict[str, Size] = {}
        for server, breaker in self._servers:
            found = self._try(breaker, "", server.sizes, None)
            if found is None:
                return None
            for use, size in found.items():
                held[use] = held.get(use, Size()) + size
        return held

    def row(self, key: str) -> s.Row:
        """Where this layer counts for the key's use."""
        return self._stats.row(use_of(key), self.name)

    def close(self) -> None:
        """Close what was opened."""
        for server, _ in self._servers:
            server.close()

    def _number(self, key: str) -> int:
        """Which server has the key: the highest of a hash of both (rendezvous hashing), so that
        one server more or less moves only its own share."""
        if len(self._servers) == 1:
            return 0
        return max(range(len(self._servers)), key=lambda n: zlib.crc32(f"{n} {key}".encode()))

    def _of(self, key: str) -> tuple[Layer, Breaker]:
        servers = self._servers
        return servers[0] if len(servers) == 1 else servers[self._number(key)]

    def _try(self, breaker: Breaker, use: str, work: Callable[[], T], otherwise: T) -> T:
        if not breaker.allows():
            self._stats.row(use, self.name).add(s.REFUSED)
            return otherwise
        try:
            done = work()
        except LayerFailed as error:
            self._failed(breaker, use, error)
            return otherwise
        if breaker.succeeded():
            self._note_breakers()
        return done

    def _failed(self, breaker: Breaker, use: str, error: LayerFailed) -> None:
        self._stats.row(use, self.name).add(s.ERRORS)
        if not isinstance(error, LayerBusy) and breaker.failed():
            self._note_breakers()
            logging.getLogger(__name__).warning("Cache layer %s is left out: %s", self.name, error)

    def _note_breakers(self) -> None:
        is_open = sum(breaker.is_open for _, breaker in self._servers)
        self._stats.row("", self.name).put(s.OPEN, is_open)
