"""Files of every format that Like-Opt reads, made in memory.

`content` is light Markdown: `# Heading`, `- item`, paragraphs between blank lines, and tables as
lines of cells between `|` (the first line is the header).
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from tests.retrieval.parse import ole

Rows = Sequence[Sequence[object]]
# Grey as the paper and as big as a stamp: a picture without text.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000"
    "020001e221bc330000000049454e44ae426082"  # pragma: allowlist secret
)


class Piece(NamedTuple):
    """A part of a document: h1 to h6, p, li or table."""

    kind: str
    text: str
    rows: list[list[str]]


def pieces(content: str) -> list[Piece]:
    """`content` in parts."""
    found = []
    for part in content.strip().split("\n\n"):
        lines = part.strip().split("\n")
        if lines[0].startswith("#"):
            marks, _, text = lines[0].partition(" ")
            found.append(Piece(f"h{len(marks)}", text, []))
        elif lines[0].startswith("|"):
            rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
            found.append(Piece("table", "", rows))
        elif lines[0].startswith("- "):
            found += [Piece("li", line.removeprefix("- "), []) for line in lines]
        else:
            found.append(Piece("p", " ".join(lines), []))
    return found


# -- PDF ---------------------------------------------------------------------------------------


def make_pdf(
    pages: str | Sequence[str],
    *,
    table: Rows | None = None,
    ruled: bool = True,
    title: str | None = None,
    password: str | None = None,
    sideways: bool = False,
) -> bytes:
    """A PDF of A4 pages; `table` is added to the last one, with lines or only aligned.
    `sideways` writes the page turned by 90 degrees and marks it so, as programs do for landscape.

    Korean needs no font file: the text is set in one of the fonts that every PDF reader knows.
    """
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

    font = "HYGothic-Medium"
    pdfmetrics.registerFont(UnicodeCIDFont(font))
    sizes = {"h1": 20, "h2": 16, "h3": 13.5}
    lines = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if ruled else []
    grid = [("FONT", (0, 0), (-1, -1), font, 10), ("VALIGN", (0, 0), (-1, -1), "TOP"), *lines]
    body = ParagraphStyle("body", fontName=font, fontSize=10, leading=14, wordWrap="CJK")

    def flowable(piece: Piece) -> object:
        if piece.kind == "table":
            cells = [[Paragraph(escape(cell), body) for cell in row] for row in piece.rows]
            return Table(cells if ruled else piece.rows, style=grid)
        size = sizes.get(piece.kind, 10)
        style = ParagraphStyle(
            piece.kind, fontName=font, fontSize=size, leading=size * 1.4, spaceAfter=6
        )
        return Paragraph(escape(f"• {piece.text}" if piece.kind == "li" else piece.text), style)

    story: list[object] = []
    for number, page in enumerate([pages] if isinstance(pages, str) else pages):
        story += [PageBreak()] if number else []
        story += [flowable(piece) for piece in pieces(page)] if page.strip() else [Spacer(1, 1)]
    if table is not None:
        rows = [[str(cell) for cell in row] for row in table]
        story += [Spacer(1, 12), flowable(Piece("table", "", rows))]
    file = io.BytesIO()
    encrypt = StandardEncryption(password, strength=128) if password is not None else None
    document = SimpleDocTemplate(file, pagesize=A4, title=title, encrypt=encrypt)

    def turn(canvas: Any, _: object) -> None:
        if sideways:
            canvas.setPageRotation(90)
            canvas.translate(A4[0], 0)
            canvas.rotate(90)

    document.build(story, onFirstPage=turn, onLaterPages=turn)
    return file.getvalue()


def make_encrypted_pdf(text: str = "Secret figures", password: str = "open sesame") -> bytes:
    """A PDF that asks for a password."""
    return make_pdf(text, password=password)


def make_scanned_pdf() -> bytes:
    """A PDF that holds a picture and no text."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.drawImage(ImageReader(io.BytesIO(_PNG)), 50, 50, 400, 600)
    canvas.save()
    return file.getvalue()


