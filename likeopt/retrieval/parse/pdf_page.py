"""What stands on a PDF page, as PDFium finds it: words with their places, and ruled lines.

Coordinates are in points, y grows upwards, and the page is turned so that its text runs to the
right: pages set sideways are written with turned text.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

# A page with more drawing than this is a map or a plot; its lines are no tables.
_MAX_SEGMENTS = 20_000
_MAX_DEPTH = 8
# A gap this wide, in parts of the font size, ends a word even where no space is written.
_GAP = 0.3
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\uf0b7": "•"}
)
_MONO = (b"mono", b"courier", b"consol", b"menlo", b"cmtt", b"gulimche", b"d2coding", b"typewriter")
# What PDFium reports for a hyphen at the end of a line.
_HYPHENS = (0x02, 0xFFFE, 0xAD)


class Word(NamedTuple):
    """Characters without a gap. `order` is the place in the file, which is the reading order of
    almost all programs that write PDFs."""

    text: str
    x0: float
    x1: float
    base: float
    size: float
    bold: bool
    mono: bool
    order: int
    # A space character follows; at the end of a line few programs write one.
    spaced: bool = False
    hyphenated: bool = False


class Rule(NamedTuple):
    """A ruled line: at `at` (y of a horizontal one, x of a vertical one), from `start` to `end`."""

    at: float
    start: float
    end: float


class PageText(NamedTuple):
    """What a page shows: words in the order of the file, horizontal and vertical lines."""

    words: list[Word]
    horizontal: list[Rule]
    vertical: list[Rule]


def page_text(page: pdfium.PdfPage) -> PageText:
    """Everything that the page's layout can be rebuilt from."""
    textpage = page.get_textpage()
    try:
        scanner = _Scanner(textpage)
        return PageText(list(scanner.words()), *_rules(page, scanner.turn))
    finally:
        textpage.close()


