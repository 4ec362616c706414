"""Redis as a bystander uses it: no patience, nothing sent twice, a client for each process."""

import os
from queue import Empty, LifoQueue
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# Of one client. Where Redis answers at once, one is as quick as any number (5,500 GETs a second
# from a process of 300 greenlets); where each answer takes a millisecond longer, 1 carries 500 a
# second, 8 carry 2,100, and from 16 on, with 2,800, the process is the limit.
CONNECTIONS = 8


class PoolFull(redis.ConnectionError):
    """Every connection was in use for as long as the caller waits. Says nothing of Redis."""


class RedisClient:
    """The client of whatever process asks for it."""

    def __init__(self, url: str, timeout: float, connections: int = CONNECTIONS) -> None:
        """`timeout` is in seconds, for connecting, for each answer, and for one of at most so many
        `connections`, when all are in use: then PoolFull."""
        self._url = url
        self._timeout = timeout
        self._connections = connections
        self._made = self._connect()

    @property
    def here(self) -> Any:
        """The client of this process."""
        made = self._made
        if made[0] != os.getpid():
            # It notices a fork by itself, but not that a thread of the parent held its lock then.
            made = self._made = self._connect()
        return made[1]

    def _connect(self) -> tuple[int, Any]:
        # Nothing connects before the first command, and none is sent twice: a miss is cheaper.
        pool = redis.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._connections,
            timeout=self._timeout,
            queue_class=_Free,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return os.getpid(), redis.Redis.from_pool(pool)


class _Free(LifoQueue[Any]):
    """The connections that nobody uses."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """One of them, as soon as there is one."""
        try:
            return super().get(block, timeout)
        except Empty:
            raise PoolFull("every connection is in use") from None
