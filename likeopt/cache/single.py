"""Single flight: what many ask for at the same time is computed once.

In a process those who ask wait for the one who computes; the processes of a machine exclude each
other by a lock of the kernel (`locks`), machines by a lease in Redis (`lease`). Who waits for
another process looks into the cache between two tries, and waits for as long as that one lives:
a lease that is renewed proves it. Where there is none, the kernel tells of a death, but not of one
that hangs: after a minute, who waits computes itself.

A thread may ask for other keys while it computes one. That cannot end in a circle of threads that
wait for each other, for then the computations would need each other too, and would never end.

Works in threads and, where gevent has patched the standard library, in greenlets: nothing here
blocks the loop but `look`, `make` and Redis, which do what they do.
"""

import math
import os
import random
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Generic, Literal, TypeAlias, TypeVar

from likeopt.cache.backends.layer import LayerFailed
from likeopt.cache.lease import Lease, Leases
from likeopt.cache.locks import MachineLocks
from likeopt.cache.serialize import MISSING, Nothing
from likeopt.clock import Clock

V = TypeVar("V")

# Longer than any computation takes: from then on its holder has to have a lease.
WAIT_SECONDS = 60.0
# Between two tries for what another process holds: the first soon, as most computations are
# short, then longer, as each try costs a look into the cache.
_FIRST_TRY, _LAST_TRY, _GROWTH = 0.002, 0.05, 1.5


Found: TypeAlias = V | Literal[Nothing.MISSING]


class Reach(Enum):
    """Who sees what is stored, and so need not compute it."""

    PROCESS = "process"
    MACHINE = "machine"
    MACHINES = "machines"


class Permit:
    """What a computation may do with its value once it has it."""

    def __init__(self, clock: Clock, alone_until: float, lease: Lease | None, share: bool) -> None:
        self.lease = lease
        # Whether to store it where other machines look: with a lease through the lease, which
        # refuses it if a later one was given. Without one there is no telling.
        self.share = share
        self._clock = clock
        self._alone_until = alone_until

    def is_alone(self) -> bool:
        """Whether nobody else can have computed this key since the permit was given. If not, look
        before storing: the others may have begun, and so read their data, later."""
        return self._clock.monotonic() < self._alone_until


# For who could not store anything.
NO_PERMIT = Permit(Clock(), 0.0, None, share=False)


class _Flight(Generic[V]):
    """A computation in this process, and those who wait for it."""

    def __init__(self) -> None:
        self.owner = threading.get_ident()
        self.done = threading.Event()
        self.value: Found[V] = MISSING
        self.error: BaseException | None = None


