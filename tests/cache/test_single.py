"""One computation for all who ask, in threads, greenlets, processes and machines, and after one of
them was killed or paused in the middle."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from likeopt.cache.backends.layer import LayerFailed
from likeopt.cache.backends.redis import RedisLayer
from likeopt.cache.breaker import FAILURES, OPEN_SECONDS
from likeopt.cache.lease import Leases
from likeopt.cache.locks import MachineLocks
from likeopt.cache.serialize import MISSING
from likeopt.cache.single import Flights, Found, Permit, Reach, is_early
from likeopt.clock import Clock
from tests import servers
from tests.cache.ask import KEY
from tests.cache.asker import Asker, computations, the_one_that_computes
from tests.fakes import FakeClock
from tests.servers import ROOT, wait_until

R = Reach.MACHINE


class Shelf:
    """What is stored, and who computed it."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.made: list[str] = []
        self.avoided: list[str] = []
        self.gate = threading.Event()

    def look(self, key: str) -> Callable[[], Found[str]]:
        return lambda: self.kept.get(key, MISSING)

    def make(self, key: str) -> Callable[[Permit], str]:
        def make(permit: Permit) -> str:
            self.made.append(key)
            assert self.gate.wait(60)
            self.kept[key] = f"value {len(self.made)}"
            return self.kept[key]

        return make


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def flights(shelf: Shelf, tmp_path: Path) -> Flights[str]:
    return _flights(shelf, tmp_path)


def _flights(shelf: Shelf, folder: Path, *, wait: float = 60.0) -> Flights[str]:
    locks = MachineLocks(folder / "locks" / "computing")
    return Flights(Clock(), locks, avoided=shelf.avoided.append, wait_seconds=wait)


