"""The fixtures themselves."""

import socket
import urllib.request

import numpy as np
import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.storage.db import Database
from likeopt.storage.tables import counters
from tests.fakes import FakeClock, FakeEmbedder


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_a_new_migrated_database(database: Database, turn: int) -> None:
    database.write(lambda c: c.execute(sa.insert(counters).values(name="mine", value=turn)))
    assert (
        database.read(lambda c: c.scalar(sa.select(counters.c.value).filter_by(name="mine")))
        == turn
    )


def test_the_configured_database_is_the_fixture(config: Config, sqlite_database: Database) -> None:
    assert (config.data_dir / "likeopt.db").exists()
    assert str(sqlite_database.engine.url) == config.database


def test_an_empty_postgres(postgres_url: str) -> None:
    opened = Database(Config(database_url=postgres_url).database)
    assert opened.read(lambda c: sa.inspect(c).get_table_names()) == []
    opened.close()


def test_chroma_answers(chroma_url: str) -> None:
    with urllib.request.urlopen(f"{chroma_url}/api/v2/heartbeat", timeout=5) as response:
        assert response.status == 200


def test_time_stands_still(clock: FakeClock) -> None:
    before = clock.now_ms(), clock.monotonic()
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (before[0] + 1500, before[1] + 1.5)


def test_similar_texts_have_similar_vectors(embedder: FakeEmbedder) -> None:
    query = embedder.queries(["연차 휴가는 며칠인가요?"])[0]
    near, far = embedder.passages(["연차 휴가는 15일이다.", "The server listens on port 80."])
    assert query @ near > query @ far + 0.2
    assert np.allclose(np.linalg.norm([query, near, far], axis=1), 1)


def test_the_network_is_shut() -> None:
    with socket.socket() as outside, pytest.raises(RuntimeError, match="tried to reach"):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="tried to look up"):
        socket.create_connection(("example.org", 80))
    with pytest.raises(socket.gaierror):
        socket.create_connection(("nobody.invalid", 80))
