"""The cache in threads, in greenlets, after a fork, and counted over all processes."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from likeopt.cache import stats
from likeopt.cache.backends.layer import LayerFailed
from likeopt.cache.stats import EVICTIONS, HITS, Stats
from tests.cache.build import Built
from tests.fakes import no_file_beyond

ALL = "memory,redis,memcached,disk"
# What every script begins with: a cache as the settings describe it.
OPEN = """
import os, sys, threading
from pathlib import Path
from likeopt.cache.backends import memcached, redis
from likeopt.cache.opening import open_cache
from likeopt.cache.tags import LocalTags
from likeopt.clock import Clock
from likeopt.config import Config
memcached.TIMEOUT_SECONDS = redis.TIMEOUT_SECONDS = 10.0
def opened(run=lambda work: work()):
    folder, layers, one, two = sys.argv[1:]
    config = Config(
        data_dir=Path(folder), cache=layers, redis_url=one, memcached_servers=two
    )
    return open_cache(config, tenant="t", clock=Clock(), tags=LocalTags(), run=run)
"""
FORK = """
cache = opened()
keys = [cache.key("answers", n) for n in range(50)]
def work(who):
    for key in keys:
        cache.set(key, "value", ttl=600)
    for name in cache.layers:
        found = cache.get_many(keys, layers=[name])
        assert found == dict.fromkeys(keys, "value"), (who, name, len(found))
# Connections are open, and a thread is in the middle of using them.
work("parent")
busy = threading.Event()
def hurry():
    while not busy.is_set():
        for key in keys:
            cache.get(key, layers=["memory", "redis", "memcached"])
