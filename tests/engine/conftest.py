"""An engine on a library that the test fills."""

from collections.abc import Iterator
from typing import Any

import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.retrieval.types import SearchRequest, SearchResponse
from likeopt.storage.db import Database
from tests.engine.shelf import Search, Shelf


@pytest.fixture
def real_clock() -> Clock:
    """Threads wait for each other here, so time passes."""
    return Clock()


@pytest.fixture
def shelf(config: Config, sqlite_database: Database, real_clock: Clock) -> Shelf:
    """On SQLite; what may depend on the database is tested in `test_following`."""
    return Shelf(config, sqlite_database, real_clock)


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


@pytest.fixture
def search(shelf: Shelf, searcher: Searcher) -> Search:
    """Search as a reader of the default collection."""

    def run(query: str, within: float = 10.0, **more: Any) -> SearchResponse:
        fields: dict[str, Any] = {"collections": ["default"], **more}
        deadline = shelf.clock.monotonic() + within
        return searcher.search(SearchRequest(query, **fields), deadline)

    return run
