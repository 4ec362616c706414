"""Many generations that one process leads and follows, through few connections to Redis."""

from pathlib import Path
from typing import Any

import pytest

from likeopt.cache.redis_client import CONNECTIONS
from likeopt.chat import exchange_redis
from likeopt.chat.events import Delta
from likeopt.chat.exchange_redis import RedisExchange, RedisLead
from likeopt.chat.redis_logs import Log, Logs
from likeopt.clock import Clock
from tests import servers
from tests.chat.test_exchange import END, KEY, lead_of, read, seat_of
from tests.web.test_native import run as run_patched


@pytest.fixture
def here(redis_url: str, tmp_path: Path, real_clock: Clock) -> RedisExchange:
    return RedisExchange(redis_url, tmp_path.name, real_clock)


# As in a web worker, where greenlets take turns: each generation has one that proves that it is led
# and one that follows it. Argument: the address of Redis.
FOLLOWED = """
import logging, sys, threading
import gevent
from likeopt.cache.redis_client import CONNECTIONS
from likeopt.chat.events import Delta
from likeopt.chat.exchange_redis import LEASE_SECONDS, RedisExchange
from likeopt.clock import Clock
from tests.chat.test_exchange import END

# What is told after all on a busy machine is no failure.
logging.disable()
clock = Clock()
exchange = RedisExchange(sys.argv[1], "many", clock)
never = threading.Event()

def lead(number):
    led = exchange.enter(f"{number:032x}")
    led.append(Delta(str(number)))
    # For longer than a lead lasts that nobody renews.
    began = clock.monotonic()
    while clock.monotonic() - began < LEASE_SECONDS + 1:
        never.wait(1)
        led.renew()
    led.append(END)

def follow(number):
    told = []
    while not (seat := exchange.join(f"{number:032x}")):
        never.wait(0.05)
    while END not in told:
        records = seat.read(2)
        told += records
        if not records and seat.take_over():
            return "taken over"
    return told == [Delta(str(number)), END] or told

# More than redis-py's own limit of connections.
leading = [gevent.spawn(lead, number) for number in range(120)]
following = [gevent.spawn(follow, number) for number in range(120)]
gevent.joinall(following, timeout=30)
print({one.value for one in following})
client = exchange._store.client
print(client.info("clients")["connected_clients"] <= CONNECTIONS + 1)
"""


def test_many_are_led_and_followed_through_few_connections() -> None:
    with servers.redis_process(servers.free_port()) as (_, url):
        assert run_patched(FOLLOWED, url).splitlines() == ["{True}", "True"]


def test_who_follows_what_another_of_the_process_follows_is_told_all_of_it(
    here: RedisExchange,
) -> None:
    lead = lead_of(here)
    first = seat_of(here)
    lead.append(Delta("a"))
    assert read(first, 1) == [Delta("a")]
    second = seat_of(here)
    lead.append(Delta("b"))
    assert read(first, 1) == [Delta("b")]
    assert read(second, 2) == [Delta("a"), Delta("b")]
    second.close()
    # What was read ahead is told once, in whatever way it is asked for.
    lead.append(END)
    assert first.read(0) == [END]
    assert first.read(0.1) == []
    lead.close()


def test_reading_for_those_who_follow_goes_on_after_an_error() -> None:
    given = iter([ValueError("something new"), [(b"log", [(b"1-0", {b"r": b"word"})])]])

    def xread(_ids: dict[str, str], _block: int) -> Any:
        found = next(given, [])
        if isinstance(found, ValueError):
            raise found
        return found

    logs, log = Logs(xread), Log("log")
    try:
        assert logs.take(log, 0, 10) == [(b"1-0", {b"r": b"word"})]
    finally:
        logs.leave(log)


def test_a_moment_without_a_free_connection_is_no_failure_of_redis(
    redis_url: str, tmp_path: Path, real_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_redis, "_TIMEOUT_SECONDS", 10.0)
    here = RedisExchange(redis_url, tmp_path.name, real_clock)
    pool = here._store.client.connection_pool
    # Who finds no connection.
    pool.timeout = 0.01
    taken = [pool.get_connection() for _ in range(CONNECTIONS)]
    assert here.join(KEY) is None
    for one in taken:
        pool.release(one)
    # Redis would be left alone for a second, and everybody be answered by a call of their own.
    lead = here.enter(KEY)
    assert isinstance(lead, RedisLead)
    lead.close()
