"""Word documents: the body in order, with headings, lists, tables and footnotes.

Read from the XML itself: python-docx takes 0.4 s to import, holds the whole tree in memory, and
walks a table of n cells in n² steps. Format: ECMA-376 part 1, chapter 17.
"""

import re
from pathlib import Path
from typing import NamedTuple

from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import Builder, one_line
from likeopt.retrieval.parse.office import main_part, relations, title_of
from likeopt.retrieval.parse.xml import Element, attribute, child, children_of, local, parse_xml
from likeopt.retrieval.types import Parsed

# Not shown in the document: what was deleted or moved away, and the second rendering of a shape
# for old programs.
_HIDDEN = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText", "pPr", "rPr"})
_CONTENT = ("p", "tbl", "sdt", "ins", "moveTo", "customXml")
_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
_HEADING = re.compile(r"(?i)^(?:heading|제목|개요)\s*(\d)$")


class _Style(NamedTuple):
    based_on: str
    level: int  # of a heading; 0 for others
    is_list: bool
    is_title: bool


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    with Archive(path) as archive:
        main = main_part(archive)
        parts = dict(relations(archive, main).values())
        reader = _Reader(_styles(archive, parts.get("styles")))
        with archive.open(main) as stream:
            for element in children_of(stream, "body", *_CONTENT):
                reader.block(element)
        for kind in ("footnotes", "endnotes"):
            if parts.get(kind) in archive.names:
                for note in parse_xml(archive.read(parts[kind])):
                    if attribute(note, "type") is None:  # others are separator lines
                        reader.out.paragraph(_text(note))
        return reader.out.finish(reader.title or title_of(archive))


def _styles(archive: Archive, part: str | None) -> dict[str, _Style]:
    if part not in archive.names:
        return {}
    styles = {}
    for element in parse_xml(archive.read(part)):
        if local(element) != "style" or attribute(element, "type") != "paragraph":
            continue
        name = _value(child(element, "name")) or ""
        properties = child(element, "pPr")
        heading = _HEADING.match(name)
        level = int(heading[1]) if heading else _outline(properties)
        styles[attribute(element, "styleId") or ""] = _Style(
            based_on=_value(child(element, "basedOn")) or "",
            level=level,
            is_list=child(properties, "numPr") is not None or name.lower().startswith("list "),
            is_title=name.lower() in ("title", "제목"),
        )
    return styles


def _value(element: Element | None) -> str | None:
    return None if element is None else attribute(element, "val")


def _outline(properties: Element | None) -> int:
    """The heading depth that paragraph properties ask for; 0 is body text."""
    level = _value(child(properties, "outlineLvl"))
    return int(level) + 1 if level is not None and level.isdigit() and int(level) < 9 else 0


class _Reader:
    """Walks the body and fills the builder."""

    def __init__(self, styles: dict[str, _Style]) -> None:
        self.out = Builder()
        self.title: str | None = None
        self._styles = styles

    def block(self, element: Element) -> None:
        """A paragraph, a table, or a container of either."""
        kind = local(element)
        if kind == "p":
            self._paragraph(element)
        elif kind == "tbl":
            self._table(element)
        elif kind not in _HIDDEN:
            for inner in element:
                self.block(inner)

    def _table(self, element: Element) -> None:
        cells = [cell for row in element for cell in row if local(cell) == "tc"]
        if len(cells) > 1:
            self.out.table(_rows(element))
            return
        for cell in cells:  # a frame around text
            for inner in cell:
                self.block(inner)

    def _paragraph(self, element: Element) -> None:
        text = _text(element)
        properties = child(element, "pPr")
        style = self._style(_value(child(properties, "pStyle")))
        level = _outline(properties) or style.level
        numbering = child(properties, "numPr")
        if style.is_title and self.title is None:
            self.title = one_line(text)
            self.out.heading(text, 1)
        elif level and len(text) < 300:  # longer ones are body text with a wrong style
            self.out.heading(text, level)
        elif numbering is not None or style.is_list:
            depth = _value(child(numbering, "ilvl")) or "0"
            self.out.item(text, int(depth))
        else:
            self.out.paragraph(text)
        for box in element.iter("{*}txbxContent"):
            if not any(local(above) == "Fallback" for above in box.iterancestors()):
                for inner in box:
                    self.block(inner)

    def _style(self, name: str | None) -> _Style:
        """The style with what it inherits."""
        level, is_list, is_title = 0, False, False
        for _ in range(10):
            style = self._styles.get(name or "")
            if style is None:
                break
            level = level or style.level
            is_list = is_list or style.is_list
            is_title = is_title or style.is_title
            name = style.based_on
        return _Style("", level, is_list, is_title)


def _text(element: Element) -> str:
    """What the element shows, without the boxes anchored in it."""
    parts: list[str] = []
    stack = [element]
    while stack:
        node = stack.pop()
        name = local(node)
        if name in _HIDDEN or name == "txbxContent":
            continue
        if name == "t":
            parts.append(node.text or "")
        elif name in _MARKS:
            parts.append(_MARKS[name])
        elif name == "p" and parts:
            parts.append("\n")
        stack.extend(reversed(node))
    return "".join(parts)


def _rows(table: Element) -> list[list[str]]:
    """Cells by row and column. A cell that spans rows is repeated in each, so that every row can
    be understood alone."""
    rows: list[list[str]] = []
    for row in table.iter("{*}tr"):
        if next(above for above in row.iterancestors() if local(above) == "tbl") is not table:
            continue  # of a table inside a cell, whose text is the cell's
        cells: list[str] = []
        for cell in row.iter("{*}tc"):
            if next(above for above in cell.iterancestors() if local(above) == "tr") is not row:
                continue
            properties = child(cell, "tcPr")
            merge = child(properties, "vMerge")
            text = _text(cell)
            column = len(cells)
            if merge is not None and _value(merge) != "restart" and rows and column < len(rows[-1]):
                text = rows[-1][column]
            span = _value(child(properties, "gridSpan")) or "1"
            cells += [text, *[""] * (min(int(span), 200) - 1)]
        rows.append(cells)
    return rows
