"""What all parsers have in common."""

import pytest

from likeopt.retrieval.parse.builder import Builder, real_title
from likeopt.retrieval.parse.failures import Unreadable
from likeopt.retrieval.parse.grid import Cell, grid
from tests.retrieval.parse.conftest import check, shown


def test_text_is_cleaned_and_offsets_follow() -> None:
    out = Builder()
    out.paragraph("한\u0000글\ud800 e\u0301\r\n둘\u2028셋  \n\n\n\n넷\ufeff")
    out.item("하나\n둘")
    out.item("셋", depth=1)
    parsed = out.finish()
    check(parsed)
    assert shown(parsed) == [
        ("paragraph", "한글 é\n둘\n셋"),
        ("paragraph", "넷"),
        ("list", "- 하나 둘\n  - 셋"),
    ]


def test_chapters_of_korean_rules_are_headings() -> None:
    out = Builder()
    out.paragraph("제2장 휴가")
    out.paragraph("제1절 연차 휴가")
    out.paragraph("제3장의 규정은 적용하지 아니한다.")
    parsed = out.finish()
    assert [(block.kind, block.level) for block in parsed.blocks] == [
        ("heading", 2),
        ("heading", 3),
        ("paragraph", 0),
    ]


def test_empty_rows_and_columns_of_a_table_are_dropped() -> None:
    out = Builder()
    out.table([["a", "", "b"], ["", "", ""], ["c"], []])
    assert shown(out.finish()) == [("table", "a | b\nc |")]


def test_a_row_that_holds_prose_becomes_paragraphs() -> None:
    out = Builder()
    out.table([["a", "b"], ["c", "글 " * 1000], ["d", "e"]])
    assert [kind for kind, _ in shown(out.finish())] == [
        "table",
        "paragraph",
        "paragraph",
        "table",
    ]


def test_a_text_that_grows_too_large_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeopt.retrieval.parse.builder.MAX_TEXT", 100)
    out = Builder()
    out.paragraph("a" * 100)
    with pytest.raises(Unreadable, match="too_large_text"):
        out.paragraph("b")


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "Untitled-1",
        "Microsoft Word - 보고서.doc",
        "제목 없음",
        "PowerPoint 프레젠테이션",
        "규정.hwp",
        "(anonymous)",
    ],
)
def test_titles_that_programs_make_up_are_no_titles(junk: str) -> None:
    assert real_title(junk) is None
    assert real_title(" 인사\n규정 2.0 ") == "인사 규정 2.0"


def test_cells_that_span_rows_are_repeated() -> None:
    cells = [Cell(0, 0, 1, 2, "a"), Cell(0, 2, 3, 1, "b"), Cell(1, 0, 65_535, 1, "c")]
    cells += [Cell(1, 1, 1, 1, "d"), Cell(2, 1, 1, 1, "e")]
    assert grid(cells) == [["a", "", "b"], ["c", "d", "b"], ["c", "e", "b"]]


def test_cells_far_apart_take_no_room() -> None:
    cells = [Cell(n, n, 1, 1, "x") for n in range(5000)]
    assert grid(cells) == [["x"]] * 5000
