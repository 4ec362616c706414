"""A layer that all machines share: Redis, or anything that speaks its protocol.

Redis bounds itself: `maxmemory` with `volatile-ttl`, under which what expires first goes first, and
sessions, which last for weeks, stay (docs/caching.md).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from likeopt.cache.backends.layer import LayerBusy, LayerFailed, Size
from likeopt.cache.keys import prefix, use_of
from likeopt.cache.redis_client import PoolFull, RedisClient

# Ten times what a busy Redis on the same network takes; whoever waits is a person.
TIMEOUT_SECONDS = 0.25
# Keys looked at in one step of a scan: less than a millisecond of Redis, which serves nobody else
# meanwhile.
_STEP = 1000


class RedisLayer:
    """See `Layer`."""

    name = "redis"

    def __init__(self, url: str, tenant: str) -> None:
        self._redis = RedisClient(url, TIMEOUT_SECONDS)
        self._tenant = tenant

    def get(self, key: str) -> bytes | None:
        """See `Layer`."""
        with _failing():
            data: bytes | None = self.client.get(key)
            return data

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """See `Layer`."""
        with _failing():
            found = self.client.mget(keys) if keys else []
        return {key: data for key, data in zip(keys, found, strict=True) if data is not None}

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """See `Layer`."""
        with _failing():
            self.client.set(key, data, px=max(1, round(ttl * 1000)))

    def delete(self, keys: Iterable[str]) -> None:
        """See `Layer`."""
        with _failing():
            self.client.unlink(*keys)

    def clear(self, use: str | None) -> Size:
        """See `Layer`."""
        gone = Size()
        with _failing():
            for keys, sizes in self._scan(use):
                self.client.unlink(*keys)
                gone += Size(len(keys), sum(sizes))
        return gone

    def sizes(self) -> dict[str, Size]:
        """See `Layer`; looks at every key."""
        held: dict[str, Size] = {}
        with _failing():
            for keys, sizes in self._scan(None):
                for key, size in zip(keys, sizes, strict=True):
                    use = use_of(key.decode())
                    held[use] = held.get(use, Size()) + Size(1, size)
            evicted = int(self.client.info("stats")["evicted_keys"])
        # Of the whole server.
        return held | {"": Size(evictions=evicted)}

    def close(self) -> None:
        """See `Layer`."""
        self.client.close()

    @property
    def client(self) -> Any:
        """The client of this process."""
        return self._redis.here

    def _scan(self, use: str | None) -> Iterator[tuple[list[bytes], list[int]]]:
        """Keys, a few at a time, and the bytes kept under each."""
        pattern, cursor = prefix(self._tenant, use) + "*", 0
        while True:
            cursor, keys = self.client.scan(cursor, match=pattern, count=_STEP)
            if keys:
                with self.client.pipeline(transaction=False) as together:
                    for key in keys:
                        together.strlen(key)
                    yield keys, together.execute()
            if cursor == 0:
                return


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except PoolFull as error:
        raise LayerBusy(str(error)) from None
    except redis.RedisError as error:
        # Not the message: it can hold the address with its password.
        raise LayerFailed(type(error).__name__) from None
