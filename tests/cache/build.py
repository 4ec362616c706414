"""Caches for tests, of any layers, without jitter."""

from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

from likeopt.cache.backends.disk import DiskLayer
from likeopt.cache.backends.layer import Layer
from likeopt.cache.backends.memcached import MemcachedLayer
from likeopt.cache.backends.memory import MemoryLayer
from likeopt.cache.backends.redis import RedisLayer
from likeopt.cache.guard import Guard
from likeopt.cache.layered import Cache
from likeopt.cache.stats import Stats
from likeopt.cache.tags import LocalTags, Tags
from likeopt.clock import Clock

MIB = 1 << 20
TENANT = "t"
# Every set of layers, the quickest first.
LAYERS = [
    ",".join(names)
    for size in range(1, 5)
    for names in combinations(("memory", "redis", "memcached", "disk"), size)
]


class Built:
    """Makes layers and caches over the same places; closes them all."""

    def __init__(self, folder: Path, clock: Clock, find: Callable[[str], str]) -> None:
        """`find` starts a server by its name and returns its address."""
        self.folder = folder
        self.clock = clock
        self._find = find
        self._made: list[Any] = []

    def layer(
        self, name: str, stats: Stats, *, max_bytes: int = 64 * MIB, tenant: str = TENANT
    ) -> Layer:
        layer: Layer
        match name:
            case "memory":
                layer = MemoryLayer(max_bytes, self.clock, stats)
            case "disk":
                folder = self.folder / "cache"
                layer = DiskLayer(folder, max_bytes, self.clock, stats, lambda work: work())
            case "redis":
                layer = RedisLayer(self._find("redis"), tenant)
            case "memcached":
                layer = MemcachedLayer(self._find("memcached"), tenant, self.clock)
            case _:
                raise ValueError(name)
        self._made.append(layer)
        return layer

    def cache(
        self,
        names: str,
        *,
        tags: Tags | None = None,
        spread: float = 0.5,
        max_bytes: int = 64 * MIB,
        tenant: str = TENANT,
        stats: Stats | None = None,
        around: Callable[[Layer], Layer] = lambda layer: layer,
    ) -> Cache:
        """A cache as another process would have it: only shared layers are the same. `around` puts
        something before each layer."""
        stats = stats or Stats(None)
        made = [
            self.layer(name, stats, max_bytes=max_bytes, tenant=tenant) for name in names.split(",")
        ]
        guards = [Guard([around(layer)], self.clock, stats) for layer in made]
        cache = Cache(
            guards,
            tenant=tenant,
            clock=self.clock,
            tags=tags or LocalTags(),
            stats=stats,
            spread=lambda: spread,
        )
        self._made.append(cache)
        return cache

    def close(self) -> None:
        for made in self._made:
            with suppress(OSError):
                made.close()
