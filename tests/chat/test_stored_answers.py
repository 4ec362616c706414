"""What chat does with the database, on SQLite and PostgreSQL. Two chats are two web workers."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.chat.answer import Chat
from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Done, Failed, Start
from likeopt.chat.exchange_files import FileExchange
from likeopt.chat.writer import Writer
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import Busy, KeyReused, NotFound, StorageFull, StorageUnavailable
from likeopt.retrieval.types import Filters
from likeopt.storage import answers, conversations, messages, tables
from likeopt.storage.db import Database
from likeopt.storage.idempotency import IdempotencyKey, Repeated
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader
from tests.chat.conftest import failure, last, text_of
from tests.chat.shelf import Shelf
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.storage import library
from tests.stub_openai import StubOpenAI


@pytest.fixture
def database(database_config: Config) -> Iterator[Database]:
    opened = Database(database_config.database)
    yield opened
    opened.close()


def stored(database: Database, reader: Reader, message: Message) -> Message:
    return database.read(lambda c: messages.get(c, reader, message.id))


class Yesterday(Clock):
    """The clock of a process that died long ago."""

    def now_ms(self) -> int:
        return super().now_ms() - 86_400_000


def test_a_stop_in_another_process_is_heard(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    """Two chats on one database are two web workers."""
    here, there = make_chat(), make_chat()
    stub.say("You get", " 15", hold=1)
    answer = here.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    there.stop(reader, answer.message_id)
    assert last(answer).state == "stopped"


def test_deleting_the_conversation_ends_its_answer(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("You get", " 15", hold=1)
    answer = chat.ask(reader, "How many days of annual leave?")
    request = stub.wait_for_request()
    start = next(answer.events()).event  # type: ignore[union-attr]
    assert isinstance(start, Start)
    database.write(lambda c: conversations.delete(c, reader, start.conversation_id))
    assert failure(answer).code == "not_found"
    assert request.gone.wait(10)


def test_whoever_follows_an_answer_learns_that_it_was_deleted(
    make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    here, there = make_chat(), make_chat()
    stub.say("You get", " 15", hold=1)
    answer = here.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    far = there.resume(reader, answer.message_id)
    assert type(next(far).event) is Start  # type: ignore[union-attr]
    start = next(answer.events()).event  # type: ignore[union-attr]
    assert isinstance(start, Start)
    database.write(lambda c: conversations.delete(c, reader, start.conversation_id))
    end = [one.event for one in far if one][-1]
    assert isinstance(end, Failed)
    assert end.code == failure(answer).code == "not_found"


def test_an_answer_whose_process_died_fails_and_can_be_asked_again(
    chat: Chat,
    stub: StubOpenAI,
    database: Database,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("likeopt.storage.messages.STALE_SECONDS", 0.3)

    def begin() -> Message:
        _, question = database.write(
            lambda c: conversations.add_question(c, reader, Yesterday(), None, "How much leave?")
        )
        answer = database.write(lambda c: messages.start_answer(c, Yesterday(), question))
        database.write(lambda c: answers.keep_alive(c, Yesterday(), [answer.id], "You get"))
        return answer

    found = [one.event for one in chat.resume(reader, begin().id) if one]
    failed = found[-1]
    assert [type(event).__name__ for event in found] == ["Start", "Sources", "Delta", "Failed"]
    assert failed.code == "interrupted"  # type: ignore[union-attr]
    assert text_of(found) == "You get"
    begin()
    deserted = messages.Deserted(Clock())
    assert database.write(deserted.give_up) == 0
    wait_until(lambda: database.write(deserted.give_up) == 1, "it to count as deserted")
    stub.say("You get 15 days [1].")
    assert last(chat.regenerate(reader, found[0].message_id)).state == "complete"  # type: ignore[union-attr]


def test_for_a_stranger_there_is_no_answer(
    chat: Chat, database: Database, reader: Reader, real_clock: Clock
) -> None:
    stranger = library.member(database, real_clock, "stranger")
    answer = chat.ask(reader, "How many days of annual leave?")
    for attempt in (
        lambda: chat.resume(stranger, answer.message_id),
        lambda: chat.stop(stranger, answer.message_id),
        lambda: chat.regenerate(stranger, answer.message_id),
        lambda: chat.resume(reader, "f" * 32),
    ):
        with pytest.raises(NotFound):
            attempt()
    message = last(answer)
    with pytest.raises(NotFound):
        chat.resume(reader, message.parent_id or "")


def test_asking_again_gives_another_answer_to_the_same_question(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("Wrong [1].")
    first = last(chat.ask(reader, "How many days of annual leave?"))
    stub.say("Better [1].")
    second = last(chat.regenerate(reader, first.id))
    assert second.parent_id == first.parent_id
    assert stub.requests[1].body["temperature"] > stub.requests[0].body["temperature"]
    # Neither answer is part of the prompt for the other.
    assert "Wrong" not in stub.requests[1].prompt
    transcript = database.read(lambda c: conversations.get(c, reader, first.conversation_id))
    assert [one.content for one in transcript.messages[1:]] == ["Wrong [1].", "Better [1]."]
    # The next question builds on the better one.
    stub.say("Twelve months [1].")
    last(chat.ask(reader, "When does unused annual leave expire?", first.conversation_id))
    said = [turn["content"] for turn in stub.requests[2].body["messages"]]
    assert "Better." in said
    assert not any("Wrong" in text for text in said)


def test_asking_again_keeps_what_the_question_was_limited_to(
    chat: Chat, stub: StubOpenAI, shelf: Shelf, reader: Reader
) -> None:
    policy = shelf.add("policy.txt", "Annual leave of interns is 7 days.")
    stub.say("Seven [1].")
    only = Filters(documents=[policy])
    first = last(chat.ask(reader, "How much annual leave?", filters=only, language="ko"))
    stub.say("7 [1].")
    second = last(chat.regenerate(reader, first.id))
    assert [one.document_id for one in second.citations] == [policy]
    before, now = (request.body["messages"] for request in stub.requests)
    assert now == before  # the same passages, and told to answer in Korean
    # What is said with the wish counts more.
    stub.say("Fifteen [1].")
    last(chat.regenerate(reader, second.id, filters=Filters(), language="en"))
    assert "15 days" in stub.requests[2].prompt
    assert "15 days" not in stub.requests[1].prompt


def test_many_questions_at_once(plain: Chat, database: Database, reader: Reader) -> None:
    answers = []
    lock = threading.Lock()

    def ask() -> None:
        broadcast = plain.ask(reader, "How many days of annual leave?")
        with lock:
            answers.append(broadcast)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {last(answer).kind for answer in answers} == {"extractive"}
    page = database.read(lambda c: conversations.list_(c, reader))
    assert len(page.items) == 16


def test_the_watcher_saves_the_text_of_a_long_answer(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    held = stub.say("You get 15 days", " [1].", hold=1)
    answer = chat.ask(reader, "How many days of annual leave?")

    def saved() -> bool:
        found = database.read(lambda c: messages.get(c, reader, answer.message_id))
        return (found.content, found.state) == ("You get 15 days", "streaming")

    wait_until(saved, "the text so far in the database")
    held.release()
    assert last(answer).content == "You get 15 days [1]."


def test_what_a_dying_model_wrote_is_kept_as_failed(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("You get 15 days [1]", ", and also", drop=1)
    failed = failure(chat.ask(reader, "How many days of annual leave?"))
    assert (failed.code, failed.status, failed.retryable) == ("model_unavailable", 503, True)
    assert failed.message is not None
    message = stored(database, reader, failed.message)
    assert (message.state, message.kind) == ("failed", "generated")
    assert message.content == "You get 15 days [1]"
    assert [one.number for one in message.citations] == [1]
    # Half a sentence is not said to be a passage's.
    stub.say("Full-time employees get 15 days of", " annual", drop=1)
    failed = failure(chat.regenerate(reader, message.id))
    assert failed.message is not None
    assert failed.message.content == "Full-time employees get 15 days of"
    assert failed.message.citations == []
    # And it can be asked again.
    stub.say("You get 15 days [1].")
    assert last(chat.regenerate(reader, message.id)).content == "You get 15 days [1]."


def test_a_refused_question_leaves_nothing_behind(
    make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    chat = make_chat(running=1, waiting=0)
    held = stub.say("First [1].", hold=0)
    running = chat.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    with pytest.raises(Busy):
        chat.ask(reader, "When does unused leave expire?")
    page = database.read(lambda c: conversations.list_(c, reader))
    assert len(page.items) == 1
    held.release()
    last(running)
    # The place of whoever is refused for another reason is free again too.
    with pytest.raises(NotFound):
        chat.ask(reader, "And then?", "0" * 32)
    last(chat.ask(reader, "How many days of annual leave?"))


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, times: int
) -> Callable[[], int]:
    """Have a function of `answers` fail `times` times; returns how often it was called."""
    works, calls = getattr(answers, name), []

    def call(*args: Any) -> Any:
        calls.append(name)
        if len(calls) <= times:
            raise error
        return works(*args)

    monkeypatch.setattr(answers, name, call)
    return lambda: len(calls)


def ask_first(chat: Chat, stub: StubOpenAI, reader: Reader) -> Broadcast:
    """A question that is stored before its answer ends: else both would be stored at once."""
    held = stub.say("You get 15 days [1].", hold=0)
    asked = chat.ask(reader, "How many days of annual leave?")
    held.release()
    return asked


AWAY = StorageUnavailable("The database does not answer.")


def test_an_answer_is_stored_when_the_database_is_back(
    chat: Chat,
    stub: StubOpenAI,
    database: Database,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, "finish", AWAY, 3)
    done = last(ask_first(chat, stub, reader))
    assert (done.state, done.content) == ("complete", "You get 15 days [1].")
    assert stored(database, reader, done) == done


def test_a_first_try_that_takes_long_is_not_the_last(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    database: Database,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database's host that is cut off says nothing for half a minute."""
    clock = FakeClock()
    finish, tries = answers.finish, []

    def slow(*args: Any) -> Any:
        tries.append(clock.monotonic())
        if len(tries) == 1:
            clock.advance(2 * messages.STALE_SECONDS)
            raise AWAY
        return finish(*args)

    monkeypatch.setattr(answers, "finish", slow)
    done = last(ask_first(make_chat(clock=clock), stub, reader))
    assert (done.state, done.content) == ("complete", "You get 15 days [1].")
    assert stored(database, reader, done) == done
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("error", "stale", "code", "tried"),
    [
        (AWAY, 0.6, "storage_unavailable", 2),
        (StorageFull("The disk is full."), 15.0, "storage_full", 1),
        (ValueError("of a kind that nobody thought of"), 15.0, "internal_error", 1),
    ],
)
def test_whoever_waits_for_an_end_that_cannot_be_stored_is_told(
    chat: Chat,
    stub: StubOpenAI,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    stale: float,
    code: str,
    tried: int,
) -> None:
    monkeypatch.setattr("likeopt.storage.messages.STALE_SECONDS", stale)
    calls = failing(monkeypatch, "finish", error, 1000)
    assert failure(ask_first(chat, stub, reader)).code == code
    assert calls() >= tried


