"""Connections to PostgreSQL: few, and checked when they were idle; and databases out of order."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.services import Services
from likeopt.storage import db, revisions
from likeopt.storage.db import Database, migrate
from tests.servers import wait_until


@pytest.fixture
def url(postgres_url: str) -> str:
    return Config(database_url=postgres_url).database


@pytest.fixture
def single(url: str) -> Iterator[Database]:
    opened = Database(url, connections=1)
    yield opened
    opened.close()


def backend(c: sa.Connection) -> int:
    return int(c.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


def end(url: str, pid: int) -> None:
    """As a restart of the server ends a connection."""
    other = Database(url)
    asked = sa.text("SELECT pg_terminate_backend(:pid, 5000)").bindparams(pid=pid)
    assert other.read(lambda c: c.execute(asked).scalar_one())
    other.close()


@contextmanager
def holding(database: Database, statement: str) -> Iterator[None]:
    """While the block runs, a transaction is open that has run the statement."""
    held, done = threading.Event(), threading.Event()

    def hold(c: sa.Connection) -> None:
        c.exec_driver_sql(statement)
        held.set()
        done.wait()

    holder = threading.Thread(target=lambda: database.write(hold))
    holder.start()
    held.wait()
    try:
        yield
    finally:
        done.set()
        holder.join()


def test_a_web_worker_takes_no_more_connections_than_is_said(
    config: Config, postgres_url: str
) -> None:
    config = msgspec.structs.replace(config, database_url=postgres_url, cache="")
    with closing(Services(config)) as services:
        services.prepare()
        made = (services.chat, services.watch)
        pools = [services.db, *services.db._apart]
        most = sum(one.engine.pool.size() + one.engine.pool._max_overflow for one in pools)  # type: ignore[attr-defined]
    assert made
    assert most == db.most_connections(2) - db.most_connections(1)


def test_who_waits_too_long_for_a_connection_is_told(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single.engine.pool, "_timeout", 0.05)
    with holding(single, "SELECT 1"):
        with pytest.raises(StorageUnavailable, match="busy"):
            single.read(backend)
        # What keeps answers alive does not wait behind it.
        assert single.apart(1).read(backend) > 0
    assert single.read(backend) > 0


def test_who_waits_for_a_connection_gets_the_place_of_one_that_failed(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the server was full, or away, for a moment."""
    monkeypatch.setattr(single.engine.pool, "_timeout", None)
    waiters: list[object] = single.engine.pool._pool.not_empty._waiters  # type: ignore[attr-defined]
    connecting, fail = threading.Event(), threading.Event()
    answers: list[object] = []

    def refuse(*_: object) -> None:
        event.remove(single.engine, "do_connect", refuse)
        connecting.set()
        fail.wait()
        raise psycopg.OperationalError("too many clients already")

    def ask() -> None:
        try:
            answers.append(single.read(lambda c: c.exec_driver_sql("SELECT 1").scalar()))
        except StorageUnavailable as error:
            answers.append(error.message)

    event.listen(single.engine, "do_connect", refuse)
    first, second = (threading.Thread(target=ask, daemon=True) for _ in range(2))
    first.start()
    connecting.wait()
    second.start()
    wait_until(lambda: bool(waiters), "the second to wait")
    fail.set()
    wait_until(lambda: len(answers) == 2, "both to be answered", seconds=20)
    assert set(answers) == {"The database does not answer. Try again in a moment.", 1}


def test_threads_that_outlive_the_end_leave_no_connection_open(url: str) -> None:
    ended, watching = Database(url), Database(url)
    with holding(ended, "SELECT 1"):
        ended.close()
    # Who begins after it.
    assert ended.read(backend) > 0
    others = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    wait_until(
        lambda: watching.read(lambda c: c.execute(others).scalar_one()) == 0, "them to be closed"
    )
    watching.close()


