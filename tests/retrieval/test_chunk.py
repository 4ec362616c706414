"""Passages follow the structure of the text and lose nothing of it."""

import unicodedata
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from likeopt.retrieval.chunk import chunk
from likeopt.retrieval.parse.builder import Builder
from likeopt.retrieval.types import Block, BlockKind, ChunkDraft, Parsed

KOREAN = "연차 휴가는 입사한 날부터 일 년이 지나면 열다섯 날이 생깁니다."


def check(parsed: Parsed, target: int, overlap: int) -> list[ChunkDraft]:
    """What holds of every text; returns the passages."""
    drafts = chunk(parsed, target=target, overlap=overlap)
    covered = bytearray(len(parsed.text))
    rows = [block for block in parsed.blocks if block.kind in ("table", "code")]
    for number, draft in enumerate(drafts):
        assert draft.ordinal == number
        assert draft.text == parsed.text[draft.start : draft.end]
        assert draft.text.strip()
        assert not any("\ud800" <= char <= "\udfff" for char in draft.text)
        covered[draft.start : draft.end] = b"\1" * (draft.end - draft.start)
        alone = "\n" not in draft.text and any(
            block.start <= draft.start and draft.end <= block.end for block in rows
        )
        assert len(draft.text) <= (4 if alone else 2) * target
    assert all(mark or char.isspace() for mark, char in zip(covered, parsed.text, strict=True))
    for before, after in pairwise(drafts):
        assert before.start < after.start
        assert before.end < after.end
        assert before.end - after.start <= overlap
    return drafts


# A text of blocks, with everything that has ever been awkward to cut.
_WORDS = st.sampled_from(
    ["연차", "휴가는 ", "입니다. ", "word", " and ", "e.g. ", "3.14", "? ", "\n", " | ",
     "👩‍👩‍👧", "é", "🇰🇷", "각", "x" * 60, "가" * 45, "“인용.” ", "\t", "  "]
)  # fmt: skip
_KINDS: list[BlockKind] = ["heading", "paragraph", "list", "table", "code"]


@st.composite
def texts(draw: st.DrawFn) -> Parsed:
    text = ""
    blocks, pages = [], [0]
    for _ in range(draw(st.integers(0, 8))):
        part = "".join(draw(st.lists(_WORDS, max_size=40)))
        kind = draw(st.sampled_from([*_KINDS, None]))
        if kind is not None:
            level = draw(st.integers(1, 6)) if kind == "heading" else 0
            blocks.append(Block(kind, len(text), len(text) + len(part), level))
        text += part + draw(st.sampled_from(["\n\n", "\n", " "]))
        if draw(st.booleans()):
            pages.append(len(text))
    title = draw(st.sampled_from([None, "제목"]))
    return Parsed(text, blocks, title, pages if draw(st.booleans()) else [])


@settings(max_examples=200, deadline=None)
@given(texts(), st.sampled_from([(40, 0), (50, 25), (120, 20), (800, 100)]))
def test_nothing_is_lost_and_no_passage_is_too_long(parsed: Parsed, sizes: tuple[int, int]) -> None:
    drafts = check(parsed, *sizes)
    assert drafts == chunk(parsed, target=sizes[0], overlap=sizes[1])


def test_an_empty_text_has_no_passages() -> None:
    assert chunk(Parsed("", [])) == chunk(Parsed(" \n ", [])) == []


def test_passages_end_with_sentences_and_share_whole_ones() -> None:
    out = Builder()
    out.paragraph(" ".join(f"{number}번 직원의 {KOREAN}" for number in range(60)))
    drafts = check(out.finish(), 400, 100)
    assert len(drafts) > 3
    for before, after in pairwise(drafts):
        assert before.text.endswith("생깁니다.")
        shared = before.text[after.start - before.start :]
        assert shared.endswith("생깁니다.")
        assert shared[0].isdigit()


def test_a_heading_begins_a_passage_and_names_the_path() -> None:
    out = Builder()
    out.heading("인사 규정", 1)
    out.heading("휴가", 2)
    out.paragraph(KOREAN * 20)
    out.heading("여비", 2)
    out.paragraph("여비는 실비로 지급합니다. " * 30)
    drafts = check(out.finish("규정집"), 400, 100)
    leave = [draft for draft in drafts if draft.context == "규정집 > 인사 규정 > 휴가"]
    travel = [draft for draft in drafts if draft.context == "규정집 > 인사 규정 > 여비"]
    assert leave + travel == drafts
    assert leave[0].text.startswith("인사 규정\n\n휴가\n\n연차")
    assert travel[0].text.startswith("여비\n\n여비는")
    assert len(leave) > 1


