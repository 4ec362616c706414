"""Lines of a PDF page put together into paragraphs, list items and headings.

A PDF has no paragraphs either: what continues what is judged by the distance between lines, by
where they begin and end, and by their fonts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from likeopt.retrieval.parse.fonts import Sizes
from likeopt.retrieval.parse.pdf_page import Word

_HANGUL = re.compile("[가-힣]")
# What can only end a word, so that it belongs to the line above: particles and verb endings.
_TAILS = re.compile(
    r"(?:은|는|을|를|의|에|에서|에게|으로|로|와|과|도|만|까지|부터|니다|습니다|입니다|였다|이다)"
    r"(?:[.,)?!]|\s|$)"
)
_BULLET = re.compile(
    r"(?:[-•‣▪■□●○◦◇◆▶※·∙–*]|\d{1,2}[.)]|\(\d{1,2}\)|[가-하][.)]|[①-⑳]|[a-zA-Z][.)])\s+\S"
)
_ENDED = re.compile(r"[.!?:;。”\"')\]]$|[다요음함임됨]\.?$")
# Dots that lead to a page number in a table of contents.
_LEADER = re.compile(r"(?:\s*[.·…]){4,}\s*")
# How a line begins that goes on with a sentence.
_GOES_ON = re.compile(r"[a-z가-힣(]")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_PAGE_NUMBER = re.compile(
    r"(?i)[-–—\s]*(?:page\s*|p\.\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?[-–—\s쪽]*"
)


class Line(NamedTuple):
    """Words on one baseline, with no wide gap between them."""

    text: str
    x0: float
    x1: float
    base: float
    size: float
    bold: bool
    mono: bool
    # Orders of its first and last word, between which all the others are.
    order: int
    last: int
    spaced: bool
    hyphenated: bool
    first_width: float


Kind = Literal["text", "item", "code"]


class Paragraph(NamedTuple):
    """Lines that belong together: running text, an item of a list, or a program's lines."""

    lines: list[Line]
    kind: Kind

    @property
    def size(self) -> float:
        """Font size of most of it."""
        return max(self.lines, key=lambda line: len(line.text)).size


def lines_of(words: Iterable[Word]) -> list[Line]:
    """Words in the order of the file to lines."""
    lines: list[Line] = []
    run: list[Word] = []
    for word in words:
        if run and not _follows(run[-1], word):
            lines.append(_line(run))
            run = []
        run.append(word)
    if run:
        lines.append(_line(run))
    return lines


def _follows(last: Word, word: Word) -> bool:
    size = max(last.size, word.size)
    return abs(last.base - word.base) < 0.5 * size and -0.5 * size < word.x0 - last.x1 < 8 * size


def _line(run: list[Word]) -> Line:
    longest = max(run, key=lambda word: len(word.text))
    length = sum(len(word.text) for word in run)
    return Line(
        _LEADER.sub(" … ", " ".join(word.text for word in run)),
        min(word.x0 for word in run),
        max(word.x1 for word in run),
        longest.base,
        longest.size,
        sum(len(word.text) for word in run if word.bold) > 0.9 * length,
        sum(len(word.text) for word in run if word.mono) > 0.7 * length,
        run[0].order,
        run[-1].order,
        run[-1].spaced,
        run[-1].hyphenated,
        run[0].x1 - run[0].x0,
    )


def paragraphs_of(lines: list[Line]) -> list[Paragraph]:
    """Lines of one page, in order, to paragraphs."""
    edges = _right_edges(lines)
    paragraphs: list[Paragraph] = []
    for at, line in enumerate(lines):
        kind = _kind(line)
        last = paragraphs[-1] if paragraphs else None
        is_program = last is not None and kind == "code" == last.kind
        if last and (is_program or (kind == "text" and _joins(last, line, edges[at - 1]))):
            last.lines.append(line)
        else:
            paragraphs.append(Paragraph([line], kind))
    return paragraphs


def _kind(line: Line) -> Kind:
    if line.mono and line.text[0] not in "•○●□■":
        return "code"
    return "item" if " … " in line.text or _BULLET.match(line.text) else "text"


class _Edges(NamedTuple):
    """How far to the right text reaches: the lines just around, and all near lines that begin at
    the same place (which may belong to wider text)."""

    close: float
    wide: float


def _right_edges(lines: list[Line]) -> list[_Edges]:
    edges = []
    for at, line in enumerate(lines):
        close = wide = line.x1
        for step in (-1, 1):
            connected, last = True, line
            for other in lines[at + step : at + 9 * step if at + 9 * step >= 0 else None : step]:
                same = abs(other.x0 - line.x0) < 3 * line.size
                same = same and abs(other.size - line.size) < 1
                connected = connected and same and abs(last.base - other.base) < 2.2 * line.size
                close = max(close, other.x1) if connected else close
                wide = max(wide, other.x1) if same else wide
                last = other
        edges.append(_Edges(close, wide))
    return edges


