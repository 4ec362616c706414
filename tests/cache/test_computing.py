"""What is made once for many: through whole caches, as processes and machines have them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from likeopt.cache.layered import Cache
from likeopt.cache.opening import open_cache
from likeopt.cache.serialize import ABSENT, MISSING
from likeopt.cache.tags import LocalTags
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import Busy, NotFound
from tests.fakes import FakeClock
from tests.servers import wait_until


class Opened:
    """Caches as the settings make them, of processes on machines."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.tags = LocalTags()
        self._folder = folder
        self._redis_url = redis_url
        self._made: list[Cache] = []

    def cache(self, layers: str, clock: Clock, machine: str = "one") -> Cache:
        """The cache of another process."""
        config = Config(data_dir=self._folder / machine, cache=layers, redis_url=self._redis_url)
        cache = open_cache(config, tenant="t", clock=clock, tags=self.tags, run=lambda work: work())
        # No jitter, and of those who could refresh early, every other one does.
        cache._spread = lambda: 0.5
        self._made.append(cache)
        return cache

    def close(self) -> None:
        for cache in self._made:
            cache.close()


@pytest.fixture
def opened(data_dir: Path, redis_url: str) -> Iterator[Opened]:
    opened = Opened(data_dir, redis_url)
    yield opened
    opened.close()


class Making:
    """Makes numbered values, and waits for a gate in the middle."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.count = 0
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self) -> dict[str, int]:
        self.count += 1
        number = self.count
        assert self.gate.wait(60)
        return {"number": number}


def counted(cache: Cache, what: str) -> int:
    """A count for the use `numbers`, in the last layer or of no layer, on the cache's machine."""
    chosen = [one for one in cache.stats.totals() if one.use == "numbers"]
    return sum(getattr(one, what) for one in chosen if one.layer in ("", cache.layers[-1]))


def ask_in_threads(work: Sequence[Callable[[], Any]]) -> tuple[list[Any], list[threading.Thread]]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda one=one: answers.append(one())) for one in work]
    for thread in threads:
        thread.start()
    return answers, threads


@pytest.mark.parametrize(
    ("layers", "machines"),
    [
        ("memory", ["one"]),
        ("memory,disk", ["one", "one"]),
        ("memory,redis", ["one", "one", "two"]),
        ("redis,disk", ["one", "two"]),
    ],
)
def test_one_makes_it_for_all(opened: Opened, layers: str, machines: list[str]) -> None:
    caches = [opened.cache(layers, Clock(), machine) for machine in machines]
    key, making = caches[0].key("numbers", 7), Making()
    ask = [partial(c.get_or_compute, key, making, ttl=60) for c in caches for _ in range(5)]
    answers, threads = ask_in_threads(ask)
    each = dict(zip(machines, caches, strict=True)).values()

    def all_missed() -> bool:
        return sum(counted(cache, "misses") for cache in each) == len(ask)

    wait_until(all_missed, "everybody to find nothing")
    making.gate.set()
    for thread in threads:
        thread.join(60)
    assert answers == [{"number": 1}] * len(ask)
    assert making.count == 1
    assert sum(counted(cache, "stampedes_avoided") for cache in each) == len(ask) - 1
    # To each its own.
    answers[0]["number"] = 99
    assert answers[1:] == [{"number": 1}] * (len(ask) - 1)
    assert caches[0].get(key) == {"number": 1}


def test_a_value_is_made_anew_before_its_end_while_others_have_it(
    opened: Opened, clock: FakeClock
) -> None:
    one, other = (opened.cache("memory,disk", clock) for _ in range(2))
    key, first = one.key("numbers", 7), {"number": 0}

    def slow() -> dict[str, int]:
        clock.advance(10)
        return first

    assert one.get_or_compute(key, slow, ttl=100) == first
    making = Making()
    # -ln(0.5) of the ten seconds that it took, 6.9 s, before its end.
    clock.advance(93)
    for cache in (one, other):
        assert cache.get_or_compute(key, making, ttl=100) == first
    assert making.count == 0
    clock.advance(0.2)
    answers, threads = ask_in_threads([lambda: one.get_or_compute(key, making, ttl=100)])
    wait_until(lambda: making.count == 1, "the refresh")
    for cache in (one, one, other):
        assert cache.get_or_compute(key, making, ttl=100) == first
    making.gate.set()
    threads[0].join(60)
    assert answers == [{"number": 1}]
    # The other process has the old value in its memory: it looks further before it makes one.
    assert other.get_or_compute(key, making, ttl=100) == {"number": 1}
    assert other.get(key, layers=["memory"]) == {"number": 1}
    assert making.count == 1
    assert counted(one, "stampedes_avoided") == 4
    assert counted(one, "early_refreshes") == 1