def started(count: int, work: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


# -- one computation -----------------------------------------------------------------------------


def test_threads_share_one_computation(shelf: Shelf, flights: Flights[str]) -> None:
    values: list[str] = []
    ask = lambda: values.append(flights.compute("a", shelf.look("a"), shelf.make("a"), reach=R))  # noqa: E731
    threads = started(20, ask)
    wait_until(lambda: bool(shelf.made), "the computation")
    shelf.gate.set()
    for thread in threads:
        thread.join(60)
    assert values == ["value 1"] * 20
    assert shelf.made == ["a"]
    assert len(shelf.avoided) == 19


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    client: Any = redis.Redis.from_url(_redis_server)
    client.flushall()
    client.close()
    return _redis_server


@pytest.fixture(scope="module")
def _redis_server() -> Iterator[str]:
    with servers.redis_server() as url:
        yield url


SETTINGS = ["greenlets", "processes", "machines", "machines of greenlets"]


def askers_of(setting: str, work: Path, redis_url: str) -> list[Asker]:
    """Twelve who ask at once."""
    if setting == "greenlets":
        return [Asker(work, patch=True, askers=12)]
    if setting == "processes":
        return [Asker(work, askers=4) for _ in range(3)]
    if setting == "machines of greenlets":
        names = ["one", "two"]
        return [Asker(work, m, redis=redis_url, askers=6, patch=True) for m in names]
    names = ["one", "one", "two", "two"]
    return [Asker(work, machine, redis=redis_url, askers=3) for machine in names]


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_share_one_computation(setting: str, tmp_path: Path, redis_url: str) -> None:
    askers = askers_of(setting, tmp_path, redis_url)
    holder = the_one_that_computes(askers)
    wait_until(lambda: all(asker.has_asked() for asker in askers), "everybody to ask")
    holder.go_on()
    reports = [asker.report() for asker in askers]
    values = [value for report in reports for value in report["values"]]
    assert values == [f"made by {holder.pid}"] * 12
    assert computations(tmp_path) == [holder.pid]
    # Everybody else was told by those in the same process, or by the cache.
    assert sum(report["avoided"] for report in reports) == 11


@pytest.mark.parametrize("setting", SETTINGS[1:])
def test_a_killed_holder_costs_one_more_computation(
    setting: str, tmp_path: Path, redis_url: str
) -> None:
    askers = askers_of(setting, tmp_path, redis_url)
    killed = the_one_that_computes(askers)
    wait_until(lambda: all(asker.has_asked() for asker in askers), "everybody to ask")
    killed.signal(signal.SIGKILL)
    askers.remove(killed)
    second = the_one_that_computes(askers, after=1)
    second.go_on()
    values = [value for asker in askers for value in asker.report()["values"]]
    assert set(values) == {f"made by {second.pid}"}
    assert computations(tmp_path) == [killed.pid, second.pid]


def test_a_killed_greenlet_is_followed_by_one_other() -> None:
    script = """
from gevent import monkey
monkey.patch_all()
import sys, tempfile, threading
from pathlib import Path
import gevent
from likeopt.cache.locks import MachineLocks
from likeopt.cache.serialize import MISSING
from likeopt.cache.single import Flights, Reach
from likeopt.clock import Clock
made, gate = [], threading.Event()
def make(permit):
    made.append(gevent.getcurrent())
    gate.wait()
    return len(made)
with tempfile.TemporaryDirectory() as folder:
    flights = Flights(Clock(), MachineLocks(Path(folder, "locks")), avoided=lambda key: None)
    ask = lambda: flights.compute("a", lambda: MISSING, make, reach=Reach.MACHINE)
    asking = [gevent.spawn(ask) for _ in range(10)]
    while not made:
        gevent.sleep(0)
    made[0].kill()
    while len(made) == 1:
        gevent.sleep(0)
    gate.set()
    gevent.joinall(asking, raise_error=True)
    print(len(made), sorted({one.value for one in asking if one is not made[0]}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("2 [2]", "")


def test_a_forked_child_starts_without_what_its_parent_computes(
    shelf: Shelf, flights: Flights[str]
) -> None:
    (thread,) = started(1, lambda: flights.compute("a", shelf.look("a"), shelf.make("a"), reach=R))
    wait_until(lambda: bool(shelf.made), "the computation")
    child = os.fork()
    if not child:
        # It must wait for its parent's lock, not for a thread that it does not have.
        os._exit(0 if flights._take("a", R) is None and flights._join("a")[1] else 1)
    _, status = os.waitpid(child, 0)
    shelf.gate.set()
    thread.join(60)
    assert os.waitstatus_to_exitcode(status) == 0


# -- fencing -------------------------------------------------------------------------------------


def test_a_paused_holder_does_not_overwrite_what_came_after(tmp_path: Path, redis_url: str) -> None:
    paused = Asker(tmp_path, "one", redis=redis_url)
    wait_until(paused.computes, "the first computation")
    paused.signal(signal.SIGSTOP)
    second = Asker(tmp_path, "two", redis=redis_url)
    # Its lease ends while it sleeps.
    wait_until(second.computes, "the second computation")
    second.go_on()
    assert second.report()["stored"] == [True]
    paused.go_on()
    paused.signal(signal.SIGCONT)
    report = paused.report()
    assert report == {"values": [f"made by {paused.pid}"], "avoided": 0, "stored": [False]}
    client: Any = redis.Redis.from_url(redis_url)
    assert client.get(KEY).decode() == f"made by {second.pid}"
    client.close()


def test_a_paused_holder_does_not_bring_back_what_was_deleted_since(
    redis_client: Any, leases: Leases
) -> None:
    old = leases.take("a")
    assert old is not None
    redis_client.delete(*old.keys)
    newer = leases.take("a")
    assert newer is not None
    assert newer.fence > old.fence
    assert newer.store("value", b"new", 60_000)
    newer.release()
    redis_client.delete("value")
    assert not old.store("value", b"old", 60_000)
    assert redis_client.get("value") is None


def test_a_slow_holder_that_nobody_followed_stores(redis_client: Any, leases: Leases) -> None:
    lease = leases.take("a")
    assert lease is not None
    redis_client.delete(lease.keys[0])  # as if it had expired
    assert lease.store("value", b"made", 60_000)
    assert redis_client.get("value") == b"made"


def test_a_lease_is_renewed_while_its_holder_computes(redis_client: Any, leases: Leases) -> None:
    lease = leases.take("a")
    assert lease is not None
    for _ in range(3):
        # It is close to its end again and again, and each time it lives longer afterwards.
        redis_client.pexpire(lease.keys[0], 10_000_000)
        wait_until(lambda: redis_client.pttl(lease.keys[0]) <= 300, "a renewal")
        assert redis_client.get(lease.keys[0]) == lease.holder.encode()
    lease.release()
    assert redis_client.keys("lo:test:l*") == []


def test_leases_are_renewed_after_an_error_that_nobody_expected(
    redis_client: Any, leases: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    renew = leases._scripts["renew"]

    def fail_once(**_: Any) -> None:
        leases._scripts["renew"] = renew
        raise RuntimeError("a bug")

    leases._scripts["renew"] = fail_once
    lease = leases.take("a")
    assert lease is not None
    wait_until(lambda: leases._scripts["renew"] is renew, "the error")
    redis_client.pexpire(lease.keys[0], 10_000_000)
    wait_until(lambda: redis_client.pttl(lease.keys[0]) <= 300, "a renewal")
    assert [one.getMessage() for one in caplog.records] == ["leases could not be renewed"]
    lease.release()


def test_only_its_holder_releases_a_lease(redis_client: Any, leases: Leases) -> None:
    old = leases.take("a")
    assert old is not None
    assert leases.take("a") is None
    redis_client.delete(*old.keys)
    newer = leases.take("a")
    assert newer is not None
    old.release()
    assert leases.take("a") is None
    newer.release()
    assert leases.take("a") is not None


@pytest.mark.parametrize("by", [-3600, 3600])
def test_redis_clock_is_set(redis_url: str, redis_client: Any, clock: FakeClock, by: int) -> None:
    redis_client.flushall()
    mine = Leases(lambda: redis_client, "lo:test:", clock)
    dead = mine.take("dead")
    assert dead is not None
    # Its holder died: nobody renews it.
    mine._held.clear()
    servers.set_redis_clock(redis_url, by)
    taken = mine.take("dead")
    assert taken is not None
    assert taken.store("value", b"x", 60_000)
    assert not dead.store("value", b"old", 60_000)
    assert mine.take("dead") is None
    taken.release()


def test_a_forked_child_takes_leases_of_its_own(redis_url: str, clock: FakeClock) -> None:
    """Also if a thread of its parent, which it does not have, held each lock in that moment."""
    layer = RedisLayer(redis_url, "t")
    leases = Leases(lambda: layer.client, "lo:test:fork:", clock)
    mine = leases.take("mine")
    assert mine is not None
    with leases._lock, leases._breaker._lock, layer.client.connection_pool._lock:
        child = os.fork()
        if not child:
            # No test ends in a child; one that hangs is killed.
            signal.alarm(30)
            mine.release()
            taken = leases.take("other")
            fine = leases.take("mine") is None and taken and taken.store("value", b"x", 60_000)
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.store("value", b"mine", 60_000)
    assert leases.take("mine") is None
    mine.release()
    layer.close()


@pytest.fixture
def leases(redis_client: Any, clock: FakeClock) -> Iterator[Leases]:
    """They end with the test, and so does the thread that renews them."""
    leases = Leases(lambda: redis_client, "lo:test:", clock, lease_seconds=0.3)
    yield leases
    for lease in list(leases._held):
        lease.release()
    wait_until(lambda: not leases._renewing, "the end of renewing")


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Any]:
    client: Any = redis.Redis.from_url(redis_url)
    yield client
    client.close()


# -- without Redis -------------------------------------------------------------------------------


def test_without_redis_the_processes_of_a_machine_still_share(tmp_path: Path) -> None:
    gone = f"redis://127.0.0.1:{servers.free_port()}/0"
    askers = [Asker(tmp_path, redis=gone, askers=2) for _ in range(3)]
    holder = the_one_that_computes(askers)
    wait_until(lambda: all(asker.has_asked() for asker in askers), "everybody to ask")
    holder.go_on()
    values = [value for asker in askers for value in asker.report()["values"]]
    assert values == [f"made by {holder.pid}"] * 6
    assert computations(tmp_path) == [holder.pid]


def test_redis_that_goes_in_the_middle_harms_nobody(tmp_path: Path) -> None:
    with ExitStack() as running:
        url = running.enter_context(servers.redis_server())
        asker = Asker(tmp_path, redis=url, askers=3)
        wait_until(asker.computes, "the computation")
        running.close()
    asker.go_on()
    report = asker.report()
    assert report["values"] == [f"made by {asker.pid}"] * 3
    assert report["stored"] == [False]


def test_redis_is_left_alone_for_a_while_after_it_failed(clock: FakeClock) -> None:
    port = servers.free_port()
    client: Any = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    leases = Leases(lambda: client, "lo:test:", clock)
    for _ in range(FAILURES):
        with pytest.raises(LayerFailed, match="ConnectionError"):
            leases.take("a")
    with pytest.raises(LayerFailed, match="left alone"):
        leases.take("a")
    clock.advance(OPEN_SECONDS)
    with pytest.raises(LayerFailed, match="ConnectionError"):
        leases.take("a")


# -- waiting -------------------------------------------------------------------------------------


def test_who_has_waited_long_enough_computes(shelf: Shelf, tmp_path: Path) -> None:
    holder, other = _flights(shelf, tmp_path), _flights(Shelf(), tmp_path, wait=0.05)
    ask = lambda: holder.compute("a", shelf.look("a"), shelf.make("a"), reach=R)  # noqa: E731
    (thread,) = started(1, ask)
    wait_until(lambda: bool(shelf.made), "the holder's computation")
    permits: list[Permit] = []

    def alone(permit: Permit) -> str:
        permits.append(permit)
        return "my own"

    # As another process, and as another thread of the same.
    assert other.compute("a", shelf.look("a"), alone, reach=R) == "my own"
    holder._wait = 0.05
    assert holder.compute("a", shelf.look("a"), alone, reach=R) == "my own"
    assert [permit.is_alone() for permit in permits] == [False, False]
    shelf.gate.set()
    thread.join(60)


def test_another_process_is_waited_for_for_a_minute(
    shelf: Shelf, tmp_path: Path, clock: FakeClock
) -> None:
    holder, locks = _flights(shelf, tmp_path), MachineLocks(tmp_path / "locks" / "computing")
    other: Flights[str] = Flights(clock, locks, avoided=shelf.avoided.append)
    ask = lambda: holder.compute("a", shelf.look("a"), shelf.make("a"), reach=R)  # noqa: E731
    threads = started(1, ask)
    wait_until(lambda: bool(shelf.made), "the holder's computation")
    looks: list[Found[str]] = []
    alone: list[str] = []

    def look() -> Found[str]:
        looks.append(shelf.look("a")())
        return looks[-1]

    def make(permit: Permit) -> str:
        alone.append("a")
        return "my own"

    threads += started(1, lambda: other.compute("a", look, make, reach=R))
    wait_until(lambda: bool(looks), "somebody who waits")
    clock.advance(59)
    seen = len(looks)
    wait_until(lambda: len(looks) > seen + 2, "further looks")
    assert not alone
    clock.advance(1)
    wait_until(lambda: bool(alone), "the end of its patience")
    shelf.gate.set()
    for thread in threads:
        thread.join(60)


def test_who_renews_a_lease_is_waited_for(shelf: Shelf, tmp_path: Path, redis_client: Any) -> None:
    def machine(name: str) -> Flights[str]:
        leases = Leases(lambda: redis_client, "lo:test:waited:", Clock())
        locks = MachineLocks(tmp_path / name)
        return Flights(Clock(), locks, leases, avoided=shelf.avoided.append, wait_seconds=0.02)

    here, there = machine("here"), machine("there")
    looks: list[Found[str]] = []
    values: list[str] = []

    def look() -> Found[str]:
        looks.append(shelf.look("a")())
        return looks[-1]

    def ask(flights: Flights[str], look: Callable[[], Found[str]]) -> None:
        made = shelf.make("a")
        values.append(flights.compute("a", look, made, reach=Reach.MACHINES))

    threads = started(1, lambda: ask(here, shelf.look("a")))
    wait_until(lambda: bool(shelf.made), "the holder's computation")
    # In the same process, and on another machine.
    threads += started(1, lambda: ask(here, shelf.look("a")))
    threads += started(1, lambda: ask(there, look))
    # Many times longer than they wait for somebody without a lease.
    wait_until(lambda: len(looks) > 20, "many looks")
    shelf.gate.set()
    for thread in threads:
        thread.join(60)
    assert values == ["value 1"] * 3
    assert shelf.made == ["a"]


def test_who_took_longer_than_others_wait_knows(clock: FakeClock, tmp_path: Path) -> None:
    flights: Flights[bool] = Flights(
        clock, MachineLocks(tmp_path / "locks"), avoided=lambda _: None
    )

    def slow(permit: Permit) -> bool:
        assert permit.is_alone()
        clock.advance(60)
        return permit.is_alone()

    assert flights.compute("a", lambda: MISSING, slow, reach=R) is False


def test_what_fails_fails_for_all_and_is_tried_again_by_the_next(
    shelf: Shelf, flights: Flights[str]
) -> None:
    failed: list[str] = []

    def fail(permit: Permit) -> str:
        shelf.made.append("a")
        assert shelf.gate.wait(60)
        raise LookupError("no such thing")

    def ask() -> None:
        try:
            flights.compute("a", shelf.look("a"), fail, reach=R)
        except LookupError as error:
            failed.append(str(error))

    threads = started(10, ask)
    wait_until(lambda: bool(shelf.made), "the computation")
    # All wait; who comes later would compute again.
    flight = flights._flights["a"]
    wait_until(lambda: len(flight.done._cond._waiters) == 9, "the others")  # type: ignore[attr-defined]
    shelf.gate.set()
    for thread in threads:
        thread.join(60)
    assert failed == ["no such thing"] * 10
    assert len(shelf.made) == 1
    assert flights.compute("a", shelf.look("a"), shelf.make("a"), reach=R) == "value 2"


def test_a_computation_may_need_other_keys(shelf: Shelf, flights: Flights[str]) -> None:
    """Many keys that need each other's neighbours, from both ends at once."""
    shelf.gate.set()

    def ask(number: int) -> str:
        key = str(number)

        def make(permit: Permit) -> str:
            below = ask(number - 1) if number else "end"
            shelf.kept[key] = f"{key}<{below}"
            return shelf.kept[key]

        return flights.compute(key, shelf.look(key), make, reach=R)

    order = list(range(40))
    random.Random(3).shuffle(order)
    threads = [threading.Thread(target=ask, args=(number,)) for number in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert ask(2) == "2<1<0<end"


def test_a_computation_that_asks_for_itself_does_not_wait(
    shelf: Shelf, flights: Flights[str]
) -> None:
    def outer(permit: Permit) -> str:
        return flights.compute("a", shelf.look("a"), lambda _: "inner", reach=R) + " and outer"

    assert flights.compute("a", shelf.look("a"), outer, reach=R) == "inner and outer"


def test_a_folder_without_locks_is_no_error(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where a folder should be")
    shelf.gate.set()
    flights = _flights(shelf, tmp_path)
    assert flights.compute("a", shelf.look("a"), shelf.make("a"), reach=R) == "value 1"


# -- early refresh -------------------------------------------------------------------------------


def test_one_refreshes_and_the_others_have_the_present_value(shelf: Shelf, tmp_path: Path) -> None:
    one, other = _flights(shelf, tmp_path), _flights(shelf, tmp_path)
    new: list[str] = []
    ask = lambda: new.append(one.refresh("a", "old", lambda: MISSING, shelf.make("a"), reach=R))  # noqa: E731
    (thread,) = started(1, ask)
    wait_until(lambda: bool(shelf.made), "the refresh")
    for flights in (one, other):
        assert flights.refresh("a", "old", lambda: MISSING, shelf.make("a"), reach=R) == "old"
    shelf.gate.set()
    thread.join(60)
    assert new == ["value 1"]
    assert len(shelf.made) == 1
    assert len(shelf.avoided) == 2
    # Who decided to refresh before that one was done finds the new value.
    assert other.refresh("a", "old", shelf.look("a"), shelf.make("a"), reach=R) == "value 1"
    assert len(shelf.made) == 1


def test_early_refresh_is_as_likely_as_the_paper_says() -> None:
    # P(compute * -ln(u) >= left) = exp(-left / compute).
    chances = [(i + 0.5) / 10_000 for i in range(10_000)]
    for left, share in [(0, 1.0), (100, 0.3679), (300, 0.0498), (1000, 0.0000454)]:
        early = sum(is_early(left, 100, chance=chance) for chance in chances)
        assert early / 10_000 == pytest.approx(share, abs=0.0002)
