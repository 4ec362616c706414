"""News of committed changes for every process of this machine, at once.

A file in memory that all of them map: 8 bytes for each group of counters that share a slot. Who
commits a change writes new random bytes there before the change is acknowledged; who remembers
something notes the bytes that stood there before it was read, and forgets it when others stand
there. That costs a microsecond, and no process waits for another.

The database stays the source of truth: `Watch` reads it 20 times a second, also for what other
machines change, or for a process that died between its commit and this. A process that cannot have
the board remembers nothing, and its changes are acknowledged when what others saw before is too
old to count.
"""

import fcntl
import logging
import mmap
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

# What was seen in the database counts for this long, where the board says nothing else.
FRESH_SECONDS = 0.1
SLOTS = 8192
# The first ones are for the counters of all, whose names have no colon. No person's shares theirs:
# one who signs out would have everybody looked up.
_OF_ALL = 64
_SIZE = 8

_log = logging.getLogger(__name__)


def board_file(data_dir: Path) -> Path:
    """Where the board of a data folder is."""
    return data_dir / "run" / "board"


class Board:
    """The board of one data folder. Opened when first used; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory: mmap.mmap | None = None
        self._missed = False

    def mark(self, names: Iterable[str]) -> float:
        """Counters of these names were raised, and the change is committed. Returns in how many
        seconds all processes know: 0 unless the board cannot be had."""
        memory = self._map()
        if memory is None:
            # What others have seen before the commit counts no longer than that.
            return FRESH_SECONDS
        for name in names:
            start = _start(name)
            # Not a sum: of two processes that add at the same time, one could be lost.
            memory[start : start + _SIZE] = os.urandom(_SIZE)
        return 0.0

    def read(self, name: str) -> bytes:
        """What stands there for a counter; other bytes after each change of it, and now and then
        after one of another. Always other bytes while the board cannot be had."""
        memory = self._map()
        if memory is None:
            return os.urandom(_SIZE)
        start = _start(name)
        return memory[start : start + _SIZE]

    def _map(self) -> mmap.mmap | None:
        if self._memory is None:
            # Two threads may both do so: they map the same file.
            try:
                self._memory = self._open()
                self._missed = False
            except (OSError, ValueError) as error:
                # A full disk, too many open files, a folder of somebody else; `mmap` says
                # ValueError of a file that is too short. The next one tries again.
                if not self._missed:
                    _log.warning("nothing is remembered: no %s: %s", self._path, error)
                self._missed = True
        return self._memory

    def _open(self) -> mmap.mmap:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            # Nobody fills it up after another has marked something.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _fill(descriptor)
            # `mmap` keeps a copy of the descriptor, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            return mmap.mmap(descriptor, SLOTS * _SIZE)
        finally:
            os.close(descriptor)


def _fill(descriptor: int) -> None:
    """Take the room: to write into a hole of a mapped file on a full disk kills the process."""
    held = os.fstat(descriptor).st_size
    if held < SLOTS * _SIZE:
        os.pwrite(descriptor, bytes(SLOTS * _SIZE - held), held)


def _start(name: str) -> int:
    place = zlib.crc32(name.encode())
    slot = _OF_ALL + place % (SLOTS - _OF_ALL) if ":" in name else place % _OF_ALL
    return slot * _SIZE
