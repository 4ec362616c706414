"""Locks among machines: a key in Redis that expires unless its holder renews it.

A lease can be lost without its holder noticing (a paused process, a clock that stands still), so
holding one is no proof. Every lease has a number greater than all before it, its fence, and what
its holder computed is stored by a script, in the same step in which it looks whether a later lease
was given for that key (M. Kleppmann, "How to do distributed locking", 2016).

Keys: `<prefix>lease:<key>` is held now; `<prefix>last:<key>` who held it last, kept longer, so that
a holder that was slow and that nobody followed can still store; `<prefix>fence` the counter.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from likeopt.cache.backends.layer import LayerBusy, LayerFailed
from likeopt.cache.breaker import Breaker
from likeopt.clock import Clock

LEASE_SECONDS = 5.0
# Of a lease's life, how often it is renewed: two renewals may be lost.
_RENEWALS = 3
# A holder that was paused for longer than this many leases can no longer store.
_REMEMBERED = 12

# One that lives longer than any is given for is of a holder that has died, and of a time before
# Redis' clock was set back: who lives renews it.
_TAKE = """
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then return 0 end
local fence = redis.call('INCR', KEYS[3])
local holder = fence .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
redis.call('SET', KEYS[2], holder, 'PX', ARGV[3])
return fence
"""
_RENEW = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
"""
_HELD = "return redis.call('EXISTS', KEYS[1])"
_STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
return 1
"""

log = logging.getLogger(__name__)


class Lease:
    """The right to compute and store a key, while nobody has a later one."""

    def __init__(self, leases: "Leases", key: str, fence: int, token: str) -> None:
        self.fence = fence
        self.holder = f"{fence}:{token}"
        self.keys = leases.keys(key)
        self._leases = leases

    def store(self, name: str, value: bytes, ttl_ms: int) -> bool:
        """Set `name` in Redis to `value` for `ttl_ms`, unless a later lease was given: then False.

        LayerFailed if it does not answer.
        """
        arguments = [self.holder, value, max(1, ttl_ms)]
        return bool(self._leases.run("store", [*self.keys, name], arguments))

    def release(self) -> None:
        """Let others take it at once; without Redis it expires."""
        self._leases.release(self)


class Leases:
    """The leases of one process, renewed by a thread that lives as long as one is held."""

    def __init__(
        self,
        client: Callable[[], Any],
        prefix: str,
        clock: Clock,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`client` gives this process's `redis.Redis`, with short timeouts; `prefix` starts every
        key."""
        import redis  # noqa: PLC0415  (an extra: who gives a client has it)

        from likeopt.cache.redis_client import PoolFull  # noqa: PLC0415

        self._busy, self._failures = PoolFull, redis.RedisError
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._lease_ms = round(lease_seconds * 1000)
        self._begin()

    def _begin(self) -> None:
        """Hold nothing. In a forked child, what its parent's threads held at that moment, locks
        too, stays held for ever."""
        client = self._client()
        scripts = {"take": _TAKE, "renew": _RENEW, "release": _RELEASE}
        scripts |= {"held": _HELD, "store": _STORE}
        self._scripts = {name: client.register_script(text) for name, text in scripts.items()}
        self._breaker = Breaker(self._clock)
        self._lock = threading.Lock()
        self._held: set[Lease] = set()
        self._renewing = False
        self._pid = os.getpid()

    def take(self, key: str) -> Lease | None:
        """A lease, or None while somebody holds one; LayerFailed if Redis does not answer."""
        token = secrets.token_hex(8)
        names = [*self.keys(key), f"{self._prefix}fence"]
        fence = self.run("take", names, [token, *self._lives()])
        if not fence:
            return None
        lease = Lease(self, key, fence, token)
        with self._lock:
            start = not self._renewing
            self._held.add(lease)
            self._renewing = True
        if start:
            threading.Thread(target=self._renew, name="cache-leases", daemon=True).start()
        return lease

    def is_held(self, key: str) -> bool:
        """Whether somebody holds a lease, and so lives; LayerFailed if Redis does not answer."""
        return bool(self.run("held", self.keys(key)[:1], []))

    def release(self, lease: Lease) -> None:
        """See `Lease`."""
        if self._pid != os.getpid():
            # It is the parent's.
            return
        with self._lock:
            self._held.discard(lease)
        try:
            self.run("release", lease.keys, [lease.holder])
        except LayerFailed:
            return

    def keys(self, key: str) -> list[str]:
        """Names in Redis: who holds it, and who held it last."""
        return [f"{self._prefix}lease:{key}", f"{self._prefix}last:{key}"]

    def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """What a script answers; LayerFailed if Redis does not, at once while it is left alone."""
        if self._pid != os.getpid():
            self._begin()
        if not self._breaker.allows():
            raise LayerFailed("left alone")
        try:
            done = self._scripts[script](keys=keys, args=arguments)
        except self._busy as error:
            raise LayerBusy(str(error)) from None
        except self._failures as error:
            self._breaker.failed()
            raise LayerFailed(type(error).__name__) from None
        self._breaker.succeeded()
        return done

    def _lives(self) -> list[int]:
        return [self._lease_ms, self._lease_ms * _REMEMBERED]

    def _renew(self) -> None:
        while True:
            time.sleep(self._lease_ms / 1000 / _RENEWALS)
            with self._lock:
                held = list(self._held)
                if not held:
                    # Only here, and not when the last one is released: under load that would be
                    # a new thread for every key.
                    self._renewing = False
                    return
            try:
                for lease in held:
                    self.run("renew", lease.keys, [lease.holder, *self._lives()])
            except LayerFailed:
                continue
            except Exception:  # outermost handler of this thread or greenlet, which has to go on
                log.exception("leases could not be renewed")
