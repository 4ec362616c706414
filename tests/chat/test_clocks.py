"""The clock of Redis, or of one application server, is set by an hour while answers are written."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta
from likeopt.chat.exchange import Exchange, Lead
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.clock import Clock
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.test_exchange import KEY, LEADER
from tests.chat.test_shared import QUESTION, until
from tests.servers import ROOT, set_redis_clock, wait_until
from tests.stub_openai import StubOpenAI

HOUR = 3600


@pytest.fixture
def open_exchange(redis_url: str, tmp_path: Any, real_clock: Clock) -> Callable[[], Exchange]:
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
    open_exchange: Callable[[], Exchange], redis_url: str, tmp_path: Any, by: int
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
