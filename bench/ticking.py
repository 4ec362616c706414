"""A web worker that notes how long its event loop did not turn; `bench.answer` starts it.

gunicorn is told of it by GUNICORN_CMD_ARGS. A greenlet sleeps a millisecond at a time; how long its
turns are apart is written at the worker's end to a file named by its id in the folder BENCH_TICKS,
a line each: when (seconds of the monotonic clock), milliseconds apart, and milliseconds of CPU that
the loop's thread had of them (the rest it waited, for other threads or for a core).
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gevent

from likeopt.web.gunicorn_worker import Worker

TICK_SECONDS = 0.001


class Turn(NamedTuple):
    """One turn of the loop."""

    at: float
    apart_ms: float
    cpu_ms: float


class TickingWorker(Worker):
    """The product's worker, and the greenlet."""

    def run(self) -> None:
        """Serve until told to stop."""
        turns: list[Turn] = []
        ticking = gevent.spawn(_tick, turns)
        try:
            super().run()
        finally:
            ticking.kill()
            lines = (" ".join(map(str, turn)) for turn in turns)
            Path(os.environ["BENCH_TICKS"], str(os.getpid())).write_text("\n".join(lines))


def read(folder: Path) -> Iterator[Turn]:
    """What all workers have written there."""
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            yield Turn(*map(float, line.split()))


def _tick(turns: list[Turn]) -> None:
    at, cpu = time.perf_counter(), time.thread_time()
    while True:
        gevent.sleep(TICK_SECONDS)
        before, cpu_before = at, cpu
        at, cpu = time.perf_counter(), time.thread_time()
        turns.append(Turn(before, (at - before) * 1000, (cpu - cpu_before) * 1000))
