"""Functions that remember what they returned."""

import inspect

import msgspec
import pytest

from likeopt.cache.decorators import cached
from tests.cache.build import Built
from tests.fakes import FakeClock


class Hit(msgspec.Struct, frozen=True):
    """Something found."""

    name: str
    rank: int


def test_the_same_arguments_are_answered_from_the_cache(built: Built, clock: FakeClock) -> None:
    asked: list[str] = []

    @cached(built.cache("memory,disk"), ttl=60)
    def search(query: str, *, most: int = 2) -> list[Hit]:
        """Search."""
        asked.append(query)
        return [Hit(query, rank) for rank in range(most)]

    assert search("a") == search("a") == [Hit("a", 0), Hit("a", 1)]
    assert search("a", most=1) == search("a", most=1) == [Hit("a", 0)]
    assert search("b") == [Hit("b", 0), Hit("b", 1)]
    assert asked == ["a", "a", "b"]
    clock.advance(61)
    search("a")
    assert asked == ["a", "a", "b", "a"]
    assert search.__doc__ == "Search."
    assert list(inspect.signature(search).parameters) == ["query", "most"]


def test_none_is_remembered_for_as_long_as_was_said(built: Built, clock: FakeClock) -> None:
    cache = built.cache("memory")
    asked: list[str] = []

    def find(name: str) -> Hit | None:
        asked.append(name)
        return None

    forgetful = cached(cache, ttl=60, use="forgetful")(find)
    assert (forgetful("a"), forgetful("a")) == (None, None)
    assert asked == ["a", "a"]
    remembers = cached(cache, ttl=60, use="remembers", negative=5)(find)
    assert (remembers("a"), remembers("a")) == (None, None)
    assert asked == ["a", "a", "a"]
    clock.advance(6)
    assert remembers("a") is None
    assert asked == ["a", "a", "a", "a"]


def test_methods_say_what_their_value_depends_on(built: Built) -> None:
    cache = built.cache("memory")

    class Shelf:
        def __init__(self, name: str) -> None:
            self.name = name
            self.asked = 0

        @cached(cache, ttl=60, use="shelf", key=lambda self, number: (self.name, number % 10))
        def book(self, number: int) -> str:
            self.asked += 1
            return f"{self.name} {number}"

    one, other = Shelf("one"), Shelf("other")
    assert (one.book(3), one.book(13), other.book(3)) == ("one 3", "one 3", "other 3")
    assert (one.asked, other.asked) == (1, 1)
    with pytest.raises(TypeError):
        cached(cache, ttl=60)(Shelf.book)(one, 3)


def test_tags_may_follow_from_the_arguments(built: Built) -> None:
    cache = built.cache("memory,disk")
    asked: list[str] = []

    @cached(cache, ttl=60, tags=lambda collection: [f"collection-{collection}"])
    def count(collection: str) -> int:
        asked.append(collection)
        return len(asked)

    assert (count("a"), count("b"), count("a")) == (1, 2, 1)
    cache.invalidate("collection-a")
    assert (count("a"), count("b")) == (3, 2)


def test_layers_can_be_chosen_for_a_function(built: Built) -> None:
    cache = built.cache("memory,disk")

    @cached(cache, ttl=60, layers=["disk"], use="numbers")
    def number(n: int) -> int:
        return n

    number(1)
    key = cache.key("numbers", ((1,), {}))
    assert cache.get(key, layers=["disk"]) == 1
    assert not cache.get(key, layers=["memory"])


def test_what_a_function_raises_is_not_remembered(built: Built) -> None:
    failures = [LookupError("not yet")]

    @cached(built.cache("memory"), ttl=60)
    def number() -> int:
        if failures:
            raise failures.pop()
        return 7

    with pytest.raises(LookupError, match="not yet"):
        number()
    assert number() == 7
