"""One generation for all who ask the same. Two chats are two web workers."""

import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Delta, Done, Numbered, Queue, Sources, Start
from likeopt.chat.exchange import Exchange
from likeopt.chat.exchange_files import FileExchange, FileSeat
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.chat.generation import Generation
from likeopt.clock import Clock
from likeopt.errors import Busy, NotFound
from likeopt.llm.openai import OpenAIChat
from likeopt.storage import conversations, messages
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.chat.conftest import events, failure, last, only, text_of
from tests.chat.shelf import Shelf
from tests.servers import wait_until
from tests.storage import library
from tests.stub_openai import StubOpenAI

QUESTION = "How many days of annual leave?"


@pytest.fixture(params=["files", "redis"])
def open_exchange(
    request: pytest.FixtureRequest, tmp_path: Path, real_clock: Clock
) -> Callable[[], Exchange]:
    if request.param == "files":
        return lambda: FileExchange(tmp_path / "generations")
    url = request.getfixturevalue("redis_url")
    return lambda: RedisExchange(url, tmp_path.name, real_clock)


@pytest.fixture
def two(make_chat: Callable[..., Chat]) -> tuple[Chat, Chat]:
    return make_chat(), make_chat()


def numbered(broadcast: Broadcast, after: int = 0) -> list[Numbered]:
    return [one for one in broadcast.events(after) if one]


def until(kind: type, broadcast: Broadcast) -> int:
    """Read up to an event of a kind; its number."""
    reading = broadcast.events()
    return next(one.sequence for one in reading if one and isinstance(one.event, kind))


def test_one_call_answers_all_who_ask_the_same(
    two: tuple[Chat, Chat], stub: StubOpenAI, database: Database, reader: Reader, real_clock: Clock
) -> None:
    here, there = two
    other = msgspec.structs.replace(
        library.member(database, real_clock, "other"), collections=reader.collections
    )
    held = stub.say("You get ", "15 days [1].", hold=1)
    asked = [here.ask(reader, QUESTION)]
    stub.wait_for_request()
    until(Delta, asked[0])
    # Case, white space and the punctuation at its end make no other question of it.
    asked += [there.ask(other, QUESTION), here.ask(other, " how many  days of annual LEAVE ")]
    asked += [there.ask(reader, QUESTION, language="en")]
    for one in asked:
        until(Delta, one)
    held.release()
    told = [numbered(one) for one in asked]
    assert len(stub.requests) == 1
    assert {text_of([one.event for one in each]) for each in told} == {"You get 15 days [1]."}
    # Whoever comes late gets what there was in fewer events, under the same numbers.
    assert len({each[-1].sequence for each in told}) == 1
    ends = [each[-1].event for each in told]
    stored = [end.message for end in ends if isinstance(end, Done)]
    assert [one.id for one in stored] == [one.message_id for one in asked]
    for who, message in zip((reader, other, other, reader), stored, strict=True):
        assert message.citations[0].document_name == "handbook.pdf"
        assert (message.kind, message.model, message.state) == ("generated", "stub", "complete")
        assert {"search", "total", "generate"} <= message.stages.keys()
        assert database.read(lambda c, w=who, m=message: messages.get(c, w, m.id)) == message  # type: ignore[misc]
    # Now it has ended: the next one asks the model.
    stub.say("Fifteen [1].")
    assert last(here.ask(reader, QUESTION)).content == "Fifteen [1]."