# -- office --------------------------------------------------------------------------------------


def make_docx(content: str, *, title: str | None = None) -> bytes:
    """A Word document."""
    import docx

    document = docx.Document()
    document.core_properties.title = title or ""
    for piece in pieces(content):
        if piece.kind == "table":
            table = document.add_table(len(piece.rows), len(piece.rows[0]))
            for row, cells in zip(table.rows, piece.rows, strict=True):
                for cell, text in zip(row.cells, cells, strict=True):
                    cell.text = text
        elif piece.kind == "li":
            document.add_paragraph(piece.text, style="List Bullet")
        elif piece.kind == "p":
            document.add_paragraph(piece.text)
        else:
            document.add_heading(piece.text, int(piece.kind[1]))
    return _saved(document)


def make_pptx(slides: Sequence[str], *, notes: str | None = None) -> bytes:
    """A presentation; a slide's first heading is its title, `notes` go to the last slide."""
    import pptx
    from pptx.util import Cm

    presentation = pptx.Presentation()
    for content in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        frame = slide.placeholders[1].text_frame
        texts = []
        for piece in pieces(content):
            if piece.kind == "table":
                shape = slide.shapes.add_table(
                    len(piece.rows), len(piece.rows[0]), Cm(2), Cm(8), Cm(18), Cm(4)
                )
                for y, row in enumerate(piece.rows):
                    for x, text in enumerate(row):
                        shape.table.cell(y, x).text = text
            elif piece.kind.startswith("h"):
                slide.shapes.title.text = piece.text
            else:
                texts.append(piece.text)
        frame.text = "\n".join(texts)
        if notes is not None and content is slides[-1]:
            slide.notes_slide.notes_text_frame.text = notes
    return _saved(presentation)


