"""Collects what a parser finds into one clean text with its structure.

Parsers add headings, paragraphs, list items, tables and code in reading order; the builder cleans
the text (NFC, no control characters), keeps the offsets, and stops a text that grows too large.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from likeopt.retrieval.parse.failures import MAX_TEXT, Unreadable
from likeopt.retrieval.types import Block, BlockKind, Parsed

# A cell this long is prose in a frame, as Korean office documents often have it, and one line of
# it would be cut blindly later; its row becomes paragraphs.
_PROSE_CELL = 1500

_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Control characters but newline and tab, soft hyphen, zero-width space, word joiner, byte order
# mark, lone surrogates, noncharacters. Zero-width joiners stay: emoji and some scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
_TRAILING = re.compile(r"[ \t]+(?=\n|\Z)")
_BLANK = re.compile(r"\s+")
_HOLES = re.compile(r"\n{3,}")

# Parts of Korean laws and rules, which are rarely marked as the headings that they are.
_CHAPTER = re.compile(r"제\s?\d{1,3}\s?([편장절관])(?:\s[^\n.…]{1,50})?")
_CHAPTER_LEVELS = "편장절관"

# Titles that programs write when the author wrote none.
_JUNK_TITLE = re.compile(
    r"(?i)^(untitled.*|제목\s*없음|powerpoint (presentation|프레젠테이션)"
    r"|(microsoft \w+ - )?.*\.[a-z]{3,4}"
    r"|document\d*|문서\s*\d*|presentation\d*|프레젠테이션\d*|slide \d+|빈 문서.*|no ?name"
    r"|\((anonymous|unspecified)\))$"
)


def clean(text: str) -> str:
    """`text` in NFC, with `\\n` as the only line break and without control characters."""
    text = _LINE_BREAKS.sub("\n", text)
    text = _UNWANTED.sub("", text)
    text = _SPACES.sub(" ", text)
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """`text` cleaned, every run of white space one space."""
    return _BLANK.sub(" ", clean(text)).strip()


def real_title(text: str | None) -> str | None:
    """A title from a file's properties, or None if a program made it up."""
    title = one_line(text or "")[:300]
    return None if not title or _JUNK_TITLE.match(title) else title


class Builder:
    """The text of one file, as it grows."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._pages: list[int] = []
        self._page_is_new = False

    def page(self) -> None:
        """Begin the next page (a slide counts as one)."""
        self._pages.append(self._length + 2 if self._length else 0)
        self._page_is_new = True

    def heading(self, text: str, level: int) -> None:
        """A heading of depth `level`; deeper than 6 counts as 6."""
        self._add("heading", one_line(text), max(1, min(level, 6)))

    def paragraph(self, text: str) -> None:
        """Running text; line breaks inside stay, blank lines begin new paragraphs, and a line like
        "제2장 휴가" is a heading."""
        for part in re.split(r"\n[ \t]*\n", _TRAILING.sub("", clean(text)).strip("\n")):
            chapter = _CHAPTER.fullmatch(part.strip())
            if chapter:
                self.heading(part, _CHAPTER_LEVELS.index(chapter[1]) + 1)
            else:
                self._add("paragraph", part.strip())

    def item(self, text: str, depth: int = 0, marker: str = "- ") -> None:
        """One list item; neighbouring items make up one list."""
        item = one_line(text)
        if item:
            self._line("list", "  " * min(depth, 8) + marker + item)

    def lines(self, lines: Iterable[str]) -> None:
        """A list whose items are shown as they are, one a line."""
        self._add("list", "\n".join(filter(None, map(one_line, lines))))

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """A table, its header row first. One row or column is no table but text."""
        grid = [[one_line(cell) for cell in row] for row in rows]
        width = max(map(len, grid), default=0)
        used = [x for x in range(width) if any(x < len(row) and row[x] for row in grid)]
        grid = [[row[x] if x < len(row) else "" for x in used] for row in grid if any(row)]
        if len(used) < 2:
            for row in grid:
                self._add("paragraph", row[0])
            return
        run: list[str] = []
        for row in grid:
            if max(map(len, row)) <= _PROSE_CELL:
                run.append(" | ".join(row).rstrip())
                continue
            self._add("table", "\n".join(run))
            run = []
            for cell in filter(None, row):
                self._add("paragraph", cell)
        self._add("table", "\n".join(run))

    def code(self, text: str) -> None:
        """Lines that are shown as they are, indentation included."""
        self._add("code", _TRAILING.sub("", clean(text)).strip("\n"))

    def first_heading(self) -> str | None:
        """What a file without a title is called: its first heading of level 1, or its first."""
        headings = [block for block in self._blocks if block.kind == "heading"]
        if not headings:
            return None
        first = next((block for block in headings if block.level == 1), headings[0])
        return "".join(self._parts)[first.start : first.end]

    def finish(self, title: str | None = None) -> Parsed:
        """All of it. Raises Unreadable (no_text) when there is nothing but white space."""
        text = "".join(self._parts)
        if not text or text.isspace():
            raise Unreadable("no_text")
        return Parsed(
            text=text,
            blocks=self._blocks,
            title=one_line(title or "")[:300] or None,
            page_starts=[min(start, len(text)) for start in self._pages],
        )

    def _line(self, kind: BlockKind, line: str) -> None:
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.kind != kind or self._page_is_new:
            self._add(kind, line)
            return
        self._append("\n" + line)
        self._blocks[-1] = Block(kind, last.start, self._length, last.level, last.page)

    def _add(self, kind: BlockKind, text: str, level: int = 0) -> None:
        if not text or text.isspace():
            return
        text = _HOLES.sub("\n\n", text)
        if self._length:
            self._append("\n\n")
        start = self._length
        self._append(text)
        self._page_is_new = False
        page = len(self._pages) or None
        self._blocks.append(Block(kind, start, self._length, level, page))

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise Unreadable("too_large_text")