threads = [threading.Thread(target=hurry) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert cache.get(keys[0], layers=["memory"]).name == "MISSING"
            work("child")
            cache.close()
            status = 0
        finally:
            os._exit(status)
    children.append(child)
statuses = [os.waitpid(child, 0)[1] for child in children]
busy.set()
for thread in threads:
    thread.join()
work("parent again")
assert not any(row.errors for row in cache.stats.totals()), cache.stats.totals()
print(statuses, sum(row.sets for row in cache.stats.totals()))
"""
GREENLETS = """
import gevent
from likeopt.web.native import in_native_thread
cache = opened(in_native_thread)
keys = [cache.key("answers", n) for n in range(40)]
made = []
def one(number):
    for turn in range(15):
        key = keys[(number * 7 + turn) % len(keys)]
        value = cache.get_or_compute(key, lambda: made.append(key) or key, ttl=600)
        assert value in (None, key)
        cache.set(key, key, ttl=600)
        assert cache.get(key, layers=["disk", "redis"]) == key
        if turn == 7:
            cache.clear(layer="memory")
beats = []
def ticker():
    while True:
        beats.append(1)
        gevent.sleep(0.001)
beating = gevent.spawn(ticker)
gevent.joinall([gevent.spawn(one, n) for n in range(60)], raise_error=True)
beating.kill()
assert beats, "the loop stood still"
assert not any(row.errors for row in cache.stats.totals()), cache.stats.totals()
print(sum(row.hits for row in cache.stats.totals()) > 0)
cache.close()
"""


def run(script: str, *arguments: object) -> str:
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def test_a_forked_child_has_its_own_connections(
    data_dir: Path, redis_url: str, memcached: str
) -> None:
    printed = run(OPEN + FORK, data_dir, ALL, redis_url, memcached)
    # Two rounds of the parent and one of each child, 50 values in each of 4 layers.
    assert printed == f"[0, 0, 0, 0] {6 * 50 * 4}"


def test_a_child_that_is_forked_while_the_disk_is_in_use_does_without(built: Built) -> None:
    layer = built.layer("disk", Stats(None))
    layer.set("lo:t:answers:1:00", b"a", 60)

    def fork(_: object) -> int:
        child = os.fork()
        if child == 0:
            try:
                layer.get("lo:t:answers:1:00")
            except LayerFailed:
                os._exit(7)
            os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert layer._do(fork) == 7  # type: ignore[attr-defined]
    assert layer.get("lo:t:answers:1:00") == b"a"


def test_greenlets_of_a_worker(data_dir: Path, redis_url: str, memcached: str) -> None:
    patched = "from gevent import monkey\nmonkey.patch_all()\n"
    assert run(patched + OPEN + GREENLETS, data_dir, ALL, redis_url, memcached) == "True"


def test_threads(built: Built) -> None:
    cache = built.cache(ALL, max_bytes=1 << 20)
    keys = [cache.key("answers", n) for n in range(30)]
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for turn in range(60):
            key = keys[(number * 5 + turn) % len(keys)]
            found = cache.get_or_compute(key, partial(str.__mul__, key, 100), ttl=600)
            if found != key * 100:
                wrong.append(found)
            if turn % 10 == number:
                cache.delete(key)
            if turn == 30:
                cache.clear(layer="memory")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not any(row.errors for row in cache.stats.totals())


# -- counts --------------------------------------------------------------------------------------

COUNT = """
import os, sys, time
from pathlib import Path
from likeopt.cache.stats import BYTES, HITS, Stats
counts = Stats(Path(sys.argv[1]))
row = counts.row("answers", "memory")
row.add(HITS, 5)
row.read(0.001, 5)
row.put(BYTES, 100)
print("counted", flush=True)
sys.stdin.read()
"""


def start_counting(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def test_counts_of_all_processes_are_added_up_also_of_those_that_were_killed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "counts"
    processes = [start_counting(folder) for _ in range(3)]
    (row,) = stats.read(folder)
    assert (row.use, row.layer) == ("answers", "memory")
    assert (row.hits, row.reads, row.bytes) == (15, 15, 300)
    assert row.mean_us == pytest.approx(1000)
    assert row.p99_us == 1024
    processes[0].send_signal(signal.SIGKILL)
    processes[0].communicate()
    for _ in range(2):
        (row,) = stats.read(folder)
        # What it counted stays, what it held is gone with it.
        assert (row.hits, row.reads, row.bytes) == (15, 15, 200)
    assert len(list(folder.glob("*-*.*"))) == 2
    for process in processes[1:]:
        process.communicate()
    (row,) = stats.read(folder)
    assert (row.hits, row.bytes) == (15, 0)
    assert [path.name.split(".")[0] for path in sorted(folder.iterdir())] == ["ended", "lock"]


def test_a_damaged_file_of_counts_is_no_error(tmp_path: Path) -> None:
    counts = Stats(tmp_path)
    counts.row("answers", "disk").add(HITS)
    (tmp_path / f"ended.{stats.FORMAT}").write_bytes(b"\xc1garbage")
    assert [row.hits for row in counts.totals()] == [1]
    counts.close()


def test_counts_go_on_where_the_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    counts = Stats(tmp_path / "file" / "x")
    counts.row("answers", "disk").add(HITS)
    assert counts.row("answers", "disk") is counts.row("answers", "disk")


def test_a_full_disk_is_left_as_it_was(tmp_path: Path) -> None:
    counts = Stats(tmp_path)
    with no_file_beyond(100):
        counts.row("answers", "disk").add(HITS)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    counts.row("answers", "disk").add(HITS)
    counts.close()


def test_more_uses_than_there_is_room_for_are_not_counted(tmp_path: Path) -> None:
    counts = Stats(tmp_path)
    for n in range(200):
        counts.row(f"use{n}", "memory").add(EVICTIONS)
    assert len(counts.totals()) == 128
    counts.close()


def test_counting_by_threads_loses_nothing() -> None:
    counts = Stats(None)

    def count() -> None:
        for _ in range(5000):
            counts.row("answers", "memory").add(HITS)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.hits for row in counts.totals()] == [20_000]
