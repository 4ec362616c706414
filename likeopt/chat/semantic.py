"""Whether the answer to an earlier question may be given to a new one that is worded otherwise.

Embeddings alone cannot tell: on the pairs of `bench/semantic` near misses ("to Busan" for "from
Busan", 2023 for 2024) come as close to each other as paraphrases do, as Zhang et al. saw with
scrambled words (PAWS, NAACL 2019). So the nearest question only proposes, and everything that can
change an answer has to agree; in doubt the answer is written anew, which costs time and is right.

The kinds of differences are those that CheckList tests paraphrase models for (Ribeiro et al., ACL
2020): names, numbers, negation, time, roles, and what is asked.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from likeopt.chat.reading import english, korean
from likeopt.chat.reading.types import Reading, Word
from likeopt.chat.text import language_of

# Cosine of the query embeddings below which nothing is looked at. Chosen on the tune half of the
# pairs, where the guards alone let no near miss through: it is a second line, not the first.
THRESHOLD = 0.93

# What a value is asked with when it is no "what": 한도가 얼마인가요 and 한도를 알려 주세요 are one.
_VALUES = frozenset({"how much", "when", "where", "who", "how many", "what"})
_OPEN = frozenset({"how", "where", "remedy", "outcome", "until", "when", "why"})

# Longer ones tell a story, in which no list of words finds its way.
MAX_CHARS = 300


class Earlier(NamedTuple):
    """An earlier question, and how near its embedding is to the new one's (cosine)."""

    question: str
    cosine: float


def nearest(question: str, earlier: Iterable[Earlier], threshold: float = THRESHOLD) -> int | None:
    """The index of the nearest earlier question that one answer serves as well, if there is one.

    None for a question, and for an earlier one, of more than MAX_CHARS characters.
    """
    if len(question) > MAX_CHARS:
        return None
    near = sorted(
        (
            (one.cosine, i, one.question)
            for i, one in enumerate(earlier)
            if one.cosine >= threshold and len(one.question) <= MAX_CHARS
        ),
        reverse=True,
    )
    if not near:
        return None
    reading = read(question)
    for _, i, other in near:
        if difference(reading, read(other)) is None:
            return i
    return None


def read(question: str) -> Reading:
    """Take a question apart. Full-width and half-width forms are one."""
    text = unicodedata.normalize("NFKC", question)
    return korean.read(text) if language_of(text) == "ko" else english.read(text)


def difference(a: Reading, b: Reading) -> str | None:
    """The first guard that keeps two questions apart, None if one answer serves both.

    Guards, in order: `language`; `asked` (who, when, how many, whether, ...); `marks` (past, may
    and must, a negation of everything); `numbers` with what they count, full-width and in words
    too; `words` (names, identifiers, units, dates and all other content words, but for endings,
    spelling, spaces and a short list of synonyms); `bound` (negation of a word; from, to, before,
    without, than, only, 에게, 까지, 부터, 보다 with their words); `roles` (subject, object and
    place by Korean particles, in, on and at in English); `order` (who does what to whom, and what
    describes what).
    """
    agree: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("language", lambda: a.language == b.language),
        ("asked", lambda: _same_asked(a.asked, b.asked)),
        ("marks", lambda: _same_marks(a, b)),
        ("numbers", lambda: sorted(a.numbers) == sorted(b.numbers)),
        ("words", lambda: _same_words(a, b)),
        ("bound", lambda: a.bound == b.bound),
        ("roles", lambda: not _roles_differ(a, b)),
        ("order", lambda: not any(pair[::-1] in b.order for pair in a.order - b.order)),
    )
    return next((name for name, holds in agree if not holds()), None)


def _same_asked(a: frozenset[str], b: frozenset[str]) -> bool:
    plain_a, plain_b = a - {"value"}, b - {"value"}
    if plain_a == plain_b:
        return True
    # "What is the limit" for "how much is the limit", where the verb is no more than "is".
    both = "value" in a and "value" in b
    return both and "what" in plain_a | plain_b and plain_a <= _VALUES and plain_b <= _VALUES


def _same_marks(a: Reading, b: Reading) -> bool:
    differ = a.marks ^ b.marks
    if a.asked & _OPEN:
        # How it is done, how one may do it and how one must do it have one answer.
        differ -= {"may", "must", "should"}
        # 파일은 어디에 저장하나요, 저장되나요; but not who stores and what is stored.
        if not any(role == "subject" for role, _ in a.roles | b.roles):
            differ -= {"passive"}
        if (
            "until" not in a.asked
            and {"may", "must"} <= (a.marks | b.marks)
            and "how" not in a.asked
        ):
            return False
    return not differ


def _same_words(a: Reading, b: Reading) -> bool:
    names_a, names_b = Counter(a.names), Counter(b.names)
    if max((*names_a.values(), *names_b.values()), default=0) > 1:
        # Line 3 to line 5, the old pump and the new pump: which belongs to which says the order.
        return a.names == b.names
    if names_a == names_b:
        return True
    # 연차휴가 and 연차 휴가, checkin and check-in.
    only_a = _joined(a.words, names_a - names_b)
    return bool(only_a) and only_a == _joined(b.words, names_b - names_a)


def _joined(words: Sequence[Word], wanted: Counter[str]) -> str:
    return "".join(word.written for word in words if wanted[word.name] > 0)


def _roles_differ(a: Reading, b: Reading) -> bool:
    first, second = _by_name(a.roles), _by_name(b.roles)
    # What describes a word has another name where spaces differ.
    kinds = (False, True) if Counter(a.names) == Counter(b.names) else (False,)
    for name in first.keys() & second.keys():
        for describing in kinds:
            known_a, known_b = (
                {role for role in roles if role.startswith("<") == describing} - {"topic"}
                for roles in (first[name], second[name])
            )
            if known_a and known_b and known_a.isdisjoint(known_b):
                return True
    return _swapped(first, second) or _swapped(second, first)


def _swapped(a: dict[str, set[str]], b: dict[str, set[str]]) -> bool:
    """Whether the topic of one is the object or place of the other, and the other way round."""
    topics_a = {name for name, roles in a.items() if roles & {"topic", "subject"}}
    topics_b = {name for name, roles in b.items() if roles & {"topic", "subject"}}
    others_a = {name for name, roles in a.items() if roles & {"object", "place"}}
    others_b = {name for name, roles in b.items() if roles & {"object", "place"}}
    return bool(topics_a & others_b and others_a & topics_b)


def _by_name(roles: frozenset[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for role, name in roles:
        found.setdefault(name, set()).add(role)
    return found
