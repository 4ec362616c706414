"""Sentence ends in Korean and English."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeopt.retrieval import sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences.split(text)]


@pytest.mark.parametrize(
    "expected",
    [
        [
            "연차 휴가는 15일입니다.",
            "최대 25일까지 늘어나요.",
            "언제 쓸 수 있을까?",
            "자유롭게 씀.",
        ],
        ["그는 “벌써 갔다.”라고 말했다.", "그리고 “정말?” 하고 물었다."],
        ["제1조(목적) 이 규정은 회사(이하 “갑”이라 한다. 이하 같다)에 적용한다.", "제2조는 없다."],
        ["2024. 3. 15. 부터 시행한다.", "버전 3.14를 쓴다."],
        ["가. 목적은 이것이다.", "나. 범위는 저것이다."],
        ["글쎄… 그게 아니라 다른 뜻이다.", "끝났다…", "다시 시작한다."],
        ["Dr. Smith met Mr. J. R. Kim in the U.S. last week.", "They spoke (e.g. about No. 5)."],
        ["See https://example.org/a.b.html?x=1.2 for version 1.2.3.", "It costs $3.50!", "Really?"],
        ["“Why?” he asked.", "Nobody knew."],
        ["1. First comes the plan.", "Then comes the work."],
        ["これは本です。", "次の文です！"],
    ],
)
def test_sentences_end_where_a_reader_would_say_so(expected: list[str]) -> None:
    assert cut(" ".join(expected)) == expected


def test_a_korean_sentence_ends_without_a_space_after_it() -> None:
    assert cut("휴가를 신청했다.그러나 반려되었다.") == ["휴가를 신청했다.", "그러나 반려되었다."]


def test_lines_broken_by_a_margin_are_one_sentence() -> None:
    text = "이 규정은 회사의 모든 직원에게 적용되며 별도의 정함이 없는 한\n계약직에도 적용된다. 끝."
    assert cut(text) == [text[: text.index(" 끝")], "끝."]


def test_rows_items_and_program_lines_stand_alone() -> None:
    text = (
        "직급 | 일수. 비고\n사원 | 15일. 없음\n- 첫째 항목은 매우 길어서 한 줄을 넘는 것이다\n"
        "- 둘째 항목\n    x = a. b\n짧은 제목\n본문이다."
    )
    assert cut(text) == [line.strip() for line in text.split("\n")]


@pytest.mark.parametrize(
    "line",
    [
        'likeopt search "출장비 정산" -k 5',
        'likeopt ask "연차는 며칠인가요?"        # a cited answer',
        "likeopt ingest ~/Documents/handbook",
        "pip install 'like-opt[local]'         # in the source folder",
        "cp -a data backup-2026-01-31",
        "$ make run",
        "LIKEOPT_LLM=openai LIKEOPT_LLM_URL=http://127.0.0.1:11434/v1 likeopt serve",
        'curl --json \'{"question": "연차 휴가 일수"}\' http://127.0.0.1:8080/api/v1/chat',
        '--json \'{"question": "annual leave"}\'',
        '"detail": "The request is larger than 256 KiB. Ask something shorter.",',
        "def leave(days: int) -> int:",
        "leave.days(15);",
        "from leave import days",
    ],
)
def test_programs_say_nothing(line: str) -> None:
    assert not sentences.states(line, (0, len(line)))


@pytest.mark.parametrize(
    "line",
    [
        "Start it with `likeopt serve --port 8081`.",
        "likeopt search finds passages, and `-k 5` shows five of them.",
        "`likeopt serve --port 8081`로 다른 포트를 고르세요.",
        "- --prune deletes documents whose file is gone.",
        "- use the 'File' menu, then save it",
        "the 'File' menu saves 3 kinds of file",
        '"Leave": paid time off.',
        '"연차": 유급 휴가를 말한다.',
        "import duties are 5 % of the price",
        "from then on it costs $5 a month",
        "class actions are heard as follows:",
        "full-time staff (40 hours);",
        "Team | 50 | 49 euros",
        "E-mail: help@example.org",
    ],
)
def test_sentences_about_programs_say_something(line: str) -> None:
    assert not sentences.is_code(line)


def test_an_empty_text_has_no_sentences() -> None:
    assert cut("") == cut(" \n\t") == []


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list('가다요 .!?…"”)(\n\t|-aZ0。’')), max_size=80))
def test_nothing_is_lost_and_order_is_kept(text: str) -> None:
    spans = sentences.split(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize("unit", ["1. ", "(", ". ", '"', ".", "다.가", "e.g. ", "…", '."x', "。"])
def test_hostile_texts_take_linear_time(unit: str) -> None:
    # Were it quadratic, 100,000 units would take minutes.
    text = unit * 100_000 + "x"
    spans = sentences.split(text)
    assert sum(end - start for start, end in spans) > 0
    assert len([span for span in spans if sentences.is_code(text[slice(*span)])]) <= len(spans)
