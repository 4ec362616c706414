"""What is read from a question, the same for both languages."""

import re
from collections.abc import Iterable

import msgspec

from likeopt.chat.text import Language


def listed(words: str) -> frozenset[str]:
    """The words of a list that is written as text."""
    return frozenset(words.split())


def compiled(rules: Iterable[tuple[str, str]]) -> list[tuple[re.Pattern[str], str]]:
    """Patterns, each with what it stands for."""
    return [(re.compile(pattern), put) for pattern, put in rules]


class Word(msgspec.Struct, frozen=True):
    """A word that carries meaning: as written without endings, and the name of its meaning.

    Synonyms share a name. `written` is kept because compounds are written with and without
    spaces, before any synonym is looked up.
    """

    written: str
    name: str


class Reading(msgspec.Struct, frozen=True):
    """A question, taken apart.

    `asked`: what for, such as {"who"}. `marks`: past, may, must and the like. `words`: in order.
    `numbers`: each as a plain decimal with the name of what it counts, in order. `bound`: words
    with what must not change about them: ("from", "seoul"), ("not", "pay"). `roles`: looser ones
    that may be missing on one side, but not differ. `order`: pairs of words of which the first
    acts on or describes the second.
    """

    language: Language
    asked: frozenset[str]
    marks: frozenset[str]
    words: tuple[Word, ...]
    numbers: tuple[tuple[str, str], ...]
    bound: frozenset[tuple[str, str]]
    roles: frozenset[tuple[str, str]]
    order: frozenset[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """The names of all its words, in order."""
        return [word.name for word in self.words]


class Notes:
    """What is noted while a question is read."""

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.words: list[Word] = []
        self.numbers: list[tuple[str, str]] = []
        self.bound: set[tuple[str, str]] = set()
        self.roles: set[tuple[str, str]] = set()
        self.order: set[tuple[str, str]] = set()

    def reading(self, language: Language, asked: frozenset[str]) -> Reading:
        """All of it."""
        return Reading(
            language=language,
            asked=asked,
            marks=frozenset(self.marks),
            words=tuple(self.words),
            numbers=tuple(self.numbers),
            bound=frozenset(self.bound),
            roles=frozenset(self.roles),
            order=frozenset(self.order),
        )
