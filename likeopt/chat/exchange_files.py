"""Generations shared by the processes of one machine, in files; no server, no process.

In `data/run/generations`:
- `<key>.lead` holds the id of the generation that runs; its leader has it locked, and the kernel
  unlocks it when that process dies.
- `<id>.log` is what was told: for each record its length in four bytes, then itself.
- `<id>.readers` is locked, shared, by each process that reads. It holds `+` for each that came and
  `-` for each that left by itself: those missing have died.

A reader looks at the log every 20 ms, which costs 15 µs, once for all readers of its process.
"""

import fcntl
import logging
import os
import re
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from likeopt.chat import exchange
from likeopt.chat.events import End, Record
from likeopt.llm.stream import Run, run_here

# How often a log is looked at.
POLL_SECONDS = 0.02
# Between two looks for what nobody needs any more, and how long that was not written to.
_SWEEP_SECONDS = 30.0
_OLD_SECONDS = 300.0
# Between two warnings of a process.
_WARN_SECONDS = 30.0
_BLOCK = 1 << 20

_length = struct.Struct("<I")
# What names a file here. Keys and ids come from the database too.
_name = re.compile(r"[0-9a-f]{32}(?:-[0-9a-f]{12})?").fullmatch

log = logging.getLogger(__name__)


class FileExchange:
    """See `Exchange`. `folder` is made when first used; it holds nothing else. `run` is where work
    that blocks belongs."""

    def __init__(self, folder: Path, run: Run = run_here) -> None:
        self._folder = folder
        self._run = run
        self._swept = self._warned = float("-inf")

    def join(self, key: str) -> "FileSeat | None":
        """See `Exchange`."""
        try:
            lead = _open(self._folder / f"{key}.lead", os.O_RDWR)
        except OSError:
            return None
        id_ = _id_in(lead)
        if not id_ or not _locked(lead):
            # Its leader has only just begun, or died: `enter` sorts that out.
            os.close(lead)
            return None
        return self._sit(id_, lead, running=True)

    def enter(self, key: str) -> "FileLead | exchange.Alone | None":
        """See `Exchange`. An answer that cannot be shared is better than none."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            path = self._folder / f"{key}.lead"
            lead = _open(path, os.O_RDWR | os.O_CREAT)
            try:
                if _lock(lead, fcntl.LOCK_EX) and _is_at(lead, path):
                    return self._lead(key, lead)
            except OSError:
                # Its lock would keep everybody from ever leading this key.
                os.close(lead)
                raise
        except OSError as error:
            self._warn(error)
            return exchange.Alone(key)
        os.close(lead)
        return None

    def seat(self, id_: str) -> "FileSeat | None":
        """See `Exchange`."""
        if not _name(id_):
            return None
        try:
            lead = _open(self._folder / f"{exchange.key_of(id_)}.lead", os.O_RDWR)
        except FileNotFoundError:
            # It has ended.
            lead = -1
        except OSError as error:
            self._warn(error)
            return None
        return self._sit(id_, lead, running=False)

    def _lead(self, key: str, lead: int) -> "FileLead":
        """The lock of `lead` is ours: go on with what a dead leader has begun, or begin."""
        id_ = _id_in(lead)
        if id_:
            with closing(_Log(self._folder / f"{id_}.log")) as told:
                records = told.rest()
            if records and not isinstance(records[-1], End):
                return FileLead(self._folder, id_, lead, records, told.read_to)
        id_ = exchange.generation_id(key)
        for suffix in ("log", "readers"):
            os.close(_open(self._folder / f"{id_}.{suffix}", os.O_RDWR | os.O_CREAT))
        os.ftruncate(lead, 0)
        os.pwrite(lead, f"{id_}\n".encode(), 0)
        return FileLead(self._folder, id_, lead, [], 0)

    def _sit(self, id_: str, lead: int, *, running: bool) -> "FileSeat | None":
        """A seat; None if that generation is gone, or `running` and it has been closed, or if there
        is no room: an answer that cannot be shared is better than none."""
        readers = -1
        try:
            readers = _open(self._folder / f"{id_}.readers", os.O_RDWR | os.O_APPEND)
            if self._is_open(id_, lead, readers, running=running):
                os.write(readers, b"+")
                return FileSeat(self._folder, id_, lead, readers, self._warn)
        except FileNotFoundError:
            # Gone, or its leader has not written yet which one it is.
            pass
        except OSError as error:
            self._warn(error)
        _close(readers)
        _close(lead)
        return None

    def _is_open(self, id_: str, lead: int, readers: int, *, running: bool) -> bool:
        # Its leader takes this lock alone to see whether anybody reads, and keeps it at the end.
        # While we have it the generation stays open, if it still is.
        return _lock(readers, fcntl.LOCK_SH) and (
            not running
            or (_id_in(lead) == id_ and _is_at(lead, self._folder / f"{exchange.key_of(id_)}.lead"))
        )

    def _warn(self, error: OSError) -> None:
        """Say, from time to time, that answers cannot be shared: each try of each would say so."""
        now = time.monotonic()
        if now - self._warned >= _WARN_SECONDS:
            self._warned = now
            log.warning("answers cannot be shared: %s", error.strerror)

    def _sweep(self) -> None:
        """Begin to remove what nobody needs any more, from time to time."""
        now = time.monotonic()
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            # 10,000 files that a crash has left take 660 ms.
            threading.Thread(target=lambda: self._run(self._remove_old), daemon=True).start()

    def _remove_old(self) -> None:
        old = time.time() - _OLD_SECONDS
        with suppress(OSError):
            for path in self._folder.iterdir():
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < old and not self._runs(path.stem):
                        path.unlink()

    def _runs(self, stem: str) -> bool:
        key = exchange.key_of(stem) or stem
        try:
            lead = _open(self._folder / f"{key}.lead", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return _locked(lead)
        finally:
            os.close(lead)


class FileLead:
    """See `Lead`. Owns the descriptor `lead`, which is locked, once it is made."""

    def __init__(self, folder: Path, id_: str, lead: int, told: list[Record], written: int) -> None:
        self.id = id_
        self.told = told
        self._folder = folder
        self._lead = lead
        self._log = _open(folder / f"{id_}.log", os.O_RDWR | os.O_APPEND)
        try:
            # What a leader that died has left of a record.
            os.ftruncate(self._log, written)
            self._readers = _open(folder / f"{id_}.readers", os.O_RDWR)
        except OSError:
            os.close(self._log)
            raise
        self._lock = threading.Lock()
        self._ended = False

    def append(self, record: Record) -> None:
        """See `Lead`."""
        data = exchange.encode(record)
        with self._lock:
            if self._log < 0:
                return
            self._ended = isinstance(record, End)
            try:
                written = os.write(self._log, _length.pack(len(data)) + data)
            except OSError as error:
                written = 0
                log.warning("an answer cannot be shared: %s", os.strerror(error.errno or 0))
        if written != _length.size + len(data):
            # The disk is full. The others write it themselves.
            self._ended = False
            self.close()

    def renew(self) -> None:
        """See `Lead`: the lock is proof."""

    def close_if_deserted(self, *, patient: bool) -> bool:
        """See `Lead`."""
        with self._lock:
            if self._log < 0:
                return True
            if not _lock(self._readers, fcntl.LOCK_EX):
                return False
            came_and_went = os.pread(self._readers, _BLOCK, 0)
            if patient and came_and_went.count(b"+") != came_and_went.count(b"-"):
                fcntl.flock(self._readers, fcntl.LOCK_UN)
                return False
            # From here on whoever asks finds no generation, and begins another.
            (self._folder / f"{exchange.key_of(self.id)}.lead").unlink(missing_ok=True)
            return True

    def close(self) -> None:
        """See `Lead`."""
        with self._lock:
            if self._log < 0:
                return
            path = self._folder / f"{exchange.key_of(self.id)}.lead"
            if self._ended and _is_at(self._lead, path):
                path.unlink(missing_ok=True)
            for descriptor in (self._log, self._readers, self._lead):
                os.close(descriptor)
            self._log = -1


class FileSeat:
    """See `Seat`. Owns the descriptors `lead` (-1 without one) and `readers`, which is locked."""

    def __init__(
        self, folder: Path, id_: str, lead: int, readers: int, warn: Callable[[OSError], None]
    ) -> None:
        self.id = id_
        self._folder = folder
        self._lead = lead
        self._readers = readers
        self._warn = warn
        self._log = _Log(folder / f"{id_}.log")
        self._left = threading.Event()

    def read(self, seconds: float) -> list[Record]:
        """See `Seat`."""
        records = self._log.read()
        if not records and seconds:
            self._left.wait(max(seconds, POLL_SECONDS))
            records = self._log.read()
        return records

    def take_over(self) -> FileLead | None:
        """See `Seat`."""
        path = self._folder / f"{exchange.key_of(self.id)}.lead"
        if self._lead < 0 or not _lock(self._lead, fcntl.LOCK_EX):
            return None
        named = _id_in(self._lead)
        if named != self.id or not _is_at(self._lead, path):
            # Another generation of the same key, or this one was closed.
            os.close(self._lead)
            self._lead = -1
            return None
        try:
            with closing(_Log(self._folder / f"{self.id}.log")) as told:
                records = told.rest()
            taken = FileLead(self._folder, self.id, self._lead, records, told.read_to)
        except OSError as error:
            # Too many files are open, or these are gone. Left locked, everybody who asks the same
            # would follow a leader that does not exist.
            fcntl.flock(self._lead, fcntl.LOCK_UN)
            self._warn(error)
            return None
        self._lead = -1
        self.close()
        return taken

    def is_led(self) -> bool:
        """See `Seat`."""
        return self._lead >= 0 and _locked(self._lead)

    def close(self) -> None:
        """See `Seat`."""
        if self._left.is_set():
            return
        self._left.set()
        with suppress(OSError):
            os.write(self._readers, b"-")
        _close(self._readers)
        _close(self._lead)
        self._log.close()


class _Log:
    """A log being read."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = _open(path, os.O_RDONLY)
        except FileNotFoundError:
            self._file = -1
        # Bytes of whole records so far.
        self.read_to = 0

    def read(self) -> list[Record]:
        """The whole records that follow, at most some 1 MB of them."""
        if self._file < 0:
            return []
        data = os.pread(self._file, _BLOCK, self.read_to)
        records, at = [], 0
        while at + _length.size <= len(data):
            (length,) = _length.unpack_from(data, at)
            end = at + _length.size + length
            if end > len(data) and len(data) == _BLOCK and at == 0:
                data += os.pread(self._file, length, self.read_to + len(data))
            if end > len(data):
                break
            try:
                records.append(exchange.decode(data[at + _length.size : end]))
            except msgspec.MsgspecError:
                # Of another version, during an update of the program: as if it were not there.
                log.warning("an answer of another version cannot be read")
                break
            at = end
        self.read_to += at
        return records

    def rest(self) -> list[Record]:
        """All records to the end."""
        records: list[Record] = []
        while more := self.read():
            records += more
        return records

    def close(self) -> None:
        """Close the file."""
        _close(self._file)
        self._file = -1


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _id_in(lead: int) -> str:
    return os.pread(lead, 128, 0).decode().strip()


def _locked(descriptor: int) -> bool:
    """Whether somebody has it locked."""
    if not _lock(descriptor, fcntl.LOCK_SH):
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a file still has its name."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
