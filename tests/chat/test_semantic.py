import functools
import hashlib
from itertools import pairwise

import pytest

from bench.semantic import UNSEEN, interval, pairs
from likeopt.chat import semantic
from likeopt.chat.semantic import MAX_CHARS, THRESHOLD, Earlier, nearest

PAIRS = pairs()


read = functools.cache(semantic.read)


def difference(a: str, b: str) -> str | None:
    return semantic.difference(read(a), read(b))


def test_no_near_miss_of_the_bench_passes_the_guards() -> None:
    misses = [pair for pair in PAIRS if not pair.same]

    assert not [p.id for p in misses if difference(p.a, p.b) is None]
    assert not [p.id for p in misses if difference(p.b, p.a) is None]


def test_most_paraphrases_of_the_bench_pass_the_guards() -> None:
    same = [pair for pair in PAIRS if pair.same]
    seen = [pair for pair in same if pair.split not in UNSEEN]

    assert sum(difference(pair.a, pair.b) is None for pair in seen) >= 0.75 * len(seen)
    assert all(difference(p.a, p.b) == difference(p.b, p.a) for p in same)


def test_pairs_of_the_bench_are_many_and_their_split_follows_from_their_ids() -> None:
    assert len(PAIRS) >= 360
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    series = {"2": "second", "3": "third", "4": "fourth", "5": "fifth"}
    for pair in PAIRS:
        parts = pair.id.split("-")
        even = hashlib.blake2b(pair.id.encode(), digest_size=8).digest()[0] % 2 == 0
        of_first = "tune" if even else "report"
        assert pair.split == (series[parts[2]] if len(parts) == 4 else of_first)
    for language in ("ko", "en"):
        same = [pair.same for pair in PAIRS if pair.language == language]
        assert min(same.count(True), same.count(False)) >= 200


@pytest.mark.parametrize(
    ("a", "b", "guard"),
    [
        ("연차는 며칠인가요?", "How many days of leave are there?", "language"),
        ("Who approves the trip?", "When is the trip approved?", "asked"),
        ("버스는 어디에서 오나요?", "버스는 어디로 오나요?", "asked"),
        ("Do I have to pay?", "Can I pay?", "marks"),
        ("서버는 언제 재시작하나요?", "서버는 언제 재시작했나요?", "marks"),
        ("세 번 틀리면 어떻게 되나요?", "5번 틀리면 어떻게 되나요?", "numbers"),
        ("Is -5 degrees too cold?", "Is 5 degrees too cold?", "numbers"),
        ("Is x > 5 checked?", "Is x < 5 checked?", "words"),
        ("employer contract length", "employment contract length", "words"),
        ("日本 비자는 얼마인가요?", "中国 비자는 얼마인가요?", "words"),
        ("3호선에서 5호선으로 갈아타려면?", "5호선에서 3호선으로 갈아타려면?", "bound"),
        ("금요일까지 환불되나요?", "금요일부터 환불되나요?", "bound"),
        ("Which files are backed up?", "Which files are not backed up?", "bound"),
        ("돈을 내지 않으면 취소되나요?", "돈을 내면 취소되지 않나요?", "bound"),
        ("판매자가 구매자를 고소하나요?", "구매자가 판매자를 고소하나요?", "roles"),
        ("Can the seller sue the buyer?", "Can the buyer sue the seller?", "roles"),
        ("What does stress cause?", "What causes stress?", "order"),
    ],
)
def test_the_guard_that_keeps_questions_apart(a: str, b: str, guard: str) -> None:
    assert difference(a, b) == guard
    assert difference(b, a) == guard


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("숙박비는 ３０만 원까지인가요?", "숙박비는 300,000원까지인가요?"),
        ("벌금은 이십만 원인가요?", "벌금은 20만 원인가요?"),
        ("스물다섯 명이 탈 수 있나요?", "25명이 탈 수 있나요?"),
        ("연차휴가 신청은 어떻게 해?", "연차 휴가 신청은 어떻게 합니까?"),
        ("자동 업데이트를 끄는 방법은?", "자동 업데이트를 비활성화하려면 어떻게 하나요?"),
        ("Two adults need how many tickets?", "2 adults need how many tickets?"),
        ("In Japan, what does IT support cost?", "What does IT support cost in Japan?"),
        ("How do I log in?", "Please tell me how to sign in."),
    ],
)
def test_other_words_for_the_same(a: str, b: str) -> None:
    assert difference(a, b) is None


def test_the_nearest_of_those_that_ask_the_same_is_taken() -> None:
    earlier = [
        Earlier("How do I delete a conversation?", 0.99),
        Earlier("Tell me how to delete a document.", 0.96),
        Earlier("How are documents deleted?", 0.97),
        Earlier("How do I remove a document?", THRESHOLD - 0.001),
    ]

    assert nearest("How do I delete a document?", earlier) == 2
    assert nearest("How do I delete a document?", earlier[:1] + earlier[3:]) is None
    assert nearest("How do I delete a document?", []) is None


def test_stories_are_never_compared() -> None:
    short = "How do I delete a document?"
    story = f"{'I have a very old laptop. ' * 20}{short}"
    assert len(story) > MAX_CHARS

    assert nearest(story, [Earlier(story, 1.0)]) is None
    assert nearest(short, [Earlier(story, 1.0)]) is None


@pytest.mark.parametrize(
    "question",
    ["?", "가", "§may", "§not", "그", "to", "not", "이", "1", "ㅋㅋ", "A", "는?", "-5", "𝟙"],
)
def test_fragments_are_like_themselves_only(question: str) -> None:
    assert difference(question, question) is None
    assert difference(question, "How do I delete a document?")
    assert difference(question, "문서를 삭제하려면 어떻게 하나요?")


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    # Their own table, and what is left of it at the ends.
    low, high = interval(10, 100)
    assert (round(low, 4), round(high, 4)) == (0.0490, 0.1762)
    assert interval(0, 100)[0] == 0
    assert round(interval(0, 100)[1], 4) == 0.0362
    assert round(interval(100, 100)[0], 4) == 0.9638
    bounds = [interval(hits, 40)[1] for hits in range(40)]
    assert all(a < b for a, b in pairwise(bounds))
