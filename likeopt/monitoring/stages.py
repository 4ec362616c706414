"""How long the parts of one request took."""

from collections.abc import Iterator
from contextlib import contextmanager

from likeopt.clock import Clock


class Stages:
    """Milliseconds by stage, in the order in which the stages ended.

    A stage's name is a token of RFC 9110 (letters, digits, `-`, `_`, `.`), as Server-Timing asks.
    """

    __slots__ = ("_clock", "millis")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.millis: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to the stage `name`."""
        start = self._clock.monotonic()
        try:
            yield
        finally:
            self.add(name, (self._clock.monotonic() - start) * 1000)

    def add(self, name: str, millis: float) -> None:
        """Add a duration that was measured elsewhere."""
        self.millis[name] = self.millis.get(name, 0.0) + millis

    def server_timing(self, total_millis: float) -> str:
        """The value of a Server-Timing header (https://www.w3.org/TR/server-timing/)."""
        parts = [f"{name};dur={millis:.2f}" for name, millis in self.millis.items()]
        parts.append(f"total;dur={total_millis:.2f}")
        return ", ".join(parts)
