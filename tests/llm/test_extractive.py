from likeopt.llm.extractive import MOST_CHARS, MOST_SENTENCES, Candidate, choose, write


def candidate(number: int, text: str, score: float, start: int = 0) -> Candidate:
    return Candidate(number, start, text, score)


def answer(*candidates: Candidate) -> str:
    return "".join(write(choose(list(candidates))))


def test_the_best_sentences_stand_by_source_in_reading_order() -> None:
    text = answer(
        candidate(2, "Unused days expire in March.", 0.7, start=90),
        candidate(1, "Sick leave needs a certificate.", 0.75, start=5),
        candidate(2, "Annual leave is 15 days.", 0.8, start=10),
    )
    assert text == (
        "Annual leave is 15 days. Unused days expire in March. [2]\n\n"
        "Sick leave needs a certificate. [1]"
    )


def test_korean_sentences_keep_their_form() -> None:
    text = answer(candidate(1, "연차는 입사 1년 후 15일이 부여됩니다.", 0.9))
    assert text == "연차는 입사 1년 후 15일이 부여됩니다. [1]"


def test_what_says_the_same_is_said_once() -> None:
    text = answer(
        candidate(1, "Annual leave is 15 days a year.", 0.9),
        candidate(2, "Annual leave is 15 days a year!", 0.85),
        candidate(3, "annual leave: 15 days a year", 0.8),
    )
    assert text == "Annual leave is 15 days a year. [1]"


def test_nothing_good_enough_is_no_answer() -> None:
    assert choose([]) == []
    assert choose([candidate(1, "The canteen opens at noon.", 0.2)]) == []


def test_much_weaker_sentences_are_left_out() -> None:
    text = answer(candidate(1, "Leave is 15 days.", 0.95), candidate(2, "Leave a note.", 0.5))
    assert text == "Leave is 15 days. [1]"


def test_the_row_that_is_asked_for_is_told_without_its_neighbours() -> None:
    rows = [
        Candidate(1, 10, "Plan: Basic, Price: 9 euros a month", 0.70, table=0),
        Candidate(1, 20, "Plan: Team, Price: 49 euros a month", 0.78, table=0),
        Candidate(1, 30, "Plan: Firm, Price: 99 euros a month", 0.70, table=0),
    ]
    assert answer(*rows) == "Plan: Team, Price: 49 euros a month [1]"
    # A sentence, another table, another source: each is weighed for itself.
    others = [
        Candidate(1, 90, "Region: EU, Price: plus tax", 0.70, table=80),
        Candidate(2, 10, "Office: Seoul, Floor: 4", 0.70, table=0),
        Candidate(1, 70, "Prices are those of a month.", 0.70),
    ]
    assert answer(*rows, *others) == (
        "Plan: Team, Price: 49 euros a month\nPrices are those of a month.\n"
        "Region: EU, Price: plus tax [1]\n\nOffice: Seoul, Floor: 4 [2]"
    )


def test_rows_that_answer_alike_stand_on_lines_of_their_own() -> None:
    rows = [
        Candidate(1, 10, "Plan: Basic, Price: 9 euros", 0.8, table=0),
        Candidate(1, 20, "Plan: Team, Price: 49 euros", 0.8, table=0),
    ]
    assert answer(*rows) == "Plan: Basic, Price: 9 euros\nPlan: Team, Price: 49 euros [1]"


def test_an_answer_stays_short() -> None:
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"]
    many = [candidate(i, f"{word} {word} is what {i} says.", 0.9) for i, word in enumerate(words)]
    assert len(choose(many)) == MOST_SENTENCES
    long = [candidate(i, f"{word} " * 100, 0.9) for i, word in enumerate(words)]
    assert sum(len(one.text) for one in choose(long)) <= MOST_CHARS


def test_one_long_sentence_is_better_than_none() -> None:
    assert choose([candidate(1, "word " * 500, 0.9)])
