"""PDF: text by page, with headings, paragraphs, lists and tables rebuilt."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from likeopt.retrieval.parse.builder import Builder, real_title
from likeopt.retrieval.parse.failures import MAX_TEXT, Unreadable
from likeopt.retrieval.parse.pdf_fonts import use_own_fonts
from likeopt.retrieval.parse.pdf_lines import (
    Fonts,
    Line,
    Paragraph,
    furniture,
    joined,
    lines_of,
    paragraphs_of,
    program_of,
    tight_breaks,
)
from likeopt.retrieval.parse.pdf_page import PageText, Word, page_text
from likeopt.retrieval.parse.pdf_tables import Table, aligned_tables, ruled_tables
from likeopt.retrieval.types import Parsed

_PROTECTED = (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY)
_SCANNED = "Its pages are pictures, and there is no OCR: add a version with a text layer."


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.parse`."""
    document = opened(path)
    try:
        pages = _pages(document)
        title = real_title(document.get_metadata_dict().get("Title"))
    finally:
        document.close()
    if not any(page.words for page in pages):
        raise Unreadable("no_text", _SCANNED)
    return _assemble(pages).finish(title)


def opened(path: Path) -> pdfium.PdfDocument:
    """The document, to be closed. Raises Unreadable (encrypted_file, damaged_file)."""
    use_own_fonts()
    return opened_as_is(path)


def opened_as_is(path: Path) -> pdfium.PdfDocument:
    """As `opened`, with the fonts of the system: for looking at it. Not both in one process."""
    try:
        return pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        code = "encrypted_file" if error.err_code in _PROTECTED else "damaged_file"
        raise Unreadable(code) from None


def _pages(document: pdfium.PdfDocument) -> list[PageText]:
    pages, size = [], 0
    for number in range(len(document)):
        page = document[number]
        try:
            text = page_text(page)
            size += sum(len(word.text) for word in text.words)
            if size > MAX_TEXT:
                raise Unreadable("too_large_text")
            pages.append(text)
        finally:
            page.close()
    return pages


def _assemble(pages: list[PageText]) -> Builder:
    lines = [lines_of(page.words) for page in pages]
    dropped = furniture(lines)
    tight = tight_breaks(one for page in lines for one in paragraphs_of(page))
    laid_out = []
    for page, gone in zip(pages, dropped, strict=True):
        furnished = {at for line in gone for at in range(line.order, line.last + 1)}
        words = [word for word in page.words if word.order not in furnished]
        laid_out.append(_lay_out(page._replace(words=words), tight=tight))
    _repeat_headers(laid_out)
    fonts = Fonts([one for page in laid_out for one in page if isinstance(one, Paragraph)])
    out = Builder()
    for pieces in laid_out:
        out.page()
        for piece in pieces:
            if isinstance(piece, Table):
                out.table(piece.rows)
                continue
            text = joined(piece.lines, tight=tight)
            level = fonts.level(piece)
            if level:
                out.heading(text, level)
            elif piece.kind == "item":
                out.item(text, marker="")
            elif piece.kind == "code":
                out.code(program_of(piece.lines))
            else:
                out.paragraph(text)
    return out


def _repeat_headers(pages: list[list[Table | Paragraph]]) -> None:
    """Give a table that goes on on the next page its header row there, as most programs do."""
    for page, after in pairwise(pages):
        if not page or not after:
            continue
        table, rest = page[-1], after[0]
        if isinstance(table, Table) and isinstance(rest, Table):
            header = table.rows[0]
            if len(header) == len(rest.rows[0]) and header != rest.rows[0]:
                rest.rows.insert(0, header)


def _lay_out(page: PageText, *, tight: bool) -> list[Table | Paragraph]:
    """The page's tables and paragraphs in reading order."""

    def join(words: Sequence[Word]) -> str:
        return joined(lines_of(words), tight=tight)

    tables = ruled_tables(page.words, page.horizontal, page.vertical, join)
    tables += aligned_tables(_without(page.words, tables), join)
    pieces: list[Table | Paragraph] = []
    run: list[Line] = []
    starts = {min(table.words): table for table in tables}
    rest = lines_of(_without(page.words, tables))
    marks: list[tuple[int, Line | Table]] = [(line.order, line) for line in rest]
    for _, piece in sorted([*marks, *starts.items()], key=lambda mark: mark[0]):
        if isinstance(piece, Line):
            run.append(piece)
            continue
        pieces += [*paragraphs_of(run), piece]
        run = []
    return pieces + paragraphs_of(run)


def _without(words: list[Word], tables: list[Table]) -> list[Word]:
    taken = frozenset[int]().union(*(table.words for table in tables))
    return [word for word in words if word.order not in taken]
