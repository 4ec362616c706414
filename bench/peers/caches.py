"""One cache of one library over one kind of storage, asked over a pipe: `caches LIBRARY LAYER
PLACE`, where PLACE is a folder, a URL or `host:port`.

Each is set up as its documentation shows it, on its own serialisation; Like-Opt's runs here too, in
the project's own environment and, as `gevent`, in a patched process. All do the same: keep a small
dict under a key for ten minutes.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.peers import Message, serve

TTL = 600
KEYS = 200
Value = dict[str, Any]


class Store(NamedTuple):
    """What is measured; `compute(key, make)` returns what is kept, or keeps what `make` returns."""

    get: Callable[[str], Any]
    set: Callable[[str, Value], Any]
    compute: Callable[[str, Callable[[], Value]], Any]


class AsyncStore(NamedTuple):
    """The same, awaited."""

    get: Callable[[str], Awaitable[Any]]
    set: Callable[[str, Value], Awaitable[Any]]
    compute: Callable[[str, Callable[[], Value]], Awaitable[Any]]


def value(size: str) -> Value:
    """About 100 bytes, or the 3.4 KB of an answer with its citations, as JSON."""
    if size == "100 B":
        return {"id": "0190-7f3a", "title": "휴가 규정", "pages": 12, "text": "연차는 15일이다."}
    sentences = [
        f"제{n}조에 따르면 직원은 {n} 일 전에 신청한다 (see section {n * 7} of the handbook)."
        for n in range(1, 20)
    ]
    sources = [
        {"document": f"0190-7f3a-{n:04x}", "page": n, "start": n * 131, "score": 1 / (n + 2)}
        for n in range(19)
    ]
    return {"text": " ".join(sentences), "model": "qwen2.5", "sources": sources, "ms": 812.5}


def main(library: str, layer: str, place: str) -> None:
    """Open, and answer: what each of `count` operations took, in nanoseconds."""
    if library == "gevent":
        from gevent import monkey

        monkey.patch_all()
    stores: dict[str, Callable[[str, str], Store | AsyncStore]] = {
        "Like-Opt": ours,
        "gevent": ours,
        "flask-caching": flask_caching,
        "dogpile.cache": dogpile,
        "cashews": cashews,
        "diskcache": disk_cache,
    }
    store = stores[library](layer, place)
    loop = asyncio.new_event_loop()

    def answer(message: Message) -> Message:
        name, size, count = message["operation"], message["size"], message["count"]
        if isinstance(store, AsyncStore):
            taken = loop.run_until_complete(_measure_async(store, name, size, count))
        else:
            taken = _measure(store, name, size, count)
        return {"ns": taken}

    serve(answer)
    loop.close()


def _keys(name: str, size: str, count: int) -> list[str]:
    """Hits and writes go over the same few keys; nothing is ever kept for a miss. Servers are
    shared, keys are not: no library can read another's values."""
    what = f"{sys.argv[1]}-{'made' if name == 'compute' else 'kept'}-{size[0]}"
    return [f"missing-{n}" if name == "miss" else f"{what}-{n % KEYS}" for n in range(count)]


def _fail() -> Value:
    raise LookupError("this should have been a hit")


def _measure(store: Store, name: str, size: str, count: int) -> list[int]:
    kept, keys, taken = value(size), _keys(name, size, count), []
    if name == "hit":
        for key in set(keys):
            store.set(key, kept)
        expect(store.get(keys[0]), kept)
    if name == "compute":
        for key in set(keys):
            store.compute(key, lambda: kept)
        expect(store.compute(keys[0], _fail), kept)
    calls: dict[str, Callable[[str], Any]] = {
        "hit": store.get,
        "miss": store.get,
        "set": lambda key: store.set(key, kept),
        "compute": lambda key: store.compute(key, _fail),
    }
    call, now = calls[name], time.perf_counter_ns
    for key in keys:
        start = now()
        call(key)
        taken.append(now() - start)
    return taken


async def _measure_async(store: AsyncStore, name: str, size: str, count: int) -> list[int]:
    kept, keys, taken = value(size), _keys(name, size, count), []
    if name == "hit":
        for key in set(keys):
            await store.set(key, kept)
        expect(await store.get(keys[0]), kept)
    if name == "compute":
        for key in set(keys):
            await store.compute(key, lambda: kept)
        expect(await store.compute(keys[0], _fail), kept)
    calls: dict[str, Callable[[str], Awaitable[Any]]] = {
        "hit": store.get,
        "miss": store.get,
        "set": lambda key: store.set(key, kept),
        "compute": lambda key: store.compute(key, _fail),
    }
    call, now = calls[name], time.perf_counter_ns
    for key in keys:
        start = now()
        await call(key)
        taken.append(now() - start)
    return taken


