"""What only files can do to a generation."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta, Restart
from likeopt.chat.exchange import Alone
from likeopt.chat.exchange_files import FileExchange, FileLead
from likeopt.storage.reader import Reader
from tests.chat.conftest import last
from tests.chat.test_exchange import END, KEY, OTHER, lead_of, read, seat_of
from tests.chat.test_shared import QUESTION, until
from tests.fakes import no_file_beyond, no_files_but
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI


def test_half_a_record_is_nothing(tmp_path: Path) -> None:
    """A leader was killed in the middle of writing."""
    here, there = FileExchange(tmp_path), FileExchange(tmp_path)
    lead = lead_of(here)
    seat = seat_of(there)
    lead.append(Delta("a"))
    lead.close()
    with (tmp_path / f"{lead.id}.log").open("ab") as file:
        file.write(b"\x40\x00\x00\x00half")
    assert seat.read(0) == [Delta("a")]
    taken = seat_of(here).take_over() if here.join(KEY) else here.enter(KEY)
    assert taken is not None
    assert taken.told == [Delta("a")]
    taken.append(Restart())
    taken.append(END)
    assert read(seat, 2) == [Restart(), END]


def test_long_records_are_read(tmp_path: Path) -> None:
    exchange = FileExchange(tmp_path)
    lead = lead_of(exchange)
    seat = seat_of(exchange)
    long = [Delta("x" * 3_000_000), Delta("y" * 700_000), Delta("z" * 700_000)]
    for record in long:
        lead.append(record)
    assert read(seat, 3) == long


def test_who_could_not_begin_on_a_full_disk_keeps_nobody_from_beginning_later(
    tmp_path: Path,
) -> None:
    exchange = FileExchange(tmp_path)
    with no_file_beyond(0):
        alone = lead_of(exchange)
    assert isinstance(alone, Alone)
    alone.append(END)
    alone.close()
    assert isinstance(lead_of(exchange), FileLead)


def test_with_a_full_disk_everybody_goes_on_alone(tmp_path: Path) -> None:
    exchange = FileExchange(tmp_path)
    lead = lead_of(exchange)
    seat = seat_of(exchange)
    lead.append(Delta("a"))
    with no_file_beyond(64):
        lead.append(Delta("b" * 100))
    lead.append(END)
    assert lead.close_if_deserted(patient=True)
    assert seat.read(0) == [Delta("a")]
    taken = seat.take_over()
    assert taken is not None
    taken.append(Restart())
    assert read(seat_of(exchange), 2) == [Delta("a"), Restart()]


def test_who_finds_no_room_to_read_keeps_nothing_open(tmp_path: Path) -> None:
    exchange = FileExchange(tmp_path)
    lead = lead_of(exchange)
    with no_file_beyond(0):
        assert exchange.join(KEY) is None
        assert exchange.seat(lead.id) is None
    # Its leader sees that nobody reads it.
    assert lead.close_if_deserted(patient=True)


def test_who_cannot_take_over_leads_nobody_and_keeps_nothing_open(tmp_path: Path) -> None:
    here, there = FileExchange(tmp_path), FileExchange(tmp_path)
    dead = lead_of(here)
    dead.append(Delta("a"))
    seat, other = seat_of(here), seat_of(there)
    dead.close()
    # Its log can be opened, and then its list of readers cannot; had the log stayed open, the
    # second try would not even get that far, nor the third find room.
    with no_files_but(1):
        assert seat.take_over() is None
        assert seat.take_over() is None
        assert not other.is_led()
    with no_files_but(2):
        taken = seat.take_over()
    assert taken is not None
    assert taken.told == [Delta("a")]
    taken.append(END)
    assert read(other, 2) == [Delta("a"), END]


def test_where_the_log_is_gone_nobody_takes_over_and_who_asks_begins_anew(tmp_path: Path) -> None:
    here, there = FileExchange(tmp_path), FileExchange(tmp_path)
    dead = lead_of(here)
    seat = seat_of(there)
    dead.close()
    (tmp_path / f"{dead.id}.log").unlink()
    assert seat.take_over() is None
    assert here.join(KEY) is None
    assert lead_of(here).id != dead.id
    assert seat_of(there).id != dead.id


def test_an_unusable_folder_does_not_keep_anybody_from_an_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    exchange = FileExchange(tmp_path / "file")
    assert exchange.join(KEY) is None
    assert isinstance(lead_of(exchange), Alone)


def test_what_is_old_is_swept_away_and_what_runs_is_not(tmp_path: Path) -> None:
    exchange = FileExchange(tmp_path)
    ended, running = lead_of(exchange), lead_of(exchange, OTHER)
    ended.append(END)
    ended.close()
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    may_block = threading.Event()

    def run(work: Callable[[], Any]) -> None:
        may_block.wait(30)
        work()

    # Who asks does not wait for that.
    lead_of(FileExchange(tmp_path, run), "a" * 32)
    told = tmp_path / f"{ended.id}.log"
    assert told.exists()
    may_block.set()
    wait_until(lambda: not told.exists(), "the sweep")
    assert exchange.seat(running.id) is not None
    assert seat_of(exchange, OTHER).id == running.id


@pytest.mark.parametrize("name", ["../../x", "", "a" * 200])
def test_a_key_from_outside_opens_no_file(tmp_path: Path, name: str) -> None:
    assert FileExchange(tmp_path).seat(f"{name}-0123456789ab") is None


def test_who_finds_no_room_to_read_along_gets_an_answer_of_their_own(
    make_chat: Callable[..., Chat],
    stub: StubOpenAI,
    reader: Reader,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, there = make_chat(), make_chat()
    held = stub.say("You get ", "15 days [1].", hold=1)
    mine = here.ask(reader, QUESTION)
    until(Delta, mine)
    (readers,) = (tmp_path / "generations").glob("*.readers")
    readers.unlink()
    # Every write to it finds the disk full (full(4)).
    readers.symlink_to("/dev/full")
    stub.say("Fifteen [1].")
    told: list[str] = []
    asking = threading.Thread(
        target=lambda: told.append(last(there.ask(reader, QUESTION)).content), daemon=True
    )
    asking.start()
    wait_until(lambda: bool(told), "the answer", seconds=10)
    assert told == ["Fifteen [1]."]
    held.release()
    assert last(mine).content == "You get 15 days [1]."
    warned = [one.getMessage() for one in caplog.records if "shared" in one.getMessage()]
    assert warned == ["answers cannot be shared: No space left on device"]
