"""What the cache did, counted by use and layer, over all processes of the machine.

Each process counts in a small file of its own, mapped into memory and locked while it lives: a
count costs half a microsecond, survives `kill -9`, and whoever asks reads all the files. What ended
processes have counted is added up in one file.
"""

import contextlib
import fcntl
import itertools
import mmap
import os
import secrets
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

# Counters, by their place in a row.
HITS, MISSES, SETS, EVICTIONS, ERRORS = range(5)
# REFUSED: kept from a layer that does not work. STAMPEDES: callers who waited for another's value
# instead of making it once more. LATENCY_NS: of all reads together.
REFUSED, COMPUTES, STAMPEDES, EARLY, LATENCY_NS = range(5, 10)
# How often a read took less than 1, 2, 4, ... microseconds; the last bucket has no bound.
BUCKETS = 22
_LATENCIES = 10
# Gauges: how things are in one process. They end with it.
ENTRIES, BYTES, OPEN = range(_LATENCIES + BUCKETS, _LATENCIES + BUCKETS + 3)
_NUMBERS = OPEN + 1

_NAME_BYTES = 64
_ROW_BYTES = _NAME_BYTES + 8 * _NUMBERS
# More uses than there are, times four layers; what is beyond that is not counted.
_ROWS = 128
_FILE_BYTES = _ROWS * _ROW_BYTES
# In a file's name, so that another version's files are left alone.
FORMAT = f"1-{_ROW_BYTES}"


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """One use in one layer, over all processes; since the data folder was made, but for `entries`,
    `bytes` and `open_breakers`, which say how it is now. Memory's are what processes hold
    together; of the other layers, ask the layer."""

    use: str
    layer: str
    hits: int
    misses: int
    sets: int
    evictions: int
    errors: int
    refused: int
    computes: int
    stampedes_avoided: int
    early_refreshes: int
    reads: int
    mean_us: float
    p99_us: float
    entries: int
    bytes: int
    open_breakers: int