class Flights(Generic[V]):
    """Computations that run, by key. One per process and cache; thread-safe."""

    def __init__(
        self,
        clock: Clock,
        locks: MachineLocks | None,
        leases: Leases | None = None,
        *,
        avoided: Callable[[str], None],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`avoided` is told the key each time that somebody need not compute because of another."""
        self._clock = clock
        self._locks = locks
        self._leases = leases
        self._avoided = avoided
        self._wait = wait_seconds
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight[V]] = {}
        self._process = os.getpid()

    def compute(
        self,
        key: str,
        look: Callable[[], Found[V]],
        make: Callable[[Permit], V],
        *,
        reach: Reach,
    ) -> V:
        """What `make` returns, called by one of all who ask for `key` at the same time.

        `make` computes and stores; `look` finds what somebody else has stored, who is within
        `reach`. What `make` raises is raised by all that waited for it in this process.
        """
        while True:
            flight, mine = self._join(key)
            if mine:
                return self._lead(key, flight, lambda: self._first(key, look, make, reach))
            # The owner itself asks again, inside of `make`: waiting would never end.
            if flight.owner == threading.get_ident():
                return make(self._late(reach))
            while not flight.done.wait(self._wait):
                # One that ends just now has let its lease go a moment before.
                if not self._is_led(key, reach) and not flight.done.wait(_LAST_TRY):
                    return make(self._late(reach))
            if flight.value is not MISSING:
                self._avoided(key)
                return flight.value
            if isinstance(flight.error, Exception):
                raise flight.error
            # It was ended (a killed greenlet, Ctrl-C): somebody else's turn.

    def refresh(
        self,
        key: str,
        present: V,
        look: Callable[[], Found[V]],
        make: Callable[[Permit], V],
        *,
        reach: Reach,
    ) -> V:
        """A new value if nobody else is making one, else `present`, without waiting.

        `look` finds a value newer than `present`.
        """
        flight, mine = self._join(key)
        if not mine:
            self._avoided(key)
            return present

        def once() -> V:
            permit = self._take(key, reach)
            if permit is None:
                self._avoided(key)
                return present
            return self._inside(key, permit, look, make, reach)

        return self._lead(key, flight, once)

    def _join(self, key: str) -> tuple[_Flight[V], bool]:
        """The flight of `key`, and whether it is a new one, of the caller."""
        with self._lock:
            if self._process != os.getpid():
                # Those who fly are the parent's threads; nobody lands here.
                self._flights.clear()
                self._process = os.getpid()
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = _Flight()
            return flight, True

    def _lead(self, key: str, flight: _Flight[V], work: Callable[[], V]) -> V:
        try:
            flight.value = value = work()
        except BaseException as error:
            flight.error = error
            raise
        else:
            return value
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.done.set()

    def _first(
        self,
        key: str,
        look: Callable[[], Found[V]],
        make: Callable[[Permit], V],
        reach: Reach,
    ) -> V:
        """What `make` returns, or what another process stored in the meantime."""
        until, pause = self._clock.monotonic() + self._wait, _FIRST_TRY
        while True:
            # Looked at before the try, which who has ended in between leaves to us.
            late = self._clock.monotonic() >= until and not self._is_led(key, reach)
            permit = self._take(key, reach)
            if permit is not None:
                return self._inside(key, permit, look, make, reach)
            if late:
                return make(self._late(reach))
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (not a secret)
            pause = min(pause * _GROWTH, _LAST_TRY)
            found = look()
            if found is not MISSING:
                self._avoided(key)
                return found

    def _inside(
        self,
        key: str,
        permit: Permit,
        look: Callable[[], Found[V]],
        make: Callable[[Permit], V],
        reach: Reach,
    ) -> V:
        try:
            # Somebody may have stored it between the caller's look and the lock.
            found = look()
            if found is MISSING:
                return make(permit)
            self._avoided(key)
            return found
        finally:
            if permit.lease is not None:
                permit.lease.release()
            self._unlock(key, reach)

    def _take(self, key: str, reach: Reach) -> Permit | None:
        """The right to compute, or None while another process has it."""
        if reach is not Reach.PROCESS and self._locks is not None and not self._locks.take(key):
            return None
        # Who waits longer than that for the lock computes without.
        alone_until = self._clock.monotonic() + self._wait
        if self._leases is None or reach is not Reach.MACHINES:
            return Permit(self._clock, alone_until, None, share=True)
        try:
            lease = self._leases.take(key)
        except LayerFailed:
            # The machines do not see each other; its processes still do.
            return Permit(self._clock, alone_until, None, share=False)
        except BaseException:
            self._unlock(key, reach)
            raise
        if lease is None:
            self._unlock(key, reach)
            return None
        return Permit(self._clock, alone_until, lease, share=True)

    def _unlock(self, key: str, reach: Reach) -> None:
        if reach is not Reach.PROCESS and self._locks is not None:
            self._locks.release(key)

    def _is_led(self, key: str, reach: Reach) -> bool:
        """Whether somebody who lives has the right to compute, as far as a lease tells."""
        if self._leases is None or reach is not Reach.MACHINES:
            return False
        try:
            return self._leases.is_held(key)
        except LayerFailed:
            return False

    def _late(self, reach: Reach) -> Permit:
        """For who has waited long enough."""
        share = self._leases is None or reach is not Reach.MACHINES
        return Permit(self._clock, 0.0, None, share=share)


# With more than so many times its computing time left, a value is never made anew: it would be
# for one of 10^12 who ask.
EARLIEST = 28.0


def is_early(left_ms: float, compute_ms: float, *, chance: float) -> bool:
    """Whether to compute a value anew although it is good for `left_ms` more milliseconds.

    XFetch: the likelier the closer the end is and the longer computing takes, so that of many who
    ask, about one starts in time (A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal
    Probabilistic Cache Stampede Prevention", VLDB 2015; with its beta of 1). `chance` is uniform
    in [0, 1].
    """
    return compute_ms * -math.log(max(1.0 - chance, math.exp(-EARLIEST))) >= left_ms
