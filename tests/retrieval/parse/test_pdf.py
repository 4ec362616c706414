"""PDF: text by page, with its structure rebuilt."""

import io

import pytest

from likeopt.errors import UnreadableFile
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.conftest import Read, shown

LEAVE = [
    ["직급", "근속 연수", "연차 일수", "비고"],
    ["사원", "1년 이상", "15일", "월 1일씩"],
    ["과장", "5년 이상", "17일", ""],
]
LEAVE_ROWS = """직급 | 근속 연수 | 연차 일수 | 비고
사원 | 1년 이상 | 15일 | 월 1일씩
과장 | 5년 이상 | 17일 |"""
PROSE = (
    "모든 직원은 입사한 날부터 일 년이 지나면 연차 휴가를 받을 수 있으며, 휴가 일수는 근속"
    " 연수에 따라 달라집니다. 자세한 내용은 아래의 표를 참고하시기 바랍니다. 담당 부서는"
    " 인사팀입니다."
)
ENGLISH = (
    "Claims must be sent within thirty days; late claims need the approval of a director. Receipts"
    " are required for every single claim above 10,000 won."
)


def test_structure_and_pages_come_back(read: Read) -> None:
    pages = [
        f"# 인사 규정 안내\n\n{PROSE}\n\n## 휴가\n\n- 첫째 항목\n- 둘째 항목",
        f"# Second page\n\n{ENGLISH}",
    ]
    parsed = read(make.make_pdf(pages, title="규정집"), "a.pdf")
    assert parsed.title == "규정집"
    assert shown(parsed) == [
        ("heading", "인사 규정 안내"),
        ("paragraph", PROSE),
        ("heading", "휴가"),
        ("list", "• 첫째 항목\n• 둘째 항목"),
        ("heading", "Second page"),
        ("paragraph", ENGLISH),
    ]
    assert [block.level for block in parsed.blocks if block.kind == "heading"] == [1, 2, 1]
    assert parsed.text[parsed.page_starts[1] :].startswith("Second page")
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("ruled", [True, False])
@pytest.mark.parametrize("sideways", [True, False])
def test_a_value_of_a_table_stays_with_its_row(read: Read, *, ruled: bool, sideways: bool) -> None:
    data = make.make_pdf(f"# 연차\n\n{PROSE}", table=LEAVE, ruled=ruled, sideways=sideways)
    assert shown(read(data, "a.pdf"))[-1] == ("table", LEAVE_ROWS)


def test_a_table_that_goes_on_on_the_next_page_has_its_header_there(read: Read) -> None:
    rows = [["번호", "이름"], *([str(number), f"직원 {number}"] for number in range(1, 60))]
    parsed = read(make.make_pdf("직원 명부다.", table=rows), "a.pdf")
    first, second = (text.split("\n") for kind, text in shown(parsed) if kind == "table")
    assert first[0] == second[0] == "번호 | 이름"
    assert first[1:] + second[1:] == [f"{n} | 직원 {n}" for n in range(1, 60)]


BETWEEN_SYLLABLES = """\
모든 직원은 입사한 날부터 일 년이 지나면 연
차 휴가를 받을 수 있으며 휴가 일수는 근속 연
수에 따라 달라지므로 자세한 내용은 인사부서
에 묻는다."""
BETWEEN_WORDS = """\
모든 직원은 입사한 날부터 일 년이 지나면
연차 휴가를 받을 수 있으며 휴가 일수는
근속 연수에 따라 달라지므로 자세한 내용은
인사부서에 묻는다."""


@pytest.mark.parametrize(("lines", "between"), [(BETWEEN_SYLLABLES, ""), (BETWEEN_WORDS, " ")])
def test_korean_words_are_mended_as_the_page_breaks_them(
    read: Read, lines: str, between: str
) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("HYGothic-Medium"))
    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.setFont("HYGothic-Medium", 10)
    for y, line in enumerate(lines.split("\n")):
        canvas.drawString(72, 700 - 14 * y, line)
    canvas.save()
    assert read(file.getvalue(), "a.pdf").text == lines.replace("\n", between)


def test_text_wrapped_in_a_cell_is_one_cell(read: Read) -> None:
    note = "2년마다 1일이 추가되며 최대 25일까지 받을 수 있고 미사용분은 수당으로 지급된다"
    rows = [["직급", "비고"], ["과장", f"{note} {note} {note}"], ["차장", "없음"]]
    kind, text = shown(read(make.make_pdf("본문", table=rows), "a.pdf"))[-1]
    assert kind == "table"
    assert [line.replace(" ", "") for line in text.split("\n")] == [
        "|".join(row).replace(" ", "") for row in rows
    ]


