"""A layer that all machines share: one Memcached, or several that share the keys between them.

Memcached bounds itself (`-m`), and cannot list its keys: what is cleared is made unreachable by a
new token, one for each use and one for all, that stands before each value.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pymemcache import MemcacheError, PooledClient

from likeopt.cache.backends.layer import LayerFailed, Size
from likeopt.cache.keys import prefix, use_of
from likeopt.clock import Clock

TIMEOUT_SECONDS = 0.25
# memcached's default `-I`, less its own header and the key.
MAX_BYTES = (1 << 20) - 1024
# A longer time to live would be taken for a date.
_MAX_TTL = 30 * 24 * 3600
_TOKEN_BYTES = 8
# What another process has cleared is noticed after this many seconds.
_TOKEN_SECONDS = 0.05


class MemcachedLayer:
    """See `Layer`; one server, `host:port` or the path of a socket."""

    name = "memcached"

    def __init__(self, server: str, tenant: str, clock: Clock) -> None:
        self._server = server
        self._tenant = tenant
        self._clock = clock
        self._made: tuple[int, Any] | None = None
        # By use: both tokens one after the other, and when they were read.
        self._tokens: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str) -> bytes | None:
        """See `Layer`."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """See `Layer`."""
        found = {}
        with self._client() as client:
            for key, value in client.get_many(keys).items():
                tokens = self._current(client, use_of(key))
                if value.startswith(tokens):
                    found[key] = value[len(tokens) :]
        return found

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """See `Layer`."""
        with self._client() as client:
            if len(data) > MAX_BYTES:
                client.delete(key, noreply=False)
                return
            tokens = self._current(client, use_of(key))
            seconds = min(max(1, -int(-ttl // 1)), _MAX_TTL)
            client.set(key, tokens + data, expire=seconds, noreply=False)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Layer`."""
        with self._client() as client:
            client.delete_many(list(keys), noreply=False)

    def clear(self, use: str | None) -> None:
        """See `Layer`; cannot count."""
        with self._client() as client:
            client.set(self._name(use), secrets.token_bytes(_TOKEN_BYTES), noreply=False)
            self._tokens = {}

    def sizes(self) -> dict[str, Size]:
        """See `Layer`; of the whole server."""
        with self._client() as client:
            stats = client.stats()
        return {"": Size(stats[b"curr_items"], stats[b"bytes"], stats[b"evictions"])}

    def close(self) -> None:
        """See `Layer`."""
        made, self._made = self._made, None
        if made is not None and made[0] == os.getpid():
            made[1].close()

    def _name(self, use: str | None) -> str:
        return prefix(self._tenant, use) + "-"

    def _current(self, client: Any, use: str) -> bytes:
        """The tokens that stand before what is valid."""
        now = self._clock.monotonic()
        tokens, read_at = self._tokens.get(use, (b"", -1.0))
        if tokens and now - read_at < _TOKEN_SECONDS:
            return tokens
        names = [self._name(None), self._name(use)]
        found = client.get_many(names)
        for name in names:
            if name not in found:
                # Evicted or never there: nothing older than the new one will be found.
                client.add(name, secrets.token_bytes(_TOKEN_BYTES), noreply=False)
                found[name] = client.get(name, b"")
        tokens = b"".join(found[name] for name in names)
        self._tokens[use] = (tokens, now)
        return tokens

    @contextmanager
    def _client(self) -> Iterator[Any]:
        pid, made = os.getpid(), self._made
        if made is None or made[0] != pid:
            # What a parent had open is its own. A lock of that time may be held for ever.
            self._made = made = (pid, self._connect())
        try:
            yield made[1]
        except (MemcacheError, OSError) as error:
            raise LayerFailed(type(error).__name__) from None

    def _connect(self) -> Any:
        host, separator, port = self._server.rpartition(":")
        address: Any = (host.strip("[]"), int(port)) if separator else self._server
        return PooledClient(
            address,
            connect_timeout=TIMEOUT_SECONDS,
            timeout=TIMEOUT_SECONDS,
            no_delay=bool(separator),
            pool_idle_timeout=60,
        )
