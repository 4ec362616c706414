"""Answers for the same question in other words, where that is switched on."""

from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from likeopt.cache.layered import Cache
from likeopt.chat import prompt
from likeopt.chat.answer import Chat
from likeopt.chat.kept import Kept
from likeopt.chat.similar import Embed, _Known, _renumbered
from likeopt.chat.writer import Writer
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import EngineUnavailable
from likeopt.llm.openai import OpenAIChat
from likeopt.services import Services
from likeopt.storage.db import Database
from likeopt.storage.messages import Exchange, Message
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.stub_openai import StubOpenAI

ASKED = "How many days of annual leave do employees get?"
SAME = "How many annual leave days do employees get?"


def near(questions: list[str]) -> list[bytes]:
    """Everything is near everything: what is served is up to the guards."""
    return [array("f", [1.0, 0.0]).tobytes() for _ in questions]


def far(questions: list[str]) -> list[bytes]:
    """Everything is far from everything else."""
    return [array("f", [float(a == b) for b in questions]).tobytes() for a in questions]


@pytest.fixture
def cache(config: Config, database: Database) -> Iterator[Cache]:
    with closing(Services(config)) as services:
        yield services.cache


@pytest.fixture
def similar(
    database: Database, shelf: Shelf, stub: StubOpenAI, real_clock: Clock, cache: Cache
) -> Callable[..., Chat]:
    def make(embed: Embed | None = near) -> Chat:
        model = OpenAIChat(stub.url, "", "stub", clock=real_clock, timeout=10.0)
        writer = Writer(shelf.search, model, real_clock)
        return Chat(database, real_clock, writer, cache=cache, embed=embed)

    return make


@pytest.fixture
def answered(similar: Callable[..., Chat], reader: Reader, stub: StubOpenAI) -> Chat:
    chat = similar()
    stub.default = "They get 15 days [1]."
    first = last(chat.ask(reader, ASKED))
    assert (first.content, first.cached_at) == ("They get 15 days [1].", None)
    return chat


def test_other_words_get_the_answer_and_are_told_whose(
    answered: Chat, reader: Reader, stub: StubOpenAI
) -> None:
    message = last(answered.ask(reader, SAME))
    assert len(stub.requests) == 1
    assert message.content == "They get 15 days [1]."
    assert message.cached_question == ASKED
    assert message.cached_at is not None
    assert [one.document_name for one in message.citations] == ["handbook.pdf"]
    # The very same words are nobody else's question.
    again = last(answered.ask(reader, ASKED))
    assert (again.cached_question, len(stub.requests)) == (None, 1)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of annual leave do managers get?",
        "How many days of annual leave do employees not get?",
        "How many weeks of annual leave do employees get?",
        "When do employees get annual leave days?",
    ],
)
def test_near_misses_are_asked(
    answered: Chat, reader: Reader, stub: StubOpenAI, question: str
) -> None:
    message = last(answered.ask(reader, question))
    assert len(stub.requests) == 2
    assert message.cached_at is None


def test_other_passages_are_another_matter(
    answered: Chat, reader: Reader, stub: StubOpenAI, shelf: Shelf
) -> None:
    shelf.add("new.md", "Employees get 20 days of annual leave from May on.")
    assert last(answered.ask(reader, SAME)).cached_at is None
    assert len(stub.requests) == 2


def test_other_readers_are_another_matter(answered: Chat, reader: Reader, stub: StubOpenAI) -> None:
    more = msgspec.structs.replace(reader, collections=reader.collections | {"secret"})
    assert last(answered.ask(more, SAME)).cached_at is None
    assert len(stub.requests) == 2


@pytest.mark.parametrize("others", ["trainees", ""])
def test_what_was_said_before_counts_where_the_prompt_has_no_room_for_it(
    similar: Callable[..., Chat], reader: Reader, stub: StubOpenAI, others: str
) -> None:
    chat = similar()
    model = chat._writer.model
    assert isinstance(model, OpenAIChat)
    # Without a rewriting, the question alone is what is compared.
    model.quick, model._prompt_tokens = False, 60

    def ask(about: str) -> Message:
        said = Exchange(f"Who are the {about}?", "word " * 99, f"Who are the {about}?")
        question = "How many days of annual leave do they get?"
        return last(chat.reply(reader, question, [said] if about else []))

    stub.say("Managers get 15 days [1].")
    ask("managers")
    stub.say("They get 15 days [1].")
    assert ask(others).content == "They get 15 days [1]."
    assert "word" not in stub.requests[0].prompt
    # In a conversation that goes the same way, it is the same question.
    assert (ask("managers").content, len(stub.requests)) == ("Managers get 15 days [1].", 2)


def test_a_model_that_is_told_other_words_is_asked(
    answered: Chat, reader: Reader, stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(prompt._QUESTION, "en", "Q:")
    assert last(answered.ask(reader, SAME)).cached_at is None
    assert len(stub.requests) == 2


def test_numbers_follow_the_order_of_today() -> None:
    kept = Kept("15 days [1], lunch at noon [3][1]. See [4].", "generated", "stub", [1, 3], 0)
    known = _Known(ASKED, "key", [70, 71, 72])
    sources = [SimpleNamespace(hit=SimpleNamespace(chunk_id=id_)) for id_ in (72, 70, 71)]
    for number, source in enumerate(sources, 1):
        source.number = number
    today: Any = SimpleNamespace(sources=sources)
    renumbered = _renumbered(kept, known, today)
    # What was no source's number stays as it is.
    assert renumbered.text == "15 days [2], lunch at noon [1][2]. See [4]."
    assert renumbered.used == [2, 1]
    assert renumbered.question == ASKED


def test_asked_again_it_is_written_anew(answered: Chat, reader: Reader, stub: StubOpenAI) -> None:
    message = last(answered.ask(reader, SAME))
    fresh = last(answered.regenerate(reader, message.id))
    assert (fresh.cached_at, len(stub.requests)) == (None, 2)


def test_off_by_default(
    similar: Callable[..., Chat], reader: Reader, stub: StubOpenAI, tmp_path: Path
) -> None:
    chat = similar(embed=None)
    last(chat.ask(reader, ASKED))
    assert last(chat.ask(reader, SAME)).cached_at is None
    assert len(stub.requests) == 2
    assert Config(data_dir=tmp_path).semantic_cache is False


def test_another_embedding_model_compares_with_vectors_of_its_own(
    similar: Callable[..., Chat], answered: Chat, reader: Reader, stub: StubOpenAI
) -> None:
    assert last(similar(embed=far).ask(reader, SAME)).cached_at is None
    assert len(stub.requests) == 2


def test_without_vectors_the_model_is_asked(
    similar: Callable[..., Chat], answered: Chat, reader: Reader, stub: StubOpenAI
) -> None:
    def fails(_questions: list[str]) -> list[bytes]:
        raise EngineUnavailable("The engine is away.")

    assert last(similar(embed=fails).ask(reader, SAME)).cached_at is None
    assert len(stub.requests) == 2