def test_a_stale_value_serves_while_one_makes_a_new_one(opened: Opened, clock: FakeClock) -> None:
    cache = opened.cache("memory,disk", clock)
    key, making = cache.key("numbers", 7), Making(is_open=True)
    ask = partial(cache.get_or_compute, key, making, ttl=10, stale=50)
    assert ask() == {"number": 1}
    clock.advance(9)
    assert ask() == {"number": 1}
    clock.advance(2)
    making.gate.clear()
    answers, threads = ask_in_threads([ask])
    wait_until(lambda: making.count == 2, "the refresh")
    assert ask() == {"number": 1}
    making.gate.set()
    threads[0].join(60)
    assert answers == [{"number": 2}]
    assert ask() == {"number": 2}
    # Nothing is stale for longer than was said.
    clock.advance(61)
    assert cache.get(key) is MISSING
    assert ask() == {"number": 3}


def test_stale_values_and_tags_do_not_go_together(opened: Opened, clock: FakeClock) -> None:
    cache = opened.cache("memory", clock)
    with pytest.raises(ValueError, match="stale"):
        cache.get_or_compute(cache.key("numbers"), dict, ttl=10, stale=50, tags=["a"])


def test_a_refresh_that_fails_for_now_leaves_the_present_value(
    opened: Opened, clock: FakeClock
) -> None:
    cache = opened.cache("memory", clock)
    key = cache.key("numbers", 7)
    cache.get_or_compute(key, lambda: "first", ttl=10, stale=50)
    clock.advance(11)

    def busy() -> str:
        raise Busy("later")

    def gone() -> str:
        raise NotFound("never")

    assert cache.get_or_compute(key, busy, ttl=10, stale=50) == "first"
    with pytest.raises(NotFound):
        cache.get_or_compute(key, gone, ttl=10, stale=50)
    clock.advance(60)
    with pytest.raises(Busy):
        cache.get_or_compute(key, busy, ttl=10, stale=50)


@pytest.mark.parametrize("layers", ["memory", "memory,disk", "memory,redis"])
def test_who_asks_after_a_change_is_not_told_what_was_made_before(
    opened: Opened, layers: str
) -> None:
    cache, other = (opened.cache(layers, Clock()) for _ in range(2))
    key, before, after = cache.key("numbers", 7), Making(), Making(is_open=True)
    ask_before = lambda: cache.get_or_compute(key, before, ttl=60, tags=["library"])  # noqa: E731
    _, threads = ask_in_threads([ask_before])
    wait_until(lambda: before.count == 1, "the computation")
    cache.invalidate("library")
    # It does not wait for the one that began before.
    for one in [cache] if layers == "memory" else [cache, other]:
        assert one.get_or_compute(key, after, ttl=60, tags=["library"]) == {"number": 1}
    before.count = 40
    before.gate.set()
    threads[0].join(60)
    missed = Making(is_open=True)
    found = cache.get_or_compute(key, missed, ttl=60, tags=["library"])
    assert found == {"number": 1}
    assert missed.count == 0


def test_what_a_later_lease_overtook_is_kept_nowhere(
    opened: Opened, clock: FakeClock, redis_url: str
) -> None:
    cache, other = opened.cache("memory,redis,disk", clock), opened.cache("redis", clock, "two")
    key = cache.key("numbers", 7)
    client: Any = redis.Redis.from_url(redis_url)

    def paused() -> str:
        # Its lease ends, another machine makes the value, and that one is deleted.
        client.delete(*client.keys("lo-locks:t:l*"))
        assert other.get_or_compute(key, lambda: "new", ttl=60) == "new"
        other.delete(key)
        return "old"

    assert cache.get_or_compute(key, paused, ttl=60) == "old"
    assert cache.get(key) is MISSING
    client.close()


def test_without_redis_a_value_is_kept_on_this_machine(data_dir: Path, clock: FakeClock) -> None:
    opened = Opened(data_dir, "redis://127.0.0.1:1/0")
    one, other = (opened.cache("memory,redis,disk", clock) for _ in range(2))
    key, making = one.key("numbers", 7), Making(is_open=True)
    assert one.get_or_compute(key, making, ttl=60) == {"number": 1}
    assert other.get_or_compute(key, making, ttl=60) == {"number": 1}
    assert making.count == 1
    opened.close()


def test_who_was_overtaken_on_its_machine_keeps_what_came_after(
    opened: Opened, clock: FakeClock
) -> None:
    one, other = (opened.cache("memory,disk", clock) for _ in range(2))
    key = one.key("numbers", 7)

    def paused() -> str:
        # Long enough for others to stop waiting.
        clock.advance(60)
        other.set(key, "new", ttl=600)
        return "old"

    assert one.get_or_compute(key, paused, ttl=600) == "old"
    assert one.get(key) == "new"


def test_absence_is_found_out_once(opened: Opened) -> None:
    cache = opened.cache("memory,disk", Clock())
    key, asked, gate = cache.key("numbers", 7), [], threading.Event()

    def absent() -> Any:
        asked.append(1)
        assert gate.wait(60)
        return ABSENT

    ask = lambda: cache.get_or_compute(key, absent, ttl=60, negative=60)  # noqa: E731
    answers, threads = ask_in_threads([ask] * 5)
    wait_until(lambda: bool(asked), "the computation")
    gate.set()
    for thread in threads:
        thread.join(60)
    assert answers == [ABSENT] * 5
    assert asked == [1]
