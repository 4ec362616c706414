"""What kind of file it is: by its suffix, and by whether its first bytes agree."""

import zlib
from collections.abc import Iterator
from pathlib import PurePath

from likeopt.errors import UnsupportedType
from likeopt.retrieval.parse.failures import unreadable

# First bytes that `detect` wants to see; more do no harm.
HEAD_BYTES = 8192

_OOXML = "application/vnd.openxmlformats-officedocument."
DOCX = _OOXML + "wordprocessingml.document"
PPTX = _OOXML + "presentationml.presentation"
XLSX = _OOXML + "spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
HWP = "application/x-hwp"
HWPX = "application/hwp+zip"
PDF = "application/pdf"
HTML = "text/html"
MARKDOWN = "text/markdown"
TEXT = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSONL = "application/x-ndjson"

# What people look for first, first; of each type, the suffix that it is called by.
MEDIA_TYPES = {
    ".pdf": PDF,
    ".docx": DOCX,
    ".pptx": PPTX,
    ".xlsx": XLSX,
    ".hwp": HWP,
    ".hwpx": HWPX,
    ".html": HTML,
    ".md": MARKDOWN,
    ".txt": TEXT,
    ".csv": CSV,
    ".json": JSON,
    ".jsonl": JSONL,
    ".ods": ODS,
    ".tsv": TSV,
    ".xls": XLS,
    ".docm": DOCX,
    ".htm": HTML,
    ".log": TEXT,
    ".markdown": MARKDOWN,
    ".ndjson": JSONL,
    ".pptm": PPTX,
    ".text": TEXT,
    ".xhtml": HTML,
    ".xlsm": XLSX,
}

TEXTS = frozenset({HTML, MARKDOWN, TEXT, CSV, TSV, JSON, JSONL})

NAMES = {
    PDF: "a PDF document",
    DOCX: "a Word document",
    PPTX: "a PowerPoint presentation",
    XLSX: "an Excel workbook",
    XLS: "an old Excel workbook",
    ODS: "an OpenDocument spreadsheet",
    HWP: "a Hangul document (HWP)",
    HWPX: "a Hangul document (HWPX)",
}

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_MAGIC = b"PK\x03\x04"
# Formats that are not read, so that a mislabelled one can be called by its name.
_FOREIGN = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"RIFF", "a RIFF media file"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%!PS", "a PostScript file"),
    (b"{\\rtf", "an RTF document"),
    (b"HWP Document File V", "a Hangul 3 document"),
)
# Names that end like these are not read, but something close to them is.
_INSTEAD = {
    ".doc": ".docx",
    ".ppt": ".pptx",
    ".rtf": ".docx",
    ".odt": ".docx",
    ".odp": ".pptx",
    ".pages": ".pdf",
    ".hml": ".hwpx",
    ".xlsb": ".xlsx",
    ".mht": ".html",
    ".eml": ".txt",
}


def detect(name: str, head: bytes) -> str:
    """The media type of a file called `name` that begins with `head` (`HEAD_BYTES` of it).

    Raises UnsupportedType for a suffix that is not read or a content that contradicts it, and
    UnreadableFile (empty_file) for a file without content.
    """
    suffix = PurePath(name).suffix.lower()
    media_type = MEDIA_TYPES.get(suffix)
    if media_type is None:
        raise UnsupportedType(_unsupported(name, suffix))
    if not head:
        raise unreadable("empty_file", name)
    found = sniff(head)
    if media_type in found:
        return media_type
    raise mislabelled(name, name_of(found, head))


def mislabelled(name: str, content: str) -> UnsupportedType:
    """The error for a file whose content is not what its suffix says."""
    suffix = PurePath(name).suffix.lower()
    return UnsupportedType(
        f"{name} is named {suffix} but its content is {content}. Give it the suffix of its"
        f" content, or save it as {suffix} in the program that made it, and add it again."
    )


def _unsupported(name: str, suffix: str) -> str:
    kind = f"{suffix} files" if suffix else "files without a suffix"
    instead = f" Save it as {_INSTEAD[suffix]}." if suffix in _INSTEAD else ""
    return (
        f"{name} was not added: Like-Opt does not read {kind}.{instead}"
        f" It reads {', '.join(sorted(MEDIA_TYPES))}."
    )


