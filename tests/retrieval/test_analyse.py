"""Text to terms: what is searchable by words, and where matches are shown."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeopt.errors import ConfigError
from likeopt.retrieval.analyse import MAX_TERM, Analyser

ANALYSER = Analyser("script")


def terms(text: str) -> set[str]:
    return set(ANALYSER.terms(text))


def shown(text: str, query: str) -> set[str]:
    """The parts of `text` that `query` would highlight."""
    spans = ANALYSER.spans(text, terms(query))
    return {text[start:end] for _, start, end in spans}


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ("연차휴가는 15일입니다", "연차 휴가"),
        ("한국어를 공부한다", "한국어"),
        ("The requests were cached", "caching a request"),
        ("max_requests = 1000", "requests"),
        ("set max_requests", "max_requests"),
        ("std::vector<int> v", "vector"),
        ("written in C++17", "c++"),
        ("C# and F#", "c#"),
        ("void getUserName()", "user name"),
        ("class HTTPServer", "http server"),
        ("open os.path.join", "join"),
        ("version 3.11 of Python", "3.11"),
        ("costs 1,000 won", "1000"),
        ("Ｆｕｌｌ－ｗｉｄｔｈ　ｆｏｒｍ", "full width form"),
        ("ﾊﾝｶｸ", "ハンカク"),
        ("Café Zürich", "cafe zurich"),
        ("Быстрые поиски", "быстрый поиск"),
        ("東京都の人口", "東京"),
        ("ㅋㅋㅋ 웃기다", "ㅋㅋ"),
        (unicodedata.normalize("NFD", "검색 엔진"), "검색"),
        ("ﬁle №5", "file"),
        ("don’t panic", "don't"),
        ("집", "집"),
    ],
)
def test_a_document_is_found_by(document: str, query: str) -> None:
    assert terms(document) & terms(query)
    assert shown(document, query)


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ("the C language", "C++"),
        ("3.11", "3"),
        ("what is it", "is it what"),
        ("연차 휴가", "차휴"),
    ],
)
def test_a_document_is_not_found_by(document: str, query: str) -> None:
    assert not terms(document) & terms(query)


def test_identifiers_are_terms_whole_and_in_parts() -> None:
    assert terms("max_requests") == {"max_requests", "max", "request"}
    assert terms("std::vector") == {"std::vector", "std", "vector"}
    assert terms("getUserName") == {"getusernam", "get", "user", "name"}
    assert terms("C++") == {"c++"}
    assert terms("PCs") == {"pc"}


def test_stop_words_and_spaces_leave_nothing() -> None:
    assert ANALYSER.terms("Who was it, and what is that?") == []
    assert ANALYSER.terms("  \n\t … — ") == []
    assert ANALYSER.terms("") == []


@pytest.mark.parametrize(
    ("question", "same_as"),
    [
        ("연차휴가는 며칠인가요?", "연차휴가"),
        ("환불은 어떻게 하나요?", "환불"),
        ("출장비 정산 방법에 대해 알려 주세요", "출장비 정산 방법"),
        ("출장비를 정산하는 방법 알려줘", "출장비 정산"),
        ("서버를 재시작할 수 있나요", "서버 재시작"),
        ("색인이 손상되면 어떻게 해야 해?", "색인 손상"),
        ("스캔한 PDF도 검색되나요?", "스캔 PDF 검색"),
        ("Kiwi를 쓰려면 어떻게 하죠?", "Kiwi"),
        ("포트가 이미 사용 중이면?", "포트 이미 사용"),
        ("데이터 왜곡", "데이터 왜곡"),
        ("휴가 제한과 평가", "휴가 제한 평가"),
        ("요즘 유행하는 가요와 휴가요령", "요즘 유행 가요 휴가요령"),
        ("무엇인가요?", "무엇인가요?"),
        ("How long are requests cached?", "long requests cached"),
    ],
)
def test_what_makes_a_question_a_question_is_not_searched(question: str, same_as: str) -> None:
    assert sorted(ANALYSER.query_terms(question)) == sorted(ANALYSER.terms(same_as))


def test_a_long_word_is_cut() -> None:
    assert terms("x" * 5000) == {"x" * MAX_TERM}


@pytest.mark.parametrize(
    ("text", "query", "parts"),
    [
        ("㎏ 단위와 Café", "cafe", {"Café"}),
        ("… ½ 컵의 설탕", "설탕", {"설탕"}),
        ("ﬁrst ﬁle", "file", {"ﬁle"}),
        ("Ｃａｃｈｅ 적중률", "cache 적중", {"Ｃａｃｈｅ", "적중"}),
        (
            unicodedata.normalize("NFD", "새로운 캐시"),
            "캐시",
            {unicodedata.normalize("NFD", "캐시")},
        ),
        ("ｶﾞｲﾄﾞ", "ガイド", {"ｶﾞｲ", "ｲﾄﾞ"}),
        ("ゟのコヿト", "より", {"ゟ"}),
        ("このヿの", "コト", {"ヿ"}),
        ("か\u3099くせい", "がく", {"か\u3099く"}),
        ("call getUserName now", "name", {"Name"}),
        ("한 한국", "한", {"한"}),
    ],
)
def test_highlights_are_places_in_the_text_as_it_is(text: str, query: str, parts: set[str]) -> None:
    assert shown(text, query) == parts


@given(st.text(max_size=80))
def test_every_term_of_a_text_can_be_shown_in_it(text: str) -> None:
    found = set(ANALYSER.terms(text))
    spans = ANALYSER.spans(text, found)
    assert {term for term, _, _ in spans} == found
    assert all(0 <= start < end <= len(text) for _, start, end in spans)


def test_its_version_names_its_kind() -> None:
    assert ANALYSER.version.startswith("script-")


def test_kiwi_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[kiwi\]'"):
        Analyser("kiwi")
