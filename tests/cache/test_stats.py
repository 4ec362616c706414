"""What is counted, by threads that begin at once."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeopt.cache.stats import MISSES, Stats

THREADS = 8


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns so often that one is stopped in the middle of most things."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_threads_that_begin_at_once_count_together(data_dir: Path) -> None:
    for number in range(20):
        stats, together = Stats(data_dir / str(number)), threading.Barrier(THREADS)

        def count(stats: Stats = stats, together: threading.Barrier = together) -> None:
            together.wait(60)
            stats.row("numbers", "memory").add(MISSES)

        threads = [threading.Thread(target=count) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        (total,) = stats.totals()
        stats.close()
        assert total.misses == THREADS
        # Of those that opened a file of their own for nothing, none is left.
        assert len([*(data_dir / str(number)).glob("*-*.*")]) == 1
