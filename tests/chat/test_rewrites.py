"""Follow-up questions that a model rewrites: once for all who ask the same after the same."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from likeopt.cache.layered import Cache
from likeopt.cache.opening import open_cache
from likeopt.cache.tags import LocalTags
from likeopt.chat import followup
from likeopt.chat.answer import Chat
from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Queue as Position
from likeopt.chat.rewrites import FAILED_SECONDS
from likeopt.config import Config
from likeopt.errors import Busy
from likeopt.llm.queue import Queue
from likeopt.storage import conversations
from likeopt.storage.db import Database, run_here
from likeopt.storage.messages import Exchange
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.stub_openai import Reply, StubOpenAI

BEFORE = [Exchange("When does the canteen open?", "At noon [1].", "When does the canteen open?")]
QUESTION = "And how much does it cost?"
REWRITTEN = "How much does lunch in the canteen cost?"


@pytest.fixture
def clock() -> FakeClock:
    """Of the cache alone."""
    return FakeClock()


@pytest.fixture
def open_cache_(config: Config, clock: FakeClock) -> Iterator[Callable[[], Cache]]:
    """The cache as each process of a machine has it."""
    opened: list[Cache] = []

    def make() -> Cache:
        cache = open_cache(config, tenant="t", clock=clock, tags=LocalTags(), run=run_here)
        opened.append(cache)
        return cache

    yield make
    for cache in opened:
        cache.close()


@pytest.fixture
def two(make_chat: Callable[..., Chat], open_cache_: Callable[[], Cache]) -> tuple[Chat, Chat]:
    """Two workers of a machine."""
    return make_chat(cache=open_cache_(), timeout=60.0), make_chat(cache=open_cache_())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewritings that a test holds back are waited for."""
    monkeypatch.setattr(followup, "REWRITE_SECONDS", 60.0)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """The one of `make_chat`."""
    return Queue(tmp_path / "queue", running=1, waiting=0)