def _joins(paragraph: Paragraph, line: Line, edges: _Edges) -> bool:
    """Whether `line` goes on with the paragraph; `edges` are those of its last line."""
    last, first = paragraph.lines[-1], paragraph.lines[0]
    is_other = abs(line.size - last.size) > 0.12 * last.size or line.bold != last.bold
    if is_other or paragraph.kind == "code" or " … " in last.text:
        return False
    size = last.size
    ended = _ENDED.search(last.text) is not None
    # Had the next word fitted into the line, it would stand there: so the break is meant.
    needed = line.first_width + size
    if needed < edges.close - last.x1 and not last.hyphenated:
        return False
    if needed < edges.wide - last.x1 and (ended or not _GOES_ON.match(line.text)):
        return False
    step = last.base - line.base
    if step <= 0.3 * size:  # the next column
        return step < -3 * size and not ended
    if len(paragraph.lines) > 1:
        usual = paragraph.lines[-2].base - last.base
        if 0 < usual < 3 * size and step > 1.25 * usual + 1:
            return False
    if step > 2.2 * size or line.x0 > last.x1 or line.x1 < first.x0 - size:
        return False
    if paragraph.kind == "item":
        # Further lines of an item stand under its text, not further left than its mark.
        return line.x0 > first.x0 - 0.5 * size
    return line.x0 - last.x0 <= size


def tight_breaks(paragraphs: Iterable[Paragraph]) -> bool:
    """Whether the document breaks Korean lines between any two syllables, so that the parts of a
    word are put together without a space.

    Word processors break between words, and write the space; browsers break anywhere, and then
    lines end within a character's width of the edge.
    """
    spaced = flush = loose = total = 0
    for paragraph in paragraphs:
        edge = max(line.x1 for line in paragraph.lines)
        for line, after in pairwise(paragraph.lines):
            short = line.x1 - line.x0 < 12 * line.size  # in a narrow cell, say
            if short or not (_HANGUL.match(line.text[-1]) and _HANGUL.match(after.text)):
                continue
            room = (edge - line.x1) / line.size
            total += 1
            spaced += line.spaced
            flush += room < 0.03
            loose += room > 1.2
    if not total or spaced > 0.2 * total:
        return total > 0
    is_justified = total >= 4 and flush > 0.7 * total
    return loose <= 0.1 * total and not is_justified


def joined(lines: Sequence[Line], *, tight: bool) -> str:
    """The text of lines that belong together. `tight`: see `tight_breaks`."""
    parts = [line.text for line in lines[:1]]
    for line, after in pairwise(lines):
        if line.hyphenated or line.text.endswith("-"):
            # "informa-" + "tion" is one word, "Anglo-" + "Saxon" keeps its hyphen.
            stem = parts[-1].removesuffix("-")
            keeps = not after.text[:1].islower() or not stem[-1:].isalpha()
            parts[-1] = stem + "-" if keeps else stem
            parts.append(after.text)
            continue
        within = _HANGUL.match(line.text[-1]) and _HANGUL.match(after.text)
        if within and not line.spaced and (tight or _TAILS.match(after.text)):
            parts.append(after.text)
        else:
            parts.append(" " + after.text)
    return "".join(parts)


def program_of(lines: Sequence[Line]) -> str:
    """Lines of a program with their indentation."""
    left = min(line.x0 for line in lines)
    # The characters of nearly all fonts for programs are 0.6 of their size wide.
    return "\n".join(
        " " * min(40, round((line.x0 - left) / (0.6 * line.size))) + line.text for line in lines
    )


class Fonts:
    """The font sizes of a document: which is its body, which are headings."""

    def __init__(self, paragraphs: Sequence[Paragraph]) -> None:
        sizes: Counter[float] = Counter()
        bold = total = 0
        for paragraph in paragraphs:
            for line in paragraph.lines:
                sizes[round(line.size * 2) / 2] += len(line.text)
                bold += len(line.text) * line.bold
                total += len(line.text)
        self._sizes = Sizes(sizes)
        self._bold_is_rare = bold < 0.4 * total

    def level(self, paragraph: Paragraph) -> int:
        """Depth of the heading that the paragraph is; 0 for body text."""
        length = sum(len(line.text) for line in paragraph.lines)
        text = " ".join(line.text for line in paragraph.lines)
        is_text = paragraph.kind != "code" and " … " not in text and _LETTERS.search(text)
        if length > 200 or len(paragraph.lines) > 3 or not is_text:
            return 0
        size = round(paragraph.size * 2) / 2
        bold = self._bold_is_rare and all(line.bold for line in paragraph.lines)
        is_label = bold and size >= self._sizes.body and length <= 100
        if is_label and not text.endswith((".", ",", ";")):
            return self._sizes.level(size) or min(len(self._sizes.levels) + 1, 6)
        return self._sizes.level(size)


def furniture(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Headers, footers and page numbers of each page: the outermost lines that stand on page
    after page, but for their numbers the same."""
    outer = [_outermost(lines) for lines in pages]
    seen = Counter(key for page in outer for key in page)
    # With a number it is a running header; without, it may be the title of some slides.
    needed = max(3.0, 0.4 * len(pages))
    return [
        [line for key, line in page.items() if seen[key] >= (3 if "#" in key else needed)]
        for page in outer
    ]


def _outermost(lines: Sequence[Line]) -> dict[str, Line]:
    """Two lines at the top and at the bottom of a page, by their text with `#` for numbers."""
    by_height = sorted(lines, key=lambda line: line.base)
    found = {re.sub(r"\d+", "#", line.text): line for line in by_height[:2] + by_height[-2:]}
    for line in (*by_height[:1], *by_height[-1:]):
        if _PAGE_NUMBER.fullmatch(line.text):
            found["#"] = line
    return found
