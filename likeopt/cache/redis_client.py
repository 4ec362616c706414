"""Redis as a bystander uses it: no patience, nothing sent twice, a client for each process."""

import os
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class RedisClient:
    """The client of whatever process asks for it."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout` is in seconds, for connecting and for each answer."""
        self._url = url
        self._timeout = timeout
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
        client = redis.Redis.from_url(
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return os.getpid(), client
