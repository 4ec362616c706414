"""The pictures that lie in a document, counted in the order in which it holds them.

Nothing is fetched: of a web page only those that are written into it (`data:`).
"""

import base64
import binascii
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import olefile
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from likeopt.retrieval.parse import html, hwp, kinds
from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.failures import MAX_PIXELS, Unreadable
from likeopt.retrieval.parse.pdf import opened_as_is

# A picture that takes more bytes than this would be over the limit of pixels, or is no picture.
_MAX_BYTES = 64 << 20
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_FOLDERS = {
    kinds.DOCX: "word/media/",
    kinds.PPTX: "ppt/media/",
    kinds.XLSX: "xl/media/",
    kinds.ODS: "Pictures/",
    kinds.HWPX: "BinData/",
}
_DATA = re.compile(r"(?is)\s*data:image/(?:png|jpe?g|gif|webp|bmp|tiff)((?:;[^,;]*)*),(.*)")
# How files that are not packed by HWP begin: PNG, JPEG, GIF, WebP, BMP and TIFF.
_PLAIN = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


class Found(NamedTuple):
    """A picture as its file, or from a PDF as what it shows; None if only `total` was asked for."""

    content: bytes | Image.Image | None
    total: int


def find(path: Path, media_type: str, number: int) -> Found:
    """The `number`th picture, from 1; 0 to count them all. `total` is how many there are,
    of a PDF those up to that one.

    Raises Unreadable: no_picture, too_large_picture.
    """
    if media_type == kinds.PDF:
        found = _in_pdf(path, number)
    elif media_type == kinds.HTML:
        found = _in_html(path, number)
    elif media_type == kinds.HWP:
        found = _in_hwp(path, number)
    elif media_type in _FOLDERS:
        found = _in_archive(path, _FOLDERS[media_type], number)
    else:
        found = Found(None, 0)
    if number and found.content is None:
        raise Unreadable("no_picture")
    if isinstance(found.content, bytes) and len(found.content) > _MAX_BYTES:
        raise Unreadable("too_large_picture")
    return found


def _in_archive(path: Path, folder: str, number: int) -> Found:
    with Archive(path) as archive:
        names = _pictures(name for name in archive.names if name.startswith(folder))
        if not 1 <= number <= len(names):
            return Found(None, len(names))
        with archive.open(names[number - 1]) as stream:
            return Found(stream.read(_MAX_BYTES + 1), len(names))


def _in_hwp(path: Path, number: int) -> Found:
    with olefile.OleFileIO(path) as ole:
        names = _pictures(
            "/".join(entry) for entry in ole.listdir() if entry[0].lower() == "bindata"
        )
        if not 1 <= number <= len(names):
            return Found(None, len(names))
        # Whether it is packed, a record says that need not be there: the picture itself tells.
        name = names[number - 1]
        data = hwp.stream(ole, name, packed=False)
        if not data.startswith(_PLAIN):
            try:
                data = hwp.stream(ole, name, packed=True)
            except zlib.error:
                raise Unreadable("damaged_file") from None
        return Found(data, len(names))


def _in_html(path: Path, number: int) -> Found:
    tree = LexborHTMLParser(html.decoded(path.read_bytes()))
    written = (_DATA.match(node.attributes.get("src") or "") for node in tree.css("img[src]"))
    found = [one for one in written if one]
    if not 1 <= number <= len(found):
        return Found(None, len(found))
    parameters, text = found[number - 1].groups()
    data = unquote_to_bytes(text)
    if "base64" in parameters.lower():
        try:
            data = base64.b64decode(data)
        except binascii.Error:
            raise Unreadable("damaged_file") from None
    return Found(data, len(found))


def _in_pdf(path: Path, number: int) -> Found:
    """One page after another, up to the picture: there is no list of them."""
    document = opened_as_is(path)
    try:
        count = 0
        for at in range(len(document)):
            page = document[at]
            for image in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE]):
                count += 1
                if count == number:
                    assert isinstance(image, pdfium.PdfImage), "what the filter lets through"
                    return Found(_shown(image), count)
            page.close()
        return Found(None, count)
    finally:
        document.close()


def _shown(image: pdfium.PdfImage) -> Image.Image:
    width, height = image.get_px_size()
    if width * height > MAX_PIXELS or _pixels_drawn(image) > MAX_PIXELS:
        raise Unreadable("too_large_picture")
    # As the page shows it: with its mask, turned, and in colours that PDFium has converted.
    bitmap: Image.Image = image.get_bitmap(render=True).to_pil()
    return bitmap.copy()


def _pixels_drawn(image: pdfium.PdfImage) -> float:
    """How many pixels `get_bitmap` makes at most. It draws both sides at the scale of the one that
    is squeezed most: 8000 x 20 in a square became 8000 x 8000."""
    pixels = sorted(image.get_px_size())
    left, bottom, right, top = image.get_bounds()
    shown = sorted((abs(right - left), abs(top - bottom)))
    if not 0 < shown[0] <= shown[1] < math.inf:
        raise Unreadable("damaged_file")
    scale: float = max(of / on for of, on in zip(pixels, shown, strict=True))
    drawn: float = scale * scale * shown[0] * shown[1]
    return drawn


def _pictures(names: Iterator[str]) -> list[str]:
    return sorted((n for n in names if n.lower().endswith(_SUFFIXES)), key=_as_counted)


def _as_counted(name: str) -> list[tuple[int, str]]:
    """For sorting: image10 comes after image9."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]
