"""An engine on a library that the test fills."""

from collections.abc import Iterator

import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.storage.db import Database
from tests.engine.shelf import Shelf


@pytest.fixture
def real_clock() -> Clock:
    """Threads wait for each other here, so time passes."""
    return Clock()


@pytest.fixture
def shelf(database_config: Config, database: Database, real_clock: Clock) -> Shelf:
    return Shelf(database_config, database, real_clock)


@pytest.fixture
def library(shelf: Shelf) -> Iterator[Library]:
    opened = Library(shelf.config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    yield opened
    opened.close()


@pytest.fixture
def searcher(shelf: Shelf, library: Library) -> Iterator[Searcher]:
    opened = Searcher(library, shelf.db, shelf.clock, threads=2)
    yield opened
    opened.close()
