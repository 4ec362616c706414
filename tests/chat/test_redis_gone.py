"""Redis killed and restarted while an answer is written that two machines share."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta, Start
from likeopt.chat.exchange import Exchange
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.clock import Clock
from likeopt.storage.reader import Reader
from tests import servers
from tests.chat.conftest import last, text_of
from tests.chat.test_shared import QUESTION, numbered, until
from tests.stub_openai import StubOpenAI


@pytest.fixture
def port() -> int:
    return servers.free_port()


@pytest.fixture
def open_exchange(real_clock: Clock, port: int) -> Callable[[], Exchange]:
    return lambda: RedisExchange(f"redis://127.0.0.1:{port}/0", "t", real_clock)


def test_all_readers_get_the_whole_answer_for_one_call(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader, port: int
) -> None:
    here, there = make_chat(timeout=60.0), make_chat(timeout=60.0)
    held = stub.say("You get ", "15 days [1].", hold=1)
    with ExitStack() as running:
        process, _ = running.enter_context(servers.redis_process(port))
        mine = here.ask(reader, QUESTION)
        stub.wait_for_request()
        theirs = there.ask(reader, QUESTION)
        for one in (mine, theirs):
            until(Delta, one)
        process.kill()
    # Redis is gone, and with it all that was told through it.
    held.release()
    assert last(mine).content == "You get 15 days [1]."
    # A new question is led where it is asked.
    stub.say("In March [1].")
    assert last(there.ask(reader, "When does unused leave expire?")).content == "In March [1]."
    with servers.redis_process(port):
        assert last(theirs).content == "You get 15 days [1]."
        ends = [numbered(one)[-1].sequence for one in (mine, theirs)]
        assert ends[0] == ends[1]
        assert len(stub.requests) == 2


def test_who_waits_in_vain_for_redis_is_answered_by_a_call_of_their_own(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("likeopt.chat.meeting.ORPHAN_SECONDS", 0.5)
    here, there = make_chat(timeout=60.0), make_chat(timeout=60.0)
    held = stub.say("You get ", "15 days [1].", hold=1)
    with servers.redis_process(port):
        mine, theirs = here.ask(reader, QUESTION), there.ask(reader, QUESTION)
        for one in (mine, theirs):
            until(Delta, one)
        stub.say("Fifteen [1].")
    told = [one.event for one in numbered(theirs)]
    anew = max(place for place, event in enumerate(told) if isinstance(event, Start))
    assert text_of(told[anew:]) == "Fifteen [1]."
    assert last(theirs).content == "Fifteen [1]."
    held.release()
    assert last(mine).content == "You get 15 days [1]."
