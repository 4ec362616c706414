"""Who waits for the one process that makes pictures: of each person, one picture at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from likeopt.errors import Busy

# More than these would wait for seconds. A page of a document asks for a dozen at once.
PLACES = 32
PLACES_OF_ONE = 16


class _Person:
    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.waiting = 0


class Turns:
    """Places for those who wait. Thread-safe, under gevent too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._people: dict[str, _Person] = {}
        self._waiting = 0

    @contextmanager
    def of(self, who: str) -> Iterator[None]:
        """Wait until nothing else is made for this person. Busy while they or all wait for too
        much: so nobody can take all places, nor stand before others more than once."""
        person = self._enter(who)
        try:
            with person.turn:
                yield
        finally:
            self._leave(who, person)

    def _enter(self, who: str) -> _Person:
        with self._lock:
            person = self._people.setdefault(who, _Person())
            if self._waiting >= PLACES or person.waiting >= PLACES_OF_ONE:
                if not person.waiting:
                    del self._people[who]
                raise Busy(
                    "Too many pictures are being made. Try again in a moment.", retry_after=1
                )
            person.waiting += 1
            self._waiting += 1
            return person

    def _leave(self, who: str, person: _Person) -> None:
        with self._lock:
            self._waiting -= 1
            person.waiting -= 1
            if not person.waiting:
                del self._people[who]
