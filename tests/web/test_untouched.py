"""What needs nobody asks neither the database nor Redis, and who is known asks no Redis."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage.redis_sessions import RedisSessions
from likeopt.web import cookies
from likeopt.web.app import create_app
from likeopt.web.assets import Assets
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.web.conftest import Client, let_in
from tests.web.test_pages import build

STATE = "/api/v1/session"
OPEN = [
    "/health",
    "/sign-in",
    "/link",
    "/offline",
    "/sw.js",
    "/app.webmanifest",
    "/assets/main.0123456789.js",
    "/api/v1/openapi.json",
    "/api/docs",
]
# Of these, who shows nothing is refused, or sees where to sign in.
GUARDED = {"/": 200, "/library": 200, "/api/v1/info": 401, "/api/v1/conversations": 401}


class Counted:
    """What requests of this thread have asked of the database, and this process of Redis."""

    def __init__(self, services: Services) -> None:
        self.statements: list[str] = []
        self._thread = threading.get_ident()
        self._redis = redis.Redis.from_url(services.config.redis_url)
        sa.event.listen(services.db.engine, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # The watch looks in its own thread, whoever comes.
        if threading.get_ident() == self._thread:
            self.statements.append(statement)

    def begin(self) -> None:
        self.statements.clear()
        self._redis.config_resetstat()

    def commands(self) -> list[str]:
        """Redis' own count, without what this asks it."""
        own = {"cmdstat_info", "cmdstat_config|resetstat"}
        return sorted(set(self._redis.info("commandstats")) - own)

    def close(self) -> None:
        self._redis.close()


@pytest.fixture
def config(config: Config, redis_url: str) -> Config:
    return msgspec.structs.replace(config, guest=False, redis_url=redis_url)


@pytest.fixture
def services(signing_in: Services) -> Services:
    assert isinstance(signing_in.sessions, RedisSessions)
    return signing_in


@pytest.fixture
def client(config: Config, services: Services, tmp_path: Path) -> Client:
    build(tmp_path)
    assets = Assets(tmp_path)
    return create_app(config, services, assets=assets, write=lambda _: None).test_client()


@pytest.fixture
def counted(services: Services) -> Iterator[Counted]:
    found = Counted(services)
    yield found
    found.close()


def enter(client: Client, services: Services) -> None:
    """Have the client hold a session's cookie that no request has shown yet."""
    made = let_in(services, "owner@example.org")
    signature = cookies.sign(services.secret_key, "session", made.cookie_id)
    client.set_cookie(cookies.NAME, f"{made.cookie_id}.{signature}")


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("who", ["nobody", "somebody", "a forger"])
def test_what_needs_nobody_asks_for_nothing(
    client: Client, services: Services, counted: Counted, path: str, who: str
) -> None:
    if who == "somebody":
        enter(client, services)
    elif who == "a forger":
        client.set_cookie(cookies.NAME, f"s{'A' * 43}.{'A' * 43}")
    counted.begin()
    for _ in range(2):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    assert (counted.statements, counted.commands()) == ([], [])


@pytest.mark.parametrize("cookie", ["", f"s{'A' * 43}.{'A' * 43}"], ids=["none", "forged"])
def test_who_shows_no_session_has_none_looked_up(
    client: Client, counted: Counted, cookie: str
) -> None:
    if cookie:
        client.set_cookie(cookies.NAME, cookie)
    counted.begin()
    for path, status in GUARDED.items():
        response = client.get(path)
        assert response.status_code == status
        assert "Set-Cookie" not in response.headers
    assert (counted.statements, counted.commands()) == ([], [])


def test_who_is_known_to_the_worker_asks_no_redis(
    client: Client, services: Services, counted: Counted, clock: FakeClock
) -> None:
    enter(client, services)
    wait_until(lambda: services.watch.stamp("access") is not None, "the watch")
    # Whose the cookie is, and then what the copy depends on: see `likeopt.web.auth`.
    for looked_up in (True, True, False, False):
        counted.begin()
        assert client.get("/api/v1/info").status_code == 200
        assert bool(counted.statements) is looked_up
        assert counted.commands() == (["cmdstat_get"] if looked_up else [])
    for path in ("/", "/library", "/api/v1/collections", "/api/v1/conversations"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    assert counted.commands() == []
    # Its use is noted, at most every five minutes.
    clock.advance(300)
    wait_until(lambda: services.watch.stamp("access") is not None, "the watch")
    assert client.get("/api/v1/info").status_code == 200
    assert counted.commands() == ["cmdstat_set"]
