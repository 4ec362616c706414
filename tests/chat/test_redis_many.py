"""Many generations that one process leads and follows, through few connections to Redis."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from likeopt.cache.redis_client import CONNECTIONS
from likeopt.chat import exchange_redis
from likeopt.chat.events import Delta, Record
from likeopt.chat.exchange import Lead, Seat
from likeopt.chat.exchange_redis import LEASE_SECONDS, RedisExchange, RedisLead
from likeopt.clock import Clock
from tests.chat.test_exchange import END, KEY, lead_of, read, seat_of
from tests.servers import wait_until

MANY = 200


@pytest.fixture
def here(redis_url: str, tmp_path: Path, real_clock: Clock) -> RedisExchange:
    return RedisExchange(redis_url, tmp_path.name, real_clock)


@contextmanager
def renewed(leads: Sequence[Lead]) -> Iterator[None]:
    """Each lead is proved to live four times a second, by a thread of its own."""
    over = threading.Event()

    def renew(lead: Lead) -> None:
        while not over.wait(0.25):
            lead.renew()

    with ThreadPoolExecutor(len(leads)) as threads:
        done = [threads.submit(renew, lead) for lead in leads]
        try:
            yield
        finally:
            over.set()
        for one in done:
            one.result()


def followed(seat: Seat) -> list[Record]:
    """Everything that is told, until it has ended or the lead could be taken over."""
    told: list[Record] = []
    until = time.monotonic() + 60
    while END not in told and time.monotonic() < until:
        records = seat.read(0.3)
        told += records
        if not records and seat.take_over():
            break
    return told


def test_many_are_followed_and_led_through_few_connections(
    here: RedisExchange, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    leads = [made for number in range(MANY) if (made := here.enter(f"{number:032x}"))]
    assert len(leads) == MANY
    with (
        redis.Redis.from_url(redis_url) as client,
        caplog.at_level(logging.WARNING, "likeopt"),
        renewed(leads),
        ThreadPoolExecutor(MANY) as threads,
    ):
        seats = [seat_of(here, f"{number:032x}") for number in range(MANY)]
        reading = [threads.submit(followed, seat) for seat in seats]
        for number, lead in enumerate(leads):
            lead.append(Delta(f"{number}"))
        # For longer than a lead lasts that nobody renews.
        began, _ = client.time()
        wait_until(lambda: client.time()[0] > began + LEASE_SECONDS + 1, "a lease to be over")
        assert client.info("clients")["connected_clients"] <= CONNECTIONS + 2
        for lead in leads:
            lead.append(END)
        told = [one.result() for one in reading]
    assert told == [[Delta(f"{number}"), END] for number in range(MANY)]
    assert caplog.messages == []


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


def test_a_moment_without_a_free_connection_is_no_failure_of_redis(
    redis_url: str, tmp_path: Path, real_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_redis, "_TIMEOUT_SECONDS", 0.1)
    here = RedisExchange(redis_url, tmp_path.name, real_clock)
    pool = here._store.client.connection_pool
    taken = [pool.get_connection() for _ in range(CONNECTIONS)]
    assert here.join(KEY) is None
    for one in taken:
        pool.release(one)
    # Redis would be left alone for a second, and everybody be answered by a call of their own.
    lead = here.enter(KEY)
    assert isinstance(lead, RedisLead)
    lead.close()
