"""What PDFium takes for fonts that a PDF names but does not hold: the same on every machine.

PDFium looks for such a font among those of the system. Where none knows Korean, its characters get
boxes without height, so turned and vertical text has no width, and PDFium drops text of no width
(`CPDF_TextPage::ProcessTextObject` in core/fpdftext/cpdf_textpage.cpp). So it is given one font for
Chinese, Japanese and Korean whose letters are all the same box, and for other scripts has those
that it carries itself. How far a letter reaches to the right, the PDF says in any case.
"""

import ctypes
import struct
from collections.abc import Collection
from functools import cache

import pypdfium2.raw as pdfium_c

EAST_ASIAN = (
    pdfium_c.FXFONT_SHIFTJIS_CHARSET,
    pdfium_c.FXFONT_HANGEUL_CHARSET,
    pdfium_c.FXFONT_GB2312_CHARSET,
    pdfium_c.FXFONT_CHINESEBIG5_CHARSET,
)
_UNITS = 1000
_Box = tuple[int, int, int, int]
# Left, bottom, right and top of every letter, in thousandths of the font size: as high as those of
# Korean fonts, and narrower than any letter, because PDFium widens its place to hold the box.
_BOX = (0, -120, 200, 840)
# Characters that show something: not the space, the no-break space and the ideographic space.
_SHOWN = ((0x21, 0x9F), (0xA1, 0x2FFF), (0x3001, 0x10FFFF))


@cache  # what PDFium uses until the process ends
def use_own_fonts() -> ctypes.Structure:
    """Keep PDFium, in this process, from the fonts of the system. To be called before the first
    document is opened, for it remembers what it has found."""
    system = font_system(box_font(_BOX), EAST_ASIAN)
    pdfium_c.FPDF_SetSystemFontInfo(system)
    return system


def font_system(font: bytes, charsets: Collection[int]) -> ctypes.Structure:
    """A system that has one font, for these character sets (FXFONT_..._CHARSET)."""

    def mapped(_info: object, _weight: int, _italic: int, charset: int, *_: object) -> int | None:
        return 1 if charset in charsets else None  # the font's handle

    def data(
        _info: object,
        _font: int,
        table: int,
        buffer: "ctypes._Pointer[ctypes.c_ubyte]",
        size: int,
    ) -> int:
        if table:  # of a collection, or one table; 0 is the whole file
            return 0
        if size >= len(font):
            ctypes.memmove(buffer, font, len(font))
        return len(font)

    # The callbacks that are not set are optional: fpdf_sysfontinfo.h.
    types = dict(pdfium_c.FPDF_SYSFONTINFO._fields_)
    system: ctypes.Structure = pdfium_c.FPDF_SYSFONTINFO(
        version=1, MapFont=types["MapFont"](mapped), GetFontData=types["GetFontData"](data)
    )
    return system


def box_font(box: _Box) -> bytes:
    """A TrueType font of an empty glyph and one that stands for every character: a filled `box`
    (left, bottom, right, top in thousandths of the font size).

    https://learn.microsoft.com/typography/opentype/spec/otff
    """
    left, bottom, right, top = box
    width, height = right - left, top - bottom
    # One contour of four points on the curve, each as its distance from the one before.
    glyph = struct.pack(">5h2H4B", 1, *box, 3, 0, 1, 1, 1, 1)
    glyph += struct.pack(">8h", left, 0, width, 0, bottom, height, 0, -height)
    # Format 13: ranges of characters, each with one glyph for all.
    groups = b"".join(struct.pack(">3L", first, last, 1) for first, last in _SHOWN)
    cmap = struct.pack(">4HL", 0, 1, 3, 10, 12)
    cmap += struct.pack(">2H3L", 13, 0, 16 + len(groups), 0, len(_SHOWN)) + groups
    tables = {
        b"cmap": cmap,
        b"glyf": glyph,
        b"head": struct.pack(">4L2H", 0x10000, 0x10000, 0, 0x5F0F3CF5, 0, _UNITS)
        + bytes(16)  # when it was made
        + struct.pack(">4h2H3h", *box, 0, 8, 2, 1, 0),
        b"hhea": struct.pack(">L3hH11hH", 0x10000, top, bottom, 0, _UNITS, *[0] * 11, 1),
        b"hmtx": struct.pack(">Hhh", _UNITS, 0, 0),
        b"loca": struct.pack(">3L", 0, 0, len(glyph)),
        b"maxp": struct.pack(">L14H", 0x10000, 2, 4, 1, 0, 0, 1, *[0] * 8),
    }
    at = 12 + 16 * len(tables)
    directory, body = struct.pack(">L4H", 0x10000, len(tables), 64, 2, 48), b""
    for tag, table in tables.items():
        directory += struct.pack(">4s3L", tag, 0, at + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return directory + body