def test_an_idle_connection_that_was_ended_is_replaced(
    single: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = single.read(backend)
    assert single.read(backend) == first
    end(url, first)
    monkeypatch.setattr(db, "IDLE_SECONDS", 0.0)
    assert single.read(backend) not in (0, first)


def test_a_connection_that_breaks_in_use_is_an_error_once(single: Database, url: str) -> None:
    def break_off(c: sa.Connection) -> int:
        end(url, backend(c))
        return backend(c)

    with pytest.raises(StorageUnavailable):
        single.read(break_off)
    assert single.read(backend) > 0


def test_a_server_that_only_follows_another_is_left(single: Database) -> None:
    """After a failover."""
    first = single.read(backend)

    def write(c: sa.Connection) -> None:
        c.execute(sa.text("SET TRANSACTION READ ONLY"))
        c.execute(sa.text("CREATE TABLE made (one int)"))

    with pytest.raises(StorageUnavailable):
        single.write(write)
    assert single.read(backend) not in (0, first)


def test_a_damaged_file_is_a_database_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "likeopt.db").write_bytes(b"not a database" * 1000)
    damaged = Database(f"sqlite:///{tmp_path / 'likeopt.db'}")
    with pytest.raises(StorageUnavailable):
        damaged.read(lambda c: c.execute(sa.text("SELECT 1 FROM users")))
    damaged.close()


FREEZES = """
import sys
from likeopt.storage import db, revisions
db.SILENT_MS = 300
def hold(c):
    revisions.raise_(c, "library")
    print("held", flush=True)
    sys.stdin.read()
db.Database(sys.argv[1]).write(hold)
"""


def raise_library(c: sa.Connection) -> int:
    # So that it fails, and does not hang, if nobody else sets a limit.
    c.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    return revisions.raise_(c, "library")


def test_the_locks_of_a_process_that_is_frozen_are_freed(url: str) -> None:
    """As those of a machine that is gone."""
    opened = Database(url)
    migrate(opened)
    command = [sys.executable, "-c", FREEZES, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            os.kill(process.pid, signal.SIGSTOP)
            assert opened.write(raise_library) == 1
        finally:
            process.kill()
    opened.close()


def test_who_waits_too_long_for_a_lock_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Database(url)
    migrate(opened)
    monkeypatch.setattr(db, "LOCK_MS", 50)
    hasty = Database(url)
    with holding(opened, "SELECT value FROM counters WHERE name = 'library' FOR UPDATE"):
        with pytest.raises(StorageUnavailable, match="busy"):
            hasty.write(lambda c: revisions.raise_(c, "library"))
        # What the lock is not about goes on, on the same connection.
        assert hasty.write(lambda c: revisions.raise_(c, "embeddings")) > 0
    assert hasty.write(lambda c: revisions.raise_(c, "library")) > 0
    for each in (opened, hasty):
        each.close()


def test_a_migration_waits_for_another_for_as_long_as_it_takes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Database(url)
    monkeypatch.setattr(db, "LOCK_MS", 50)
    hasty = Database(url)
    failed: list[Exception] = []

    def wait() -> None:
        try:
            migrate(hasty)
        except sa.exc.OperationalError as error:
            failed.append(error)

    waits = threading.Thread(target=wait)
    longer = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        " AND clock_timestamp() - query_start > interval '200 ms'"
    )
    with holding(opened, "SELECT pg_advisory_xact_lock(7463001)"):
        waits.start()
        wait_until(
            lambda: bool(failed or opened.read(lambda c: c.execute(longer).scalar_one())),
            "a migration that waits",
        )
    waits.join()
    assert failed == []
    assert hasty.write(lambda c: revisions.raise_(c, "library")) > 0
    for each in (opened, hasty):
        each.close()


def test_the_server_notices_as_soon_as_we_that_the_other_side_is_gone(single: Database) -> None:
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
    asked = "SELECT " + ", ".join(f"current_setting('tcp_{name}')" for name in names)
    assert single.read(lambda c: tuple(c.exec_driver_sql(asked).one())) == ("10", "5", "3", "15000")
