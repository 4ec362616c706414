"""Which questions are the same."""

import pytest

from likeopt.chat.key import normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many days?", "how  many\ndays"),
        ("How many days?", "How many days?!…"),
        ("HOW MANY DAYS", "How many days."),
        ("연차는 며칠인가요?", " 연차는 며칠인가요 "),
        ("연차는", "\u110b\u1167\u11ab\u110e\u1161\u1102\u1173\u11ab"),
        ("what is “leave”?", 'What is "leave"'),
        ("WHAT IS IT?", "what is it"),
    ],
)
def test_what_makes_no_difference(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is C?", "What is C++?"),
        ("What is C#?", "What is C?"),
        ("Is 3.5 enough?", "Is 35 enough?"),
        ("Is -5 allowed?", "Is 5 allowed?"),
        ("What does IT do?", "What does it do?"),
        ("Who pays in the US?", "Who pays in the us?"),
        ("IT는 email을 쓰나요?", "it는 email을 쓰나요?"),
        ("Does it draw 5 mW?", "Does it draw 5 MW?"),
        ("50Mb인가요?", "50MB인가요?"),
        ("50 % off?", "50 off?"),
        ("a b", "ab"),
        ("연차는 며칠?", "연차는 며칠도?"),
    ],
)
def test_what_makes_one(one: str, other: str) -> None:
    assert normal(one) != normal(other)
