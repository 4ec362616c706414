"""The quick look at a database, which decides whether anything has to be prepared."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.storage import bootstrap, revisions
from likeopt.storage.db import Database, migrate
from likeopt.storage.schema import VERSIONS, is_prepared, newest


@pytest.fixture
def path(config: Config) -> Path:
    return config.data_dir / "likeopt.db"


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    opened = Database(config.database)
    yield opened
    opened.close()


def test_newest_is_what_alembic_says() -> None:
    assert newest() == ScriptDirectory(str(VERSIONS.parent)).get_current_head()


def test_steps_to_a_prepared_database(path: Path, database: Database) -> None:
    assert not is_prepared(path)
    assert not path.exists()
    migrate(database)
    assert not is_prepared(path)
    database.write(lambda c: bootstrap.prepare(c, Clock()))
    assert is_prepared(path)
    assert not is_prepared(path, used=True)
    database.write(lambda c: revisions.raise_(c, "library"))
    assert is_prepared(path, used=True)


def test_other_version_and_other_file(path: Path, database: Database) -> None:
    migrate(database)
    database.write(lambda c: bootstrap.prepare(c, Clock()))
    database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    assert not is_prepared(path)
    path.write_bytes(b"not a database" * 1000)
    assert not is_prepared(path)
