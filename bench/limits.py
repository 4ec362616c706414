"""What counting a request against its rate limit costs: ours beside the library `limits`.

CPU and waiting of one `take` in µs, the least and the median of interleaved rounds, one sender of
a thousand each time. Redis is a real server of this machine, so a network would add its own.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import limits
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from bench import common
from likeopt.clock import Clock
from likeopt.web.limits import Meter
from tests.servers import redis_server

ROUNDS = 9
CALLS = 1000
PER_MINUTE = 1200
SENDERS = 1000


def main() -> None:
    """Measure and report."""
    quota = limits.RateLimitItemPerMinute(PER_MINUTE)
    meter = Meter(Clock())
    with redis_server() as url:
        ways: dict[str, Callable[[str], Any]] = {
            "ours": lambda sender: meter.take(sender, PER_MINUTE)
        }
        for kind in (MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
            for where, storage in (("memory", MemoryStorage()), ("Redis", RedisStorage(url))):
                name = f"limits, {kind.__name__.removesuffix('RateLimiter')}, {where}"
                ways[name] = _with(kind(storage), quota)
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, take in ways.items():
                rounds[name].append(_round(take))
    rows = [
        {
            "what": name,
            "cpu_least": round(min(cpu for cpu, _ in found), 1),
            "cpu_median": round(statistics.median(cpu for cpu, _ in found), 1),
            "wall_median": round(statistics.median(wall for _, wall in found), 1),
        }
        for name, found in rounds.items()
    ]
    common.report("limits", rows, unit="µs a request; CPU of the calling process only")


def _with(limiter: Any, quota: Any) -> Callable[[str], Any]:
    def take(sender: str) -> None:
        limiter.hit(quota, sender)
        # What the headers of the answer say.
        limiter.get_window_stats(quota, sender)

    return take


def _round(take: Callable[[str], Any]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for i in range(CALLS):
        take(f"default user {i % SENDERS}")
    scale = 1e6 / CALLS
    return (time.process_time() - cpu) * scale, (time.perf_counter() - wall) * scale


if __name__ == "__main__":
    main()
