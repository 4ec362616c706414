"""Leaving alone, for a while, what does not work."""

import threading

from likeopt.clock import Clock

# In a row, of one process.
FAILURES = 3
OPEN_SECONDS = 5.0


class Breaker:
    """Closed: everything may pass. After some failures in a row it is open for some seconds; then
    one attempt may pass, and what comes of it closes it or opens it again. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything is kept from passing."""
        return self._open_until is not None

    def allows(self) -> bool:
        """Whether the caller may try; it says then how that went."""
        if self._open_until is None:
            return True
        with self._lock:
            now = self._clock.monotonic()
            if self._open_until is not None and now < self._open_until:
                return False
            # The others wait for what this attempt says; should it never say, one of them is next.
            self._open_until = now + OPEN_SECONDS
            return True

    def succeeded(self) -> bool:
        """An attempt went well; returns whether that closed it."""
        if not self._failures and self._open_until is None:
            return False
        with self._lock:
            was_open = self._open_until is not None
            self._failures, self._open_until = 0, None
            return was_open

    def failed(self) -> bool:
        """An attempt went wrong; returns whether that opened it."""
        with self._lock:
            was_open = self._open_until is not None
            self._failures += 1
            if self._failures >= FAILURES:
                self._open_until = self._clock.monotonic() + OPEN_SECONDS
            return not was_open and self._open_until is not None