@pytest.mark.usefixtures("patient")
def test_many_who_ask_the_same_at_once_cost_two_calls(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, shelf: Shelf, queue: Queue
) -> None:
    """Of which only a few would have found a place in the model's queue."""
    rewriting = stub.say(REWRITTEN, hold=0)
    stub.say("6 euros [1].")
    asked: list[Broadcast] = []

    def ask(chat: Chat) -> None:
        asked.extend(chat.reply(reader, QUESTION, BEFORE) for _ in range(30))

    threads = [threading.Thread(target=ask, args=(chat,)) for chat in two * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 120
    rewriting.release()
    assert {last(one).content for one in asked} == {"6 euros [1]."}
    assert len(stub.requests) == 2
    assert set(shelf.queries) == {REWRITTEN}
    wait_until(lambda: queue.places() == [], "an empty queue")


def test_asked_again_it_costs_no_call(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, shelf: Shelf
) -> None:
    here, there = two
    stub.say("At noon [1].")
    stub.say(REWRITTEN)
    stub.say("6 euros [1].")
    for chat, question in (
        (here, QUESTION),
        (here, QUESTION),
        (there, " AND how  much does it Cost"),
    ):
        first = last(chat.ask(reader, "When does the canteen open?"))
        second = last(chat.ask(reader, question, first.conversation_id))
        assert (second.content, second.query) == ("6 euros [1].", REWRITTEN)
        assert {"rewrite", "search"} <= second.stages.keys()
    assert second.cached_at is not None
    assert len(stub.requests) == 3
    # Another answer, to the same question.
    stub.say("Six euros [1].")
    again = last(here.regenerate(reader, second.id))
    assert (again.content, again.query) == ("Six euros [1].", REWRITTEN)
    assert len(stub.requests) == 4


@pytest.mark.parametrize("way", ["words", "question", "answer", "model", "told"])
def test_what_a_rewriting_depends_on_is_its_key(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch, way: str,
) -> None:  # fmt: skip
    chat = two[0]
    stub.say(REWRITTEN)
    last(chat.reply(reader, QUESTION, BEFORE))
    question, before = QUESTION, BEFORE
    if way == "words":
        question = "And how long does it last?"
    elif way in ("question", "answer"):
        before = [msgspec.structs.replace(BEFORE[0], **{way: "Where is the canteen?"})]
    elif way == "model":
        assert chat._writer.model is not None
        monkeypatch.setattr(chat._writer.model, "identity", "another")
    else:
        monkeypatch.setattr(followup, "_INSTRUCTIONS", "Say it otherwise.")
    stub.say("Is lunch in the canteen dear?")
    last(chat.reply(reader, question, before))
    assert shelf.queries == [REWRITTEN, "Is lunch in the canteen dear?"]


def test_a_model_that_failed_is_not_asked_the_same_for_a_moment(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, shelf: Shelf, clock: FakeClock
) -> None:
    stub.fail(500)
    stub.say("6 euros [1].")
    for chat in two:
        assert last(chat.reply(reader, QUESTION, BEFORE)).content == "6 euros [1]."
    assert shelf.queries == [f"{QUESTION} canteen open"] * 2
    assert len(stub.requests) == 2
    clock.advance(FAILED_SECONDS * 1.2)
    stub.say(REWRITTEN)
    last(two[0].reply(reader, QUESTION, BEFORE))
    assert shelf.queries[2] == REWRITTEN


@pytest.mark.usefixtures("patient")
def test_with_a_full_queue_who_asks_the_same_still_joins(
    make_chat: Callable[..., Chat], open_cache_: Callable[[], Cache], stub: StubOpenAI,
    database: Database, reader: Reader, queue: Queue,
) -> None:  # fmt: skip
    chat = make_chat(running=1, waiting=0, cache=open_cache_())
    stub.say("At noon [1].")
    first = last(chat.ask(reader, "When does the canteen open?"))
    rewriting = stub.say(REWRITTEN, hold=0)
    stub.say("6 euros [1].")
    asked = [chat.ask(reader, QUESTION, first.conversation_id)]
    stub.wait_for_request(2)
    with pytest.raises(Busy):
        chat.ask(reader, "And when does it close?", first.conversation_id)
    asked.append(chat.reply(reader, QUESTION, BEFORE))
    rewriting.release()
    assert {last(one).content for one in asked} == {"6 euros [1]."}
    found = database.read(lambda c: conversations.recent(c, reader, first.conversation_id))
    assert [one.question for one in found] == ["When does the canteen open?", QUESTION]
    wait_until(lambda: queue.places() == [], "an empty queue")


def occupied(chat: Chat, reader: Reader, stub: StubOpenAI) -> tuple[Reply, Broadcast]:
    """An answer that the model writes until it is let go on."""
    held = stub.say("15 days [1].", hold=0)
    busy = chat.reply(reader, "How many days of annual leave?", [])
    stub.wait_for_request()
    return held, busy


def test_who_leaves_takes_the_place_from_nobody(
    make_chat: Callable[..., Chat], open_cache_: Callable[[], Cache], stub: StubOpenAI,
    reader: Reader, queue: Queue,
) -> None:  # fmt: skip
    chat = make_chat(running=1, cache=open_cache_())
    held, busy = occupied(chat, reader, stub)
    waiting = [chat.reply(reader, QUESTION, BEFORE) for _ in range(3)]
    wait_until(lambda: all(one._position == Position(1) for one in waiting), "three who wait")
    assert len(queue.places()) == 2
    waiting[0].leave()
    assert last(waiting[0]).state == "stopped"
    stub.say(REWRITTEN)
    stub.say("6 euros [1].")
    held.release()
    assert last(busy).content == "15 days [1]."
    for one in waiting[1:]:
        assert last(one).content == "6 euros [1]."
        assert one._position == Position(0)
    assert len(stub.requests) == 3
    wait_until(lambda: queue.places() == [], "an empty queue")


def test_when_all_leave_the_place_is_free(
    make_chat: Callable[..., Chat], open_cache_: Callable[[], Cache], stub: StubOpenAI,
    reader: Reader, queue: Queue,
) -> None:  # fmt: skip
    chat = make_chat(running=1, cache=open_cache_())
    held, busy = occupied(chat, reader, stub)
    waiting = [chat.reply(reader, QUESTION, BEFORE) for _ in range(2)]
    assert len(queue.places()) == 2
    for one in waiting:
        one.leave()
    wait_until(lambda: len(queue.places()) == 1, "the place to be free")
    held.release()
    assert last(busy).content == "15 days [1]."
    assert len(stub.requests) == 1


def test_it_is_a_use_of_the_cache_that_can_be_cleared(
    make_chat: Callable[..., Chat], open_cache_: Callable[[], Cache], stub: StubOpenAI,
    reader: Reader, shelf: Shelf,
) -> None:  # fmt: skip
    cache = open_cache_()
    chat = make_chat(cache=cache)
    stub.say(REWRITTEN)
    last(chat.reply(reader, QUESTION, BEFORE))
    sizes = cache.sizes()["disk"]
    assert sizes is not None
    assert sizes["rewrites"].entries == 1
    assert {total.computes for total in cache.stats.totals() if total.use == "rewrites"} >= {1}
    cache.clear("rewrites")
    stub.say("Is lunch in the canteen dear?")
    last(chat.reply(reader, QUESTION, BEFORE))
    assert shelf.queries == [REWRITTEN, "Is lunch in the canteen dear?"]
