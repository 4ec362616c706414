"""What `likeopt doctor` looks at of the cache's layers."""

from collections.abc import Iterator

from likeopt.cache.backends.disk import DiskLayer
from likeopt.cache.backends.layer import Layer, LayerFailed
from likeopt.cache.opening import MIB
from likeopt.cache.stats import Stats
from likeopt.cli.checks import TIMEOUT_SECONDS, Check
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import how_to_install
from likeopt.storage.db import run_here

# Evicts what expires soonest, so sessions last; whose they are does not expire.
POLICY = "volatile-ttl"
_LOST = (
    "set its maxmemory-policy {}: another one may throw out sessions, or the lists of whose they"
    " are, without which nobody can be signed out everywhere"
)


def layers(config: Config) -> Iterator[Check]:
    """Redis, which sessions may use without the cache, and each layer that others share works."""
    if config.redis_url:
        yield redis(config)
    if "memcached" in config.cache_layers:
        for server in config.memcached:
            yield memcached(server)
    if "disk" in config.cache_layers:
        yield disk(config)


def redis(config: Config) -> Check:
    """It answers, and has a bound."""
    name = "redis"
    try:
        import redis as client
    except ImportError:
        advice = how_to_install("redis")
        return Check(name, "fail", "LIKEOPT_REDIS_URL needs the extra `redis`", advice)
    try:
        with client.Redis.from_url(
            config.redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        ) as opened:
            memory = opened.info("memory")
            version = opened.info("server")["redis_version"]
    except client.RedisError as error:
        # Not its message: it can hold the address with its password.
        return Check(
            name, "fail", f"does not answer ({type(error).__name__})", "check LIKEOPT_REDIS_URL"
        )
    most, policy = int(memory["maxmemory"]), memory["maxmemory_policy"]
    detail = f"{version}, {int(memory['used_memory']) // MIB} MiB used"
    if "redis" not in config.cache_layers:
        detail += ", for sessions"
        if most and policy not in ("noeviction", POLICY):
            return Check(name, "warn", f"{detail}, {policy}", _LOST.format("noeviction"))
        return Check(name, "ok", detail)
    if not most:
        advice = f"set its maxmemory, and maxmemory-policy {POLICY}"
        return Check(name, "warn", f"{detail}, without a bound", advice)
    detail += f" of {most // MIB}, {policy}"
    if policy != POLICY:
        return Check(name, "warn", detail, _LOST.format(POLICY))
    return Check(name, "ok", detail)


def memcached(server: str) -> Check:
    """It answers."""
    name = "memcached"
    try:
        from likeopt.cache.backends.memcached import MemcachedLayer
    except ImportError:
        advice = how_to_install("memcached")
        return Check(name, "fail", "LIKEOPT_CACHE=memcached needs the extra `memcached`", advice)
    layer = MemcachedLayer(server, "doctor", Clock())
    return _held(name, server, layer, "check LIKEOPT_MEMCACHED_SERVERS")


def disk(config: Config) -> Check:
    """Its file can be read; a damaged one is begun anew, as any process would."""
    folder = config.data_dir / "cache"
    name = "cache disk"
    if not (folder / "disk.db").exists():
        return Check(name, "ok", "nothing kept yet")
    layer = DiskLayer(folder, config.cache_disk_mb * MIB, Clock(), Stats(None), run_here)
    advice = "check its owner, its permissions and the room on its disk"
    return _held(name, str(folder), layer, advice)


def _held(name: str, place: str, layer: Layer, advice: str) -> Check:
    try:
        sizes = layer.sizes().values()
    except LayerFailed as error:
        return Check(name, "fail", f"{place} does not answer ({error})", advice)
    finally:
        layer.close()
    entries, held = sum(size.entries for size in sizes), sum(size.bytes for size in sizes)
    return Check(name, "ok", f"{place}: {entries:,} entries, {held / MIB:.1f} MiB")
