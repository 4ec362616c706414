"""What only Redis can do to a generation."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta
from likeopt.chat.exchange import Exchange, Lead, Seat, encode
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.clock import Clock
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.test_exchange import END, KEY, lead_of, read, seat_of
from tests.chat.test_shared import QUESTION, until
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI

Entry = dict[Any, Any]

DAMAGED: list[Entry] = [
    {"r": b"\xc1", "epoch": 1},
    {"r": encode(Delta("x"))},
    {"other": "program"},
    {"end": b""},
]


@pytest.fixture
def tenant() -> str:
    return "damaged"


@pytest.fixture
def open_exchange(redis_url: str, tenant: str, real_clock: Clock) -> Callable[[], RedisExchange]:
    return lambda: RedisExchange(redis_url, tenant, real_clock)


@pytest.fixture
def damage(redis_url: str, tenant: str) -> Callable[[Entry], None]:
    """Puts an entry after the last one of the only log there is."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()

    def add(entry: Entry) -> None:
        (log,) = client.keys(f"lo-answers:{tenant}:*:log")
        client.xadd(log, entry)

    return add


@pytest.mark.parametrize("entry", DAMAGED)
def test_an_entry_that_cannot_be_read_costs_a_call_and_no_answer(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    damage: Callable[[Entry], None],
    entry: Entry,
) -> None:
    here, there, late = make_chat(running=4), make_chat(running=4), make_chat(running=4)
    held = stub.say("You get ", "15 days [1].", hold=1)
    answers = [here.ask(reader, QUESTION), there.ask(reader, QUESTION)]
    for one in answers:
        until(Delta, one)
    for _ in range(2):
        stub.say("Fifteen [1].")
    damage(entry)
    answers.append(late.ask(reader, QUESTION))
    assert [last(one).content for one in answers[1:]] == ["Fifteen [1].", "Fifteen [1]."]
    held.release()
    assert last(answers[0]).content == "You get 15 days [1]."


@pytest.fixture
def damaged(
    open_exchange: Callable[[], Exchange], damage: Callable[[Entry], None]
) -> tuple[Exchange, Lead, Seat]:
    """Someone who leads and told `a`, after which nothing can be read, and a reader of that."""
    here = open_exchange()
    lead = here.enter(KEY)
    assert lead is not None
    seat = seat_of(here)
    lead.append(Delta("a"))
    damage(DAMAGED[0])
    return here, lead, seat


def test_nobody_goes_on_with_what_cannot_be_read(damaged: tuple[Exchange, Lead, Seat]) -> None:
    here, lead, seat = damaged
    assert read(seat, 1) == [Delta("a")]
    assert seat.read(0) == []
    assert not seat.is_led()
    lead.close()
    other = lead_of(here)
    assert (other.told, other.id != lead.id) == ([], True)
    other.append(END)
    assert read(seat_of(here), 1) == [END]


def test_the_one_who_takes_over_finds_what_cannot_be_read(
    damaged: tuple[Exchange, Lead, Seat],
) -> None:
    here, lead, seat = damaged
    lead.close()
    assert seat.take_over() is None
    assert seat.read(0) == [Delta("a")]
    taken = seat.take_over()
    assert taken is not None
    wait_until(lambda: taken.close_if_deserted(patient=False), "nobody else to hear it")
    assert lead_of(here).told == []


def test_a_forked_child_meets_its_parent(open_exchange: Callable[[], RedisExchange]) -> None:
    """Also if a thread of the parent, which the child does not have, held the client's lock."""
    here = open_exchange()
    key = "c" * 32
    lead = here.enter(key)
    assert lead is not None
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with here._store.client.connection_pool.pool.mutex:
            held.set()
            forked.wait(60)

    holding = threading.Thread(target=hold)
    holding.start()
    assert held.wait(30)
    child = os.fork()
    if not child:
        # One that hangs is killed.
        signal.alarm(20)
        seat = here.join(key)
        os._exit(0 if seat is not None and seat.id == lead.id else 1)
    forked.set()
    holding.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lead.append(END)
    assert read(seat_of(here, key), 1) == [END]
    lead.close()
