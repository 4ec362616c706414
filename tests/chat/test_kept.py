"""Answers given again: as fresh ones are told, never stale, and said to be of an earlier time."""

from collections.abc import Callable, Iterator

import msgspec
import pytest

from likeopt.cache.layered import Cache
from likeopt.chat import prompt
from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta, Done, Sources, Start
from likeopt.chat.text import Language
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.llm import local
from likeopt.llm.local import LocalChat
from likeopt.llm.openai import OpenAIChat
from likeopt.llm.types import Turn
from likeopt.services import Services
from likeopt.storage import messages, revisions
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.chat.conftest import events, failure, last, only, text_of
from tests.chat.shelf import Shelf
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI

QUESTION = "How many days of annual leave?"


@pytest.fixture
def services(config: Config, reader: Reader) -> Iterator[Services]:
    services = Services(msgspec.structs.replace(config, cache="memory,disk"))
    services.prepare()
    yield services
    services.close()


@pytest.fixture
def cache(services: Services) -> Cache:
    return services.cache


@pytest.fixture
def chat(make_chat: Callable[..., Chat], cache: Cache) -> Chat:
    return make_chat(cache=cache)


def test_a_question_asked_again_costs_no_call_and_looks_the_same(
    chat: Chat, make_chat: Callable[..., Chat], cache: Cache, stub: StubOpenAI,
    database: Database, reader: Reader, real_clock: Clock,
) -> None:  # fmt: skip
    stub.say("You get 15 days [1].")
    before = real_clock.now_ms()
    fresh = events(chat.ask(reader, QUESTION))
    first = only(Done, fresh).message
    assert first.cached_at is None
    for one in (chat, make_chat(cache=cache)):
        told = events(one.ask(reader, " how many days of ANNUAL leave"))
        assert [type(event) for event in told] == [Start, Sources, Delta, Done]
        assert only(Sources, told).citations == only(Sources, fresh).citations
        assert text_of(told) == text_of(fresh)
        message = only(Done, told).message
        assert message.id != first.id
        assert (message.content, message.kind, message.model) == (
            first.content, first.kind, first.model,
        )  # fmt: skip
        assert message.citations == first.citations
        assert message.cached_at is not None
        assert before <= message.cached_at <= real_clock.now_ms()
        stages = message.stages
        assert {"search", "total"} <= stages.keys()
        assert "generate" not in stages
        assert database.read(lambda c, m=message: messages.get(c, reader, m.id)) == message  # type: ignore[misc]
    assert len(stub.requests) == 1
    # For clients that keep the conversation themselves, too.
    assert last(chat.reply(reader, QUESTION, [])).cached_at == message.cached_at


