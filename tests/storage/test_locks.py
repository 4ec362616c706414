"""Who waits for whose rows, on PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.errors import LikeOptError, StorageUnavailable
from likeopt.storage import facts, jobs, revisions
from likeopt.storage.db import Database, migrate
from likeopt.storage.jobs import Job
from likeopt.storage.tables import jobs as table
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.storage import library

Work = Callable[[sa.Connection], object]

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    opened = Database(Config(database_url=postgres_url).database)
    migrate(opened)
    yield opened
    opened.close()


@contextmanager
def behind(database: Database, first: Work, second: Work) -> Iterator[sa.Connection]:
    """A transaction that has done `first`, while another waits to do `second`; both succeed."""
    failed: list[Exception] = []

    def other() -> None:
        try:
            database.write(second)
        except (LikeOptError, sa.exc.DBAPIError) as error:
            failed.append(error)

    waits = threading.Thread(target=other)
    with database.engine.begin() as c:
        first(c)
        waits.start()
        wait_until(
            lambda: bool(failed or database.read(lambda c: c.exec_driver_sql(WAITING).scalar())),
            "the other to wait",
        )
        yield c
    waits.join()
    assert failed == []


def test_two_machines_put_a_new_fact(database: Database) -> None:
    """At the first start of both."""
    with behind(database, lambda c: facts.put(c, "new", "1"), lambda c: facts.put(c, "new", "2")):
        pass
    assert database.read(lambda c: facts.get(c, "new")) == "2"


def test_of_two_that_wait_for_each_other_one_may_try_again(database: Database) -> None:
    both = threading.Barrier(2)
    told: list[str] = []

    def write(*names: str) -> None:
        def work(c: sa.Connection) -> None:
            revisions.raise_(c, names[0])
            both.wait()
            revisions.raise_(c, names[1])

        try:
            database.write(work)
        except StorageUnavailable as error:
            told.append(error.message)

    other = threading.Thread(target=write, args=("library", "access"))
    other.start()
    write("access", "library")
    other.join()
    assert told == ["The database is too busy. Try again in a moment."]


CHANGES: dict[str, Callable[[sa.Connection, FakeClock, list[Job]], object]] = {
    "cancel": lambda c, clock, held: jobs.cancel_of(c, clock, documents_of(held)),
    "release": lambda c, clock, held: jobs.release(c, clock, "machine"),
    "put back": lambda c, clock, held: jobs.put_back(c, clock, "machine:1"),
    "renew": lambda c, clock, held: jobs.renew(c, clock, "machine:1", 1000),
    "finish": lambda c, clock, held: jobs.finish(c, clock, [job.id for job in held]),
}


def documents_of(held: list[Job]) -> list[str]:
    return [str(job.document_id) for job in held]


@pytest.mark.parametrize("change", CHANGES)
def test_jobs_are_locked_in_one_order(database: Database, clock: FakeClock, change: str) -> None:
    """So nobody has the second and waits for the first, which somebody has who needs the second."""
    reader = library.prepared(database, clock)
    for name in ("a", "b"):
        library.add(database, reader, clock, name, name)
    held = library.claim_index(database, clock, "machine:1", 2)
    first, second = sorted(job.id for job in held)
    # So it comes last in the table and in the index, and in a look without an order.
    later = sa.update(table).where(table.c.id == first).values(run_after=table.c.run_after + 1)
    database.write(lambda c: c.execute(later))
    before = database.read(leases)

    def touch(c: sa.Connection, id_: int) -> None:
        jobs.progress(c, clock, id_, "parse", 0, 0)

    clock.advance(1)
    with behind(
        database, lambda c: touch(c, first), lambda c: CHANGES[change](c, clock, held)
    ) as c:
        touch(c, second)
    # Both are changed, as they are after the wait.
    assert not before & database.read(leases)


def leases(c: sa.Connection) -> set[tuple[int, str, int | None]]:
    return {
        (row.id, row.state, row.lease_until)
        for row in c.execute(sa.select(table.c.id, table.c.state, table.c.lease_until))
    }
