"""Several machines search one library: a document is ready when all of them find it."""

import threading

import pytest

from likeopt.clock import Clock
from likeopt.storage import documents, machines, revisions
from likeopt.storage.db import Database
from likeopt.storage.machines import GONE_SECONDS
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock
from tests.storage import library

# SQLite has one machine.
pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def revision(database: Database, name: str) -> int:
    return database.read(lambda c: revisions.current(c, name))


def state(database: Database, reader: Reader) -> str:
    page = database.read(lambda c: documents.list_(c, reader, documents.Wanted()))
    return page.items[0].state


def report(database: Database, clock: Clock, machine: str, applied: int) -> None:
    database.write(lambda c: machines.report(c, clock, machine, applied))


def all_find(database: Database, clock: Clock) -> None:
    for machine in ("one", "two"):
        library.follow(database, clock, machine)


@pytest.fixture
def reader(database: Database, clock: FakeClock) -> Reader:
    """Two machines follow a library; a document has been read that neither finds yet."""
    reader = library.prepared(database, clock)
    all_find(database, clock)
    library.add(database, reader, clock, "a.txt", "words")
    library.index(database, clock, ["words"])
    return reader


def test_a_document_is_ready_when_every_machine_finds_it(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    announced = revision(database, "jobs")
    assert state(database, reader) == "indexing"
    library.follow(database, clock, "one")
    assert state(database, reader) == "indexing"
    # Nothing has changed for anybody, so nobody is told.
    assert revision(database, "jobs") == announced
    library.follow(database, clock, "two")
    assert state(database, reader) == "ready"
    assert revision(database, "jobs") == announced + 1
    listed = database.read(lambda c: documents.list_(c, reader, documents.Wanted(state="ready")))
    assert [document.name for document in listed.items] == ["a.txt"]


def test_a_machine_that_is_gone_is_not_waited_for(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    clock.advance(GONE_SECONDS)
    library.follow(database, clock, "one")
    assert state(database, reader) == "indexing"
    clock.advance(1)
    library.follow(database, clock, "one")
    assert state(database, reader) == "ready"


def test_the_last_machine_counts_however_long_it_is_off(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    all_find(database, clock)
    clock.advance(GONE_SECONDS * 1000)
    assert state(database, reader) == "ready"
    library.follow(database, clock, "one")
    assert state(database, reader) == "ready"


def test_what_was_found_is_found_until_a_new_machine_has_caught_up(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    all_find(database, clock)
    clock.advance(GONE_SECONDS * 1000)
    report(database, clock, "new", 1)
    assert state(database, reader) == "ready"


def test_a_new_machine_counts_once_it_has_caught_up(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    all_find(database, clock)
    report(database, clock, "new", 1)
    assert state(database, reader) == "ready"
    library.follow(database, clock, "new")
    # From now on it is waited for, also when it loses its index.
    report(database, clock, "new", 1)
    assert state(database, reader) == "indexing"


def test_machines_that_report_together_tell_everybody(
    database: Database, clock: FakeClock, reader: Reader
) -> None:
    for round_ in range(10):
        announced = revision(database, "jobs")
        library.add(database, reader, clock, "a.txt", f"words {round_}")
        library.index(database, clock, ["words"])
        both = threading.Barrier(2)

        def follow(machine: str, both: threading.Barrier = both) -> None:
            both.wait()
            library.follow(database, clock, machine)

        # After a long silence, each would forget the other one too.
        clock.advance(GONE_SECONDS + 1)
        threads = [threading.Thread(target=follow, args=[name]) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state(database, reader) == "ready"
        # Once for each of: added, claimed, published, found.
        assert revision(database, "jobs") > announced + 3
