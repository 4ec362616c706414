import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.entrance import BEGIN_AT_ONCE, Entrance
from likeopt.chat.writer import Writer
from likeopt.clock import Clock
from likeopt.errors import Busy
from likeopt.retrieval.types import SearchResponse
from likeopt.storage import conversations
from likeopt.storage.db import Database
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.servers import wait_until


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_who_waits_comes_in_in_turn() -> None:
    entrance = Entrance(1, patience=30)
    came: list[int] = []
    waiting = entrance._waiting

    def come(number: int) -> None:
        with entrance.place():
            came.append(number)

    with entrance.place():
        threads: list[threading.Thread] = []
        for number in range(5):
            threads.append(started(partial(come, number)))
            wait_until(lambda: len(waiting) == len(threads), "its place in the line")
    for thread in threads:
        thread.join(30)
    assert came == [0, 1, 2, 3, 4]


def test_who_waits_in_vain_takes_no_place() -> None:
    entrance = Entrance(1, patience=0.01)
    with entrance.place():
        for _ in range(3):
            with pytest.raises(Busy) as caught, entrance.place():
                pass
            assert caught.value.retry_after
    for _ in range(3):
        with entrance.place():
            pass


def test_place_is_free_again_after_an_error() -> None:
    entrance = Entrance(1, patience=0.01)
    for _ in range(3):
        with pytest.raises(KeyError), entrance.place():
            raise KeyError


def test_more_questions_than_can_begin_at_once_wait(
    database: Database, shelf: Shelf, reader: Reader, real_clock: Clock
) -> None:
    shelf.add("leave.txt", "Annual leave is 15 days.")
    arrived, go = threading.Semaphore(0), threading.Event()

    def search(*args: Any, **options: Any) -> SearchResponse:
        arrived.release()
        assert go.wait(30)
        return shelf.search(*args, **options)

    chat = Chat(database, real_clock, Writer(search, None, real_clock))
    said: list[Message] = []

    def ask() -> None:
        said.append(last(chat.ask(reader, "How many days of annual leave?")))

    threads = [started(ask) for _ in range(BEGIN_AT_ONCE + 1)]
    for _ in range(BEGIN_AT_ONCE):
        assert arrived.acquire(timeout=30)
    assert not arrived.acquire(timeout=0.1)
    assert not database.read(lambda c: conversations.list_(c, reader)).items
    go.set()
    for thread in threads:
        thread.join(30)
    assert [one.state for one in said] == ["complete"] * len(threads)
