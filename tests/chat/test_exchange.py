"""Where generations of several processes meet: one suite over both kinds of exchange."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from likeopt.chat.events import Delta, End, Record, Restart
from likeopt.chat.exchange import Exchange, Lead, Seat, key_of
from likeopt.chat.exchange_files import FileExchange
from likeopt.chat.exchange_redis import RedisExchange
from likeopt.clock import Clock
from likeopt.storage.messages import Outcome
from tests.servers import ROOT, wait_until

KEY = "0123456789abcdef" * 2
OTHER = "f" * 32
END = End(Outcome(content="ab", state="complete", kind="generated"))

# A leader in a process of its own, which says which generation it leads and is then killed.
LEADER = """
import sys, threading
from likeopt.chat.events import Delta
{opening}
lead = exchange.enter(sys.argv[1])
lead.append(Delta("a"))
print(lead.id, flush=True)
while not threading.Event().wait(0.2):
    lead.renew()
"""

Made = tuple[Callable[[], Exchange], str]


@pytest.fixture(params=["files", "redis"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """Opens the exchange as each process does; and the same as a program."""
    if request.param == "files":
        return lambda: FileExchange(tmp_path), (
            "from pathlib import Path; from likeopt.chat.exchange_files import FileExchange;"
            f" exchange = FileExchange(Path({str(tmp_path)!r}))"
        )
    url = request.getfixturevalue("redis_url")
    # Leaders of an earlier test may still be telling that they live.
    tenant = tmp_path.name
    return lambda: RedisExchange(url, tenant, Clock()), (
        "from likeopt.chat.exchange_redis import RedisExchange; from likeopt.clock import Clock;"
        f" exchange = RedisExchange({url!r}, {tenant!r}, Clock())"
    )


@pytest.fixture
def here(made: Made) -> Exchange:
    return made[0]()


@pytest.fixture
def there(made: Made) -> Exchange:
    return made[0]()


@pytest.fixture
def killed(made: Made) -> Iterator[Callable[[], str]]:
    """Has a leader in another process tell `a`; the function kills it and returns what it led."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER.format(opening=made[1]), KEY],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    id_ = process.stdout.readline().decode().strip()

    def kill() -> str:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return id_

    yield kill
    kill()
    process.stdout.close()


def lead_of(exchange: Exchange, key: str = KEY) -> Lead:
    """The lead of a key, which proves four times a second that it lives, until the test is over."""
    found = exchange.enter(key)
    assert found is not None
    _until_the_end(each=found.renew)
    return found


def seat_of(exchange: Exchange, key: str = KEY) -> Seat:
    """A seat of a key, given up at the latest when the test is over."""
    found = exchange.join(key)
    assert found is not None
    _until_the_end(then=found.close)
    return found


def _until_the_end(*, each: Callable[[], object] = bool, then: Callable[[], object] = bool) -> None:
    """Do something four times a second for as long as the test runs, and something after it."""
    test = os.environ["PYTEST_CURRENT_TEST"]

    def run() -> None:
        waiting = threading.Event()
        while os.environ.get("PYTEST_CURRENT_TEST") == test:
            each()
            waiting.wait(0.25)
        then()

    threading.Thread(target=run, daemon=True).start()


def read(seat: Seat, count: int) -> list[Record]:
    """The next records, as soon as they are there."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(seat.read(0.05))
        return len(records) >= count

    wait_until(enough, f"{count} records", seconds=20)
    return records


def test_one_leads_and_all_read_the_same_whenever_they_come(
    here: Exchange, there: Exchange
) -> None:
    lead = lead_of(here)
    assert key_of(lead.id) == KEY
    assert there.enter(KEY) is None
    early = seat_of(there)
    assert early.id == lead.id
    assert early.read(0) == []
    lead.append(Delta("a"))
    assert read(early, 1) == [Delta("a")]
    late = seat_of(here)
    lead.append(Delta("b"))
    lead.append(END)
    assert read(early, 2) == [Delta("b"), END]
    assert read(late, 3) == [Delta("a"), Delta("b"), END]
    lead.close()
    # Who lost the connection may still come back.
    back = there.seat(lead.id)
    assert back is not None
    assert read(back, 3)[-1] == END
    assert not back.is_led()
    # Who asks anew is told nothing old.
    assert there.join(KEY) is None
    assert lead_of(there).id != lead.id


def test_nothing_is_known_of_what_never_was(here: Exchange) -> None:
    assert here.join(KEY) is None
    for id_ in (f"{KEY}-0123456789ab", "", "../../etc/passwd", f"{KEY}-../x"):
        assert here.seat(id_) is None


def test_different_keys_do_not_meet(here: Exchange, there: Exchange) -> None:
    one, two = lead_of(here), lead_of(there, OTHER)
    one.append(Delta("one"))
    two.append(Delta("two"))
    assert read(seat_of(there), 1) == [Delta("one")]
    assert read(seat_of(here, OTHER), 1) == [Delta("two")]


def test_the_place_of_a_killed_leader_is_taken_by_one_reader(
    made: Made, killed: Callable[[], str]
) -> None:
    seats = [seat_of(made[0]()) for _ in range(3)]
    for seat in seats:
        assert read(seat, 1) == [Delta("a")]
        assert seat.take_over() is None
        assert seat.is_led()
    id_ = killed()
    taken: list[tuple[Seat, Lead]] = []

    def one_took() -> bool:
        taken.extend((seat, lead) for seat in seats if (lead := seat.take_over()))
        return bool(taken)

    wait_until(one_took, "the lead", seconds=20)
    ((taker, lead),) = taken
    assert (lead.id, lead.told) == (id_, [Delta("a")])
    lead.append(Restart())
    lead.append(Delta("b"))
    lead.append(END)
    for seat in seats:
        if seat is taker:
            continue
        assert seat.is_led()
        assert read(seat, 3) == [Restart(), Delta("b"), END]
    lead.close()


def test_who_asks_after_a_leader_was_killed_goes_on_with_its_generation(
    here: Exchange, killed: Callable[[], str]
) -> None:
    id_ = killed()
    leads: list[Lead] = []

    def entered() -> bool:
        leads.extend(lead for _ in range(1) if (lead := here.enter(KEY)))
        return bool(leads)

    wait_until(entered, "the lead", seconds=20)
    assert (leads[0].id, leads[0].told) == (id_, [Delta("a")])


def test_a_generation_is_closed_when_its_last_reader_leaves(
    here: Exchange, there: Exchange
) -> None:
    lead = lead_of(here)
    first, second = seat_of(here), seat_of(there)
    assert not lead.close_if_deserted(patient=True)
    first.close()
    first.close()
    assert not lead.close_if_deserted(patient=True)
    second.close()
    assert lead.close_if_deserted(patient=True)
    # Whoever asks now begins another, though this one has not ended.
    assert there.join(KEY) is None
    other = lead_of(there)
    assert other.id != lead.id
    lead.append(END)
    lead.close()
    assert seat_of(here).id == other.id