def test_many_at_once_are_one_call(
    make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    """A thousand of them: see bench/shared.py."""
    two = (make_chat(timeout=120.0), make_chat(timeout=120.0))
    held = stub.say("You get ", "15 days [1].", hold=0)
    asked: list[Broadcast] = []

    def ask(chat: Chat) -> None:
        asked.extend(chat.ask(reader, QUESTION) for _ in range(30))

    threads = [threading.Thread(target=ask, args=(chat,)) for chat in two * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held.release()
    assert {last(one).content for one in asked} == {"You get 15 days [1]."}
    assert len(stub.requests) == 1
    page = database.read(lambda c: conversations.list_(c, reader, limit=200))
    assert len(page.items) == 120


@pytest.mark.parametrize(
    "other",
    [
        "How many days of annual leave do managers get?",
        "How many days of annual leaves?",
        "연차는 며칠인가요?",
    ],
)
def test_another_question_is_another_generation(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, other: str
) -> None:
    held = stub.say("One [1].", hold=0)
    first = two[0].ask(reader, QUESTION)
    stub.wait_for_request()
    stub.say("Two [1].")
    assert last(two[1].ask(reader, other)).content == "Two [1]."
    held.release()
    assert last(first).content == "One [1]."


def test_who_may_read_more_gets_an_answer_of_their_own(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    more = msgspec.structs.replace(reader, collections=reader.collections | {"secret"})
    held = stub.say("One [1].", hold=0)
    first = two[0].ask(reader, QUESTION)
    stub.wait_for_request()
    stub.say("Two [1].")
    assert last(two[0].ask(more, QUESTION)).content == "Two [1]."
    held.release()
    assert last(first).content == "One [1]."


def test_nobody_is_told_words_of_a_conversation_that_is_not_theirs(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    """What is searched may hold the subject of an exchange that the prompt has no room for."""
    lately = messages.Exchange("And when does it open?", "At noon.", "And when does it open?")
    held = stub.say("6 euros [1].", hold=0)
    answers = []
    for chat, subject in zip(two, ("Zanzibar", "Madagascar"), strict=True):
        model = chat._writer.model
        assert isinstance(model, OpenAIChat)
        model.quick, model._prompt_tokens = False, 300
        before = messages.Exchange(f"Lunch in {subject}?", "word " * 99, f"Lunch in {subject}?")
        answers.append(chat.reply(reader, "And how much does it cost?", [before, lately]))
        until(Sources, answers[-1])
    stub.wait_for_request(2)
    held.release()
    one, other = (only(Sources, events(answer)).query for answer in answers)
    assert "Zanzibar" in one
    assert "Zanzibar" not in other
    assert stub.requests[0].prompt == stub.requests[1].prompt


def test_a_changed_document_is_another_generation(
    two: tuple[Chat, Chat], stub: StubOpenAI, shelf: Shelf, reader: Reader
) -> None:
    held = stub.say("One [1].", hold=0)
    first = two[0].ask(reader, QUESTION)
    stub.wait_for_request()
    shelf.add("new.md", "From May on there are 20 days of annual leave.")
    stub.say("Twenty [1].")
    assert last(two[0].ask(reader, QUESTION)).content == "Twenty [1]."
    held.release()
    last(first)
    assert "20 days" in stub.requests[1].prompt


def test_with_a_full_queue_who_asks_the_same_still_joins(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    chat = make_chat(running=1, waiting=0)
    held = stub.say("First [1].", hold=0)
    first = chat.ask(reader, QUESTION)
    stub.wait_for_request()
    with pytest.raises(Busy):
        chat.ask(reader, "When does unused leave expire?")
    joined = [one.ask(reader, QUESTION) for one in (chat, make_chat(running=1, waiting=0))]
    held.release()
    assert {last(one).content for one in (first, *joined)} == {"First [1]."}


def test_who_takes_over_waits_in_a_full_queue(
    make_chat: Callable[..., Chat],
    open_exchange: Callable[[], Exchange],
    stub: StubOpenAI,
    reader: Reader,
) -> None:
    chat = make_chat(running=1, waiting=0)
    held = stub.say("First [1].", hold=0)
    first = chat.ask(reader, "When does unused leave expire?")
    stub.wait_for_request()
    # On another machine, which has a queue of its own, and dies.
    key = chat._writer.prepare(chat._task(reader, QUESTION, [], None, None)).key
    lead = open_exchange().enter(key)
    assert lead is not None
    joined = chat.ask(reader, QUESTION)
    lead.close()
    until(Queue, joined)
    stub.say("You get 15 days [1].")
    held.release()
    assert last(joined).content == "You get 15 days [1]."
    assert last(first).content == "First [1]."


def test_all_wait_at_one_place_of_the_queue(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    here, there = make_chat(running=1), make_chat(running=1)
    held = stub.say("First [1].", hold=0)
    first = here.ask(reader, "When does unused leave expire?")
    stub.wait_for_request()
    stub.say("Second [1].")
    waiting = [chat.ask(reader, QUESTION) for chat in (here, there, there)]
    for one in waiting:
        until(Queue, one)
    held.release()
    assert last(first).content == "First [1]."
    told = [events(one) for one in waiting]
    assert {only(Done, each).message.content for each in told} == {"Second [1]."}
    for each in told:
        assert [one for one in each if isinstance(one, Queue)] == [Queue(1), Queue(0)]


def test_a_model_that_fails_gives_all_the_same(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    held = stub.say("never", hold=0, drop=0)
    asked = [chat.ask(reader, QUESTION) for chat in two]
    stub.wait_for_request()
    held.release()
    told = [last(one) for one in asked]
    assert {(one.kind, one.error_code) for one in told} == {("extractive", "model_unavailable")}
    assert len({one.content for one in told}) == 1
    # In the middle of its answer, too; who wants the whole has seen nothing of it.
    held = stub.say("Managers get", " yachts", hold=1, drop=1)
    first, second = (chat.ask(reader, QUESTION) for chat in two)
    whole = two[1].ask(reader, QUESTION, whole=True)
    until(Delta, second)
    held.release()
    for one in (first, second):
        failed = failure(one)
        assert failed.code == "model_unavailable"
        assert failed.message is not None
        assert (failed.message.id, failed.message.content) == (one.message_id, "Managers get")
    assert last(whole).kind == "extractive"
    assert len(stub.requests) == 2


def test_a_model_that_fails_before_the_question_is_stored_leaves_nobody_without_an_answer(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = stub.say("Managers get", " yachts", hold=1, drop=1)
    until(Delta, two[0].ask(reader, QUESTION))
    place = two[1]._place

    def fails_meanwhile(*given: Any, **named: Any) -> Generation:
        joined = place(*given, **named)
        held.release()
        wait_until(lambda: joined.log.end is not None, "the end")
        return joined

    monkeypatch.setattr(two[1], "_place", fails_meanwhile)
    assert failure(two[1].ask(reader, QUESTION)).code == "model_unavailable"
    held = stub.say("Managers get", " yachts", hold=1, drop=1)
    until(Delta, two[0].ask(reader, QUESTION))
    assert last(two[1].ask(reader, QUESTION, whole=True)).kind == "extractive"


def test_stopping_only_leaves(two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader) -> None:
    here, there = two
    held = stub.say("You get 15 days [1]. ", "And more [1].", hold=1)
    leader, mate, far = here.ask(reader, QUESTION), here.ask(reader, QUESTION), None
    far = there.ask(reader, QUESTION)
    for one in (leader, mate, far):
        until(Delta, one)
    here.stop(reader, leader.message_id)
    # Through any process.
    here.stop(reader, far.message_id)
    for one in (leader, far):
        message = last(one)
        # The end of a sentence is held back until it is known what comes next.
        assert (message.state, message.content) == ("stopped", "You get 15 days [1]")
        assert [cited.number for cited in message.citations] == [1]
    held.release()
    assert last(mate).content == "You get 15 days [1]. And more [1]."
    assert stub.requests[0].answered.wait(10)


def test_when_the_last_one_leaves_the_model_stops(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    here, there = two
    stub.say("You get 15 days [1].", " And more [1].", hold=1)
    first, far = here.ask(reader, QUESTION), there.ask(reader, QUESTION)
    for one in (first, far):
        until(Delta, one)
    here.stop(reader, first.message_id)
    assert last(first).state == "stopped"
    there.stop(reader, far.message_id)
    assert last(far).state == "stopped"
    assert stub.requests[0].gone.wait(10)
    # Who asks now is not told of a stop that they did not ask for.
    stub.say("You get 15 days [1].")
    assert last(here.ask(reader, QUESTION)).content == "You get 15 days [1]."


def test_asking_again_is_not_shared(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    held = stub.say("First [1].", hold=0)
    first = two[0].ask(reader, QUESTION)
    stub.wait_for_request()
    stub.say("Again [1].")
    assert last(two[1].regenerate(reader, first.message_id)).content == "Again [1]."
    held.release()
    assert last(first).content == "First [1]."


def test_a_reader_goes_on_in_any_process_where_it_was(
    two: tuple[Chat, Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    here, there = two
    held = stub.say("You get ", "15 days [1].", hold=1)
    answer = here.ask(reader, QUESTION)
    number = until(Delta, answer)
    resumed = there.resume(reader, answer.message_id, number)
    assert there.shown(answer.message_id)
    held.release()
    rest = [one for one in resumed if one]
    assert [type(one.event) for one in (rest[0], rest[-1])] == [Delta, Done]
    assert rest[0].sequence > number
    assert text_of([one.event for one in rest]).strip() == "15 days [1]."
    assert rest[-1] == numbered(answer, number)[-1]
    whole = [one.event for one in there.resume(reader, answer.message_id) if one]
    assert [type(one) for one in whole] == [Start, Sources, Delta, Done]
    assert only(Done, whole).message == last(answer)


def test_two_that_come_back_to_one_answer_both_hear_its_end(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    here, there = two
    stub.say("At noon [1].")
    before = here.ask(reader, "When does the canteen open?")
    last(before)
    conversation = events(before)[0]
    assert isinstance(conversation, Start)
    rewriting = stub.say("How much does lunch in the canteen cost?", hold=0)
    held = stub.say("6 euros [1].", hold=0)
    answer = here.ask(reader, "And how much does it cost?", conversation.conversation_id)
    stub.wait_for_request(2)
    tabs = [there.resume(reader, answer.message_id, ping=0.1) for _ in range(2)]
    for tab in tabs:
        next(tab)
    rewriting.release()
    for tab in tabs:
        assert any(one and isinstance(one.event, Sources) for one in islice(tab, 200))
    held.release()
    for tab in tabs:
        assert any(one and isinstance(one.event, Done) for one in islice(tab, 200))


def test_nobody_gets_at_the_answer_of_somebody_else(
    two: tuple[Chat, Chat], stub: StubOpenAI, database: Database, reader: Reader, real_clock: Clock
) -> None:
    stranger = msgspec.structs.replace(
        library.member(database, real_clock, "stranger"), collections=reader.collections
    )
    held = stub.say("You get 15 days [1].", hold=0)
    answer = two[0].ask(reader, QUESTION)
    joined = two[1].ask(stranger, QUESTION)
    stub.wait_for_request()
    for chat in two:
        with pytest.raises(NotFound):
            chat.resume(stranger, answer.message_id)
        with pytest.raises(NotFound):
            chat.stop(stranger, answer.message_id)
    held.release()
    assert last(answer).content == last(joined).content


def test_a_follow_up_that_a_model_rewrites_is_shared_too(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    stub.say("At noon [1].")
    first = [last(chat.reply(reader, "When does the canteen open?", [])) for chat in two[:1]]
    before = [messages.Exchange("When does the canteen open?", first[0].content, "canteen")]
    stub.say("How much does lunch in the canteen cost?")
    held = stub.say("6 euros [1].", hold=0)
    one = two[0].reply(reader, "And how much does it cost?", before)
    stub.wait_for_request(3)
    stub.say("How much does lunch in the canteen cost?")
    other = two[1].reply(reader, "And how much does it cost?", before)
    until(Sources, other)
    held.release()
    assert {last(one).content, last(other).content} == {"6 euros [1]."}
    assert len(stub.requests) == 4


def test_without_anybody_who_comes_back_the_model_stops(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("broadcast", "meeting"):
        monkeypatch.setattr(f"likeopt.chat.{module}.GRACE_SECONDS", 0.2)
    chat = make_chat()
    stub.say("You get", " 15 days", hold=1)
    answer = chat.ask(reader, QUESTION)
    until(Delta, answer)
    assert stub.requests[0].gone.wait(20)
    wait_until(lambda: last(answer).state == "stopped", "the end")


def test_who_names_an_event_that_never_was_gets_the_last_one(
    two: tuple[Chat, Chat], stub: StubOpenAI, reader: Reader
) -> None:
    held = stub.say("You get ", "15 days [1].", hold=1)
    answer = two[0].ask(reader, QUESTION)
    until(Delta, answer)
    lost = [chat.resume(reader, answer.message_id, 10**9) for chat in two]
    held.release()
    for events_ in lost:
        told = [one for one in events_ if one]
        assert [one.event for one in told] == [only(Done, events(answer))]
    for chat in two:
        told = [one for one in chat.resume(reader, answer.message_id, 10**9) if one]
        assert [type(one.event) for one in told] == [Done]


class SlowForOne(FileExchange):
    """As Redis, of which one call hangs: the first who asks whether somebody leads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.answers = threading.Event(), threading.Event()

    def join(self, key: str) -> FileSeat | None:
        if not self.asked.is_set():
            self.asked.set()
            self.answers.wait(30)
        return super().join(key)


def test_nobody_waits_for_the_exchange_of_another_question(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader, tmp_path: Path
) -> None:
    chat = make_chat()
    slow = SlowForOne(tmp_path / "generations")
    chat._meeting._exchange = slow
    first: list[Broadcast] = []
    asking = threading.Thread(target=lambda: first.append(chat.ask(reader, QUESTION)))
    asking.start()
    assert slow.asked.wait(30)
    told = []
    other = threading.Thread(
        target=lambda: told.append(last(chat.ask(reader, "When does unused leave expire?")))
    )
    other.start()
    other.join(10)
    slow.answers.set()
    assert [one.state for one in told] == ["complete"]
    asking.join()
    assert last(first[0]).state == "complete"
