"""What is marked in a passage, and which of its sentences answer."""

from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.highlight import best_sentences, coverage, mark

ANALYSER = Analyser("script")
TEXT = "연차휴가는 15일이다. 신청은 인사팀에 한다. Carry over is capped at 5 days."


def idf(query: str, value: float = 2.0) -> dict[str, float]:
    return dict.fromkeys(ANALYSER.terms(query), value)


def test_highlights_are_whole_and_in_order() -> None:
    marks = mark(ANALYSER, TEXT, idf("연차휴가 신청 carry"))
    assert [TEXT[a:b] for a, b in marks.highlights] == ["연차휴가", "신청", "Carry"]


def test_common_terms_are_not_highlighted() -> None:
    weighed = idf("연차", 8.0) | idf("한다", 0.5)
    assert [TEXT[a:b] for a, b in mark(ANALYSER, TEXT, weighed).highlights] == ["연차"]


def test_coverage_is_the_share_of_information() -> None:
    weighed = idf("연차", 3.0) | idf("보너스", 1.0)  # one bigram that is there, two that are not
    marks = mark(ANALYSER, TEXT, weighed)
    assert coverage(marks, set(), weighed) == 3 / 5
    assert coverage(marks, {"보너", "너스"}, weighed) == 1.0
    assert coverage(marks, set(), {}) == 0.0


def test_the_sentence_that_answers_is_the_best() -> None:
    weighed = idf("연차휴가 15")
    marks = mark(ANALYSER, TEXT, weighed)
    best, second = best_sentences(TEXT, marks, weighed, 0.9, 2)
    assert TEXT[best.start : best.end].strip() == "연차휴가는 15일이다."
    assert 0 <= second.score < best.score <= 1


def test_without_a_similarity_words_alone_decide() -> None:
    weighed = idf("capped")
    (best,) = best_sentences(TEXT, mark(ANALYSER, TEXT, weighed), weighed, None, 1)
    assert "capped" in TEXT[best.start : best.end]
    assert best.score == 1.0
