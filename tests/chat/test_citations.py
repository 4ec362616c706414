import random

import pytest

from likeopt.chat.citations import Markers
from likeopt.retrieval.analyse import Analyser

ANALYSER = Analyser()
TEXTS = {
    1: "Annual leave is 15 days a year for full-time employees.",
    2: "연차는 입사 1년 후부터 15일이 부여됩니다.",
    3: "The cache holds answers.",
}


def run(text: str, cuts: random.Random | None = None) -> tuple[str, set[int]]:
    markers = Markers(TEXTS, ANALYSER)
    shown, start = "", 0
    while start < len(text):
        size = cuts.choice([1, 1, 2, 3, 7, 50]) if cuts else len(text)
        shown += markers.feed(text[start : start + size])
        start += size
    return shown + markers.end(), markers.used


CASES = [
    ("Leave is 15 days [1].", "Leave is 15 days [1].", {1}),
    # Every form becomes one; what names no source goes, with its space.
    ("A [9]. B [2, 3]. C [1-3].", "A. B [2][3]. C [1][2][3].", {1, 2, 3}),
    ("A [3;1], B [2 - 900], C [0].", "A [3][1], B [2][3], C.", {1, 2, 3}),
    ("x 【1†source】 y [Passage 2] z [^3] [구절 1]", "x [1] y [2] z [3] [1]", {1, 2, 3}),
    # Not in code.
    ("`a[1]`, `b[9]` and [1]", "`a[1]`, `b[9]` and [1]", {1}),
    ("```py\nb[2] = c[9]\n\nd[7]\n```\nend [1]", "```py\nb[2] = c[9]\n\nd[7]\n```\nend [1]", {1}),
    ("forgot `tick [9]\n\nnext [9] [1]", "forgot `tick [9]\n\nnext [1]", {1}),
    # Not every bracket is a marker.
    ("[a list] [link](x) [12 items] [1", "[a list] [link](x) [12 items] [1", set()),
    ("Version 3.11 [2026] [x]", "Version 3.11 [2026] [x]", set()),
    # What repeats a passage gets its marker, once.
    (
        "Annual leave is 15 days a year. It is nice.",
        "Annual leave is 15 days a year. [1] It is nice.",
        {1},
    ),
    (
        "Annual leave is 15 days a year. [1] Then more.",
        "Annual leave is 15 days a year. [1] Then more.",
        {1},
    ),
    (
        "연차는 입사 1년 후부터 15일입니다.\n\n- The cache holds answers\n- Nothing of it\n",
        "연차는 입사 1년 후부터 15일입니다. [2]\n\n- The cache holds answers [3]\n- Nothing of it",
        {2, 3},
    ),
    # A row of a table gets none: after its last bar that would be one more cell, and no table.
    (
        "| Annual leave of a year | Days |\n|---|--:|\n| Annual leave is a year | 15 days |\n\nEnd",
        "| Annual leave of a year | Days |\n|---|--:|\n| Annual leave is a year | 15 days |\n\nEnd",
        set(),
    ),
    ("Moon landings were faked by cats.", "Moon landings were faked by cats.", set()),
    ("", "", set()),
    ("👩‍👩‍👧 가족 [1]", "👩‍👩‍👧 가족 [1]", {1}),
]


@pytest.mark.parametrize(("text", "shown", "used"), CASES)
def test_markers_are_checked_however_the_text_is_cut(text: str, shown: str, used: set[int]) -> None:
    assert run(text) == (shown, used)
    for seed in range(40):
        assert run(text, random.Random(seed)) == (shown, used)


def test_text_streams_on_while_a_sentence_is_written() -> None:
    markers = Markers(TEXTS, ANALYSER)
    assert markers.feed("Annual leave is") == "Annual leave is"
    assert markers.feed(" 15 days [") == " 15 days"
    assert markers.feed("2") == ""
    assert markers.feed("] a year") == " [2] a year"


@pytest.mark.parametrize("run_of", ["\n", " \n", "`", " ", ".", '"', "*", 'x."', "\n\n\n-", "["])
def test_a_model_that_repeats_itself_holds_nobody_up(run_of: str) -> None:
    """Looking at each character again for each that follows, 200,000 of them took hours."""
    text = f"Moon landings were faked.{run_of * (200_000 // len(run_of))}end"
    for size in (len(text), 50):
        markers = Markers(TEXTS, ANALYSER)
        shown = ""
        for start in range(0, len(text), size):
            shown += markers.feed(text[start : start + size])
            # Nor does the reader wait for what is no sentence.
            assert start + size - len(shown) < 300
        assert shown + markers.end() == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is so. Annual leave is 15 days a", "It is so. Annual leave is 15 days a"),
        ("Annual leave is 15 days a year.", "Annual leave is 15 days a year. [1]"),
        ("Annual leave is 15 days a year.”\n", "Annual leave is 15 days a year.” [1]"),
        (
            "Annual leave is 15 days a year.\n\nThe cache holds answers for",
            "Annual leave is 15 days a year. [1]\n\nThe cache holds answers for",
        ),
        ("- The cache holds answers\n", "- The cache holds answers"),
    ],
)
def test_half_a_sentence_gets_no_marker(text: str, shown: str) -> None:
    for size in (1, 3, len(text)):
        markers = Markers(TEXTS, ANALYSER)
        pieces = [markers.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(pieces) + markers.end(broken=True) == shown


def test_without_sources_every_marker_goes() -> None:
    markers = Markers({}, ANALYSER)
    assert markers.feed("Fifteen [1] days") + markers.end() == "Fifteen days"
    assert markers.used == set()