def make_xlsx(sheets: Mapping[str, Rows]) -> bytes:
    """A workbook; values keep their types (dates need a format to be dates)."""
    import datetime as dt

    import xlsxwriter

    file = io.BytesIO()
    workbook = xlsxwriter.Workbook(file, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = workbook.add_worksheet(name)
        for y, row in enumerate(rows):
            for x, value in enumerate(row):
                if isinstance(value, dt.date):
                    sheet.write_datetime(y, x, value)
                else:
                    sheet.write(y, x, value)
    workbook.close()
    return file.getvalue()


def make_xls(rows: Rows, *, sheet: str = "Sheet1") -> bytes:
    """An old Excel workbook (BIFF8) of texts and numbers."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    def text(value: str, length: str) -> bytes:
        return struct.pack(length, len(value)) + b"\x01" + value.encode("utf-16-le")

    def begin(kind: int) -> bytes:
        return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0x0DBB, 1996, 0, 6))

    cells = b""
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            place = struct.pack("<HHH", y, x, 0)
            if isinstance(value, str):
                cells += record(0x204, place + text(value, "<H"))
            elif isinstance(value, (int, float)):
                cells += record(0x203, place + struct.pack("<d", value))
    end = record(0x0A, b"")
    name = text(sheet, "<B")
    head = begin(5) + record(0x42, struct.pack("<H", 1200))
    bound = 4 + 6 + len(name)
    start = len(head) + bound + len(end)
    sheets = record(0x85, struct.pack("<IH", start, 0) + name)
    return ole.container({"Workbook": head + sheets + end + begin(0x10) + cells + end})


def make_ods(rows: Rows, *, sheet: str = "Sheet1") -> bytes:
    """An OpenDocument spreadsheet of texts."""
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(str(value))}</text:p>'
            "</table:table-cell>"
            for value in row
        )
        + "</table:table-row>"
        for row in rows
    )
    urn = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content'
        f' xmlns:office="{urn}office:1.0" xmlns:table="{urn}table:1.0" xmlns:text="{urn}text:1.0">'
        f'<office:body><office:spreadsheet><table:table table:name="{escape(sheet)}">{lines}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    return make_zip(
        {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content.encode(),
            "META-INF/manifest.xml": (
                f'<manifest:manifest xmlns:manifest="{urn}manifest:1.0"/>'.encode()
            ),
        },
        stored=("mimetype",),
    )


def make_encrypted_office() -> bytes:
    """What Office makes of a file with a password, whatever its kind."""
    return ole.container(
        {"EncryptedPackage": b"\x99" * 5000, "EncryptionInfo": b"\x04\0\x04\0" * 40}
    )


def make_zip(files: Mapping[str, bytes], *, stored: Iterable[str] = ()) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            packing = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, packing)
    return file.getvalue()


def replace_in_zip(data: bytes, files: Mapping[str, bytes]) -> bytes:
    """The archive with some entries replaced or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return make_zip(entries | dict(files))


def make_zip_bomb_docx(size: int = 64 << 20) -> bytes:
    """A Word document of a few kilobytes that unpacks to `size` bytes."""
    head = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    bomb = head + b" " * size + b"</w:document>"
    return replace_in_zip(make_docx("harmless"), {"word/document.xml": bomb})


# -- Hangul ----------------------------------------------------------------------------------------


def make_hwpx(content: str, *, encrypted: bool = False) -> bytes:
    """A Hangul document in XML."""
    ns = (
        'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph"'
        ' xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section"'
        ' xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"'
    )

    def paragraph(run: str, shape: int = 0) -> str:
        return f'<hp:p paraPrIDRef="{shape}"><hp:run>{run}</hp:run></hp:p>'

    def cell(y: int, x: int, text: str) -> str:
        inside = paragraph(f"<hp:t>{escape(text)}</hp:t>")
        return (
            f'<hp:tc><hp:subList>{inside}</hp:subList><hp:cellAddr colAddr="{x}" rowAddr="{y}"/>'
            '<hp:cellSpan colSpan="1" rowSpan="1"/></hp:tc>'
        )

    body = ""
    for piece in pieces(content):
        if piece.kind == "table":
            rows = "".join(
                "<hp:tr>" + "".join(cell(y, x, text) for x, text in enumerate(row)) + "</hp:tr>"
                for y, row in enumerate(piece.rows)
            )
            body += paragraph(f"<hp:tbl>{rows}</hp:tbl><hp:t/>")
        else:
            level = int(piece.kind[1]) if piece.kind.startswith("h") else 0
            body += paragraph(f"<hp:t>{escape(piece.text)}</hp:t>", level)
    shapes = '<hh:paraPr id="0"><hh:heading type="NONE" level="0"/></hh:paraPr>' + "".join(
        f'<hh:paraPr id="{n}"><hh:heading type="OUTLINE" level="{n - 1}"/></hh:paraPr>'
        for n in range(1, 7)
    )
    manifest = '<manifest><file-entry full-path="Contents/section0.xml">'
    manifest += "<encryption-data/>" if encrypted else ""
    return make_zip(
        {
            "mimetype": b"application/hwp+zip",
            "Contents/header.xml": f"<hh:head {ns}>{shapes}</hh:head>".encode(),
            "Contents/section0.xml": f"<hs:sec {ns}>{body}</hs:sec>".encode(),
            "META-INF/manifest.xml": f"{manifest}</file-entry></manifest>".encode(),
        },
        stored=("mimetype",),
    )


def make_hwp(content: str, *, title: str = "", outline: bool = True, flags: int = 1) -> bytes:
    """A Hangul document (HWP 5). Headings have an outline level or, as in most documents, only
    larger letters. `flags` are those of its header: 1 packed, 2 password, 4 distribution copy."""
    return ole.container(hwp_streams(content, title=title, outline=outline, flags=flags))


def hwp_streams(
    content: str, *, title: str = "", outline: bool = True, flags: int = 1
) -> dict[str, bytes]:
    """What `make_hwp` puts into its container."""

    def record(tag: int, depth: int, data: bytes) -> bytes:
        if len(data) < 0xFFF:
            return struct.pack("<I", tag | depth << 10 | len(data) << 20) + data
        return struct.pack("<II", tag | depth << 10 | 0xFFF << 20, len(data)) + data

    def paragraph(depth: int, text: str, shape: int = 0, control: bytes = b"") -> bytes:
        anchor = struct.pack("<8H", 11, *b"\x00" * 6, 11) if control else b""
        data = anchor + (text + "\r").encode("utf-16-le")
        level = shape if outline else 0
        head = struct.pack("<IIHBB", len(data) // 2, 0, level, 0, 0) + b"\0" * 12
        size = record(68, depth + 1, struct.pack("<II", 0, shape))
        return record(66, depth, head) + record(67, depth + 1, data) + size + control

    def table(rows: list[list[str]]) -> bytes:
        data = record(71, 1, b" lbt" + b"\0" * 40)
        data += record(77, 2, struct.pack("<IHH", 0, len(rows), len(rows[0])) + b"\0" * 10)
        for y, row in enumerate(rows):
            for x, text in enumerate(row):
                place = struct.pack("<II4H", 1, 0, x, y, 1, 1)
                data += record(72, 2, place + b"\0" * 16) + paragraph(2, text)
        return data

    body = b""
    for piece in pieces(content):
        if piece.kind == "table":
            body += paragraph(0, "", control=table(piece.rows))
        else:
            level = int(piece.kind[1]) if piece.kind.startswith("h") else 0
            body += paragraph(0, piece.text, level)
    shapes = [0, *((1 << 23) | (level << 25) for level in range(6))]
    info = record(16, 0, struct.pack("<H", 1) + b"\0" * 24)  # document properties: one section
    info += b"".join(record(25, 0, struct.pack("<I", shape) + b"\0" * 50) for shape in shapes)
    letters = [1000, *range(2400, 1200, -200)]
    info += b"".join(record(21, 0, b"\0" * 42 + struct.pack("<I", size)) for size in letters)
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05010100, flags)
    named = (title + "\0").encode("utf-16-le")
    named = struct.pack("<II", 31, len(named) // 2) + named
    properties = struct.pack("<IIII", 16 + len(named), 1, 2, 16) + named
    summary = b"\xfe\xff\0\0" + b"\0" * 20 + struct.pack("<I16sI", 1, b"", 48) + properties
    return {
        "\x05HwpSummaryInformation": summary,
        "FileHeader": header.ljust(256, b"\0"),
        "DocInfo": _deflated(info) if flags & 1 else info,
        "BodyText/Section0": _deflated(body) if flags & 1 else body,
    }


# -- text ------------------------------------------------------------------------------------------


def make_html(content: str, *, title: str = "Page", charset: str = "utf-8") -> bytes:
    """A web page with navigation, a script and a footer around the content."""
    body = ""
    for piece in pieces(content):
        if piece.kind == "table":
            head, *rows = (
                "".join(f"<td>{escape(cell)}</td>" for cell in row) for row in piece.rows
            )
            body += "<table><tr>" + head.replace("td>", "th>") + "</tr>"
            body += "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
        elif piece.kind == "li":
            body += f"<ul><li>{escape(piece.text)}</li></ul>"
        else:
            body += f"<{piece.kind}>{escape(piece.text)}</{piece.kind}>"
    return (
        f'<!DOCTYPE html><html><head><meta charset="{charset}"><title>{escape(title)}</title>'
        "<style>p { color: red }</style><script>var secret = 'tracking';</script></head><body>"
        '<nav><a href="/">Home</a> <a href="/login">Log in</a></nav>'
        f"<main>{body}</main><footer>All rights reserved</footer></body></html>"
    ).encode(charset)


def make_csv(rows: Rows, *, delimiter: str = ",", charset: str = "utf-8") -> bytes:
    """Values separated by `delimiter`, quoted where needed."""
    import csv

    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue().encode(charset)


def make_jsonl(records: Iterable[object]) -> bytes:
    """One JSON value a line."""
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _saved(document: object) -> bytes:
    file = io.BytesIO()
    document.save(file)  # type: ignore[attr-defined]
    return file.getvalue()
