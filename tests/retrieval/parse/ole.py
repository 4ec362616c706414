"""A minimal writer of OLE compound files (MS-CFB), which olefile only reads."""

import struct
from collections.abc import Mapping

_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def container(streams: Mapping[str, bytes]) -> bytes:
    """A compound file with these streams; a name `a/b` puts stream b into storage a."""
    file = _File()
    entries = [_Entry("Root Entry", 5)]
    storages = {"": entries[0]}
    for path, data in streams.items():
        folder, _, name = path.rpartition("/")
        if folder not in storages:
            storages[folder] = _Entry(folder, 1)
            storages[""].children.append(storages[folder])
            entries.append(storages[folder])
        entry = _Entry(name, 2, data)
        storages[folder].children.append(entry)
        entries.append(entry)
    for entry in entries:
        if entry.kind == 2:
            entry.start = file.add(entry.data)
    mini_fat = file.add_big(struct.pack(f"<{len(file.mini_fat)}I", *file.mini_fat), fill=b"\xff")
    entries[0].data = bytes(file.mini)
    entries[0].start = file.add_big(entries[0].data) if file.mini else _END
    for entry in storages.values():
        _link(entry, entries)
    directory = file.add_big(b"".join(entry.packed(entries) for entry in entries))
    return file.packed(directory, mini_fat if file.mini else _END)


class _Entry:
    """An entry of the directory: 5 the root, 1 a storage, 2 a stream."""

    def __init__(self, name: str, kind: int, data: bytes = b"") -> None:
        self.name, self.kind, self.data = name, kind, data
        self.start = 0
        self.children: list[_Entry] = []
        self.right = self.child = _FREE

    def packed(self, _: list["_Entry"]) -> bytes:
        name = (self.name + "\0").encode("utf-16-le")
        size = len(self.data)
        start = self.start if self.kind != 1 else 0
        return (
            name.ljust(64, b"\0")
            + struct.pack("<HBB3I", len(name), self.kind, 1, _FREE, self.right, self.child)
            + b"\0" * 36
            + struct.pack("<IQ", start, size)
        )


def _link(storage: _Entry, entries: list[_Entry]) -> None:
    """Children form a search tree by length and name; a list to the right is one."""
    ordered = sorted(storage.children, key=lambda entry: (len(entry.name), entry.name.upper()))
    places = [entries.index(entry) for entry in ordered]
    for entry, after in zip(ordered, places[1:], strict=False):
        entry.right = after
    if places:
        storage.child = places[0]


class _File:
    def __init__(self) -> None:
        self.sectors: list[bytes] = []
        self.fat: list[int] = []
        self.mini = bytearray()
        self.mini_fat: list[int] = []

    def add(self, data: bytes) -> int:
        """Store a stream; small ones share sectors. Returns where it starts."""
        if not data:
            return _END
        if len(data) >= _CUTOFF:
            return self.add_big(data)
        start = len(self.mini_fat)
        count = -(-len(data) // _MINI)
        self.mini += data.ljust(count * _MINI, b"\0")
        self.mini_fat += [*range(start + 1, start + count), _END]
        return start

    def add_big(self, data: bytes, fill: bytes = b"\0") -> int:
        """Store data in whole sectors."""
        start = len(self.fat)
        count = max(1, -(-len(data) // _SECTOR))
        padded = data.ljust(count * _SECTOR, fill)
        self.sectors += [padded[i : i + _SECTOR] for i in range(0, len(padded), _SECTOR)]
        self.fat += [*range(start + 1, start + count), _END]
        return start

    def packed(self, directory: int, mini_fat: int) -> bytes:
        """The file: header, sectors, allocation table."""
        fat_sectors = 1
        while fat_sectors * _SECTOR // 4 < len(self.fat) + fat_sectors:
            fat_sectors += 1
        assert fat_sectors <= 109, "a bigger file would need DIFAT sectors"
        first = len(self.sectors)
        table = self.fat + [_FAT] * fat_sectors
        table += [_FREE] * (fat_sectors * _SECTOR // 4 - len(table))
        difat = [*range(first, first + fat_sectors), *[_FREE] * (109 - fat_sectors)]
        mini_count = -(-len(self.mini_fat) * 4 // _SECTOR)
        header = (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + b"\0" * 16
            + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
            + b"\0" * 6
            + struct.pack("<IIII", 0, fat_sectors, directory, 0)
            + struct.pack("<IIIII", _CUTOFF, mini_fat, mini_count, _END, 0)
            + struct.pack("<109I", *difat)
        )
        return header + b"".join(self.sectors) + struct.pack(f"<{len(table)}I", *table)
