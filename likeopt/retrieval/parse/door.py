"""What can be told of a file without parsing it: its kind, whether it is whole, and whether it is
protected or a bomb.

Pure Python that reads a few kilobytes of the file, or a text of up to a megabyte, so that a web
worker can refuse an upload at once: native parsers, which a hostile file may crash, stay in the
process of `sandbox`. The same checks run there before each parser, which need not repeat them.
"""

import re
from pathlib import Path
from typing import Any, BinaryIO

import olefile

from likeopt.retrieval.parse import kinds
from likeopt.retrieval.parse.archive import MAX_DIRECTORY, Archive
from likeopt.retrieval.parse.charset import decode
from likeopt.retrieval.parse.failures import Mislabelled, Unreadable

# A text up to this size is decoded here, in one call that holds all threads up (12 ms for 1 MiB of
# CP949); a larger one is seldom blank or mere bytes, and then its reader says so.
_MAX_TEXT_BYTES = 1 << 18
# What can be seen: the builder drops the rest.
_INK = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\xad\u200b\u2060\ufeff]")

# Where a zip keeps its main part, and what it is then.
_FOLDERS = {kinds.DOCX: "word", kinds.PPTX: "ppt", kinds.XLSX: "xl", kinds.HWPX: "Contents"}
# OpenDocument and HWPX mark protected parts here.
_MANIFEST = "META-INF/manifest.xml"
_MANIFEST_BYTES = 1 << 20
# Of a quick look: the list of about 1,200 entries. That of 19,000, though read in a native thread,
# made a web worker's loop stand still for 15 to 20 ms (the least of nine, two busy cores).
_QUICK_DIRECTORY = 1 << 17
_ZIP_END = b"PK\x05\x06"
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP_TAIL = 22 + (1 << 16)

# Hangul documents and workbooks have at most some hundred entries; each takes 20 µs and 1 KB.
_MAX_OLE_ENTRIES = 10_000
_OLE_STREAMS = {kinds.HWP: ("fileheader",), kinds.XLS: ("workbook", "book")}
_OLE_KINDS = (
    ("worddocument", "an old Word document"),
    ("powerpoint document", "an old PowerPoint presentation"),
    ("workbook", "an old Excel workbook"),
    ("book", "an old Excel workbook"),
    ("fileheader", "a Hangul document (HWP)"),
)
_HWP_SIGNATURE = b"HWP Document File"
# Password, distribution copy, rights management, certificate, rights management by certificate.
_HWP_PROTECTED = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 10
_XLS_FILEPASS = 0x2F

_PDF_TAIL = 2048
_PDF_TRAILER = 1 << 16
_PDF_START = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF\s*\Z")
_PDF_SECTION = re.compile(rb"\s*(\d{1,10}) (\d{1,10})\s*\n")
_PDF_STREAM = re.compile(rb"\s*\d+ \d+ obj\s*<<")
# Each update of a file adds sections to its table; a file may pretend to have millions.
_PDF_MAX_SECTIONS = 1000


def check(path: Path, media_type: str, *, quick: bool = False) -> bool:
    """Whether the file is known to open; if not, only its parser can tell (see `sandbox.opens`).

    A `quick` look, for web workers, leaves what takes some milliseconds to the parser.

    Raises Unreadable (empty_file, unknown_charset, damaged_file, encrypted_file, archive_bomb),
    Mislabelled, and whatever a damaged file makes its reader raise.
    """
    with path.open("rb") as file:
        head = file.read(kinds.HEAD_BYTES)
        if not head:
            raise Unreadable("empty_file")
        found = kinds.sniff(head)
        if media_type not in found:
            raise Mislabelled(kinds.name_of(found, head))
        if media_type == kinds.PDF:
            return _is_plain_pdf(file)
        if media_type in kinds.TEXTS:
            _check_text(head + file.read(_MAX_TEXT_BYTES), media_type)
    if head.startswith(kinds.OLE_MAGIC):
        _check_ole(path, media_type)
    elif head.startswith(kinds.ZIP_MAGIC):
        if quick and _lists_much(path):
            return False
        _check_zip(path, media_type)
    return True


def _check_text(data: bytes, media_type: str) -> None:
    if len(data) > _MAX_TEXT_BYTES:
        return
    # A web page may declare any character set.
    blank = not data.strip() if media_type == kinds.HTML else not _INK.search(decode(data))
    if blank:
        raise Unreadable("empty_file")


# -- zip -------------------------------------------------------------------------------------------


