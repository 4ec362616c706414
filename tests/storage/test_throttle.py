"""Those who guess are slowed down, and nobody else for long."""

import threading

import pytest

from likeopt.storage import throttle
from likeopt.storage.db import Database
from tests.fakes import FakeClock


def fail(db: Database, clock: FakeClock, keys: list[str], times: int) -> float:
    """Seconds to wait after that many failures."""
    for _ in range(times):
        db.write(lambda c: throttle.fail(c, clock, keys))
    return wait(db, clock, keys)


def wait(db: Database, clock: FakeClock, keys: list[str]) -> float:
    return db.read(lambda c: throttle.check(c, clock, keys))


def test_an_account_waits_from_the_fifth_failure_on(database: Database, clock: FakeClock) -> None:
    keys = throttle.keys_of("a@example.org", "")
    assert fail(database, clock, keys, 4) == 0
    assert [fail(database, clock, keys, 1) for _ in range(4)] == [2, 4, 8, 16]
    assert fail(database, clock, keys, 100) == 900
    clock.advance(899)
    assert wait(database, clock, keys) == 1
    clock.advance(1)
    assert wait(database, clock, keys) == 0
    other = throttle.keys_of("b@example.org", "192.0.2.1")
    assert wait(database, clock, other) == 0


def test_an_address_waits_from_the_twentieth_failure_on(
    database: Database, clock: FakeClock
) -> None:
    # One guess for each of many accounts.
    for number in range(19):
        keys = throttle.keys_of(f"{number}@example.org", "192.0.2.1")
        assert fail(database, clock, keys, 1) == 0
    assert fail(database, clock, throttle.keys_of("x@example.org", "192.0.2.1"), 1) == 2
    assert wait(database, clock, throttle.keys_of("y@example.org", "192.0.2.1")) == 2
    assert wait(database, clock, throttle.keys_of("y@example.org", "192.0.2.2")) == 0


def test_success_and_time_forgive(database: Database, clock: FakeClock) -> None:
    keys = throttle.keys_of("a@example.org", "192.0.2.1")
    assert fail(database, clock, keys, 6) == 4
    database.write(lambda c: throttle.clear(c, keys))
    assert fail(database, clock, keys, 4) == 0
    clock.advance(3600)
    assert fail(database, clock, keys, 4) == 0


def test_a_success_does_not_forgive_guesses_at_others(database: Database, clock: FakeClock) -> None:
    own = throttle.keys_of("me@example.org", "192.0.2.1")
    fail(database, clock, own, 2)
    for number in range(19):
        fail(database, clock, throttle.keys_of(f"{number}@example.org", "192.0.2.1"), 1)
        database.write(lambda c: throttle.clear(c, own))
    # The two of one's own are forgiven.
    assert fail(database, clock, throttle.keys_of("x@example.org", "192.0.2.1"), 1) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_a_household_of_ipv6_is_one(one: str, other: str, *, same: bool) -> None:
    assert (throttle.keys_of("", one) == throttle.keys_of("", other)) == same


def test_keys_name_nobody() -> None:
    assert "example" not in str(throttle.keys_of("a@example.org", "unix:"))


def test_failures_at_the_same_time_all_count(database: Database, clock: FakeClock) -> None:
    keys = throttle.keys_of("a@example.org", "192.0.2.1")
    threads = [threading.Thread(target=fail, args=(database, clock, keys, 1)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wait(database, clock, keys) == 2
