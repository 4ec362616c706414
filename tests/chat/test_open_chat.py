"""From settings to a chat."""

from collections.abc import Callable

import msgspec
import pytest

from likeopt.chat.answer import Chat, open_chat
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.llm.queue import Queue
from likeopt.llm.stream import run_here
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.stub_openai import StubOpenAI


@pytest.fixture
def opened(
    config: Config, database: Database, shelf: Shelf, real_clock: Clock
) -> Callable[..., Chat]:
    def make(**changes: object) -> Chat:
        changed = msgspec.structs.replace(config, **changes)
        return open_chat(changed, database, real_clock, shelf.search, run_here)

    return make


def test_by_default_answers_are_extractive(opened: Callable[..., Chat], reader: Reader) -> None:
    message = last(opened().ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.error_code) == ("extractive", None)


def test_an_endpoint_answers(opened: Callable[..., Chat], stub: StubOpenAI, reader: Reader) -> None:
    stub.key = "sk-1"
    chat = opened(
        llm="openai", llm_url=stub.url, llm_model="stub", llm_key="sk-1", llm_max_tokens=99
    )
    stub.say("Fifteen [1].")
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.model) == ("generated", "stub")
    assert stub.requests[0].body["max_tokens"] == 99


@pytest.mark.parametrize("llm", ["local", "local-small", "gguf:/nowhere/model.gguf"])
def test_a_local_model_that_is_not_running_leaves_extractive_answers(
    opened: Callable[..., Chat], reader: Reader, llm: str
) -> None:
    message = last(opened(llm=llm).ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.error_code) == ("extractive", "model_loading")


def test_all_chats_of_a_machine_share_one_queue(
    opened: Callable[..., Chat], stub: StubOpenAI, config: Config, reader: Reader
) -> None:
    settings = {
        "llm": "openai", "llm_url": stub.url, "llm_model": "stub",
        "llm_concurrency": 1, "llm_queue": 5,
    }  # fmt: skip
    one, two = opened(**settings), opened(**settings)
    held = stub.say("First [1].", hold=0)
    first = one.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    second = two.ask(reader, "How many days of annual leave?")
    queue = Queue(config.data_dir / "run" / "queue", running=1, waiting=5)
    assert len(queue.places()) == 2
    held.release()
    assert last(first).content == "First [1]."
    assert last(second).state == "complete"
    assert queue.places() == []
