"""What knowing who asks costs: CPU per signed-in request, and how soon a revocation is felt.

In this process, over SQLite and over a Redis of its own: GET /api/v1/info (a view that does
nothing) without a session (`guest` being off, it is refused), with a session whose copy is valid,
and with one that is looked up each time. GET /health is the floor. The last row is the time from
the end of `revoke_all` in one worker's services to the first refusal by another's, which has the
same data folder; of two servers, see `revocation`.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from bench import common
from likeopt.accounts import Client, SignedIn
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import people
from likeopt.web import auth, cookies
from likeopt.web.app import create_app
from tests import servers

ROUNDS = 9
CALLS = 500
REVOCATIONS = 30


def main() -> None:
    """Measure and report."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, servers.redis_server() as url:
        sqlite = Config(data_dir=Path(folder, "data"), sample_library=False, rate_limit=0)
        for name, config in (
            ("SQLite", sqlite),
            ("Redis", msgspec.structs.replace(sqlite, redis_url=url)),
        ):
            rows += _measure(name, config)
            shutil.rmtree(config.data_dir)
    common.report("session", rows, unit="µs of CPU a request; ms of wall time until refused")


def _measure(name: str, config: Config) -> list[dict[str, Any]]:
    here, there = Services(config), Services(config)
    here.prepare()
    try:
        user_id = person(here, "member")
        made = signed_in(here, user_id)
        app = create_app(config, here, write=lambda _: None)
        asking = cookie(here, made)
        remembered: auth.Auth = app.extensions["likeopt-auth"]
        assert _status(app, asking) == 200
        while here.watch.stamp("access") is None:
            time.sleep(0.01)

        def looked_up() -> None:
            remembered.forget()
            _call(app, "/api/v1/info", asking)

        ways: dict[str, Callable[[], object]] = {
            "GET /health": lambda: _call(app, "/health", asking),
            "refused": lambda: _call(app, "/api/v1/info", {}),
            "signed in, copy": lambda: _call(app, "/api/v1/info", asking),
            "signed in, looked up": looked_up,
        }
        rows = [_row(f"{name}: {way}", call) for way, call in ways.items()]
        times = [_revocation(here, there, app, user_id) for _ in range(REVOCATIONS)]
        return [*rows, {"what": f"{name}: until refused (ms)", **common.spread(times)}]
    finally:
        for services in (here, there):
            services.close()


def person(services: Services, role: people.Role) -> str:
    """A new account of this role; its id."""

    def make(c: Any) -> people.User:
        return people.create(c, services.clock, name=role, email=f"{role}@example.org", role=role)

    return services.db.write(make).id


def signed_in(services: Services, user_id: str) -> SignedIn:
    """A new session of an account."""
    return services.accounts.open_session(user_id, Client("127.0.0.1", "bench"), how="password")


def cookie(services: Services, made: SignedIn) -> dict[str, str]:
    """The header of a browser that keeps the session."""
    signature = cookies.sign(services.secret_key, "session", made.cookie_id)
    return {"Cookie": f"{cookies.NAME}={made.cookie_id}.{signature}"}


def _row(what: str, call: Callable[[], object]) -> dict[str, Any]:
    micros = []
    for turn in range(ROUNDS + 1):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        # The first round warms up.
        if turn:
            micros.append((time.process_time() - start) / CALLS * 1e6)
    return {"what": what, "least": round(min(micros)), "median": round(statistics.median(micros))}


def _revocation(here: Services, there: Services, app: Flask, user_id: str) -> float:
    """Milliseconds from the end of a revocation to the refusal of what had a copy."""
    asking = cookie(here, signed_in(there, user_id))
    for _ in range(20):
        assert _status(app, asking) == 200
        time.sleep(0.005)
    there.sessions.revoke_all(user_id)
    start = time.perf_counter()
    while _status(app, asking) == 200:
        time.sleep(0.001)
    return (time.perf_counter() - start) * 1000


def _status(app: Flask, headers: dict[str, str]) -> int:
    return int(_call(app, "/api/v1/info", headers)[:3])


def _call(app: Flask, path: str, headers: dict[str, str]) -> str:
    said: list[str] = []
    environ = EnvironBuilder(path, headers=Headers(headers)).get_environ()

    def start(status: str, *_: Any) -> Callable[[bytes], object]:
        said.append(status)
        return lambda _: None

    body: Any = app(environ, start)
    for _ in body:
        pass
    body.close()
    return said[0]


if __name__ == "__main__":
    main()
