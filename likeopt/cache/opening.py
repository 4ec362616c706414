"""A cache as the settings describe it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from likeopt.cache.backends.disk import DiskLayer, Runner
from likeopt.cache.backends.layer import Layer
from likeopt.cache.backends.memory import MemoryLayer
from likeopt.cache.guard import Guard
from likeopt.cache.layered import Cache
from likeopt.cache.lease import Leases
from likeopt.cache.locks import MachineLocks
from likeopt.cache.stats import Stats
from likeopt.cache.tags import Tags
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import ConfigError

MIB = 1 << 20


def stats_folder(data_dir: Path) -> Path:
    """Where the processes of a machine count."""
    return data_dir / "run" / "cache"


def open_cache(config: Config, *, tenant: str, clock: Clock, tags: Tags, run: Runner) -> Cache:
    """The cache of this process; nothing is opened before it is used.

    `tenant` tells this installation's database from every other, `run` is where work that blocks
    belongs. Raises ConfigError where an extra is missing.
    """
    stats = Stats(stats_folder(config.data_dir))
    servers: dict[str, Callable[[], list[Any]]] = {
        "memory": lambda: [MemoryLayer(config.cache_memory_mb * MIB, clock, stats)],
        "redis": lambda: _redis(config, tenant),
        "memcached": lambda: _memcached(config, tenant, clock),
        "disk": lambda: [
            DiskLayer(config.data_dir / "cache", config.cache_disk_mb * MIB, clock, stats, run)
        ],
    }
    opened = {name: servers[name]() for name in config.cache_layers}
    leases = None
    if "redis" in opened:
        # Not among the values, whose keys begin otherwise: clearing those frees no lease.
        (layer,) = opened["redis"]
        leases = Leases(lambda: layer.client, f"lo-locks:{tenant}:", clock)
    return Cache(
        [Guard(layer, clock, stats) for layer in opened.values()],
        tenant=tenant,
        clock=clock,
        tags=tags,
        stats=stats,
        locks=MachineLocks(config.data_dir / "run" / "locks"),
        leases=leases,
    )


def _redis(config: Config, tenant: str) -> list[Layer]:
    try:
        from likeopt.cache.backends.redis import RedisLayer  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ConfigError("LIKEOPT_CACHE=redis needs the extra `redis`") from None
    return [RedisLayer(config.redis_url, tenant)]


def _memcached(config: Config, tenant: str, clock: Clock) -> list[Layer]:
    try:
        from likeopt.cache.backends.memcached import MemcachedLayer  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ConfigError("LIKEOPT_CACHE=memcached needs the extra `memcached`") from None
    return [MemcachedLayer(server, tenant, clock) for server in config.memcached]
