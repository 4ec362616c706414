"""Fixtures of the cache's tests: a real server behind each layer that has one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from likeopt.cache.backends import memcached as memcached_
from likeopt.cache.backends import redis as redis_
from tests.cache.build import LAYERS, Built
from tests.fakes import FakeClock


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests is no failing server."""
    for module in (redis_, memcached_):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 10.0)


@pytest.fixture
def built(request: pytest.FixtureRequest, data_dir: Path, clock: FakeClock) -> Iterator[Built]:
    """See `Built`; servers are started when a test first needs them."""
    names = {"redis": "redis_url", "memcached": "memcached"}
    found = Built(data_dir, clock, lambda name: str(request.getfixturevalue(names[name])))
    yield found
    found.close()


@pytest.fixture(params=LAYERS)
def layers(request: pytest.FixtureRequest) -> str:
    """Names of layers, the quickest first: the test runs on each combination."""
    return str(request.param)