def name_of(found: frozenset[str] | str, head: bytes) -> str:
    """What `sniff` found, in words."""
    if isinstance(found, str):
        return found
    if len(found) == 1:
        return NAMES[next(iter(found))]
    if found is TEXTS:
        page = head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))
        return "an HTML page" if page else "plain text"
    return "an old or protected Office document" if HWP in found else "an Office document"


def sniff(head: bytes) -> frozenset[str] | str:
    """The media types that a file beginning with `head` may have, or the name of what it is."""
    if head.startswith(ZIP_MAGIC):
        return _sniff_zip(head)
    if head.startswith((b"PK\x05\x06", b"PK\x07\x08")):
        return "an empty zip archive"
    if head.startswith(OLE_MAGIC):
        # HWP 5, old Excel, and any encrypted Office file; the directory that tells may stand at
        # the end of the file, so `parse` tells them apart.
        return frozenset({HWP, XLS, DOCX, PPTX, XLSX})
    if b"%PDF-" in head[:1024]:
        return frozenset({PDF})
    for magic, what in _FOREIGN:
        if head.startswith(magic) and (len(magic) > 3 or _is_binary(head)):
            return what
    if _is_binary(head):
        return "binary data of an unknown kind"
    return TEXTS


def _sniff_zip(head: bytes) -> frozenset[str] | str:
    """Office zips tell what they are in their first entries."""
    for name, content in _entries(head):
        if name == b"mimetype":
            kind = _MIMETYPES.get(content.partition(b"\0")[0].strip())
            shown = content[:80].decode("ascii", "replace")
            return frozenset({kind}) if kind else f"an archive of type {shown}"
        if name == b"[Content_Types].xml":
            kinds = {kind for kind, _, main in _OFFICE if main in content}
            return frozenset(kinds if len(kinds) == 1 else {DOCX, PPTX, XLSX})
        for kind, folder, _ in _OFFICE:
            if name.startswith(folder):
                return frozenset({kind})
        if not name.startswith((b"_rels/", b"docProps/", b"customXml/", b"META-INF/")):
            return "a zip archive"
    return frozenset({DOCX, PPTX, XLSX, HWPX, ODS})


_MIMETYPES = {b"application/hwp+zip": HWPX, ODS.encode(): ODS}
# Folder of the parts, and what the list of content types says of the main one.
_OFFICE = (
    (DOCX, b"word/", b"wordprocessingml.document"),
    (PPTX, b"ppt/", b"presentationml.presentation"),
    (XLSX, b"xl/", b"spreadsheetml.sheet.main"),
    (HWPX, b"Contents/", b"owpml"),
    (HWPX, b"version.xml", b"owpml"),
)


def _entries(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, as much of the content as is there) of the zip entries that begin in `head`."""
    at = 0
    while head[at : at + 4] == ZIP_MAGIC and at + 30 <= len(head):
        flags, method = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (6, 8))
        size = int.from_bytes(head[at + 18 : at + 22], "little")
        name_size, extra = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (26, 28))
        start = at + 30 + name_size + extra
        packed = head[start : start + size] if size else head[start:]
        yield head[at + 30 : at + 30 + name_size], _unpacked(packed, method)
        if flags & 8 or not size:  # the size follows the content, wherever that ends
            return
        at = start + size


def _unpacked(packed: bytes, method: int) -> bytes:
    if method != zlib.DEFLATED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, HEAD_BYTES)
    except zlib.error:
        return b""


def _is_binary(head: bytes) -> bool:
    """Zeros or many control characters, which no text has, unless it is UTF-16 or UTF-32."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return False
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) / 20 and min(even, odd) == 0:
        return False  # ASCII characters in UTF-16
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return even + odd > 0 or controls > len(head) / 50


# All but tab, newlines, form feed, escape (terminal logs) and zero.
_CONTROLS = bytes(set(range(1, 32)) - {9, 10, 11, 12, 13, 27}) + b"\x7f"