def test_asking_again_gives_a_new_answer_and_is_not_kept(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    stub.say("You get 15 days [1].")
    first = last(chat.ask(reader, QUESTION))
    stub.say("Fifteen [1].")
    again = last(chat.regenerate(reader, first.id))
    assert (again.content, again.cached_at) == ("Fifteen [1].", None)
    assert last(chat.ask(reader, QUESTION)).content == first.content
    assert len(stub.requests) == 2


def test_a_changed_passage_is_answered_anew_and_another_document_is_not(
    chat: Chat, stub: StubOpenAI, shelf: Shelf, reader: Reader
) -> None:
    stub.say("You get 15 days [1].")
    first = last(chat.ask(reader, QUESTION))
    # A document that the answer is not made of leaves it right.
    shelf.add("parking.md", "Visitors park behind the building.")
    assert last(chat.ask(reader, QUESTION)).cached_at is not None
    shelf.add("new.md", "From May on there are 20 days of annual leave.")
    stub.say("Twenty days [2].")
    changed = last(chat.ask(reader, QUESTION))
    assert changed.cached_at is None
    assert changed.content != first.content


@pytest.mark.parametrize("change", ["rename", "page", "version"])
def test_whatever_a_reader_sees_of_a_source_is_part_of_the_key(
    chat: Chat, stub: StubOpenAI, shelf: Shelf, reader: Reader, change: str
) -> None:
    stub.say("You get 15 days [1].")
    last(chat.ask(reader, QUESTION))
    hit = shelf._hits[0]
    changes = {
        "rename": ("document_name", "x.pdf"),
        "page": ("page", 9),
        "version": ("version_id", 9),
    }
    setattr(hit, *changes[change])
    stub.say("Anew [1].")
    assert last(chat.ask(reader, QUESTION)).content == "Anew [1]."


@pytest.mark.parametrize("way", ["rights", "language", "length", "temperature", "words"])
def test_what_else_an_answer_depends_on_is_part_of_the_key(
    chat: Chat, stub: StubOpenAI, reader: Reader, way: str
) -> None:
    stub.say("You get 15 days [1].")
    last(chat.reply(reader, QUESTION, []))
    stub.say("Anew [1].")
    more = msgspec.structs.replace(reader, collections=reader.collections | {"secret"})
    asked = {
        "rights": lambda: chat.ask(more, QUESTION),
        "language": lambda: chat.ask(reader, QUESTION, language="ko"),
        "length": lambda: chat.reply(reader, QUESTION, [], max_tokens=50),
        "temperature": lambda: chat.reply(reader, QUESTION, [], temperature=0.5),
        "words": lambda: chat.ask(reader, "How many days of annual leave? C++"),
    }
    assert last(asked[way]()).content == "Anew [1]."


def reword(monkeypatch: pytest.MonkeyPatch, text: str, language: str) -> None:
    """Change a word of what models are told, as an upgrade may."""
    texts = getattr(prompt, text)
    told = texts[language]
    new = f"{told}:" if text != "PREFIX" else [Turn("system", f"{told[0].content}!"), *told[1:]]
    monkeypatch.setitem(texts, language, new)


@pytest.mark.parametrize("text", ["PREFIX", "_PASSAGES", "_QUESTION"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_changed_word_of_what_models_are_told_is_part_of_the_key(
    chat: Chat, stub: StubOpenAI, reader: Reader, monkeypatch: pytest.MonkeyPatch, text: str,
    language: Language,
) -> None:  # fmt: skip
    stub.say("You get 15 days [1].")
    last(chat.ask(reader, QUESTION, language=language))
    other: Language = "ko" if language == "en" else "en"
    reword(monkeypatch, text, other)
    assert last(chat.ask(reader, QUESTION, language=language)).cached_at is not None
    reword(monkeypatch, text, language)
    stub.say("Anew [1].")
    assert last(chat.ask(reader, QUESTION, language=language)).content == "Anew [1]."


def test_the_same_name_at_another_endpoint_is_another_model(
    chat: Chat, make_chat: Callable[..., Chat], cache: Cache, stub: StubOpenAI, reader: Reader,
    real_clock: Clock,
) -> None:  # fmt: skip
    """An operator changes LIKEOPT_LLM_URL and starts again."""
    stub.say("You get 15 days [1].")
    last(chat.ask(reader, QUESTION))
    with StubOpenAI() as other:
        restarted = make_chat(cache=cache)
        restarted._writer.model = OpenAIChat(other.url, "", "stub", clock=real_clock)
        other.say("Fifteen [1].")
        assert last(restarted.ask(reader, QUESTION)).content == "Fifteen [1]."


def test_workers_whose_local_model_was_quick_and_slow_find_the_answers_of_each_other(
    config: Config, make_chat: Callable[..., Chat], cache: Cache, stub: StubOpenAI, shelf: Shelf,
    reader: Reader, real_clock: Clock,
) -> None:  # fmt: skip
    # More than a slow model's prompt has room for.
    shelf.add(
        "leave.md", "Annual leave is 15 days. " + "Days of leave are noted by the office. " * 30
    )
    config = msgspec.structs.replace(config, llm="local", llm_threads=2)
    run = config.data_dir / "run"
    run.mkdir(parents=True, exist_ok=True)
    state = {"url": stub.url, "key": "", "name": "stub", "speed": 100.0}
    (run / "model.json").write_bytes(msgspec.json.encode(state))
    local._keep_speed(config, 100.0)
    workers = [make_chat(cache=cache) for _ in range(2)]
    for speed, worker in zip((50, 5000), workers, strict=True):
        worker._writer.model = model = LocalChat(config, real_clock)
        model.name = "stub"
        timings = {"prompt_n": 500, "prompt_per_second": speed}
        event = msgspec.json.encode({"choices": [], "timings": timings})
        stub.say("At noon [1].", b"data: %b\n\n" % event)
        last(worker.reply(reader, f"When does the canteen open at {speed}?", []))
    stub.say("You get 15 days [1].")
    told = [last(worker.reply(reader, QUESTION, [])) for worker in workers]
    assert [one.cached_at is not None for one in told] == [False, True]
    assert len(stub.requests) == 3


def test_what_was_not_found_is_remembered_without_its_doubts(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    chat._writer.unread = lambda _: 1
    stub.say("I don't know from these documents: none of them answers this question.")
    first = last(chat.ask(reader, "Does annual leave include birthdays?"))
    assert "1 file is still being read" in first.content
    chat._writer.unread = lambda _: 0
    again = last(chat.ask(reader, "Does annual leave include birthdays?"))
    assert (again.kind, again.citations) == ("not_found", first.citations)
    assert "still being read" not in again.content
    assert again.cached_at is not None
    assert len(stub.requests) == 1


def test_only_whole_answers_of_a_model_are_kept(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    stub.fail(500, {})
    assert last(chat.ask(reader, QUESTION)).kind == "extractive"
    stub.say("You get", " 15", drop=1)
    failure(chat.ask(reader, QUESTION))
    stub.say("You get ", "15", hold=1)
    stopped = chat.ask(reader, QUESTION)
    next(one for one in stopped.events() if one and isinstance(one.event, Delta))
    chat.stop(reader, stopped.message_id)
    assert last(stopped).state == "stopped"
    stub.say("You get 15 days [1].")
    answer = last(chat.ask(reader, QUESTION))
    assert (answer.content, answer.cached_at) == ("You get 15 days [1].", None)


@pytest.mark.parametrize("use", ["answers", None])
@pytest.mark.parametrize("where", ["worker", "machine"])
def test_what_was_begun_before_answers_were_cleared_is_not_kept(
    services: Services, make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database,
    reader: Reader, where: str, use: str | None,
) -> None:  # fmt: skip
    chat = make_chat(cache=services.cache, hear=services.watch.confirmed)
    held = stub.say("The old model: 15 days [1].", hold=1)
    answer = chat.ask(reader, QUESTION)
    stub.wait_for_request()
    services.cache.clear(use)
    counter = revisions.of_cache(use)
    if where == "worker":
        other = Services(services.config)
        other.db.write(lambda c: revisions.raise_(c, counter))
        other.close()
    else:
        # It does not share the board, and is heard of within 100 ms.
        database.write(lambda c: revisions.raise_(c, counter))
        wait_until(lambda: (chat._kept.era() or {}).get(counter) == 1, "the news")
    held.release()
    assert last(answer).content == "The old model: 15 days [1]."
    stub.say("The new model: 15 days [1].")
    again = last(chat.ask(reader, QUESTION))
    assert (again.content, again.cached_at) == ("The new model: 15 days [1].", None)


@pytest.mark.parametrize("change", ["document", "rights", "clearing"])
def test_a_worker_that_was_idle_gives_nothing_old(
    services: Services, make_chat: Callable[..., Chat], stub: StubOpenAI, database: Database,
    shelf: Shelf, reader: Reader, change: str,
) -> None:  # fmt: skip
    chat = make_chat(cache=services.cache, hear=services.watch.confirmed)
    stub.say("You get 15 days [1].")
    more = msgspec.structs.replace(reader, collections=reader.collections | {"secret"})
    asking = more if change == "rights" else reader
    last(chat.ask(asking, QUESTION))
    assert last(chat.ask(asking, QUESTION)).cached_at is not None
    # As if the last request had come long ago: nobody looks for changes any more.
    services.watch._asked = float("-inf")
    wait_until(lambda: services.watch._thread is None, "the end of the watch")
    services.watch._seen_at = float("-inf")
    if change == "document":
        shelf.add("new.md", "From May on there are 20 days of annual leave.")
    elif change == "clearing":
        # On another machine, whose layers are not ours.
        services.cache.clear("answers", layer="disk")
        database.write(lambda c: revisions.raise_(c, revisions.of_cache("answers")))
    stub.say("Anew [1].")
    # Who has lost a right has fewer collections.
    assert last(chat.ask(reader, QUESTION)).content == "Anew [1]."