class _Scanner:
    def __init__(self, textpage: pdfium.PdfTextPage) -> None:
        self._page = textpage.raw
        self._count = textpage.count_chars()
        self._box = pdfium_c.FS_RECTF()
        self._matrix = pdfium_c.FS_MATRIX()
        self._font_name = (pdfium_c.c_char * 128)()
        self._flags = pdfium_c.c_int()
        self._x, self._y = pdfium_c.c_double(), pdfium_c.c_double()
        self.turn = self._direction()

    def _direction(self) -> int:
        """Where most of the text runs: 0 to the right, 90 up, 180 to the left, 270 down."""
        turns: Counter[int] = Counter()
        for at in range(0, self._count, 1 + self._count // 200):
            if not pdfium_c.FPDFText_IsGenerated(self._page, at):
                pdfium_c.FPDFText_GetMatrix(self._page, at, self._matrix)
                angle = math.degrees(math.atan2(self._matrix.b, self._matrix.a))
                turns[round(angle / 90) * 90 % 360] += 1
        return turns.most_common(1)[0][0] if turns else 0

    def words(self) -> Iterator[Word]:
        """In the order of the file."""
        text = ""
        first = 0
        x0 = x1 = start = base = bottom = size = 0.0
        bold = mono = False

        def word(**ending: bool) -> Word:
            shown = text.translate(_LIGATURES)
            return Word(shown, x0, x1, base, size, bold, mono, first, **ending)

        for at in range(self._count):
            code = pdfium_c.FPDFText_GetUnicode(self._page, at)
            if code in (0x20, 0xA0, 0x0D, 0x0A, 0x09, 0x3000) or code in _HYPHENS:
                if text:
                    yield word(spaced=self._is_space(code, at), hyphenated=code in _HYPHENS)
                    text = ""
                continue
            if not 0x20 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                continue
            left, right, below = self._place(at)
            # The letters of a ligature share one box, so a letter need not begin after the last.
            near = start - 0.2 * size < left < x1 + _GAP * size
            if text and not (near and abs(below - bottom) < 0.8 * size):
                yield word()
                text = ""
            if not text:
                first, x0, bottom = at, left, below
                base, size, bold, mono = self._start(at)
            text += chr(code)
            start, x1 = left, right
        if text:
            yield word()

    def _is_space(self, code: int, at: int) -> bool:
        """Whether a space stands in the file, and not only a gap that PDFium found."""
        return code in (0x20, 0xA0) and not pdfium_c.FPDFText_IsGenerated(self._page, at)

    def _place(self, at: int) -> tuple[float, float, float]:
        """Left, right and bottom of a character."""
        box = self._box
        pdfium_c.FPDFText_GetLooseCharBox(self._page, at, box)
        if self.turn == 0:
            return box.left, box.right, box.bottom
        if self.turn == 90:
            return box.bottom, box.top, -box.right
        if self.turn == 180:
            return -box.right, -box.left, -box.top
        return -box.top, -box.bottom, box.left

    def _start(self, at: int) -> tuple[float, float, bool, bool]:
        """Baseline, size as shown, and whether it is bold and all characters equally wide."""
        pdfium_c.FPDFText_GetCharOrigin(self._page, at, self._x, self._y)
        base = {0: self._y, 90: self._x, 180: self._y, 270: self._x}[self.turn].value
        pdfium_c.FPDFText_GetMatrix(self._page, at, self._matrix)
        scale = math.hypot(self._matrix.c, self._matrix.d)
        size = pdfium_c.FPDFText_GetFontSize(self._page, at) * scale
        pdfium_c.FPDFText_GetFontInfo(self._page, at, self._font_name, 128, self._flags)
        name = self._font_name.value.lower()
        sign = -1 if self.turn in (90, 180) else 1
        bold = b"bold" in name or b"black" in name or b"heavy" in name
        return sign * base, max(size, 1.0), bold, any(mono in name for mono in _MONO)


def _rules(page: pdfium.PdfPage, turn: int) -> tuple[list[Rule], list[Rule]]:
    """Horizontal and vertical lines, edges of boxes and table cells among them."""
    horizontal, vertical = [], []
    for (ax, ay), (bx, by) in _segments(page):
        width, height = abs(ax - bx), abs(ay - by)
        if height <= 1.5 < width:
            horizontal.append(Rule((ay + by) / 2, min(ax, bx), max(ax, bx)))
        elif width <= 1.5 < height:
            vertical.append(Rule((ax + bx) / 2, min(ay, by), max(ay, by)))
    # As in `_place`: x' is x, y, -x or -y; y' is y, -x, -y or x.
    if turn in (90, 270):
        horizontal, vertical = vertical, horizontal
    right = 1 if turn in (0, 90) else -1
    up = 1 if turn in (0, 270) else -1
    return (
        [_signed(rule, up, right) for rule in horizontal],
        [_signed(rule, right, up) for rule in vertical],
    )


def _signed(rule: Rule, across: int, along: int) -> Rule:
    start, end = sorted((rule.start * along, rule.end * along))
    return Rule(rule.at * across, start, end)


_Point = tuple[float, float]
_Matrix = tuple[float, float, float, float, float, float]
_IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def _segments(page: pdfium.PdfPage) -> Iterator[tuple[_Point, _Point]]:
    """Straight pieces of all paths; forms inside the page are followed."""
    budget = _MAX_SEGMENTS
    count = pdfium_c.FPDFPage_CountObjects(page.raw)
    stack = [
        (pdfium_c.FPDFPage_GetObject(page.raw, at), _IDENTITY, 0) for at in reversed(range(count))
    ]
    while stack:
        item, outer, depth = stack.pop()
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind not in (pdfium_c.FPDF_PAGEOBJ_PATH, pdfium_c.FPDF_PAGEOBJ_FORM):
            continue
        own = pdfium_c.FS_MATRIX()
        pdfium_c.FPDFPageObj_GetMatrix(item, own)
        matrix = _product((own.a, own.b, own.c, own.d, own.e, own.f), outer)
        if kind == pdfium_c.FPDF_PAGEOBJ_PATH:
            budget -= pdfium_c.FPDFPath_CountSegments(item)
            if budget < 0:
                return
            yield from _path(item, matrix)
        elif depth < _MAX_DEPTH:
            inside = range(pdfium_c.FPDFFormObj_CountObjects(item))
            get = pdfium_c.FPDFFormObj_GetObject
            stack.extend((get(item, at), matrix, depth + 1) for at in reversed(inside))


def _product(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    oa, ob, oc, od, oe, of = outer
    return (
        a * oa + b * oc,
        a * ob + b * od,
        c * oa + d * oc,
        c * ob + d * od,
        e * oa + f * oc + oe,
        e * ob + f * od + of,
    )


def _path(item: object, matrix: _Matrix) -> Iterator[tuple[_Point, _Point]]:
    a, b, c, d, e, f = matrix
    x, y = pdfium_c.c_float(), pdfium_c.c_float()
    start = last = (0.0, 0.0)
    for at in range(pdfium_c.FPDFPath_CountSegments(item)):
        segment = pdfium_c.FPDFPath_GetPathSegment(item, at)
        pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
        point = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            start = point
        elif kind == pdfium_c.FPDF_SEGMENT_LINETO:
            yield last, point
        last = point
        if pdfium_c.FPDFPathSegment_GetClose(segment):
            yield last, start
