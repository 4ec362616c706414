"""Zip files, opened so that none of them can fill the memory."""

import io
import zipfile
from pathlib import Path
from typing import IO, Self

from likeopt.retrieval.parse.failures import Unreadable

# Office files have up to a few thousand entries and pack XML 10 to 40 times, rarely 100 times.
_MAX_ENTRIES = 20_000
_MAX_TOTAL = 2 << 30
_MAX_ENTRY = 512 << 20
_MAX_RATIO = 200
# The list of entries: what 20,000 of them take with long names. `zipfile` reads it at once.
MAX_DIRECTORY = 4 << 20
_ENTRY_MAGIC = b"PK\x01\x02"
# Below this a high ratio harms nobody.
_SMALL = 32 << 20


class Archive:
    """A checked zip file. Archives inside it are never opened."""

    def __init__(self, path: Path) -> None:
        """Raises Unreadable: damaged_file, encrypted_file, archive_bomb."""
        file = _Bounded(path)
        try:
            self._zip = zipfile.ZipFile(file)
            self._check(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        file.limit = None
        self.names = frozenset(self._zip.namelist())

    def _check(self, file: "_Bounded") -> None:
        entries = self._zip.infolist()
        total = sum(entry.file_size for entry in entries)
        packed = sum(entry.compress_size for entry in entries)
        # Entries that share their data are how a small zip claims petabytes.
        if packed > file.seek(0, io.SEEK_END):
            raise Unreadable("archive_bomb", "its entries overlap")
        if total > _MAX_TOTAL or (total > _SMALL and total > _MAX_RATIO * max(packed, 1)):
            raise Unreadable("archive_bomb", f"{total >> 20:,} MiB from {packed >> 10:,} KiB")
        if any(entry.file_size > _MAX_ENTRY for entry in entries):
            raise Unreadable("archive_bomb", "one entry is over 512 MiB")
        if any(entry.flag_bits & 1 for entry in entries):
            raise Unreadable("encrypted_file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def open(self, name: str) -> IO[bytes]:
        """The entry as a stream, which ends at its declared size. KeyError if there is none."""
        return self._zip.open(name)

    def read(self, name: str) -> bytes:
        """The entry's bytes; never more than it declares. KeyError if there is none."""
        return self._zip.read(name)

    def verify(self) -> None:
        """Unpack everything once, for readers that open the file again by themselves: an entry
        that holds more than it declares fails its checksum here (`zipfile.BadZipFile`)."""
        for name in self.names:
            with self._zip.open(name) as stream:
                while stream.read(1 << 20):
                    pass


class _Bounded(io.BufferedReader):
    """A file of which no more than `limit` bytes are read at once, nor too many entries."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.limit: int | None = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        """As every file; raises Unreadable (archive_bomb) while there is a limit."""
        if self.limit is None:
            return super().read(size)
        if size is not None and size > self.limit:
            raise Unreadable("archive_bomb", f"a list of entries of {size >> 20:,} MiB")
        data = super().read(size)
        # `zipfile` would make objects of them first: 0.7 s and a pause of 50 ms for 80,000.
        if (count := data.count(_ENTRY_MAGIC)) > _MAX_ENTRIES:
            raise Unreadable("archive_bomb", f"{count:,} entries")
        return data
