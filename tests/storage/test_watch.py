"""Changes are noticed, by whoever they were made."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.storage import revisions
from likeopt.storage.board import SLOTS, Board
from likeopt.storage.db import Database, migrate
from likeopt.storage.tables import counters
from likeopt.storage.watch import Stamp, Watch
from tests.fakes import FakeClock, no_file_beyond
from tests.servers import wait_until


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "run" / "board")


@pytest.fixture
def watch(database: Database, board: Board) -> Iterator[Watch]:
    made = Watch(database, Clock(), board)
    wait_until(lambda: made.stamp("library") is not None, "the watch")
    yield made
    made.close()


def raise_one(database: Database, name: str) -> None:
    database.write(lambda c: revisions.raise_(c, name))


def test_stamp_stays_until_something_changes(database: Database, watch: Watch) -> None:
    # On a busy machine a look may be late: then nothing is sure for a moment.
    def sure(*names: str) -> Stamp:
        while (found := watch.stamp(*names)) is None:
            wait_until(lambda: watch.stamp(*names) is not None, "a stamp")
        return found

    stamp, other = sure("library", "conversations:me"), sure("access")
    raise_one(database, "conversations:somebody")
    raise_one(database, "access")
    wait_until(lambda: sure("access") != other, "the next look")
    assert sure("library", "conversations:me") == stamp


@pytest.mark.parametrize("name", ["library", "conversations:new"])
def test_other_machines_change_is_noticed(database: Database, watch: Watch, name: str) -> None:
    before = watch.stamp(name)
    raise_one(database, name)
    wait_until(lambda: watch.stamp(name) not in (before, None), "the change to be noticed")


def test_change_on_this_machine_is_noticed_before_it_is_acknowledged(
    database_config: Config, database: Database, board: Board
) -> None:
    watch = Watch(database, FakeClock(), board)
    watch._look()
    before = watch.stamp("library")
    elsewhere = Board(board._path)
    assert watch.stamp("library") == before is not None
    writer = Database(database_config.database, spread=elsewhere.mark)
    raise_one(writer, "library")
    assert watch.stamp("library") != before
    assert watch.stamp("access") is not None
    writer.close()


def test_a_board_takes_its_room_at_once(board: Board) -> None:
    """SIGBUS is what a process gets that marks in a hole of the file on a full disk."""
    board.mark(["library"])
    assert board._path.stat().st_blocks * 512 >= 8 * SLOTS


def test_without_room_for_a_board_nothing_is_ever_sure(board: Board) -> None:
    with no_file_beyond(100):
        board.mark(["library"])
        assert board.read("library") != board.read("library")
    assert board.read("library") == board.read("library")


def test_a_change_succeeds_and_is_known_though_its_board_cannot_be_had(
    database_config: Config, database: Database, board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(database, Clock(), board)
    # Nobody looks but this test.
    watch._stop.set()
    board.read("library")
    board._path.unlink()
    board._path.mkdir()
    broken = Board(board._path)
    writer = Database(database_config.database, spread=broken.mark)
    before = database.read(lambda c: revisions.current(c, "library"))
    for _ in range(2):
        watch._look()
        raise_one(writer, "library")
        # What was seen before the change counts no more: the database has to be asked.
        assert watch.stamp("library") is None
    assert database.read(lambda c: revisions.current(c, "library")) == before + 2
    assert broken.read("library") != broken.read("library")
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    board._path.rmdir()
    assert broken.mark(["library"]) == 0
    assert broken.read("library") == broken.read("library")
    writer.close()


def test_change_that_failed_is_no_news(
    database_config: Config, database: Database, board: Board
) -> None:
    watch = Watch(database, FakeClock(), board)
    watch._look()
    before = watch.stamp("library")
    writer = Database(database_config.database, spread=board.mark)
    with pytest.raises(ZeroDivisionError):
        writer.write(lambda c: revisions.raise_(c, "library") / 0)
    raise_one(writer, "access")
    watch._look()
    assert watch.stamp("library") == before
    writer.close()


def test_nothing_is_sure_once_the_database_is_silent(database: Database, board: Board) -> None:
    clock = FakeClock()
    watch = Watch(database, clock, board)
    watch._look()
    clock.advance(0.1)
    assert watch.stamp("library") is not None
    clock.advance(0.01)
    assert watch.stamp("library") is None
    watch.close()


def test_what_changed_while_nobody_looked_is_found_by_the_next_look(
    database: Database, board: Board
) -> None:
    clock = FakeClock()
    watch = Watch(database, clock, board)
    heard: list[str] = []
    watch.hear(heard.extend)
    watch._look()
    before = watch.stamp("library"), watch.stamp("access")
    clock.advance(3600)
    assert watch._is_wanted() is False
    raise_one(database, "library")
    watch._look()
    assert watch.stamp("library") != before[0]
    assert watch.stamp("access") == before[1]
    assert heard == ["library"]


def test_what_commits_late_is_not_missed(postgres_url: str, board: Board) -> None:
    """A transaction that began before the last look and ends after it."""
    database = Database(Config(database_url=postgres_url).database)
    migrate(database)
    watch = Watch(database, FakeClock(), board)
    with database.engine.connect() as slow, slow.begin():
        revisions.raise_(slow, "conversations:slow")
        raise_one(database, "conversations:quick")
        watch._look()
        raise_one(database, "conversations:quick")
        watch._look()
        before = watch.stamp("conversations:slow")
    watch._look()
    assert watch.stamp("conversations:slow") != before
    watch.close()
    database.close()


def test_a_long_transaction_makes_nothing_news_twice(postgres_url: str, board: Board) -> None:
    """A look sees again what was raised since the oldest transaction that writes began."""
    database = Database(Config(database_url=postgres_url).database)
    migrate(database)
    watch = Watch(database, FakeClock(), board)
    heard: list[str] = []
    watch._look()
    watch.hear(heard.extend)
    with database.engine.connect() as slow, slow.begin():
        revisions.raise_(slow, "library")
        raise_one(database, "access")
        watch._look()
        before = watch.stamp("access")
        watch._look()
        assert watch.stamp("access") == before
    watch._look()
    assert heard == ["access", "library"]
    watch.close()
    database.close()


def test_what_is_announced_is_raised_with_the_commit_only(
    database_config: Config, database: Database, board: Board
) -> None:
    watch = Watch(database, FakeClock(), board)
    writer = Database(database_config.database, spread=board.mark)

    def work(c: sa.Connection) -> sa.Row[tuple[int]] | None:
        revisions.announce(c, "jobs")
        revisions.announce(c, "jobs")
        return c.execute(of_jobs).one_or_none()

    def fails(c: sa.Connection) -> None:
        work(c)
        raise ZeroDivisionError

    of_jobs = sa.select(counters.c.value).where(counters.c.name == "jobs")
    watch._look()
    before = watch.stamp("jobs")
    with pytest.raises(ZeroDivisionError):
        writer.write(fails)
    assert watch.stamp("jobs") == before
    assert writer.write(work) is None
    assert watch.stamp("jobs") != before
    assert database.read(lambda c: c.execute(of_jobs).scalar_one()) == 1
    writer.close()


def test_who_has_to_be_sure_looks_for_all(database: Database, board: Board) -> None:
    clock = FakeClock()
    watch = Watch(database, clock, board)
    try:
        first = watch.confirmed("access")
        assert first is not None
        assert watch.confirmed("access") == first
        raise_one(database, "access")
        clock.advance(1)
        second = watch.confirmed("access")
        assert second not in (first, None)
        assert watch.confirmed("access") == second
    finally:
        watch.close()


def test_who_comes_as_the_watch_ends_is_told(
    database: Database, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(database, Clock(), board)
    told = threading.Event()
    ended = threading.Event()
    is_wanted = watch._is_wanted

    def ends_as_somebody_comes() -> bool:
        monkeypatch.undo()
        wanted = is_wanted()
        coming.enter_context(watch.telling(told.set, "access"))
        ended.set()
        return wanted

    monkeypatch.setattr(watch, "_is_wanted", ends_as_somebody_comes)
    with ExitStack() as coming:
        # Nobody has asked, so it ends with its first look.
        watch._begin()
        assert ended.wait(30)
        assert told.wait(30)
        told.clear()
        raise_one(database, "access")
        assert told.wait(30)
    watch.close()


def test_only_who_is_concerned_is_told(database: Database, board: Board) -> None:
    watch = Watch(database, FakeClock(), board)
    told: list[str] = []
    with ExitStack() as listening:
        # Nobody looks but this test.
        watch._stop.set()
        for who in ("ann", "bob"):
            names = revisions.of_access(who)
            listening.enter_context(watch.telling(partial(told.append, who), *names))
        watch._look()
        told.clear()
        before = watch.stamp(*revisions.of_access("bob"))
        raise_one(database, revisions.of_person("ann"))
        watch._look()
        assert told == ["ann"]
        assert watch.stamp(*revisions.of_access("bob")) == before is not None
        raise_one(database, "access")
        watch._look()
    assert told == ["ann", "ann", "bob"]


def test_no_counter_of_a_person_stands_where_one_of_all_does(board: Board) -> None:
    before = board.read("access")
    board.mark(revisions.of_person(f"{number:032x}") for number in range(50_000))
    assert board.read("access") == before
    board.mark(["access"])
    assert board.read("access") != before


class Away:
    """A database that fails, as slowly as the test wants."""

    def __init__(self) -> None:
        self.looks = 0
        self.failing = threading.Event()

    def read(self, _: object) -> None:
        self.looks += 1
        self.failing.wait()
        raise StorageUnavailable("away")


def test_who_has_to_be_sure_does_not_queue_for_a_database_that_is_away(board: Board) -> None:
    away = Away()
    watch = Watch(cast("Database", away), Clock(), board)
    stamps: list[Stamp | None] = []
    asking = [
        threading.Thread(target=lambda: stamps.append(watch.confirmed("access"))) for _ in range(10)
    ]
    for thread in asking:
        thread.start()
    wait_until(lambda: away.looks > 0, "a look")
    away.failing.set()
    for thread in asking:
        thread.join()
    watch.close()
    assert stamps == [None] * 10
    # Of those who asked: the first, one for whoever came during it; and the watch's own.
    assert away.looks < 10
