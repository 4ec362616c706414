"""What is marked in a passage, and which of its sentences answer."""

from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.highlight import best_sentences, coverage, mark

ANALYSER = Analyser("script")
TEXT = "연차휴가는 15일이다. 신청은 인사팀에 한다. Carry over is capped at 5 days."


def idf(query: str, value: float = 2.0) -> dict[str, float]:
    return dict.fromkeys(ANALYSER.terms(query), value)


def test_highlights_are_whole_and_in_order() -> None:
    marks = mark(ANALYSER, TEXT, "", idf("연차휴가 신청 carry"))
    assert [TEXT[a:b] for a, b in marks.highlights] == ["연차휴가", "신청", "Carry"]


def test_common_terms_are_not_highlighted() -> None:
    weighed = idf("연차", 8.0) | idf("한다", 0.5)
    assert [TEXT[a:b] for a, b in mark(ANALYSER, TEXT, "", weighed).highlights] == ["연차"]


def test_coverage_is_the_share_of_information() -> None:
    weighed = idf("연차", 3.0) | idf("보너스", 1.0)  # one bigram that is there, two that are not
    assert coverage(mark(ANALYSER, TEXT, "", weighed), weighed) == 3 / 5
    assert coverage(mark(ANALYSER, TEXT, "보너스 규정", weighed), weighed) == 1.0
    assert coverage(mark(ANALYSER, TEXT, "", {}), {}) == 0.0


def test_the_sentence_that_answers_is_the_best() -> None:
    weighed = idf("연차휴가 15")
    marks = mark(ANALYSER, TEXT, "", weighed)
    first, second = best_sentences(TEXT, "", marks, weighed, 0.9, 2)
    assert TEXT[first.start : first.end].strip() == "연차휴가는 15일이다."
    assert 0 <= second.score < first.score <= 1


def best(
    text: str, query: str, *, similarity: float | None = None, context: str = ""
) -> list[tuple[str, float]]:
    """The sentences of a passage with their scores, best first."""
    weighed = idf(query)
    marks = mark(ANALYSER, text, context, weighed)
    found = best_sentences(text, context, marks, weighed, similarity, 9)
    return [(text[one.start : one.end], one.score) for one in found]


def texts(text: str, query: str) -> list[str]:
    return [sentence for sentence, _ in best(text, query)]


def test_without_a_similarity_words_alone_decide() -> None:
    assert texts(TEXT, "capped")[0] == "Carry over is capped at 5 days."
    (near, _, _), (unknown, _, _), (far, _, _) = (
        best(TEXT, "capped", similarity=similarity) for similarity in (0.9, None, 0.79)
    )
    assert 1 >= near[1] > unknown[1] > far[1] >= 0


def test_headings_and_questions_are_no_answers() -> None:
    text = (
        "Questions\n\nHow do I make a backup?\n\nStop the server and copy the folder.\n\n"
        "What Like-Opt keeps when it runs with this data folder\n\nAll of it is kept."
    )
    assert texts(text, "How do I make a backup?") == [
        "Stop the server and copy the folder.",
        "All of it is kept.",
    ]
    text = "백업\n\n백업은 어떻게 하나요\n\n서버를 끄고 폴더를 복사하세요.\n\n백업이 꼭 필요한가요?"
    assert texts(text, "백업은 어떻게 하나요?") == ["서버를 끄고 폴더를 복사하세요."]


def test_figures_and_entries_of_lists_may_be_answers() -> None:
    text = "Start\n\n15 days\n\n- Leave: days off, sick notes"
    assert len(texts(text, "leave")) == 2


def test_what_an_example_asks_is_no_answer() -> None:
    text = (
        'As one JSON answer:\n\ncurl --json \'{"question": "연차는 며칠"}\' http://localhost/chat'
    )
    assert texts(text, "연차는 며칠인가요?") == ["As one JSON answer:"]
    # Nor does it lend its words to what stands beside it.
    (_, beside), *_ = best(text, "연차는 며칠인가요?")
    (_, alone), *_ = best("As one JSON answer:", "연차는 며칠인가요?")
    assert beside == alone


def test_what_answers_stands_before_an_entry_that_names_it() -> None:
    contents = "- Operations: backup, logs and troubleshooting\n- Search: words"
    text = f"{contents}\n\nFor a backup, copy the folder."
    assert texts(text, "backup")[0] == "For a backup, copy the folder."
    # Where nothing else does, the entry says where to look.
    assert texts(contents, "backup")[0] == "- Operations: backup, logs and troubleshooting"


def test_a_sentence_counts_for_the_passage_that_it_stands_in() -> None:
    sentence = "Choose another one."
    alone = best(f"Lunch is at noon. {sentence}", "port in use")
    inside = best(f"The port is in use: what now?\n\n{sentence}", "port in use")
    assert dict(inside)[sentence] > dict(alone)[sentence]


def test_a_row_counts_for_the_names_of_its_columns() -> None:
    table = "Prices\n\nPlan | Users | Price\nBasic | 10 | 9 euros\nTeam | 50 | 49 euros"
    assert texts(table, "price of team plan") == ["Team | 50 | 49 euros", "Basic | 10 | 9 euros"]
    (row, score), *_ = best(table, "price of team plan")
    (_, without), *_ = best(f"Price, Plan.\n\n{row}", "price of team plan")
    assert score > without
    # A passage that begins inside a table has the header in its context: its first row is none.
    rest = "Basic | 10 | 9 euros\nTeam | 50 | 49 euros"
    context = "Prices\nPlan | Users | Price"
    assert [row for row, _ in best(rest, "basic", context=context)] == rest.splitlines()
    assert dict(best(rest, "basic plan", context=context))["Basic | 10 | 9 euros"] > max(
        dict(best(f"x\n\n{rest}", "basic plan")).values()
    )


def test_a_row_counts_for_what_it_stands_under() -> None:
    table = "Item | Most\nname | 255 characters\nupload | 100 MiB"
    (first, score), *_ = best(table, "upload limit", context="Adding documents > Limits")
    (_, without), *_ = best(table, "upload limit", context="Adding documents")
    assert first == "upload | 100 MiB"
    assert score > without
