from collections.abc import Callable

import pytest

from likeopt.chat.sources import MOST_SOURCES, NEAREST, QUOTE_CHARS, nearest, select, shown
from likeopt.retrieval.sentences import split
from likeopt.retrieval.types import Hit, Sentence
from tests.chat.test_prompt import hit

TEXT = "Intro. The answer is 42, said the machine. It took a while. Outro of the story."


def best(found: Hit, needle: str) -> Sentence:
    start, end = next(span for span in split(found.text) if needle in found.text[slice(*span)])
    return Sentence(start, end, 0.9)


def test_passages_that_say_nothing_about_the_question_are_no_sources() -> None:
    hits = [
        hit("By words.", coverage=0.5, similarity=None),
        hit("By neither.", coverage=0.1, similarity=0.8, version_id=2),
        hit("By meaning.", coverage=0.0, similarity=0.9, version_id=3),
    ]
    sources = select(hits)
    assert [(one.number, one.hit.text) for one in sources] == [(1, "By words."), (2, "By meaning.")]
    assert select([]) == []


def test_there_are_at_most_a_handful() -> None:
    many = [hit(f"Passage {number}.", version_id=number) for number in range(20)]
    assert len(select(many)) == MOST_SOURCES


def test_what_overlapping_passages_share_is_said_once() -> None:
    first = hit("One sentence here. Shared sentence.", start=100)
    second = hit("Shared sentence. Another one.", start=119, chunk_id=2)
    third = hit("Shared sentence.", start=119, chunk_id=3)
    sources = select([first, second, third])
    assert [one.hit.chunk_id for one in sources] == [1, 2]
    texts = [shown(one.hit, sentence) for one in sources for sentence in one.sentences]
    assert sorted(texts) == ["Another one.", "One sentence here.", "Shared sentence."]


def test_a_citation_is_bound_to_characters_of_the_document() -> None:
    found = hit(TEXT, start=1000, page=7)
    (source,) = select([found])
    document = "x" * 1000 + TEXT
    citation = source.citation()
    assert citation.quote == document[citation.start : citation.end] == TEXT
    used = source.citation([best(found, "42")])
    assert used.quote == document[used.start : used.end] == "The answer is 42, said the machine."
    assert (used.page, used.chunk_id, used.version_id, used.number) == (7, 1, 1, 1)


def test_a_quote_leaves_out_what_is_beside_the_point() -> None:
    found = hit("Handbook\n\nLeave is 15 days. It ends in March. Lunch is at noon.")
    scores = {"15 days": 0.9, "March": 0.6, "Lunch": 0.2}
    found.sentences = [
        Sentence(one.start, one.end, score)
        for needle, score in scores.items()
        for one in [best(found, needle)]
    ]
    assert select([found])[0].citation().quote == "Leave is 15 days. It ends in March."


def test_a_quote_stays_short_and_holds_the_best_sentence() -> None:
    long = "Filler sentence number one. " * 20 + "The answer is 42. " + "More filler text. " * 20
    found = hit(long)
    found.sentences = [best(found, "42"), Sentence(0, 27, 0.5)]
    quote = select([found])[0].citation().quote
    assert "The answer is 42." in quote
    assert len(quote) <= QUOTE_CHARS
    found.sentences = []
    assert len(select([found])[0].citation().quote) <= QUOTE_CHARS


def test_a_documents_own_markers_cannot_pass_for_ours() -> None:
    found = hit("As shown [2], it works [1, 3] 【1】 x[0] [2024].")
    assert shown(found, Sentence(0, len(found.text), 1)) == (
        "As shown (2), it works (1, 3) (1) x[0] [2024]."
    )


