"""Connections to PostgreSQL: few, and checked when they were idle; and databases out of order."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.services import Services
from likeopt.storage import db
from likeopt.storage.db import Database


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
    taken, done = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        taken.set()
        done.wait()

    holder = threading.Thread(target=lambda: single.read(hold))
    holder.start()
    taken.wait()
    try:
        with pytest.raises(StorageUnavailable, match="busy"):
            single.read(backend)
        # What keeps answers alive does not wait behind it.
        assert single.apart(1).read(backend) > 0
    finally:
        done.set()
        holder.join()
    assert single.read(backend) > 0


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
