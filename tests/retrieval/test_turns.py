"""Turns: one person's pictures do not stand in the way of everybody's."""

import threading
from contextlib import ExitStack

import pytest

from likeopt.errors import Busy
from likeopt.retrieval.turns import PLACES, PLACES_OF_ONE, Turns
from tests.servers import wait_until


class Crowd:
    """People who wait, each in a thread of their own, until they are let go."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self.go = threading.Event()
        self.threads: list[threading.Thread] = []

    def come(self, who: str) -> None:
        thread = threading.Thread(target=self._wait, args=(who,))
        thread.start()
        self.threads.append(thread)

    def _wait(self, who: str) -> None:
        with self.turns.of(who):
            self.inside.append(who)
            assert self.go.wait(60)

    def leave(self) -> None:
        self.go.set()
        for thread in self.threads:
            thread.join()


def test_one_picture_of_a_person_at_a_time_and_never_all_places() -> None:
    crowd = Crowd()
    for _ in range(PLACES_OF_ONE):
        crowd.come("greedy")
    wait_until(lambda: crowd.turns._waiting == PLACES_OF_ONE, "the greedy one")
    with pytest.raises(Busy) as told, crowd.turns.of("greedy"):
        pass
    assert told.value.retry_after == 1
    crowd.come("other")
    wait_until(lambda: crowd.inside == ["greedy", "other"], "the other one's turn")
    crowd.leave()
    assert len(crowd.inside) == PLACES_OF_ONE + 1
    with crowd.turns.of("greedy"):
        pass
    assert crowd.turns._people == {}


def test_more_than_there_are_places_for_are_told_so() -> None:
    turns = Turns()
    with ExitStack() as stack:
        for number in range(PLACES):
            stack.enter_context(turns.of(str(number)))
        with pytest.raises(Busy), turns.of("late"):
            pass
    assert turns._people == {}
    with turns.of("late"):
        pass