def test_a_table_row_is_told_with_its_columns() -> None:
    table = "Plan | Users | Storage\nBasic | 10 | 5 GB\nTeam | 50 | 100 GB"
    found = hit(table)
    assert shown(found, best(found, "Team")) == "Plan: Team, Users: 50, Storage: 100 GB"
    # A passage that begins inside a table has the header in its context.
    found = hit("Team | 50 | 100 GB", context="Prices\nPlan | Users | Storage")
    assert shown(found, best(found, "Team")) == "Plan: Team, Users: 50, Storage: 100 GB"
    # The header itself, and lines that are no table, stay as they are.
    assert shown(found, Sentence(0, 4, 1)) == "Team"
    found = hit("ls | wc")
    assert shown(found, Sentence(0, 7, 1)) == "ls | wc"


@pytest.mark.parametrize("bars", [" | ".join, lambda row: f"| {' | '.join(row)} |"])
@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["", "Lee", "412"], "Phone: Lee, Room: 412"),
        (["Quimby Zander", "", "412"], "Name: Quimby Zander, Room: 412"),
        (["Quimby Zander", "5501", ""], "Name: Quimby Zander, Phone: 5501"),
        (["Quimby Zander", "", ""], "Name: Quimby Zander"),
        (["", "", "412"], "Room: 412"),
        (["Quimby. He is new. He is ill", "", ""], "Name: Quimby. He is new. He is ill"),
    ],
)
def test_a_row_with_empty_cells_keeps_its_columns(
    bars: Callable[[list[str]], str], row: list[str], told: str
) -> None:
    # As `Builder.table` writes rows, and as a plain text file may have them.
    rows = [["Name", "Phone", "Room"], ["", "1", "2"], row]
    table = "\n".join(bars(one).rstrip() for one in rows)
    found = hit(table, context="Staff")
    found.sentences = [Sentence(start, end, 0.9) for start, end in split(table)]
    (source,) = select([found])
    assert [one.text for one in source.candidates()] == ["Phone: 1, Room: 2", told]


def test_the_header_of_a_table_is_no_answer() -> None:
    rows = "Plan | Users | Price\nTeam | 50 | 49 euros"
    for text, context, answers in (
        (rows, "Prices", ["Plan: Team, Users: 50, Price: 49 euros"]),
        # A passage that begins inside the table begins with a row.
        (
            rows.replace("Plan | Users | Price", "Basic | 10 | 9 euros"),
            "Prices\nPlan | Users | Price",
            ["Plan: Basic, Users: 10, Price: 9 euros", "Plan: Team, Users: 50, Price: 49 euros"],
        ),
    ):
        found = hit(text, context=context)
        found.sentences = [Sentence(start, end, 0.9) for start, end in split(text)]
        assert [one.text for one in select([found])[0].candidates()] == answers


def test_a_model_may_look_at_passages_in_the_other_language() -> None:
    english = hit("Full-time employees get 15 days.", coverage=0.0, similarity=0.76)
    assert select([english]) == []
    assert select([english], "en") == []
    assert len(select([english], "ko")) == 1


def test_the_nearest_passages_leave_room_for_the_other_language() -> None:
    korean = [hit(f"연차는 {number}일입니다.", version_id=number) for number in range(1, 5)]
    english = hit("Employees get 15 days.", coverage=0.0, similarity=0.76, version_id=9)
    far = hit("Lunch is at noon.", coverage=0.0, similarity=0.7, version_id=10)
    found = nearest(select(korean), [*korean, far, english], "ko")
    assert [(one.number, one.hit.text) for one in found] == [
        (1, "연차는 1일입니다."),
        (2, "연차는 2일입니다."),
        (3, "Employees get 15 days."),
    ]
    assert [one.hit for one in nearest(select(korean), korean, "ko")] == korean[:NEAREST]
    assert [one.hit for one in nearest([], [far, english], "ko")] == [english]
    assert nearest([], [english], "en") == []


def test_lines_that_a_margin_broke_are_one() -> None:
    found = hit("The answer\n  is 42.")
    assert shown(found, Sentence(0, len(found.text), 1)) == "The answer is 42."
