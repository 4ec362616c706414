"""Derived indexes on disk that are replaced whole: a folder per generation, and who is in force.

    root/CURRENT          the name of the generation in force, replaced by rename
    root/DAMAGED          why a reader could not use it; its writer rebuilds and removes the note
    root/<generation>/    the index's own files; never changed by a reader

One process writes (the machine's indexing worker), one reads (its engine). A reader that still
maps an old generation keeps its pages although the files are gone (POSIX unlink).
"""

import errno
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from likeopt.errors import IndexDamaged, StorageFull, StorageUnavailable

_READ = 1 << 20
T = TypeVar("T")


class Generations:
    """The generations below `root`. Nothing is touched before the first call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._current = root / "CURRENT"
        self._damaged = root / "DAMAGED"
        # The folder in force, and the pointer's inode and time when it was read.
        self._seen: tuple[Path, tuple[int, int]] | None = None
        # The generation that a reader could not use, and why.
        self._unusable: tuple[Path, str] | None = None

    def current(self) -> Path | None:
        """The folder in force, or None if there is none. Costs a stat when it is still the same:
        every search asks."""
        try:
            stat = self._current.stat()
            state = (stat.st_ino, stat.st_mtime_ns)
            if self._seen and self._seen[1] == state:
                return self._seen[0]
            name = self._current.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise IndexDamaged(f"{self._current} cannot be read: {error}") from None
        if not name.isalnum():
            raise IndexDamaged(f"{self._current} does not name a generation")
        self._seen = self.root / name, state
        return self._seen[0]

    def follow(self, use: Callable[[Path], T]) -> T | None:
        """What a reader's `use` makes of the folder in force, or None if there is none.

        Where `use` raises IndexDamaged, so does this, after a note for the writer, and again
        without another try until the generation is replaced; unless that has happened meanwhile:
        then `use` is called with the new one.
        """
        while (folder := self.current()) is not None:
            if self._unusable and self._unusable[0] == folder:
                raise IndexDamaged(self._unusable[1])
            try:
                return use(folder)
            except IndexDamaged as error:
                if self.current() == folder:
                    self._unusable = folder, error.message
                    self.report_damage(folder, error.message)
                    raise
        return None

    @contextmanager
    def create(self, what: str) -> Iterator[Path]:
        """A new, empty folder for the next generation of `what`; it is removed at the end unless
        it was published. Leftovers of killed writers are removed first.

        Raises StorageFull and StorageUnavailable for what goes wrong on the disk.
        """
        with _writing(what):
            self.root.mkdir(parents=True, exist_ok=True)
            self._remove_others(self._in_force())
            # Never a name that was used before, by which a reader knows what it has open.
            folder = self.root / secrets.token_hex(8)
            folder.mkdir()
            try:
                yield folder
            finally:
                if self._in_force() != folder:
                    shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path) -> None:
        """Put `folder` in force: everything in it is on disk before `CURRENT` names it."""
        for directory, _, names in os.walk(folder):
            for name in names:
                _sync(Path(directory) / name)
            _sync(Path(directory))
        temporary = self.root / "CURRENT.new"
        temporary.write_text(folder.name, encoding="ascii")
        _sync(temporary)
        temporary.replace(self._current)
        self._damaged.unlink(missing_ok=True)
        _sync(self.root)
        self._remove_others(folder)

    def report_damage(self, folder: Path | None, reason: str) -> None:
        """Leave a note for the writer that generation `folder` cannot be used."""
        name = folder.name if folder else "-"
        try:
            self._damaged.write_text(f"{name} {reason}", encoding="utf-8")
        except OSError:
            return  # A full or read-only disk: the reader stays degraded and says so itself.

    def damage(self) -> str | None:
        """Why a reader could not use the generation in force, or None. Costs one stat if fine."""
        try:
            name, _, reason = self._damaged.read_text(encoding="utf-8").partition(" ")
        except OSError:
            return None
        current = self._in_force()
        if name != (current.name if current else "-"):
            return None  # A note about a generation that has been replaced since.
        return reason

    def _in_force(self) -> Path | None:
        try:
            return self.current()
        except IndexDamaged:
            return None

    def _remove_others(self, keep: Path | None) -> None:
        for entry in self.root.iterdir():
            if entry.is_dir() and entry != keep:
                shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def _writing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"The disk is full: {what} was not changed.") from None
        raise StorageUnavailable(f"Cannot write {what}: {error}") from None


def checksum(path: Path) -> int:
    """CRC-32 of a file, as zlib computes it: 1 GB/s, enough to notice a damaged disk block."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_READ):
            value = zlib.crc32(block, value)
    return value


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
