"""What chat tests share: somebody with a library, a chat without and with a model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from likeopt.cache.layered import Cache
from likeopt.chat.answer import Chat
from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Delta, Done, Event, Failed
from likeopt.chat.exchange import Exchange
from likeopt.chat.exchange_files import FileExchange
from likeopt.chat.writer import Writer
from likeopt.clock import Clock
from likeopt.llm.openai import OpenAIChat
from likeopt.llm.queue import Queue
from likeopt.storage.db import Database
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader
from tests.chat.shelf import Shelf
from tests.storage import library
from tests.stub_openai import StubOpenAI

E = TypeVar("E", bound=Event)

LEAVE = "Full-time employees get 15 days of annual leave. Unused days expire in March."
LEAVE_KO = "정규직 직원의 연차는 15일입니다. 남은 연차는 3월에 소멸됩니다."


@pytest.fixture
def real_clock() -> Clock:
    """Waiting is real here: writers and readers are threads."""
    return Clock()


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """SQLite; `test_stored_answers.py` uses both."""
    return sqlite_database


@pytest.fixture
def reader(database: Database, real_clock: Clock) -> Reader:
    return library.prepared(database, real_clock)


@pytest.fixture
def shelf(database: Database, reader: Reader, real_clock: Clock) -> Shelf:
    """Three documents about leave and lunch."""
    made = Shelf(database, reader, real_clock)
    made.add("handbook.pdf", LEAVE, page=3)
    made.add("규정.hwp", LEAVE_KO, page=1)
    made.add("canteen.md", "The canteen opens at noon. Lunch costs 6 euros.")
    return made


@pytest.fixture
def stub() -> Iterator[StubOpenAI]:
    with StubOpenAI() as running:
        yield running


@pytest.fixture
def plain(database: Database, shelf: Shelf, real_clock: Clock) -> Chat:
    """A chat without a model."""
    return Chat(database, real_clock, Writer(shelf.search, None, real_clock))


@pytest.fixture
def open_exchange(tmp_path: Path) -> Callable[[], Exchange]:
    """Where chats meet, opened as each process does."""
    return lambda: FileExchange(tmp_path / "generations")


@pytest.fixture
def make_chat(
    database: Database,
    shelf: Shelf,
    stub: StubOpenAI,
    real_clock: Clock,
    tmp_path: Path,
    open_exchange: Callable[[], Exchange],
) -> Callable[..., Chat]:
    """A chat with the stub as its model; `running` and `waiting` bound its queue."""

    def make(
        *,
        running: int = 2,
        waiting: int = 4,
        timeout: float = 10.0,
        cache: Cache | None = None,
        hear: Callable[[], object] = lambda: None,
        clock: Clock = real_clock,
    ) -> Chat:
        model = OpenAIChat(stub.url, "", "stub", clock=clock, timeout=timeout)
        queue = Queue(tmp_path / "queue", running=running, waiting=waiting)
        writer = Writer(shelf.search, model, clock)
        return Chat(database, clock, writer, queue, open_exchange(), cache, hear=hear)

    return make


@pytest.fixture
def chat(make_chat: Callable[..., Chat]) -> Chat:
    """A chat with the stub as its model."""
    return make_chat()


# -- reading -------------------------------------------------------------------------------------


def events(broadcast: Broadcast) -> list[Event]:
    """All events of an answer, to its end."""
    return [one.event for one in broadcast.events() if one]


def last(broadcast: Broadcast) -> Message:
    """The stored answer."""
    final = events(broadcast)[-1]
    assert isinstance(final, Done), final
    return final.message


def failure(broadcast: Broadcast) -> Failed:
    """How an answer failed."""
    final = events(broadcast)[-1]
    assert isinstance(final, Failed), final
    return final


def only(kind: type[E], found: list[Event]) -> E:
    """The one event of a kind."""
    (one,) = [event for event in found if isinstance(event, kind)]
    return one


def text_of(found: list[Event]) -> str:
    """The text of all deltas."""
    return "".join(event.text for event in found if isinstance(event, Delta))