def _lists_much(path: Path) -> bool:
    """Whether the list of entries is long, by what the archive's end says of it."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _ZIP_TAIL))
        tail = file.read()
    at = tail.rfind(_ZIP_END)
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    # What is over the limit is refused at once, unread.
    return _ZIP64_LOCATOR in tail or _QUICK_DIRECTORY < size <= MAX_DIRECTORY


def _check_zip(path: Path, media_type: str) -> None:
    with Archive(path) as archive:
        folders = {name.partition("/")[0] for name in archive.names}
        if _FOLDERS.get(media_type, "") not in {*folders, ""}:
            others = (kind for kind, folder in _FOLDERS.items() if folder in folders)
            found = next(others, None)
            raise Mislabelled(kinds.NAMES[found] if found else "a zip archive")
        if _MANIFEST in archive.names:
            with archive.open(_MANIFEST) as stream:
                if b"encryption-data" in stream.read(_MANIFEST_BYTES):
                    raise Unreadable("encrypted_file")


# -- OLE -------------------------------------------------------------------------------------------


class _Container(olefile.OleFileIO):  # type: ignore[misc]  # olefile has no types
    """An OLE file whose directory is bounded."""

    def _load_direntry(self, sid: int) -> Any:
        if len(self.direntries) > _MAX_OLE_ENTRIES:
            raise Unreadable("archive_bomb", f"{len(self.direntries):,} entries")
        return super()._load_direntry(sid)


def _check_ole(path: Path, media_type: str) -> None:
    with _Container(path) as ole:
        streams = {"/".join(entry).lower() for entry in ole.listdir()}
        # Office wraps an encrypted file, of whatever kind, into such a container.
        if streams & {"encryptedpackage", "encryptioninfo"}:
            raise Unreadable("encrypted_file")
        main = next((one for one in _OLE_STREAMS.get(media_type, ()) if one in streams), None)
        if main is None:
            kind = (what for name, what in _OLE_KINDS if name in streams)
            raise Mislabelled(next(kind, "an old Office document"))
        head = _start_of(ole, main)
    protected = _xls_protected(head) if media_type == kinds.XLS else _hwp_protected(head)
    if protected:
        raise Unreadable("encrypted_file")


def _start_of(ole: olefile.OleFileIO, name: str) -> bytes:
    """The first 64 bytes or more of a stream: `openstream` would read all of it."""
    entry = ole.root.kids_dict[name]
    if entry.is_minifat:
        small: bytes = ole.openstream(name).read()
        return small
    ole.fp.seek((entry.isectStart + 1) * ole.sectorsize)
    first: bytes = ole.fp.read(min(entry.size, ole.sectorsize))
    return first


def _hwp_protected(header: bytes) -> bool:
    if not header.startswith(_HWP_SIGNATURE) or len(header) < 40:
        raise Unreadable("damaged_file")
    return bool(int.from_bytes(header[36:40], "little") & _HWP_PROTECTED)


def _xls_protected(head: bytes) -> bool:
    """Whether one of the first records says that what follows is encrypted (MS-XLS, 2.1.7.20.3)."""
    at = 0
    for _ in range(4):
        kind, size = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (0, 2))
        if kind == _XLS_FILEPASS:
            return True
        at += 4 + size
    return False


# -- PDF -------------------------------------------------------------------------------------------


def _is_plain_pdf(file: BinaryIO) -> bool:
    """Whether the file ends as it should and its trailer asks for no decryption.

    One that does not may still open: PDFium repairs files that were cut or written carelessly,
    and those with an owner's password only open for everybody.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _PDF_TAIL))
    start = _PDF_START.search(file.read())
    if start is None:
        return False
    trailer = _pdf_trailer(file, int(start[1]))
    # `#` could write the name in another way.
    return b"/Root" in trailer and b"/Encrypt" not in trailer and b"#" not in trailer


def _pdf_trailer(file: BinaryIO, at: int) -> bytes:
    """The dictionary that tells where things are; empty if it is not where it should be."""
    file.seek(at)
    chunk = file.read(64)
    if _PDF_STREAM.match(chunk):
        file.seek(at)
        return _until(file.read(_PDF_TRAILER), b"stream")
    if not chunk.startswith(b"xref"):
        return b""
    at += 4
    for _ in range(_PDF_MAX_SECTIONS):
        file.seek(at)
        section = _PDF_SECTION.match(file.read(64))
        if section is None:
            break
        at += section.end() + 20 * int(section[2])
    file.seek(at)
    chunk = file.read(_PDF_TRAILER)
    return _until(chunk, b"startxref") if chunk.lstrip().startswith(b"trailer") else b""


def _until(chunk: bytes, end: bytes) -> bytes:
    before, found, _ = chunk.partition(end)
    return before if found else b""
