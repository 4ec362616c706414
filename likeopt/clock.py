"""The one source of time. Everything that needs it takes a `Clock`, so that tests can own it."""

import time


class Clock:
    """Wall time for storage, monotonic time for durations."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes backwards."""
        return time.monotonic()


def rfc3339(ms: int) -> str:
    """`ms` since the Unix epoch as an RFC 3339 timestamp in UTC with milliseconds."""
    seconds, millis = divmod(ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03d}Z"
