"""What people ask most is asked again before they do."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from likeopt.chat import warm
from likeopt.chat.answer import Chat
from likeopt.chat.warm import Warmer, Warming
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import Conflict
from likeopt.retrieval.types import Filters
from likeopt.services import Services
from likeopt.storage import asked, conversations, revisions
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from likeopt.storage.tables import messages, users
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI

LEAVE = "How many days of annual leave are there?"
LUNCH = "When does the canteen open?"


@pytest.fixture
def history(plain: Chat, reader: Reader, shelf: Shelf) -> None:
    """Leave was asked three times, lunch once, and something after it."""
    for question in (LEAVE, LUNCH, LEAVE, LEAVE):
        message = last(plain.ask(reader, question))
    last(plain.ask(reader, "And what does it cost?", message.conversation_id))
    shelf.queries.clear()


@pytest.fixture
def warmer(database: Database, chat: Chat, real_clock: Clock, tmp_path: Path) -> Iterator[Warmer]:
    made = Warmer(database, real_clock, chat, tmp_path / "run" / "warm.lock")
    yield made
    made.close()


def test_what_is_asked_most(database: Database, reader: Reader, history: None) -> None:
    found = database.read(lambda c: asked.most_asked(c, 0, 10))
    assert [(one.question, one.asked_with, one.times) for one in found] == [
        (LEAVE, None, 3),
        (LUNCH, None, 1),
    ]
    assert {one.user_id for one in found} == {reader.user_id}
    assert database.read(lambda c: asked.most_asked(c, 0, 1)) == found[:1]
    assert database.read(lambda c: asked.most_asked(c, 1 << 50, 10)) == []


def test_it_is_asked_ahead_and_nobody_sees_it(
    database: Database,
    warmer: Warmer,
    reader: Reader,
    stub: StubOpenAI,
    shelf: Shelf,
    history: None,
) -> None:
    def listed() -> int:
        return len(database.read(lambda c: conversations.list_(c, reader)).items)

    before = listed()
    assert warmer.begin(10) == 2
    wait_until(lambda: len(stub.requests) == 2, "both questions to reach the model")
    assert sorted(shelf.queries) == sorted([LEAVE, LUNCH])
    assert listed() == before


def test_process_that_stops_waits_for_no_answer_that_nobody_asked_for(
    chat: Chat, warmer: Warmer, stub: StubOpenAI, history: None
) -> None:
    held = stub.say("Fifteen [1].", hold=0)
    warmer.begin(10)
    asked_ahead = stub.wait_for_request()
    assert not chat.idle
    warmer.close()
    wait_until(lambda: chat.idle, "the end of the answer")
    assert asked_ahead.gone.wait(10)
    held.release()
    assert len(stub.requests) == 1


def test_not_twice_at_once(
    database: Database, chat: Chat, real_clock: Clock, warmer: Warmer, history: None
) -> None:
    other = Warmer(database, real_clock, chat, warmer._path)
    held = warmer._take()
    assert held is not None
    with pytest.raises(Conflict):
        other.begin(1)
    held.close()
    assert other.begin(1) == 1


def test_how_it_gets_on_is_told_to_other_processes(
    database: Database,
    chat: Chat,
    real_clock: Clock,
    warmer: Warmer,
    stub: StubOpenAI,
    history: None,
) -> None:
    other = Warmer(database, real_clock, chat, warmer._path)
    assert other.latest() is None
    first = stub.say("Fifteen [1].", hold=0)
    stub.fail(401)
    began = real_clock.now_ms()
    warmer.begin(10)
    now = other.latest()
    assert now is not None
    assert (now.running, now.questions, now.asked, now.failed) == (True, 2, 0, 0)
    assert now.began_at >= began
    first.release()
    wait_until(lambda: not other.latest().running, "the end of the round")  # type: ignore[union-attr]
    over = other.latest()
    assert over is not None
    assert (over.questions, over.asked) == (2, 2)
    # The second fell back to quoted sentences, which is an answer.
    assert over.failed == 0


def test_a_round_that_died_is_over(warmer: Warmer, history: None) -> None:
    held = warmer._take()
    assert held is not None
    warm._tell(held, Warming(running=True, questions=5, asked=2, failed=1, began_at=7))
    assert warmer.latest() == Warming(running=True, questions=5, asked=2, failed=1, began_at=7)
    held.close()
    assert warmer.latest() == Warming(running=False, questions=5, asked=2, failed=1, began_at=7)


def test_people_who_are_gone_are_not_asked_for(
    database: Database, warmer: Warmer, reader: Reader, stub: StubOpenAI, history: None
) -> None:
    gone = sa.update(users).where(users.c.id == reader.user_id).values(disabled=1)
    database.write(lambda c: c.execute(gone))
    assert warmer.begin(10) == 0
    assert stub.requests == []


def test_it_follows_the_library(
    database: Database,
    warmer: Warmer,
    stub: StubOpenAI,
    history: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("likeopt.chat.warm.POLL_SECONDS", 0.02)
    monkeypatch.setattr("likeopt.chat.warm.QUIET_SECONDS", 0.05)
    looks: list[int] = []
    current = revisions.current

    def counted(c: object, name: str) -> int:
        looks.append(1)
        return current(c, name)  # type: ignore[arg-type]

    monkeypatch.setattr("likeopt.chat.warm.revisions.current", counted)
    warmer.follow(10)
    wait_until(lambda: len(looks) > 10, "some looks")
    assert stub.requests == []
    database.write(lambda c: revisions.raise_(c, "library"))
    wait_until(lambda: len(stub.requests) >= 2, "the questions to be asked")
    seen = len(looks)
    wait_until(lambda: len(looks) > seen + 10, "some more looks")
    assert len(stub.requests) == 2


def test_it_goes_on_once_its_folder_can_be_used(
    database: Database,
    warmer: Warmer,
    stub: StubOpenAI,
    history: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("likeopt.chat.warm.POLL_SECONDS", 0.02)
    monkeypatch.setattr("likeopt.chat.warm.QUIET_SECONDS", 0.05)
    caplog.set_level("INFO", "likeopt.chat.warm")
    seen: list[int] = []
    current = revisions.current

    def noted(c: object, name: str) -> int:
        seen.append(current(c, name))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr("likeopt.chat.warm.revisions.current", noted)
    folder = tmp_path / "run"
    # There can be no folder where a file is.
    folder.touch()
    warmer.follow(10)
    wait_until(lambda: bool(seen), "the first look")
    database.write(lambda c: revisions.raise_(c, "library"))
    wait_until(lambda: caplog.text.count("questions are not asked ahead") > 1, "two failures")
    assert stub.requests == []
    folder.unlink()
    wait_until(lambda: len(stub.requests) == 2, "the questions to be asked")


def test_full_disk_hinders_nobody_from_asking_ahead(
    warmer: Warmer, stub: StubOpenAI, history: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def full(descriptor: int, data: bytes, at: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").resolve() == warmer._path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    assert warmer.begin(10) == 2
    wait_until(lambda: len(stub.requests) == 2, "the questions to be asked")
    wait_until(lambda: _is_free(warmer), "the end of that")


def test_what_was_asked_ahead_is_what_people_ask_again(
    database: Database,
    make_chat: Callable[..., Chat],
    config: Config,
    real_clock: Clock,
    tmp_path: Path,
    stub: StubOpenAI,
    shelf: Shelf,
    reader: Reader,
) -> None:
    services = Services(config)
    services.prepare()
    chat = make_chat(running=4, waiting=8, cache=services.cache)
    warmer = Warmer(database, real_clock, chat, tmp_path / "run" / "warm.lock")
    one = shelf.add("rules.md", "Managers get 20 days of annual leave.")
    ways: list[dict[str, Any]] = [
        {},
        {"language": "ko"},
        {"filters": Filters(documents=[one])},
        {"filters": Filters(documents=[one]), "language": "ko"},
    ]
    for way in ways:
        assert last(chat.ask(reader, LEAVE, **way)).kind == "generated"
    asked_ = len(stub.requests)
    shelf.replace("rules.md", "Managers get 25 days of annual leave.")
    assert warmer.begin(10) == len(ways)
    wait_until(lambda: len(stub.requests) == asked_ + len(ways), "all ways to be asked ahead")
    wait_until(lambda: _is_free(warmer), "the end of that")
    for way in ways:
        message = last(chat.ask(reader, LEAVE, **way))
        assert message.cached_at is not None
    assert len(stub.requests) == asked_ + len(ways)
    warmer.close()
    services.close()


def _is_free(warmer: Warmer) -> bool:
    lock = warmer._take()
    if lock is not None:
        lock.close()
    return lock is not None


def test_what_another_version_has_stored_is_not_asked_ahead(
    database: Database, warmer: Warmer, stub: StubOpenAI, history: None
) -> None:
    odd = sa.update(messages).where(messages.c.content == LEAVE).values(asked_with='{"filters": 1}')
    database.write(lambda c: c.execute(odd))
    assert warmer.begin(10) == 2
    wait_until(lambda: len(stub.requests) == 1, "the other question")
    wait_until(lambda: _is_free(warmer), "the end")
    assert len(stub.requests) == 1
