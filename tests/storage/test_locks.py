"""Who waits for whose rows, on PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.errors import LikeOptError
from likeopt.storage import facts
from likeopt.storage.db import Database, migrate
from tests.servers import wait_until

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
