"""The clock of Redis, or of one application server, is set by an hour while answers are written."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta, Done, Numbered
from likeopt.chat.exchange import Exchange, Lead, NoExchange
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import messages
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.shelf import Shelf
from tests.chat.test_exchange import KEY, LEADER
from tests.chat.test_shared import QUESTION, until
from tests.servers import ROOT, set_redis_clock, wait_until
from tests.stub_openai import StubOpenAI

HOUR = 3600


@pytest.fixture
def open_exchange(redis_url: str, tmp_path: Path, real_clock: Clock) -> Callable[[], Exchange]:
    return lambda: RedisExchange(redis_url, tmp_path.name, real_clock)


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_redis_clock_is_set_while_an_answer_is_shared(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader, redis_url: str, by: int
) -> None:
    chats = [make_chat(timeout=60.0, running=4) for _ in range(3)]
    held = stub.say("You get ", "15 days [1].", hold=1)
    stub.default = "You get 15 days [1]."
    answers = [chat.ask(reader, QUESTION) for chat in chats[:2]]
    for one in answers:
        until(Delta, one)
    set_redis_clock(redis_url, by)
    answers.append(chats[2].ask(reader, QUESTION))
    until(Delta, answers[2])
    held.release()
    assert [last(one).content for one in answers] == ["You get 15 days [1]."] * 3
    # The lead may change hands, or a new question miss what runs.
    assert len(stub.requests) <= 3


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_a_leader_that_died_before_redis_clock_was_set_blocks_nobody(
    open_exchange: Callable[[], Exchange], redis_url: str, tmp_path: Path, by: int
) -> None:
    opening = (
        "from likeopt.chat.exchange_redis import RedisExchange; from likeopt.clock import Clock;"
        f" exchange = RedisExchange({redis_url!r}, {tmp_path.name!r}, Clock())"
    )
    dead = subprocess.Popen(
        [sys.executable, "-c", LEADER.format(opening=opening), KEY],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert dead.stdout is not None
    dead.stdout.readline()
    here = open_exchange()
    gone = here.join(KEY)
    assert gone is not None
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    dead.stdout.close()
    set_redis_clock(redis_url, by)
    leads: list[Lead] = []

    def entered() -> bool:
        leads.extend(lead for _ in range(1) if (lead := here.enter(KEY)))
        return bool(leads)

    wait_until(entered, "the lead", seconds=20)
    # Nor does a reader that went without a word before: it keeps no model at work.
    wait_until(lambda: leads[0].close_if_deserted(patient=False), "the end", seconds=30)


class Off(Clock):
    """The clock of a machine that is not set right."""

    def __init__(self, by: int) -> None:
        self._by_ms = by * 1000

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


@pytest.mark.parametrize("by", [-HOUR, HOUR])
@pytest.mark.parametrize("leads", [True, False])
def test_the_clock_of_one_server_is_wrong(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    config: Config,
    shelf: Shelf,
    reader: Reader,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: int,
    leads: bool,
) -> None:
    cached = msgspec.structs.replace(config, redis_url=redis_url, cache="memory,redis")
    opened = [Services(cached), Services(cached, clock=Off(by))]
    for services in opened:
        services.prepare()
    chats = [make_chat(running=4, cache=one.cache, clock=one.clock) for one in opened]
    first, second = reversed(chats) if leads else chats
    held = stub.say("You get ", "15 days [1].", hold=1)
    answers = [chat.ask(reader, QUESTION) for chat in (first, second)]
    for one in answers:
        until(Delta, one)
    # Who does not know this generation sees only what is saved of it.
    second._meeting._exchange = NoExchange()
    third = make_chat(clock=second._clock)
    third._meeting._exchange = NoExchange()
    looks: list[str] = []
    get = messages.get

    def counted(c: Any, who: Reader, id_: str) -> messages.Message:
        looks.append(id_)
        return get(c, who, id_)

    monkeypatch.setattr("likeopt.chat.follow.messages.get", counted)
    seen: list[Numbered | None] = []
    following = threading.Thread(
        target=lambda: seen.extend(third.resume(reader, answers[0].message_id))
    )
    following.start()
    wait_until(lambda: len(looks) > 4, "some looks")
    held.release()
    following.join()
    told = [last(one) for one in answers]
    assert {one.content for one in told} == {"You get 15 days [1]."}
    assert [one.event for one in seen if one][-1] == Done(told[0])
    assert len(stub.requests) == 1
    # What was kept by one is good, or nothing, for the other, and never old.
    stub.default = "You get 15 days [1]."
    for chat in chats * 2:
        assert last(chat.ask(reader, QUESTION)).content == "You get 15 days [1]."
    assert len(stub.requests) <= 2
    shelf.add("new.md", "From May on there are 20 days of annual leave.")
    stub.default = "Twenty days [1]."
    for chat in chats * 2:
        assert last(chat.ask(reader, QUESTION)).content == "Twenty days [1]."
    for services in opened:
        services.close()
