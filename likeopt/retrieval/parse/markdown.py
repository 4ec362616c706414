"""Markdown, line by line: the text stays as written, but for marks that only a renderer needs."""

import re
from pathlib import Path

from likeopt.retrieval.parse.builder import Builder, one_line
from likeopt.retrieval.parse.text import load
from likeopt.retrieval.types import Parsed

_FENCE = re.compile(r"\s*(`{3,}|~{3,})[^`]*$")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_DELIMITERS = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_QUOTE = re.compile(r"^ {0,3}(?:> ?)+")
_CELL_END = re.compile(r"(?<!\\)\|")
_CODE_SPAN = re.compile(r"(`+[^`\n]+`+)")
_TAG = re.compile(
    r"(?i)</?(?:a|b|i|u|em|strong|p|div|span|img|sup|sub|kbd|details|summary|center|font|small"
    r"|h[1-6]|ul|ol|li|table|thead|tbody|tr|td|th|picture|source)(?:\s[^<>\n]{0,1000})?/?>"
)
_BREAK = re.compile(r"(?i)<br\s*/?>")
_COMMENT = re.compile(r"<!--[^<>]{0,1000}-->")
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,1000})\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,200}\])")
_LINK = re.compile(
    r"\[([^\[\]\n]{1,1000})\](?:\(([^()\s]{0,2000})[^()\n]{0,300}\)|\[[^\[\]\n]{0,200}\])"
)
_BOLD = re.compile(
    r"(?<![0-9A-Za-z\s*])\*\*|\*\*(?![0-9A-Za-z\s*])|(?<!\S)\*\*(?=\S)|(?<=\S)\*\*(?!\S)"
    r"|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)"
)


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    lines = load(path).split("\n")
    title, start = _front_matter(lines)
    reader = _Reader(lines[start:])
    reader.run()
    return reader.out.finish(title or reader.out.first_heading())


def _front_matter(lines: list[str]) -> tuple[str | None, int]:
    """(title, number of lines) of the YAML block that may open the file."""
    if lines[0].rstrip() != "---":
        return None, 0
    for end, line in enumerate(lines[1:200], 1):
        if line.rstrip() in ("---", "..."):
            titles = (re.match(r"(?i)title:\s*(.+)", entry) for entry in lines[1:end])
            found = next((match[1] for match in titles if match), "")
            return one_line(found).strip("\"'") or None, end + 1
    return None, 0


def plain(text: str) -> str:
    """A line without the marks for emphasis, links and pictures; code spans stay as they are."""
    parts = _CODE_SPAN.split(text)
    for at in range(0, len(parts), 2):
        part = _COMMENT.sub("", parts[at])
        part = _BREAK.sub("\n", part)
        part = _IMAGE.sub(r"\1", part)
        part = _LINK.sub(_link, part)
        part = _TAG.sub("", part)
        parts[at] = _BOLD.sub("", part)
    return "".join(parts)


def _link(match: re.Match[str]) -> str:
    """The link's text; the address too if it leads out of the library."""
    address = match[2] or ""
    outside = address.startswith(("http://", "https://")) and address != match[1]
    return f"{match[1]} ({address})" if outside else match[1]


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.out = Builder()
        self._lines = lines
        self._at = 0
        self._paragraph: list[str] = []
        # (depth, marker) of the list item being collected; its lines are in `_paragraph`.
        self._item: tuple[int, str] | None = None
        self._indents: list[int] = []  # of the open lists

    def run(self) -> None:
        """All lines."""
        while self._at < len(self._lines):
            line = self._lines[self._at].expandtabs(4)
            if not line.strip():
                self._flush()
                self._at += 1
            elif not self._block(line):
                self._text(line)
        self._flush()

    def _block(self, line: str) -> bool:
        """Read the block that begins at `line`, unless that is running text."""
        if _FENCE.match(line):
            self._fence(line)
        elif heading := _HEADING.match(line):
            self._end_lists()
            self.out.heading(plain(heading[2] or ""), len(heading[1]))
            self._at += 1
        elif self._paragraph and self._item is None and _UNDERLINE.match(line):
            text, self._paragraph = " ".join(self._paragraph), []
            self.out.heading(plain(text), 1 if "=" in line else 2)
            self._at += 1
        elif _RULE.match(line):
            self._end_lists()
            self._at += 1
        elif self._is_table():
            self._table()
        elif line.lstrip().startswith("<!--"):
            self._comment()
        elif not self._paragraph and not self._indents and line.startswith("    "):
            self._indented()
        else:
            return False
        return True

    def _text(self, line: str) -> None:
        item = _ITEM.match(line)
        if item:
            self._flush()
            indent = len(item[1])
            while self._indents and self._indents[-1] > indent:
                self._indents.pop()
            if not self._indents or self._indents[-1] < indent:
                self._indents.append(indent)
            number = item[2][0].isdigit()
            self._item = (len(self._indents) - 1, f"{item[2]} " if number else "- ")
            line = line[item.end() :]
        elif not self._paragraph and self._indents:
            if line.startswith("  "):  # a further paragraph of the item
                self._item = (len(self._indents) - 1, "  ")
            else:
                self._end_lists()
        self._paragraph.append(_QUOTE.sub("", line, count=1).strip())
        self._at += 1

    def _flush(self) -> None:
        """Write the paragraph or list item collected so far."""
        text = plain("\n".join(self._paragraph))
        self._paragraph = []
        if self._item is None:
            self.out.paragraph(text)
        else:
            self.out.item(text, *self._item)
        self._item = None

    def _end_lists(self) -> None:
        self._flush()
        self._indents = []

    def _fence(self, opening: str) -> None:
        self._flush()
        mark = opening.strip()
        fence = mark[: len(mark) - len(mark.lstrip(mark[0]))]
        indent = len(opening) - len(opening.lstrip())
        body = []
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                break
            body.append(line[min(indent, len(line) - len(line.lstrip())) :])
        self.out.code("\n".join(body))

    def _indented(self) -> None:
        body = []
        while self._at < len(self._lines):
            line = self._lines[self._at].expandtabs(4)
            if line.strip() and not line.startswith("    "):
                break
            body.append(line[4:])
            self._at += 1
        self.out.code("\n".join(body))

    def _comment(self) -> None:
        self._flush()
        while self._at < len(self._lines):
            self._at += 1
            if "-->" in self._lines[self._at - 1]:
                break

    def _is_table(self) -> bool:
        after = self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""
        return (
            "|" in self._lines[self._at]
            and "-" in after
            and "|" in after
            and len(after) < 2000
            and _DELIMITERS.match(after) is not None
        )

    def _table(self) -> None:
        self._end_lists()
        rows = []
        while self._at < len(self._lines) and "|" in self._lines[self._at]:
            rows.append(_cells(self._lines[self._at]))
            self._at += 1
        del rows[1]
        self.out.table(rows)


def _cells(line: str) -> list[str]:
    line = line.strip()
    line = line.removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [plain(cell).replace("\\|", "|") for cell in _CELL_END.split(line)]
