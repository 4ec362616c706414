"""Hangul documents in XML (HWPX, KS X 6101)."""

import re
from collections.abc import Iterator
from pathlib import Path

from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import one_line, real_title
from likeopt.retrieval.parse.grid import Cell
from likeopt.retrieval.parse.hangul import Flow
from likeopt.retrieval.parse.xml import Element, attribute, child, children_of, local, parse_xml
from likeopt.retrieval.types import Parsed

_SECTION = re.compile(r"(?i)Contents/section(\d+)\.xml$")
_MARKS = {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}
# What holds paragraphs of its own inside a paragraph.
_NOTES = frozenset({"footNote", "endNote"})
_FURNITURE = frozenset({"header", "footer", "hiddenComment"})


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    with Archive(path) as archive:
        found = ((_SECTION.match(name), name) for name in archive.names)
        sections = sorted((int(match[1]), name) for match, name in found if match)
        reader = _Reader(*_shapes(archive))
        for _, name in sections:
            with archive.open(name) as stream:
                for paragraph in children_of(stream, "sec", "p"):
                    reader.paragraph(paragraph)
        return reader.flow.build().finish(_title(archive))


def _title(archive: Archive) -> str | None:
    if "Contents/content.hpf" not in archive.names:
        return None
    for element in parse_xml(archive.read("Contents/content.hpf")).iter("{*}title"):
        return real_title(element.text)
    return None


def _shapes(archive: Archive) -> tuple[dict[str, int], dict[str, float]]:
    """Heading depth of the paragraph shapes that have one, font size of each character shape."""
    levels: dict[str, int] = {}
    sizes: dict[str, float] = {}
    if "Contents/header.xml" in archive.names:
        for shape in parse_xml(archive.read("Contents/header.xml")).iter("{*}paraPr", "{*}charPr"):
            name = attribute(shape, "id") or ""
            heading = child(shape, "heading")
            if local(shape) == "charPr":
                sizes[name] = float(attribute(shape, "height") or 0)
            elif heading is not None and attribute(heading, "type") == "OUTLINE":
                levels[name] = int(attribute(heading, "level") or 0) + 1
    return levels, sizes


class _Reader:
    def __init__(self, outline: dict[str, int], sizes: dict[str, float]) -> None:
        self.flow = Flow()
        self._outline, self._sizes = outline, sizes

    def paragraph(self, element: Element) -> None:
        """A paragraph, then the tables, boxes and notes anchored in it."""
        level = self._outline.get(attribute(element, "paraPrIDRef") or "", 0)
        runs = [run for run in element if child(run, "t") is not None]
        shape = attribute(runs[0], "charPrIDRef") or "" if runs else ""
        self.flow.paragraph(_text(element), level, self._sizes.get(shape, 0.0))
        for kind, inner in _anchored(element):
            if kind == "tbl":
                self._table(inner)
            elif kind not in _FURNITURE:
                for paragraph in _paragraphs(inner):
                    self.paragraph(paragraph)

    def _table(self, table: Element) -> None:
        cells = [cell for row in table if local(row) == "tr" for cell in row]
        cells = [cell for cell in cells if local(cell) == "tc"]
        if len(cells) == 1:  # a frame around text
            for paragraph in _paragraphs(cells[0]):
                self.paragraph(paragraph)
            return
        self.flow.table([_cell(cell) for cell in cells])


def _cell(cell: Element) -> Cell:
    address, span = child(cell, "cellAddr"), child(cell, "cellSpan")
    text = one_line("\n".join(_all_text(cell)))
    return Cell(
        int(address.get("rowAddr")),
        int(address.get("colAddr")),
        int(span.get("rowSpan", "1")) if span is not None else 1,
        int(span.get("colSpan", "1")) if span is not None else 1,
        text,
    )


def _all_text(element: Element) -> Iterator[str]:
    """Text of all paragraphs inside, those of tables in tables too."""
    for paragraph in _paragraphs(element):
        yield _text(paragraph)
        for kind, inner in _anchored(paragraph):
            if kind not in _FURNITURE:
                yield from _all_text(inner)


def _paragraphs(element: Element) -> Iterator[Element]:
    """The nearest paragraphs inside, not those in other paragraphs."""
    for inner in element:
        if local(inner) == "p":
            yield inner
        elif len(inner):
            yield from _paragraphs(inner)


def _anchored(paragraph: Element) -> Iterator[tuple[str, Element]]:
    """(kind, element) of what is anchored in the paragraph's runs and may hold paragraphs."""
    for run in paragraph:
        for element in run:
            inner = list(element) if local(element) == "ctrl" else [element]
            for one in inner:
                if local(one) != "t" and next(one.iter("{*}p"), None) is not None:
                    yield local(one), one


def _text(paragraph: Element) -> str:
    """The paragraph's own characters."""
    parts: list[str] = []
    for run in paragraph:
        for text in run:
            if local(text) != "t":
                continue
            parts.append(text.text or "")
            for mark in text:
                parts += [_MARKS.get(local(mark), ""), mark.tail or ""]
    return "".join(parts)
