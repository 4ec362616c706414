"""Noticing within 100 ms, in every process, that who may do what has changed in any of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from likeopt.clock import Clock
from likeopt.errors import LikeOptError
from likeopt.storage import revisions
from likeopt.storage.db import Database

# Half of what a change may take to be noticed. A look costs 0.3 ms of CPU.
POLL_SECONDS = 0.05
# What was seen counts for this long.
FRESH_SECONDS = 0.1
# Without anybody who asks, the watch ends after this long.
IDLE_SECONDS = 10.0


class AccessWatch:
    """Looks at the counter `access` in a thread of its own while somebody cares. Thread-safe."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: tuple[int, float] | None = None
        self._asked = 0.0
        self._listeners: list[Callable[[], None]] = []

    def value(self) -> int | None:
        """The counter's value, if it still was that within the last 100 ms; None if unknown.

        What was read from the database after it had this value, and while it still has, is as it
        was read.
        """
        now = self._clock.monotonic()
        self._asked = now
        seen = self._seen
        if seen is not None and now - seen[1] <= FRESH_SECONDS:
            return seen[0]
        self._begin()
        return None

    @contextmanager
    def telling(self, changed: Callable[[], None]) -> Iterator[None]:
        """While the block runs, call `changed` after each change, and often without one."""
        with self._lock:
            self._listeners.append(changed)
        try:
            self._begin()
            yield
        finally:
            with self._lock:
                self._listeners.remove(changed)

    def close(self) -> None:
        """End the watch."""
        self._stop.set()
        if (thread := self._thread) is not None:
            thread.join()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        try:
            while self._is_wanted():
                self._look()
                if self._stop.wait(POLL_SECONDS):
                    return
        finally:
            self._thread = None

    def _is_wanted(self) -> bool:
        with self._lock:
            idle = self._clock.monotonic() - self._asked
            return bool(self._listeners) or idle <= IDLE_SECONDS

    def _look(self) -> None:
        before, started = self._seen, self._clock.monotonic()
        try:
            value = self._db.read(lambda c: revisions.current(c, "access"))
        except LikeOptError:
            # What was seen grows old, and everybody asks the database themselves.
            return
        self._seen = (value, started)
        if before is None or before[0] != value:
            with self._lock:
                listeners = list(self._listeners)
            for changed in listeners:
                changed()
