"""The stage of the worker's tests."""

from collections.abc import Iterator

import pytest

from likeopt.config import Config
from likeopt.storage.db import Database
from tests.fakes import FakeClock, FakeEmbedder
from tests.worker.stage import Stage


@pytest.fixture
def stage(
    database: Database, database_config: Config, clock: FakeClock, embedder: FakeEmbedder
) -> Iterator[Stage]:
    """On SQLite and PostgreSQL."""
    made = Stage(database, database_config, clock, embedder)
    yield made
    made.worker.close()


@pytest.fixture
def sqlite_stage(
    sqlite_database: Database, config: Config, clock: FakeClock, embedder: FakeEmbedder
) -> Iterator[Stage]:
    """On SQLite only."""
    made = Stage(sqlite_database, config, clock, embedder)
    yield made
    made.worker.close()
