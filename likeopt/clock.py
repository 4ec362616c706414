"""The one source of time. Everything that needs it takes a `Clock`, so that tests can own it."""

import time
from datetime import UTC, datetime


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


def milliseconds(text: str) -> int:
    """An RFC 3339 timestamp as ms since the Unix epoch; a time without a zone, and a date alone,
    which is its midnight, count as UTC. ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
