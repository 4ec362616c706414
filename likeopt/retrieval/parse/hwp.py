"""Hangul documents (HWP 5): text, tables, boxes and notes, in order.

Written after Hancom's published description of the format (revision 1.3) on top of olefile. The
packages that read HWP are young, by one author each, unpack without limits, and give text
without offsets or structure.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import olefile

from likeopt.retrieval.parse.builder import one_line, real_title
from likeopt.retrieval.parse.failures import Unreadable
from likeopt.retrieval.parse.grid import Cell
from likeopt.retrieval.parse.hangul import Flow
from likeopt.retrieval.types import Parsed

_COMPRESSED = 1
_SECTION = re.compile(r"(?i)section(\d+)$")
# One section unpacked; real ones stay below 20 MiB.
_MAX_SECTION = 64 << 20

_CHAR_SHAPE, _PARA_SHAPE = 21, 25
_PARA_HEADER, _PARA_TEXT, _PARA_CHAR_SHAPE, _CTRL_HEADER = 66, 67, 68, 71
_LIST_HEADER, _TABLE = 72, 77
# Characters below 32 in a paragraph: these stand for one character, the others take eight.
_SHORT = {0: "", 10: "\n", 13: "", 24: "-", 30: " ", 31: " "} | dict.fromkeys(range(25, 30), "")
_TAB = 9
_CONTROL = re.compile("[\x00-\x1f]")


class _Record(NamedTuple):
    tag: int
    data: bytes
    children: list["_Record"]


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    with olefile.OleFileIO(path) as ole:
        flags = ole.openstream("FileHeader").read()[36]
        packed = bool(flags & _COMPRESSED)
        reader = _Reader(stream(ole, "DocInfo", packed=packed))
        found = ((_SECTION.match(entry[-1]), entry) for entry in ole.listdir())
        for _, entry in sorted(
            (int(match[1]), entry)
            for match, entry in found
            if match and entry[0].lower() == "bodytext"
        ):
            reader.section(stream(ole, "/".join(entry), packed=packed))
        return reader.flow.build().finish(_title(ole))


def stream(ole: olefile.OleFileIO, name: str, *, packed: bool) -> bytes:
    """A stream of the file, unpacked if it is `packed`. Raises Unreadable (archive_bomb)."""
    data: bytes = ole.openstream(name).read()
    if not packed:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = inflater.decompress(data, _MAX_SECTION)
    if inflater.unconsumed_tail:
        raise Unreadable("archive_bomb", f"{name} is over {_MAX_SECTION >> 20} MiB")
    return unpacked


def _title(ole: olefile.OleFileIO) -> str | None:
    """Property 2 of the summary (MS-OLEPS; olefile takes the length of Hangul's texts wrongly)."""
    name = "\x05HwpSummaryInformation"
    if not ole.exists(name):
        return None
    data: bytes = ole.openstream(name).read()
    (start,) = struct.unpack_from("<I", data, 44)
    (count,) = struct.unpack_from("<I", data, start + 4)
    for at in range(start + 8, start + 8 + 8 * min(count, 100), 8):
        key, offset = struct.unpack_from("<II", data, at)
        if key == 2:
            kind, length = struct.unpack_from("<II", data, start + offset)
            text = data[start + offset + 8 :][: 2 * length].decode("utf-16-le", "replace")
            return real_title(text.partition("\0")[0]) if kind == 31 else None
    return None


def _records(data: bytes) -> list[_Record]:
    """The stream as a tree: each record's header holds 10 bits of tag, 10 of depth, 12 of size."""
    roots: list[_Record] = []
    path: list[_Record] = []
    at = 0
    while at + 4 <= len(data):
        header = int.from_bytes(data[at : at + 4], "little")
        tag, depth, size = header & 0x3FF, header >> 10 & 0x3FF, header >> 20
        at += 4
        if size == 0xFFF:
            size = int.from_bytes(data[at : at + 4], "little")
            at += 4
        record = _Record(tag, data[at : at + size], [])
        at += size
        del path[depth:]
        (path[-1].children if path else roots).append(record)
        path.append(record)
    return roots


def _shapes(info: bytes) -> tuple[list[int], list[float]]:
    """Heading depth (0 is body text) of each paragraph shape, font size of each character shape."""
    levels: list[int] = []
    sizes: list[float] = []
    stack = _records(info)[::-1]
    while stack:
        record = stack.pop()
        if record.tag == _PARA_SHAPE:
            properties = int.from_bytes(record.data[:4], "little")
            is_outline = properties >> 23 & 3 == 1
            levels.append((properties >> 25 & 7) + 1 if is_outline else 0)
        elif record.tag == _CHAR_SHAPE:
            # After 7 fonts (2 bytes each), and 7 widths, spacings, heights and offsets (1 each).
            sizes.append(float(int.from_bytes(record.data[42:46], "little")))
        stack.extend(reversed(record.children))
    return levels, sizes


def _paragraphs(records: list[_Record]) -> Iterator[_Record]:
    """The nearest paragraphs in a subtree, not those in other paragraphs."""
    for record in records:
        if record.tag == _PARA_HEADER:
            yield record
        else:
            yield from _paragraphs(record.children)


class _Reader:
    def __init__(self, info: bytes) -> None:
        self.flow = Flow()
        self._outline, self._sizes = _shapes(info)

    def section(self, data: bytes) -> None:
        """One stream of BodyText."""
        for paragraph in _paragraphs(_records(data)):
            self._paragraph(paragraph)

    def _paragraph(self, paragraph: _Record) -> None:
        """A paragraph, then the tables, boxes and notes anchored in it."""
        shape = int.from_bytes(paragraph.data[8:10], "little")
        level = self._outline[shape] if shape < len(self._outline) else 0
        self.flow.paragraph(_text(paragraph), level, self._size(paragraph))
        for control in _controls(paragraph):
            if control.data[:4] == b" lbt":
                self._table(control)
                continue
            for inner in _paragraphs(control.children):
                self._paragraph(inner)

    def _size(self, paragraph: _Record) -> float:
        """The font size that the paragraph begins with."""
        for record in paragraph.children:
            if record.tag == _PARA_CHAR_SHAPE:
                shape = int.from_bytes(record.data[4:8], "little")
                return self._sizes[shape] if shape < len(self._sizes) else 0
        return 0

    def _table(self, control: _Record) -> None:
        caption, cells = _cells(control)
        for paragraph in caption:
            self._paragraph(paragraph)
        if len(cells) == 1:  # a frame around text
            for paragraph in cells[0][1]:
                self._paragraph(paragraph)
            return
        self.flow.table(
            [Cell(*place, one_line("\n".join(_all_text(inner)))) for place, inner in cells]
        )


_Place = tuple[int, int, int, int]


def _cells(control: _Record) -> tuple[list[_Record], list[tuple[_Place, list[_Record]]]]:
    """The caption's paragraphs, and (row, column, rows, columns) with paragraphs of each cell."""
    caption: list[_Record] = []
    cells: list[tuple[_Place, list[_Record]]] = []
    in_table = False
    for record in control.children:
        if record.tag == _TABLE:
            in_table = True
        elif record.tag == _LIST_HEADER and in_table:
            column, row, columns, rows = struct.unpack("<4H", record.data[8:16])
            cells.append(((row, column, max(rows, 1), max(columns, 1)), []))
        elif record.tag == _PARA_HEADER:
            (cells[-1][1] if cells else caption).append(record)
    return caption, cells


def _all_text(paragraphs: list[_Record]) -> Iterator[str]:
    """Text of paragraphs, that of tables inside included."""
    for paragraph in paragraphs:
        yield _text(paragraph)
        for control in _controls(paragraph):
            yield from _all_text(list(_paragraphs(control.children)))


def _controls(paragraph: _Record) -> Iterator[_Record]:
    """What is anchored in the paragraph, but for page headers, page footers and hidden notes."""
    for record in paragraph.children:
        if record.tag == _CTRL_HEADER and record.data[:4] not in (b"daeh", b"toof", b"tmct"):
            yield record


def _text(paragraph: _Record) -> str:
    """The paragraph's own characters."""
    return "".join(_decode(one.data) for one in paragraph.children if one.tag == _PARA_TEXT)


def _decode(data: bytes) -> str:
    """UTF-16 text in which a control takes one or eight units. The search is over units, as what
    follows a control's code is data that can look like half a character."""
    count = len(data) // 2
    units = "".join(map(chr, struct.unpack(f"<{count}H", data[: 2 * count])))
    parts = []
    at = 0
    while found := _CONTROL.search(units, at):
        parts.append(units[at : found.start()])
        code = ord(found[0])
        parts.append("\t" if code == _TAB else _SHORT.get(code, ""))
        at = found.start() + (1 if code in _SHORT else 8)
    parts.append(units[at:])
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