def test_the_title_is_not_said_twice() -> None:
    out = Builder()
    out.heading("인사 규정", 1)
    out.paragraph(KOREAN)
    assert chunk(out.finish("인사 규정"))[0].context == "인사 규정"


def test_a_section_that_names_its_file_is_not_above_the_others() -> None:
    out = Builder()
    for name in ("휴가", "여비"):
        out.heading(name, 2)
        out.paragraph(KOREAN * 20)
    parsed = out.finish(out.first_heading())
    assert parsed.title == "휴가"
    assert [draft.context for draft in chunk(parsed)][-1] == "여비"


def test_tiny_sections_share_a_passage() -> None:
    out = Builder()
    out.heading("질문과 답", 1)
    for number in range(8):
        out.heading(f"질문 {number}?", 2)
        out.paragraph(f"답 {number}입니다.")
    out.heading("긴 절", 2)
    out.paragraph(KOREAN * 20)
    drafts = check(out.finish(), 800, 100)
    assert "답 0입니다." in drafts[0].text
    assert "답 7입니다." in drafts[0].text
    assert drafts[0].context == "질문과 답"
    assert drafts[1].context == "질문과 답 > 긴 절"


def test_table_rows_stay_whole_and_keep_their_header() -> None:
    out = Builder()
    out.paragraph("직급별 연차는 다음과 같다:")
    out.table(
        [
            ["직급", "연차 일수", "비고"],
            *([f"직급 {n}", f"{n}일", "가. 나." * 5] for n in range(40)),
        ]
    )
    out.paragraph("위와 같다.")
    parsed = out.finish("규정")
    drafts = check(parsed, 300, 50)
    rows = set(parsed.text.split("\n"))
    assert len(drafts) > 5
    assert drafts[0].text.startswith("직급별 연차는 다음과 같다:\n\n직급 | 연차 일수 | 비고\n")
    assert drafts[0].context == "규정"
    for draft in drafts[1:]:
        assert draft.context == "규정\n직급 | 연차 일수 | 비고"
        assert set(draft.text.split("\n")) <= rows


def test_only_a_monstrous_row_is_cut() -> None:
    out = Builder()
    out.table([["a", "b"], ["x", "가" * 700], ["y", "나" * 1400], ["z", "끝"]])
    drafts = check(out.finish(), 200, 0)
    assert [len(draft.text) for draft in drafts[1:]] == [704, 800, 604, 5] or [
        len(draft.text) for draft in drafts
    ] == [5, 704, 800, 604, 5]


def test_program_lines_stay_whole_with_their_indentation() -> None:
    out = Builder()
    out.code(
        "\n".join(f"    value_{number} = compute(x, y). then()  # 주석" for number in range(40))
    )
    parsed = out.finish()
    lines = set(parsed.text.split("\n"))
    drafts = check(parsed, 300, 100)
    assert len(drafts) > 3
    for draft in drafts:
        assert set(draft.text.split("\n")) <= lines


def test_a_passage_stays_on_its_page() -> None:
    out = Builder()
    for number in range(3):
        out.page()
        out.paragraph(f"{number + 1}쪽입니다. {KOREAN}")
    out.page()
    drafts = check(out.finish(), 800, 100)
    assert [draft.page for draft in drafts] == [1, 2, 3]
    assert all(draft.text.startswith(f"{draft.page}쪽") for draft in drafts)


def test_characters_made_of_many_stay_whole() -> None:
    family = "👩‍👩‍👧‍👦"
    drafts = chunk(
        Parsed(family * 200, [Block("paragraph", 0, len(family) * 200)]), target=50, overlap=0
    )
    assert {len(draft.text) % len(family) for draft in drafts} == {0}
    accents = unicodedata.normalize("NFD", "é") * 300
    drafts = chunk(Parsed(accents, []), target=51, overlap=0)
    assert all(draft.text.startswith("e") for draft in drafts)
