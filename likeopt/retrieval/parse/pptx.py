"""PowerPoint presentations: a slide is a page, its title a heading; notes come after the slide.

Read from the XML itself: python-pptx takes 0.9 s to import. Format: ECMA-376 part 1, chapter 19.
"""

from collections.abc import Iterator
from pathlib import Path

from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import Builder, one_line
from likeopt.retrieval.parse.office import main_part, relations, title_of
from likeopt.retrieval.parse.xml import Element, attribute, child, local, parse_xml
from likeopt.retrieval.types import Parsed

_TITLES = ("title", "ctrTitle")
# Slide number, date, footer and header: the same on every slide.
_FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    out = Builder()
    first_title = None
    with Archive(path) as archive:
        main = main_part(archive)
        targets = relations(archive, main)
        for entry in child(parse_xml(archive.read(main)), "sldIdLst"):
            part = targets[_relation(entry)][1]
            out.page()
            title = _slide(out, archive, part)
            first_title = first_title or title
        return out.finish(title_of(archive) or first_title)


def _relation(element: Element) -> str:
    """The `r:id` attribute; `id` without a namespace is something else."""
    return next(str(value) for key, value in element.attrib.items() if key.endswith("}id"))


def _slide(out: Builder, archive: Archive, part: str) -> str | None:
    shapes = list(_shapes(parse_xml(archive.read(part))))
    title = next((shape for shape in shapes if _placeholder(shape) in _TITLES), None)
    heading = (
        one_line(" ".join(_paragraph(p) for p in title.iter("{*}p"))) if title is not None else ""
    )
    out.heading(heading, 1)
    for shape in shapes:
        if shape is not title and _placeholder(shape) not in _FURNITURE:
            _shape(out, shape)
    for kind, target in relations(archive, part).values():
        if kind == "notesSlide" and target in archive.names:
            for shape in _shapes(parse_xml(archive.read(target))):
                if _placeholder(shape) == "body":
                    out.paragraph("\n".join(_paragraph(p) for p in shape.iter("{*}p")))
    return heading or None


def _shapes(root: Element) -> Iterator[Element]:
    """Shapes in reading order, those in groups too."""
    for element in root.iter("{*}sp", "{*}graphicFrame"):
        if not any(local(above) == "Fallback" for above in element.iterancestors()):
            yield element


def _placeholder(shape: Element) -> str | None:
    """The role that the slide's layout gives to a shape; None for a free one."""
    for properties in shape:
        mark = child(properties, "nvPr", "ph")
        if mark is not None:
            return attribute(mark, "type") or "body"
    return None


def _shape(out: Builder, shape: Element) -> None:
    for table in shape.iter("{*}tbl"):
        out.table(_rows(table))
    body = child(shape, "txBody")
    if body is None:
        return
    paragraphs = [p for p in body if local(p) == "p"]
    is_list = _placeholder(shape) in ("body", "obj") and len(paragraphs) > 1
    for paragraph in paragraphs:
        text = _paragraph(paragraph)
        if is_list:
            properties = child(paragraph, "pPr")
            out.item(text, int(properties.get("lvl", "0")) if properties is not None else 0)
        else:
            out.paragraph(text)


def _rows(table: Element) -> list[list[str]]:
    """Cells by row and column; a cell that spans rows is repeated in each."""
    rows: list[list[str]] = []
    for row in table:
        if local(row) != "tr":
            continue
        cells: list[str] = []
        for cell in row:
            if local(cell) != "tc":
                continue
            if cell.get("vMerge") in ("1", "true") and rows and len(cells) < len(rows[-1]):
                cells.append(rows[-1][len(cells)])
            else:
                cells.append(" ".join(_paragraph(p) for p in cell.iter("{*}p")))
        rows.append(cells)
    return rows


def _paragraph(paragraph: Element) -> str:
    parts = []
    for element in paragraph.iter("{*}t", "{*}br", "{*}tab"):
        name = local(element)
        parts.append((element.text or "") if name == "t" else "\n" if name == "br" else "\t")
    return "".join(parts)