def test_an_error_that_nobody_thought_of_does_not_end_the_watch(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = make_chat(), make_chat()
    calls = failing(monkeypatch, "wanted", ValueError("of a kind that nobody thought of"), 1)
    stub.say("You get", " 15", hold=1)
    answer = here.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    wait_until(lambda: calls() > 0, "the error")
    there.stop(reader, answer.message_id)
    assert last(answer).state == "stopped"


def test_who_could_not_begin_leaves_the_line(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chat = make_chat(running=1, waiting=0)
    with monkeypatch.context() as broken:
        broken.setattr(FileExchange, "enter", lambda *_: int("of a kind that nobody thought of"))
        with pytest.raises(ValueError, match="nobody thought"):
            chat.ask(reader, "How many days of annual leave?")
    stub.say("You get 15 days [1].")
    assert last(chat.ask(reader, "How many days of annual leave?")).state == "complete"


LEAVE = "How many days of annual leave?"
KEY = IdempotencyKey("k", "a")


def how_many(database: Database) -> dict[str, int]:
    """Messages by role, of everybody."""
    query = sa.select(tables.messages.c.role, sa.func.count()).group_by(tables.messages.c.role)
    return {row[0]: row[1] for row in database.read(lambda c: c.execute(query).all())}


def test_a_question_sent_again_is_asked_once(
    make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    here, there = make_chat(), make_chat()
    reply = stub.say("You get", " 15", hold=1)
    answer = here.ask(reader, LEAVE, key=KEY)
    stub.wait_for_request()
    for chat in (here, there):  # while it is written
        with pytest.raises(Repeated) as repeated:
            chat.ask(reader, LEAVE, key=KEY)
        assert repeated.value.answer_id == answer.message_id
    running = [chat.resume(reader, answer.message_id) for chat in (here, there)]
    firsts = [next(events) for events in running]
    assert [one.event for one in firsts if one] == [next(answer.events()).event] * 2  # type: ignore[union-attr]
    reply.release()
    assert last(answer).content.startswith("You get 15")
    for events in running:
        told = [one.event for one in events if one]
        assert isinstance(told[-1], Done)
        assert told[-1].message.id == answer.message_id
    with pytest.raises(Repeated):  # afterwards
        there.ask(reader, LEAVE, key=KEY)
    with pytest.raises(KeyReused):
        there.ask(reader, "And lunch?", key=IdempotencyKey("k", "b"))
    assert how_many(database) == {"user": 1, "assistant": 1}
    assert len(stub.requests) == 1
    # Another answer is a request of its own, and asked once too.
    again = IdempotencyKey("l", "c")
    last(here.regenerate(reader, answer.message_id, key=again))
    with pytest.raises(Repeated):
        there.regenerate(reader, answer.message_id, key=again)
    assert how_many(database) == {"user": 1, "assistant": 2}
    # What was deleted can be asked again.
    start = firsts[0].event if firsts[0] else None
    assert isinstance(start, Start)
    database.write(lambda c: conversations.delete(c, reader, start.conversation_id))
    assert here.ask(reader, LEAVE, key=KEY).message_id != answer.message_id


def test_a_question_whose_answer_failed_can_be_sent_again(
    make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    here, there = make_chat(), make_chat()
    first = here.ask(reader, LEAVE, key=KEY)
    last(first)
    failed = tables.messages.update().values(state="failed", error_code="model_unavailable")
    database.write(lambda c: c.execute(failed.where(tables.messages.c.id == first.message_id)))
    second = there.ask(reader, LEAVE, key=KEY)
    assert second.message_id != first.message_id
    last(second)
    with pytest.raises(Repeated) as repeated:
        here.ask(reader, LEAVE, key=KEY)
    assert repeated.value.answer_id == second.message_id
    with pytest.raises(KeyReused):
        here.ask(reader, "And lunch?", key=IdempotencyKey("k", "b"))


def test_the_first_of_many_at_once_is_the_only_one(
    database: Database, shelf: Shelf, reader: Reader, real_clock: Clock
) -> None:
    """None is stored when the others look: the key of the table decides."""
    together = threading.Barrier(4, timeout=30)

    def search(*given: Any, **more: Any) -> Any:
        together.wait()
        return shelf.search(*given, **more)

    chats = [Chat(database, real_clock, Writer(search, None, real_clock)) for _ in range(4)]
    answers_: list[str] = []

    def ask(chat: Chat) -> None:
        try:
            answers_.append(chat.ask(reader, LEAVE, key=KEY).message_id)
        except Repeated as before:
            answers_.append(before.answer_id)

    asking = [threading.Thread(target=ask, args=(chat,)) for chat in chats]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(answers_) == 4
    assert len(set(answers_)) == 1
    assert how_many(database) == {"user": 1, "assistant": 1}
    assert len(database.read(lambda c: conversations.list_(c, reader)).items) == 1


def test_the_same_key_of_somebody_else_is_another(
    plain: Chat, database: Database, reader: Reader
) -> None:
    row = {"id": "other", "name": "O", "role": "member", "created_at": 0}
    database.write(lambda c: c.execute(tables.users.insert(), row))
    other = msgspec.structs.replace(reader, user_id="other")
    first = plain.ask(reader, LEAVE, key=KEY)
    second = plain.ask(other, LEAVE, key=KEY)
    assert first.message_id != second.message_id
    plain.ask(other, "And lunch?", key=IdempotencyKey("l", "b"))
    plain.ask(reader, "And what does lunch cost?", key=IdempotencyKey("l", "c"))
