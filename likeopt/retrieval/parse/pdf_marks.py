"""Where a text stands on a PDF page.

The text is not the page's own: lines were joined and tables rebuilt (see `pdf`). So letters and
digits alone are compared, and what stands on the page twice is not marked: no mark is better than
a wrong one.
"""

import unicodedata
from collections.abc import Iterator

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from likeopt.retrieval.parse.protocol import Mark

# A passage has some 15 lines; a page that shows more pieces than this sets each letter by itself.
_MOST = 200
# Each takes 3 µs to read, and a page with more is a map; a page of small print has 10,000.
_MOST_CHARACTERS = 300_000
# What is shorter is found in too many places to mean one of them.
_FEWEST_LETTERS = 4
# Of a device that places are asked for: a tenth of a point on A4.
_GRID = 10_000


def find(page: pdfium.PdfPage, text: str) -> list[Mark]:
    """Boxes around `text`, or around those lines of it that are found once; may be empty."""
    textpage = page.get_textpage()
    try:
        if textpage.count_chars() > _MOST_CHARACTERS:
            return []
        shown, places = _letters_of(textpage)
        runs = _runs(shown, places, text)
        boxes = [box for first, last in runs for box in _boxes(page, textpage, first, last)]
    finally:
        textpage.close()
    return _joined(boxes)[:_MOST]


def _letters_of(textpage: pdfium.PdfTextPage) -> tuple[str, list[int]]:
    """The letters of the page, and for each the number of its character."""
    shown: list[str] = []
    places: list[int] = []
    for at in range(textpage.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(textpage.raw, at)
        for letter in _letters(chr(code)) if 0x20 < code <= 0x10FFFF else ():
            shown.append(letter)
            places.append(at)
    return "".join(shown), places


def _letters(text: str) -> Iterator[str]:
    return (letter for letter in unicodedata.normalize("NFKC", text) if letter.isalnum())


def _runs(shown: str, places: list[int], text: str) -> Iterator[tuple[int, int]]:
    """First and last character of each part of the text that is found."""
    for parts in ([text], text.split("\n")):
        found = False
        for part in parts:
            letters = "".join(_letters(part))
            at = shown.find(letters) if len(letters) >= _FEWEST_LETTERS else -1
            if at >= 0 and shown.find(letters, at + 1) < 0:
                found = True
                yield places[at], places[at + len(letters) - 1]
        if found:
            return


def _boxes(
    page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, first: int, last: int
) -> Iterator[Mark]:
    for number in range(textpage.count_rects(first, last - first + 1)):
        left, bottom, right, top = textpage.get_rect(number)
        (x0, y0), (x1, y1) = _seen(page, left, top), _seen(page, right, bottom)
        x, y = max(0.0, min(x0, x1)), max(0.0, min(y0, y1))
        width, height = min(1.0, max(x0, x1)) - x, min(1.0, max(y0, y1)) - y
        if width > 0 and height > 0:
            yield Mark(round(x, 4), round(y, 4), round(width, 4), round(height, 4))


def _seen(page: pdfium.PdfPage, x: float, y: float) -> tuple[float, float]:
    """A point as parts of the page as it is shown: cropped, turned, y downwards."""
    across, down = pdfium_c.c_int(), pdfium_c.c_int()
    pdfium_c.FPDF_PageToDevice(page.raw, 0, 0, _GRID, _GRID, 0, x, y, across, down)
    return across.value / _GRID, down.value / _GRID


def _joined(boxes: list[Mark]) -> list[Mark]:
    """Pieces of one line in one box: PDFium begins a new one with each change of the font."""
    lines: list[Mark] = []
    for box in boxes:
        last = lines[-1] if lines else None
        if last and _same_line(last, box):
            x, y = min(last.x, box.x), min(last.y, box.y)
            right = max(last.x + last.width, box.x + box.width)
            below = max(last.y + last.height, box.y + box.height)
            lines[-1] = Mark(x, y, round(right - x, 4), round(below - y, 4))
        else:
            lines.append(box)
    return lines


def _same_line(one: Mark, other: Mark) -> bool:
    shared = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    # Not across the gutter of two columns.
    gap = other.x - (one.x + one.width)
    return shared > 0.5 * min(one.height, other.height) and -0.01 < gap < 0.03
