"""Layers keep to their room, and throw out what is of least use."""

import os
from pathlib import Path

import pytest

from likeopt.cache.backends.disk import DiskLayer
from likeopt.cache.backends.memory import MemoryLayer
from likeopt.cache.serialize import MISSING
from likeopt.cache.stats import FORMAT, HITS, Stats
from tests.cache.build import MIB, Built
from tests.fakes import FakeClock


def name(number: int, use: str = "answers") -> str:
    return f"lo:t:{use}:1:{number:032x}"


def test_memory_is_bounded_by_bytes(clock: FakeClock) -> None:
    stats = Stats(None)
    layer = MemoryLayer(MIB, clock, stats)
    for n in range(1000):
        layer.set(name(n), b"x" * 10_000, 60)
        assert layer.sizes()["answers"].bytes <= MIB
    held = layer.sizes()["answers"]
    assert 90 < held.entries < 105
    (row,) = stats.totals()
    assert (row.entries, row.bytes) == (held.entries, held.bytes)
    assert row.evictions == 1000 - held.entries
    assert layer.get(name(999)) is not None


def test_memory_is_bounded_by_entries(clock: FakeClock) -> None:
    layer = MemoryLayer(MIB, clock, Stats(None), max_entries=50)
    for n in range(200):
        layer.set(name(n), b"", 60)
    assert layer.sizes()["answers"].entries == 50


def test_what_was_used_least_recently_goes_first(clock: FakeClock) -> None:
    layer = MemoryLayer(MIB, clock, Stats(None), max_entries=3)
    for n in range(3):
        layer.set(name(n), b"", 60)
    layer.get(name(0))
    layer.set(name(3), b"", 60)
    assert [n for n in range(4) if layer.get(name(n)) is not None] == [0, 2, 3]


def test_sizes_are_told_apart_by_use(clock: FakeClock) -> None:
    layer = MemoryLayer(MIB, clock, Stats(None))
    for n in range(4):
        layer.set(name(n), b"x", 60)
        layer.set(name(n, "searches"), b"x", 60)
    # Set again, deleted, expired, cleared: nothing is counted twice or left over.
    layer.set(name(0), b"xx", 60)
    layer.delete([name(1), name(1)])
    layer.set(name(2), b"x", 1)
    clock.advance(2)
    assert layer.get(name(2)) is None
    assert layer.sizes()["answers"].entries == 2
    assert layer.clear("answers").entries == 2
    assert layer.sizes()["answers"].bytes == 0
    assert layer.sizes()["searches"].entries == 4


@pytest.mark.parametrize("layers", ["memory", "disk"])
def test_nothing_takes_more_than_its_part_of_the_room(built: Built, layers: str) -> None:
    cache = built.cache(layers, max_bytes=MIB)
    key = cache.key("answers", "q")
    cache.set(key, "small", ttl=60)
    cache.set(key, os.urandom(MIB // 4), ttl=60)
    assert cache.get(key) is MISSING


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("disk-*"))


def test_disk_is_bounded(data_dir: Path, clock: FakeClock) -> None:
    stats = Stats(None)
    layer = DiskLayer(data_dir, 2 * MIB, clock, stats, lambda work: work())
    for n in range(1500):
        layer.set(name(n), os.urandom(10_000), 60)
    # Its log has at most 500 pages of 4 KB, and its index of them.
    assert disk_bytes(data_dir) < 2 * MIB + 3 * MIB
    held = layer.sizes()["answers"].entries
    assert 100 < held < 210
    (row,) = stats.totals()
    assert row.evictions == 1500 - held
    # What was stored first went first.
    found = [n for n in range(1500) if layer.get(name(n)) is not None]
    assert found == list(range(1500 - held, 1500))
    layer.close()


def test_disk_throws_out_what_has_expired_first(data_dir: Path, clock: FakeClock) -> None:
    layer = DiskLayer(data_dir, 2 * MIB, clock, Stats(None), lambda work: work())
    layer.set(name(0), os.urandom(10_000), 3600)
    for n in range(1, 100):
        layer.set(name(n), os.urandom(10_000), 10)
    clock.advance(11)
    for n in range(100, 180):
        layer.set(name(n), os.urandom(10_000), 3600)
    kept = [n for n in range(180) if layer.get(name(n)) is not None]
    assert kept == [0, *range(100, 180)]
    layer.close()


def test_disk_gives_room_back(data_dir: Path, clock: FakeClock) -> None:
    layer = DiskLayer(data_dir, 8 * MIB, clock, Stats(None), lambda work: work())
    for _ in range(20):
        for n in range(50):
            layer.set(name(n), os.urandom(20_000), 60)
        layer.clear(None)
    assert disk_bytes(data_dir) < 5 * MIB
    layer.close()


def test_counts_take_their_room_at_once(tmp_path: Path) -> None:
    """SIGBUS is what a process gets that counts in a hole of the file on a full disk."""
    stats = Stats(tmp_path)
    stats.row("answers", "memory").add(HITS)
    (file,) = tmp_path.glob(f"*-*.{FORMAT}")
    assert file.stat().st_blocks * 512 >= file.stat().st_size
    stats.close()
