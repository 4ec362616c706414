"""Word, PowerPoint and Excel, and what they all may suffer from."""

import datetime as dt
import io

import pytest

from likeopt.errors import UnreadableFile, UnsupportedType
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse import ole
from tests.retrieval.parse.conftest import Read, shown

CONTENT = """# 인사 규정

모든 직원에게 적용된다.

## 휴가

- 첫째 항목
- 둘째 항목

| 직급 | 연차 |
| 사원 | 15일 |

끝."""


def test_a_word_document_comes_back_in_order(read: Read) -> None:
    parsed = read(make.make_docx(CONTENT, title="규정집"), "a.docx")
    assert parsed.title == "규정집"
    assert shown(parsed) == [
        ("heading", "인사 규정"),
        ("paragraph", "모든 직원에게 적용된다."),
        ("heading", "휴가"),
        ("list", "- 첫째 항목\n- 둘째 항목"),
        ("table", "직급 | 연차\n사원 | 15일"),
        ("paragraph", "끝."),
    ]
    assert [block.level for block in parsed.blocks if block.level] == [1, 2]


def test_word_merged_cells_frames_and_nested_lists(read: Read) -> None:
    import docx

    document = docx.Document()
    document.add_heading("안내", 0)
    table = document.add_table(3, 3)
    for row, texts in zip(table.rows, ("abc", "def", "ghi"), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(0, 1).merge(table.cell(0, 2))
    frame = document.add_table(1, 1).cell(0, 0)
    frame.text = "상자 안의 글."
    frame.add_paragraph("둘째 문단.")
    document.add_paragraph("깊은 항목", style="List Bullet 2")
    file = io.BytesIO()
    document.save(file)
    parsed = read(file.getvalue(), "a.docx")
    assert parsed.title == "안내"
    assert shown(parsed) == [
        ("heading", "안내"),
        ("table", "a | b c |\nd g | e | f\nd g | h | i"),
        ("paragraph", "상자 안의 글."),
        ("paragraph", "둘째 문단."),
        ("list", "- 깊은 항목"),
    ]


def test_word_shows_what_a_reader_sees(read: Read) -> None:
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = (
        "<w:p><w:r><w:t>남은 </w:t></w:r><w:del><w:r><w:delText>지운 </w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>더한</w:t><w:br/><w:t>글</w:t></w:r></w:ins></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>양식</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    xml = f'<w:document xmlns:w="{w}"><w:body>{body}</w:body></w:document>'.encode()
    data = make.replace_in_zip(make.make_docx("x"), {"word/document.xml": xml})
    assert read(data, "a.docx").text == "남은 더한\n글\n\n양식"


def test_slides_are_pages(read: Read) -> None:
    slides = ["# 첫 장\n\n요점 하나\n\n요점 둘\n\n| 월 | 매출 |\n| 1월 | 300 |", "# 둘째 장"]
    parsed = read(make.make_pptx(slides, notes="여기서 쉰다."), "a.pptx")
    assert parsed.title == "첫 장"
    assert shown(parsed) == [
        ("heading", "첫 장"),
        ("list", "- 요점 하나\n- 요점 둘"),
        ("table", "월 | 매출\n1월 | 300"),
        ("heading", "둘째 장"),
        ("paragraph", "여기서 쉰다."),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 2, 2]


SHEETS: dict[str, list[list[object]]] = {
    "매출": [
        ["2024년 매출 현황", None, None],
        [None, None, None],
        ["월", "금액", "마감일"],
        ["1월", 1200.5, dt.date(2024, 1, 31)],
        ["2월", 3, True],
    ],
    "빈 시트": [],
    "요율": [["구분", "비율"], ["가", 0.15]],
}


def test_sheets_are_tables(read: Read) -> None:
    assert shown(read(make.make_xlsx(SHEETS), "a.xlsx")) == [
        ("heading", "매출"),
        ("paragraph", "2024년 매출 현황"),
        ("table", "월 | 금액 | 마감일\n1월 | 1200.5 | 2024-01-31\n2월 | 3 | TRUE"),
        ("heading", "요율"),
        ("table", "구분 | 비율\n가 | 0.15"),
    ]


def test_hidden_sheets_are_left_out_and_merged_labels_repeated(read: Read) -> None:
    import xlsxwriter

    file = io.BytesIO()
    workbook = xlsxwriter.Workbook(file)
    sheet = workbook.add_worksheet("공개")
    for y, row in enumerate([["지역", "월", "값"], [None, "1월", 1], [None, "2월", 2]]):
        sheet.write_row(y, 0, row)
    sheet.merge_range("A2:A3", "서울")
    hidden = workbook.add_worksheet("비밀")
    hidden.write(0, 0, "급여")
    hidden.hide()
    workbook.close()
    assert shown(read(file.getvalue(), "a.xlsx")) == [
        ("heading", "공개"),
        ("table", "지역 | 월 | 값\n서울 | 1월 | 1\n서울 | 2월 | 2"),
    ]


@pytest.mark.parametrize(
    ("make_file", "name"), [(make.make_xls, "a.xls"), (make.make_ods, "a.ods")]
)
def test_other_spreadsheets_are_read(read: Read, make_file: object, name: str) -> None:
    assert callable(make_file)
    data = make_file([["City", "도시"], ["Seoul", "서울"]], sheet="Names")
    assert shown(read(data, name)) == [("heading", "Names"), ("table", "City | 도시\nSeoul | 서울")]


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.xls"])
def test_a_password_is_reported(read: Read, name: str) -> None:
    with pytest.raises(UnreadableFile, match="password") as refused:
        read(make.make_encrypted_office(), name)
    assert refused.value.instance_code == "encrypted_file"


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (make.make_xls([["a", "b"]]), "a.docx", "an old Excel workbook"),
        (make.make_hwp("본문"), "a.xls", "a Hangul document"),
        (make.make_xls([["a", "b"]]), "a.hwp", "an old Excel workbook"),
        (ole.container({"WordDocument": b"x" * 5000}), "a.docx", "an old Word document"),
        (ole.container({"Something": b"x"}), "a.hwp", "an old Office document"),
    ],
)
def test_what_only_reading_reveals_is_refused_too(
    read: Read, data: bytes, name: str, said: str
) -> None:
    with pytest.raises(UnsupportedType, match=f"its content is {said}"):
        read(data, name)


def test_entities_are_not_expanded(read: Read) -> None:
    bomb = (
        b'<!DOCTYPE w [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
        b'<w:document xmlns:w="urn:w"><w:body><w:p><w:r><w:t>&b;&f;</w:t></w:r></w:p></w:body>'
        b"</w:document>"
    )
    data = make.replace_in_zip(make.make_docx("x"), {"word/document.xml": bomb})
    with pytest.raises(UnreadableFile, match="document type") as refused:
        read(data, "a.docx")
    assert refused.value.instance_code == "damaged_file"


def test_missing_parts_are_damage(read: Read) -> None:
    data = make.replace_in_zip(make.make_docx("x"), {"_rels/.rels": b"<Relationships/>"})
    with pytest.raises(UnreadableFile, match="main part is missing"):
        read(data, "a.docx")