def expect(found: Any, kept: Value) -> None:
    """A cache that keeps nothing would be quick."""
    if found != kept:
        raise LookupError(f"{found!r} instead of what was kept")


def ours(layer: str, place: str) -> Store:
    """Like-Opt's own, counting as it does in a server."""
    from likeopt.cache.opening import open_cache
    from likeopt.cache.tags import LocalTags
    from likeopt.clock import Clock
    from likeopt.config import Config
    from likeopt.web.native import in_native_thread

    folder = Path(place) if layer in ("memory", "disk") else Path(sys.argv[4])
    config = Config(
        data_dir=folder,
        cache=layer,
        redis_url=place if layer == "redis" else "",
        memcached_servers=place if layer == "memcached" else "",
    )
    patched = sys.argv[1] == "gevent"
    cache = open_cache(
        config,
        tenant="bench",
        clock=Clock(),
        tags=LocalTags(),
        run=in_native_thread if patched else lambda work: work(),
    )
    names: dict[str, str] = {}

    def name(key: str) -> str:
        # Keys are made once where they are used; what that costs is said in the README.
        found = names.get(key)
        if found is None:
            found = names[key] = cache.key("answers", key)
        return found

    return Store(
        lambda key: cache.get(name(key)),
        lambda key, kept: cache.set(name(key), kept, ttl=TTL),
        lambda key, make: cache.get_or_compute(name(key), make, ttl=TTL),
    )


def flask_caching(layer: str, place: str) -> Store:
    """Flask-Caching; its `memoize` finds the key in the arguments."""
    from flask import Flask
    from flask_caching import Cache

    settings: dict[str, dict[str, Any]] = {
        "memory": {"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": 100_000},
        "redis": {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": place},
        "memcached": {"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [place]},
        "disk": {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": place, "CACHE_THRESHOLD": 100_000},
    }
    app = Flask("bench")
    cache = Cache(app, config=settings[layer] | {"CACHE_DEFAULT_TIMEOUT": TTL})
    app.app_context().push()
    make: list[Callable[[], Value]] = [_fail]

    @cache.memoize(TTL)  # type: ignore[untyped-decorator]
    def remembered(key: str) -> Value:  # noqa: ARG001  (it is the key)
        return make[0]()

    def compute(key: str, how: Callable[[], Value]) -> Value:
        make[0] = how
        found: Value = remembered(key)
        return found

    return Store(cache.get, cache.set, compute)


def dogpile(layer: str, place: str) -> Store:
    """dogpile.cache, with its lock for one process or, on Redis, for all."""
    from dogpile.cache import make_region

    backends: dict[str, tuple[str, dict[str, Any]]] = {
        "memory": ("dogpile.cache.memory", {}),
        "redis": ("dogpile.cache.redis", {"url": place, "distributed_lock": True}),
        "memcached": ("dogpile.cache.pymemcache", {"url": [place]}),
        "disk": ("dogpile.cache.dbm", {"filename": f"{place}/dogpile.dbm"}),
    }
    backend, arguments = backends[layer]
    region = make_region().configure(backend, expiration_time=TTL, arguments=arguments)
    return Store(region.get, region.set, region.get_or_create)


def cashews(layer: str, place: str) -> AsyncStore:
    """cashews, whose calls are awaited; its decorator finds the key in the arguments."""
    from cashews import Cache

    urls = {"memory": "mem://?size=100000", "redis": place, "disk": f"disk://?directory={place}"}
    cache: Any = Cache()
    cache.setup(urls[layer], **({"client_side": False} if layer == "redis" else {}))
    make: list[Callable[[], Value]] = [_fail]

    @cache(ttl=timedelta(seconds=TTL), key="computed:{key}")  # type: ignore[untyped-decorator]
    async def remembered(key: str) -> Value:  # noqa: ARG001  (it is the key)
        return make[0]()

    async def compute(key: str, how: Callable[[], Value]) -> Value:
        make[0] = how
        found: Value = await remembered(key)
        return found

    return AsyncStore(cache.get, lambda key, kept: cache.set(key, kept, expire=TTL), compute)


def disk_cache(layer: str, place: str) -> Store:
    """diskcache; its `memoize` finds the key in the arguments."""
    from diskcache import Cache

    if layer != "disk":
        raise ValueError(layer)
    cache = Cache(place)
    make: list[Callable[[], Value]] = [_fail]

    @cache.memoize(expire=TTL)  # type: ignore[untyped-decorator]
    def remembered(key: str) -> Value:  # noqa: ARG001  (it is the key)
        return make[0]()

    def compute(key: str, how: Callable[[], Value]) -> Value:
        make[0] = how
        found: Value = remembered(key)
        return found

    return Store(cache.get, lambda key, kept: cache.set(key, kept, expire=TTL), compute)


if __name__ == "__main__":
    main(*sys.argv[1:4])
