"""From settings to a chat."""

from collections.abc import Callable

import msgspec
import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.opening import open_chat
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.llm.queue import Queue
from likeopt.llm.stream import run_here
from likeopt.storage import jobs
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.storage import library
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
    second = two.ask(reader, "When does unused leave expire?")
    queue = Queue(config.data_dir / "run" / "queue", running=1, waiting=5)
    assert len(queue.places()) == 2
    held.release()
    assert last(first).content == "First [1]."
    assert last(second).state == "complete"
    assert queue.places() == []


@pytest.mark.parametrize(
    ("question", "one", "two"),
    [
        (
            "Who discovered penicillin?",
            "this question. 1 file is still being read: ask again once it is done.",
            "this question. 2 files are still being read: ask again once they are done.",
        ),
        (
            "페니실린은 누가 발견했나요?",
            "못했습니다. 아직 파일 1개를 읽고 있습니다. 다 읽은 뒤에 다시 물어보세요.",
            "못했습니다. 아직 파일 2개를 읽고 있습니다. 다 읽은 뒤에 다시 물어보세요.",
        ),
    ],
)
def test_what_is_not_found_may_be_in_files_that_are_still_being_read(
    opened: Callable[..., Chat],
    database: Database,
    reader: Reader,
    real_clock: Clock,
    question: str,
    one: str,
    two: str,
) -> None:
    chat = opened()
    for name, ending in (("a.txt", one), ("b.txt", two)):
        library.add(database, reader, real_clock, name, name)
        message = last(chat.ask(reader, question))
        assert message.kind == "not_found"
        assert message.content.endswith(ending)
    # An answer that is found needs no doubt.
    assert "still" not in last(chat.ask(reader, "How many days of annual leave?")).content
    # A file that is being read counts as one that waits; one that is read does not.
    database.write(lambda c: jobs.claim(c, real_clock, "worker:1", 60_000, "index"))
    assert last(chat.ask(reader, question)).content.endswith(two)