def test_a_table_open_at_the_sides_with_a_cell_over_two_rows(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    texts = {(0, 0): "City", (0, 1): "Season", (0, 2): "Price", (1, 0): "Seoul", (1, 1): "Summer"}
    texts |= {(1, 2): "150,000", (2, 1): "Winter", (2, 2): "120,000"}
    for (row, column), text in texts.items():
        canvas.drawString(100 + 120 * column, 700 - 20 * row, text)
    for y in (715, 695, 655):
        canvas.line(95, y, 455, y)
    canvas.line(215, 675, 455, 675)
    for x in (215, 335):
        canvas.line(x, 715, x, 655)
    canvas.save()
    assert shown(read(file.getvalue(), "a.pdf")) == [
        ("table", "City | Season | Price\nSeoul | Summer | 150,000\nSeoul | Winter | 120,000")
    ]


def test_rows_without_lines_between_them_are_rows(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    rows = [["Name", "Age"], ["Kim", "31"], ["Lee", "42"], ["Park", "27"]]
    for y, row in enumerate(rows):
        for x, text in enumerate(row):
            canvas.drawString(105 + 100 * x, 700 - 15 * y - (10 if y else 0), text)
    canvas.grid([100, 200, 300], [715, 695, 640])
    canvas.save()
    assert shown(read(file.getvalue(), "a.pdf")) == [
        ("table", "\n".join(" | ".join(row) for row in rows))
    ]


def test_columns_of_prose_are_no_table(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    left = ["The first column of this page tells", "about leave and goes on for some", "lines."]
    right = ["The second column tells about the", "travel costs that the company does", "pay."]
    for x, column in ((72, left * 3), (320, right * 3)):
        for y, line in enumerate(column):
            canvas.drawString(x, 700 - 14 * y, line)
    canvas.save()
    kinds = shown(read(file.getvalue(), "a.pdf"))
    assert {kind for kind, _ in kinds} == {"paragraph"}
    text = " ".join(text for _, text in kinds)
    assert text == " ".join(left * 3 + right * 3)


def test_words_broken_at_the_end_of_a_line_are_mended(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    lines = [
        "All claims need the permis-",
        "sion of a director, as the An-",
        "glo-Korean rules say.",
    ]
    for y, line in enumerate(lines):
        canvas.drawString(72, 700 - 14 * y, line)
    canvas.save()
    assert shown(read(file.getvalue(), "a.pdf")) == [
        (
            "paragraph",
            "All claims need the permission of a director, as the Anglo-Korean rules say.",
        )
    ]


def test_headers_footers_and_page_numbers_are_left_out(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    words = ("one", "two", "three", "four")
    for number, word in enumerate(words, 1):
        canvas.drawString(72, 800, f"Staff handbook, chapter {number}")
        canvas.drawString(72, 600, f"Body of page number {word}.")
        canvas.drawString(290, 30, f"- {number} -")
        canvas.showPage()
    canvas.save()
    text = read(file.getvalue(), "a.pdf").text
    assert text == "\n\n".join(f"Body of page number {n}." for n in words)


def test_program_listings_keep_their_lines(read: Read) -> None:
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.setFont("Courier", 10)
    for y, (indent, line) in enumerate([(0, "def f(x):"), (4, "return x + 1"), (0, "f(2)")]):
        canvas.drawString(72 + 6 * indent, 700 - 12 * y, line)
    canvas.save()
    assert shown(read(file.getvalue(), "a.pdf")) == [("code", "def f(x):\n    return x + 1\nf(2)")]


def test_an_empty_page_still_counts(read: Read) -> None:
    parsed = read(make.make_pdf(["First.", " ", "Third."]), "a.pdf")
    assert [block.page for block in parsed.blocks] == [1, 3]
    assert len(parsed.page_starts) == 3


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (make.make_encrypted_pdf(), "encrypted_file", "password"),
        (make.make_scanned_pdf(), "no_text", r"no text to search in\. \(Its pages are pictures"),
        (make.make_pdf("text")[:300], "damaged_file", "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(read: Read, data: bytes, code: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=rf"a\.pdf .*{said}") as refused:
        read(data, "a.pdf")
    assert refused.value.instance_code == code


def test_a_pdf_that_anyone_may_open_is_read_although_encrypted(read: Read) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, encrypt=StandardEncryption("", ownerPassword="owner", canPrint=0))
    canvas.drawString(72, 700, "No printing, but reading.")
    canvas.save()
    assert read(file.getvalue(), "a.pdf").text == "No printing, but reading."
