"""What breaks below the cache: nobody sees an error, nothing wrong is found, and it recovers."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from likeopt.cache.backends import memcached as memcached_
from likeopt.cache.backends import redis as redis_
from likeopt.cache.backends.disk import LOOK_SECONDS
from likeopt.cache.backends.layer import LayerBusy
from likeopt.cache.backends.memcached import MemcachedLayer
from likeopt.cache.backends.redis import RedisLayer
from likeopt.cache.breaker import FAILURES, OPEN_SECONDS
from likeopt.cache.guard import Guard
from likeopt.cache.layered import Cache
from likeopt.cache.lease import Leases
from likeopt.cache.redis_client import CONNECTIONS
from likeopt.cache.serialize import MISSING
from likeopt.cache.stats import Stats, Totals
from likeopt.cache.tags import LocalTags
from tests import servers
from tests.cache.build import Built
from tests.fakes import FakeClock
from tests.limits import full_disk


def row(cache: Cache, layer: str, use: str = "answers") -> Totals:
    (found,) = [t for t in cache.stats.totals() if (t.use, t.layer) == (use, layer)]
    return found


@pytest.mark.parametrize("layer", ["redis", "memcached"])
def test_a_server_that_is_killed_and_comes_back(
    data_dir: Path, clock: FakeClock, layer: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = servers.free_port()
    address = f"redis://127.0.0.1:{port}/0" if layer == "redis" else f"127.0.0.1:{port}"
    start = servers.redis_process if layer == "redis" else servers.memcached_process
    built = Built(data_dir, clock, lambda _: address)
    cache = built.cache(f"memory,{layer}")
    keys = [cache.key("answers", n) for n in range(20)]
    with start(port) as (process, _):
        cache.set(keys[0], "a", ttl=600)
        assert cache.get(keys[0], layers=[layer]) == "a"
        process.kill()
        process.wait()
        # What memory has is still found; the rest is made anew, each time it is asked for.
        assert cache.get(keys[0]) == "a"
        for key in keys[1:]:
            assert cache.get_or_compute(key, lambda: "made", ttl=600) == "made"
            assert cache.get(key) == "made"
            assert cache.get_many([key, keys[0]]) == {key: "made", keys[0]: "a"}
        cache.delete(keys[1])
        assert cache.get(keys[1]) is MISSING
        assert cache.clear("answers")[0].failed
        assert cache.sizes()[layer] is None
        counted = row(cache, layer)
        # Three failures, and then it was left alone; `clear` tries all the same.
        assert counted.errors == 4
        assert counted.refused > 20
        assert row(cache, layer, "").open_breakers == 1
        said = [r.message for r in caplog.records if r.name.startswith("likeopt.cache")]
        assert len(said) == 1
    with start(port):
        cache.set(keys[5], "new", ttl=600)
        assert cache.get(keys[5], layers=[layer]) is MISSING, "it is still left alone"
        clock.advance(OPEN_SECONDS + 0.1)
        assert cache.get(keys[6]) is MISSING
        assert row(cache, layer, "").open_breakers == 0
        cache.set(keys[5], "new", ttl=600)
        assert cache.get(keys[5], layers=[layer]) == "new"
        assert row(cache, layer).errors == 4
    built.close()


@pytest.mark.parametrize("layer", ["redis", "memcached"])
def test_a_server_that_hangs(
    data_dir: Path, clock: FakeClock, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (redis_, memcached_):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 1.0)
    start = servers.redis_process if layer == "redis" else servers.memcached_process
    with start(servers.free_port()) as (process, address):
        built = Built(data_dir, clock, lambda _: address)
        cache = built.cache(layer)
        key = cache.key("answers", 1)
        cache.set(key, "a", ttl=600)
        process.send_signal(signal.SIGSTOP)
        # Until the last of its threads stands: one could still answer.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            for _ in range(10):
                assert cache.get(key) is MISSING
        finally:
            process.send_signal(signal.SIGCONT)
        assert (row(cache, layer).errors, row(cache, layer).refused) == (3, 7)
        clock.advance(OPEN_SECONDS + 0.1)
        # No answer to an earlier question is taken for the one to this.
        other = cache.key("answers", 2)
        assert cache.get(other) is MISSING
        assert cache.get(key) == "a"
        built.close()


def test_more_callers_than_connections_are_no_failure_of_redis(
    clock: FakeClock, redis_url: str
) -> None:
    layer = RedisLayer(redis_url, "t")
    stats = Stats(None)
    cache = Cache(
        [Guard([layer], clock, stats)], tenant="t", clock=clock, tags=LocalTags(), stats=stats
    )
    leases = Leases(lambda: layer.client, "lo-locks:t:", clock)
    key = cache.key("answers", 1)
    cache.set(key, "a", ttl=600)
    pool = layer.client.connection_pool
    # Who finds no connection.
    pool.timeout = 0.01
    taken = [pool.get_connection() for _ in range(CONNECTIONS)]
    for _ in range(FAILURES + 1):
        assert cache.get(key) is MISSING
        with pytest.raises(LayerBusy):
            leases.take(key)
    for one in taken:
        pool.release(one)
    # It was not left out, and is not now.
    assert (row(cache, "redis").errors, row(cache, "redis").refused) == (FAILURES + 1, 0)
    assert cache.get(key) == "a"
    lease = leases.take(key)
    assert lease is not None
    lease.release()
    cache.close()


def test_one_of_several_memcached_is_gone(data_dir: Path, clock: FakeClock) -> None:
    with (
        servers.memcached_process(servers.free_port()) as (first, one),
        servers.memcached_process(servers.free_port()) as (_, two),
    ):
        stats = Stats(None)
        parts = [MemcachedLayer(server, "t", clock) for server in (one, two)]
        guard = Guard(parts, clock, stats)
        cache = Cache([guard], tenant="t", clock=clock, tags=LocalTags(), stats=stats)
        keys = [cache.key("answers", n) for n in range(60)]
        for key in keys:
            cache.set(key, key, ttl=600)
        assert cache.get_many(keys) == {key: key for key in keys}
        assert all(part.sizes()[""].entries > 15 for part in parts), "both have their share"
        first.kill()
        first.wait()
        found = cache.get_many(keys)
        assert 15 < len(found) < 45
        for key in keys:
            assert cache.get(key) == found.get(key, MISSING)
        assert row(cache, "memcached").errors == 3
        assert row(cache, "memcached", "").open_breakers == 1
        cache.close()


# -- disk ----------------------------------------------------------------------------------------


def damage_start(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(4096))


def damage_all(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(os.urandom(size))


def damage_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def age(path: Path) -> None:
    """As if another version had made it."""
    with closing(sqlite3.connect(path)) as c:
        c.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    "damage",
    [damage_start, damage_all, damage_middle, cut, empty, remove, remove_folder, age],
    ids=lambda damage: damage.__name__,
)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_a_damaged_file_is_begun_anew(
    built: Built, clock: FakeClock, damage: Callable[[Path], None], is_open: bool
) -> None:
    cache, other = built.cache("disk"), built.cache("disk")
    keys = [cache.key("answers", n) for n in range(60)]
    values = {key: os.urandom(3000) for key in keys}
    for key, value in values.items():
        cache.set(key, value, ttl=600)
    assert other.get(keys[0]) == values[keys[0]]
    if not is_open or damage is age:
        # Another version finds nobody's file open: it was stopped before.
        cache.close()
        other.close()
    damage((built.folder / "cache" / "disk.db").resolve())
    for key in keys:
        for each in (cache, other):
            # Where an open connection still has the page in memory, the right value; else none.
            assert each.get(key) in (MISSING, values[key])
    for key in keys:
        cache.set(key, "new", ttl=600)
    assert {cache.get(key) for key in keys} == {"new"}
    # Who only reads looks now and then whether it still reads the right file.
    clock.advance(LOOK_SECONDS)
    assert {other.get(key) for key in keys} == {"new"}
    assert {built.cache("disk").get(key) for key in keys} == {"new"}
    files = [path.name for path in (built.folder / "cache").glob("disk-*.db")]
    assert len(files) == 1


def test_what_was_removed_or_cleared_is_gone_for_who_only_reads(
    built: Built, clock: FakeClock
) -> None:
    cache, other = built.cache("disk"), built.cache("disk")
    keys = [cache.key("answers", n) for n in range(3)]
    for key in keys:
        cache.set(key, "old", ttl=600)
        assert other.get(key) == "old"
    # Others clear the very file that is read.
    cache.clear("answers")
    assert [other.get(key) for key in keys] == [MISSING] * 3
    for key in keys:
        cache.set(key, "old", ttl=600)
    remove((built.folder / "cache" / "disk.db").resolve())
    clock.advance(LOOK_SECONDS)
    assert [other.get(key) for key in keys] == [MISSING] * 3
    cache.set(keys[0], "new", ttl=600)
    assert other.get(keys[0]) == "new"
    assert row(other, "disk").errors == 0


def test_a_new_connection_to_a_file_that_was_removed_a_moment_ago(built: Built) -> None:
    cache = built.cache("disk")
    key = cache.key("answers", "q")
    cache.set(key, "old", ttl=600)
    assert cache.get(key) == "old"
    remove((built.folder / "cache" / "disk.db").resolve())
    cache._layers[0]._servers[0][0].close()
    assert cache.get(key) is MISSING
    cache.set(key, "new", ttl=600)
    assert cache.get(key) == "new"
    assert row(cache, "disk").errors == 0


def test_a_full_disk_keeps_nothing_new(built: Built, clock: FakeClock) -> None:
    cache = built.cache("disk")
    keys = [cache.key("answers", n) for n in range(100)]
    for key in keys[:50]:
        cache.set(key, os.urandom(5000), ttl=6000)
    log = next((built.folder / "cache").glob("disk-*.db-wal"))
    with full_disk(log.stat().st_size):
        for key in keys[50:]:
            assert cache.get_or_compute(key, lambda: os.urandom(500), ttl=6000)
    assert row(cache, "disk").errors > 0
    clock.advance(OPEN_SECONDS + 0.1)
    # With room again, all is as before.
    assert all(cache.get(key) is not MISSING for key in keys[:50])
    for key in keys[50:]:
        cache.set(key, "new", ttl=6000)
    assert cache.get(keys[99]) == "new"


def test_a_full_disk_from_the_start(built: Built, clock: FakeClock) -> None:
    cache = built.cache("disk")
    key = cache.key("answers", "q")
    with full_disk(0):
        for _ in range(5):
            assert cache.get_or_compute(key, lambda: "made", ttl=60) == "made"
    clock.advance(OPEN_SECONDS + 0.1)
    assert cache.get_or_compute(key, lambda: "made", ttl=60) == "made"
    assert cache.get(key) == "made"


def test_a_folder_that_cannot_be_one(built: Built) -> None:
    (built.folder / "cache").write_text("a file")
    cache = built.cache("memory,disk")
    key = cache.key("answers", "q")
    assert cache.get_or_compute(key, lambda: "made", ttl=60) == "made"
    assert cache.get(key) == "made"


# -- the clock -----------------------------------------------------------------------------------


class SetClock(FakeClock):
    """A clock whose wall side somebody sets."""

    shift_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.shift_ms


@pytest.mark.parametrize("days", [-365, -1, 1, 365])
def test_a_clock_that_is_set_makes_nothing_last_longer(
    data_dir: Path, redis_url: str, memcached: str, days: int
) -> None:
    clock = SetClock()
    urls = {"redis": redis_url, "memcached": memcached}
    built = Built(data_dir, clock, lambda name: urls[name])
    cache = built.cache("memory,redis,memcached,disk")
    key = cache.key("answers", "q")
    cache.set(key, "old", ttl=600)
    clock.shift_ms = days * 24 * 3600 * 1000
    assert cache.get(key) is MISSING
    assert cache.get_or_compute(key, lambda: "made", ttl=600) == "made"
    for name in cache.layers:
        assert cache.get(key, layers=[name]) == "made"
    clock.advance(601)
    assert cache.get(key) is MISSING
    built.close()


def test_a_clock_that_is_a_little_behind_costs_nothing(built: Built, clock: FakeClock) -> None:
    cache = built.cache("disk")
    key = cache.key("answers", "q")
    cache.set(key, "a", ttl=600)
    clock.advance(-2)
    assert cache.get(key) == "a"