class Row:
    """The numbers of one use in one layer in this process. Thread-safe."""

    __slots__ = ("_lock", "_numbers")

    def __init__(self, numbers: memoryview, lock: threading.Lock) -> None:
        self._numbers = numbers
        self._lock = lock

    def add(self, counter: int, by: int = 1) -> None:
        """Count."""
        with self._lock:
            self._numbers[counter] += by

    def put(self, gauge: int, value: int) -> None:
        """Set a gauge."""
        self._numbers[gauge] = value

    def looked(self, seconds: float, outcome: int) -> None:
        """One read took so long; `outcome` is HITS or MISSES."""
        taken = int(seconds * 1e9)
        bucket = _LATENCIES + min((taken // 1000).bit_length(), BUCKETS - 1)
        numbers = self._numbers
        with self._lock:
            numbers[outcome] += 1
            numbers[LATENCY_NS] += taken
            numbers[bucket] += 1

    def read(self, seconds: float, reads: int) -> None:
        """So many reads took so long, each."""
        taken = int(seconds * 1e9)
        with self._lock:
            self._numbers[LATENCY_NS] += taken * reads
            self._numbers[_LATENCIES + min((taken // 1000).bit_length(), BUCKETS - 1)] += reads


class _Own(NamedTuple):
    """What one process counts with: its file, or none, and where its rows lie in it."""

    rows: dict[tuple[str, str], Row]
    lock: threading.Lock
    map: memoryview
    file: int | None = None
    path: Path | None = None

    def end(self) -> None:
        """Whoever looks next adds the counts to those of processes that have ended."""
        if self.file is not None:
            os.close(self.file)


class Stats:
    """Counts in `folder`; without one, for this process alone."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        # By process: whoever forked counts in its own file, and its lock may have been held.
        self._own: dict[int, _Own] = {}

    def row(self, use: str, layer: str) -> Row:
        """The numbers of a use in a layer; of the use itself, where `layer` is empty."""
        own = self._own.get(os.getpid()) or self._begin()
        return own.rows.get((use, layer)) or _add_row(own, use, layer)

    def totals(self) -> list[Totals]:
        """Everything counted by all processes."""
        if self._folder is None:
            own = self._own.get(os.getpid())
            return _totals([] if own is None else [_parse(bytes(own.map))])
        return read(self._folder)

    def close(self) -> None:
        """End this process's counts, which stay."""
        if own := self._own.pop(os.getpid(), None):
            own.end()

    def _begin(self) -> _Own:
        pid = os.getpid()
        mine = _open(self._folder)
        # Two threads may be first at once: no lock while files are opened, as threads that wait for
        # one of gevent's can hang.
        own = self._own.setdefault(pid, mine)
        if own is not mine:
            if mine.path is not None:
                mine.path.unlink(missing_ok=True)
            mine.end()
        for other in set(self._own) - {pid}:
            if gone := self._own.pop(other, None):
                gone.end()
        return own


def _add_row(own: _Own, use: str, layer: str) -> Row:
    with own.lock:
        if (use, layer) not in own.rows:
            own.rows[use, layer] = _make_row(own, use, layer)
        return own.rows[use, layer]


def _make_row(own: _Own, use: str, layer: str) -> Row:
    place = len(own.rows)
    if place >= _ROWS:
        return Row(memoryview(bytearray(8 * _NUMBERS)).cast("q"), own.lock)
    row = own.map[place * _ROW_BYTES : (place + 1) * _ROW_BYTES]
    name = f"{use} {layer}".encode()[:_NAME_BYTES]
    row[: len(name)] = name
    return Row(row[_NAME_BYTES:].cast("q"), own.lock)


def _open(folder: Path | None) -> _Own:
    if folder is None:
        return _Own({}, threading.Lock(), memoryview(mmap.mmap(-1, _FILE_BYTES)))
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
    file: int | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # So that those of processes that were killed do not pile up.
        read(folder)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        # Written, not only made so long: to count into a hole of a mapped file on a full disk
        # would kill the process.
        os.write(file, bytes(_FILE_BYTES))
        mapped = mmap.mmap(file, _FILE_BYTES)
        # Under this name others look at it: by now it is locked.
        named = path.rename(path.with_suffix(f".{FORMAT}"))
    except (OSError, ValueError):
        # A full disk: this process counts for itself. `mmap` says ValueError of a short file.
        if file is not None:
            os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
        return _open(None)
    return _Own({}, threading.Lock(), memoryview(mapped), file, named)


def read(folder: Path) -> list[Totals]:
    """Everything counted by the processes that count in `folder`. Adds up those that ended."""
    if not folder.is_dir():
        return []
    live: list[_Numbers] = []
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / f"ended.{FORMAT}"
        ended, gone = _kept(kept), []
        for path in folder.glob(f"*-*.{FORMAT}"):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    # The kernel lets go of a dead process's lock.
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    live.append(_parse(file.read()))
                    continue
                gone.append(path)
                for name, numbers in _parse(file.read()).items():
                    _add(ended, name, numbers[:ENTRIES] + [0] * (_NUMBERS - ENTRIES))
        if gone:
            temporary = folder / "ended.new"
            temporary.write_bytes(msgspec.msgpack.encode(ended))
            temporary.replace(kept)
            for path in gone:
                path.unlink(missing_ok=True)
    return _totals([*live, ended])


_Numbers = dict[str, list[int]]


def _kept(path: Path) -> _Numbers:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=_Numbers)
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _parse(data: bytes) -> _Numbers:
    """By name, the numbers of one process."""
    found: _Numbers = {}
    for start in range(0, len(data) // _ROW_BYTES * _ROW_BYTES, _ROW_BYTES):
        row = memoryview(data)[start : start + _ROW_BYTES]
        if name := bytes(row[:_NAME_BYTES]).rstrip(b"\0").decode():
            found[name] = list(row[_NAME_BYTES:].cast("q"))
    return found


def _add(sums: _Numbers, name: str, numbers: list[int]) -> None:
    sums[name] = [a + b for a, b in zip(sums.get(name, [0] * _NUMBERS), numbers, strict=True)]


def _totals(processes: list[_Numbers]) -> list[Totals]:
    sums: _Numbers = {}
    for process in processes:
        for name, numbers in process.items():
            _add(sums, name, numbers)
    return [_total(name, sums[name]) for name in sorted(sums)]


def _total(name: str, numbers: list[int]) -> Totals:
    use, _, layer = name.partition(" ")
    latencies = numbers[_LATENCIES:ENTRIES]
    reads = sum(latencies)
    below = itertools.accumulate(latencies)
    p99 = next(bucket for bucket, count in enumerate(below) if count >= reads * 0.99)
    return Totals(
        use=use,
        layer=layer,
        hits=numbers[HITS],
        misses=numbers[MISSES],
        sets=numbers[SETS],
        evictions=numbers[EVICTIONS],
        errors=numbers[ERRORS],
        refused=numbers[REFUSED],
        computes=numbers[COMPUTES],
        stampedes_avoided=numbers[STAMPEDES],
        early_refreshes=numbers[EARLY],
        reads=reads,
        mean_us=numbers[LATENCY_NS] / 1000 / reads if reads else 0.0,
        # Not measured finer than this: the bound of the bucket.
        p99_us=float(1 << p99) if reads else 0.0,
        entries=numbers[ENTRIES],
        bytes=numbers[BYTES],
        open_breakers=numbers[OPEN],
    )
