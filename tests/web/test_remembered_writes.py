"""Every operation that writes, once each: no worker remembers an answer of before it.

Made from the table of routes, so that a new operation needs a case: what it takes, if what
`tests/web/api/test_access.py` sends is refused, and whether anything remembered shows it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import pytest
from flask import Flask

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, api_keys, links
from likeopt.storage.board import FRESH_SECONDS
from likeopt.web.app import create_app
from likeopt.web.remembered import USE
from tests.fakes import FakeClock
from tests.stub_openai import StubOpenAI
from tests.web.api.test_access import (
    TABLE,
    World,
    body,
    made_world,
    on_both,
    routes,
    signed,
)
from tests.web.conftest import PASSWORD, QUICK, Client, file_part

# In place of what is refused. `{...}` are ids of the world, and those of `things` below.
SENDS: dict[str, Any] = {
    "POST /api/v1/me/password": body(current=PASSWORD, new="m!9Kq2xLw0"),
    "POST /api/v1/session": body(email="owner@example.org", password=PASSWORD),
    "POST /api/v1/documents/url": body(url="{page}", collection="default"),
    "POST /api/v1/documents/folder": body(path="{folder}"),
    "POST /api/v1/metrics": {
        **TABLE["POST /api/v1/metrics"].send,
        "headers": {"Sec-Fetch-Site": "same-origin"},
    },
    # Shared with nobody, it would be as it is.
    "PUT /api/v1/collections/{collection}/readers": body(everyone=True, users=[], groups=[]),
    "POST /api/v1/link": body(token="{token}"),
    "POST /api/v1/link/accept": body(
        token="{token}", password="m!9Kq2xLw0", name="New", email="new@example.org"
    ),
}
PATHS = {"DELETE /api/v1/users/{user}/keys/{key}": "/api/v1/users/{user}/keys/{member_key}"}
# There is no engine: of these, only the question is stored.
UNANSWERED = {"POST /api/v1/search", "POST /api/v1/chat", "POST /v1/chat/completions"}
# Lets in who uses this computer, and is refused by a server that asks who people are.
REFUSED = {"POST /api/v1/session/guest"}
WRITES = [call for call in TABLE if not call.startswith("GET ")]
# What is remembered shows nothing of these.
UNSEEN = {
    "POST /api/v1/session/guest",
    "PATCH /api/v1/users/{user}",
    "POST /api/v1/users/{user}/reset",
    "DELETE /api/v1/users/{user}/keys/{key}",
    "POST /api/v1/invitations",
    "DELETE /api/v1/invitations/{invitation}",
    "POST /api/v1/groups",
    "PATCH /api/v1/groups/{group}",
    "DELETE /api/v1/groups/{group}",
    "DELETE /api/v1/caches",
    "POST /api/v1/caches/warm",
    "POST /api/v1/chat/{message}/stop",
    "PATCH /api/v1/me",
    "POST /api/v1/me/password",
    "DELETE /api/v1/me/sessions",
    "POST /api/v1/me/keys",
    "DELETE /api/v1/me/keys/{key}",
    "POST /api/v1/search",
    "POST /v1/chat/completions",
    "POST /api/v1/metrics",
    "POST /api/v1/link",
}


class Shown(NamedTuple):
    """An answer as its reader has it."""

    status: int
    etag: str | None
    body: str


class Worker:
    """Another worker's application. Its clock stands still, so what it has seen stays sure for
    ever; and its watch looks at the database only when told to."""

    def __init__(self, config: Config, world: World) -> None:
        self.clock = FakeClock(Clock().now_ms())
        self.services = Services(config, clock=self.clock)
        engine = SimpleNamespace(
            status=lambda: SimpleNamespace(lexical_revision=1), close=lambda: None
        )
        self.services.__dict__["engine"] = engine
        app = create_app(config, self.services, write=lambda _: None)
        self.clients = [signed(app, self.services, who) for who in (world.owner, world.member)]
        self.services.watch.close()
        self.look()

    def look(self) -> None:
        """What happens 20 times a second."""
        self.clock.advance(FRESH_SECONDS * 1.01)
        assert self.services.watch.confirmed() is not None

    def show(self, paths: list[str]) -> dict[tuple[int, str], Shown]:
        """What each person is shown."""
        return {
            (number, path): _shown(client.get(path))
            for number, client in enumerate(self.clients)
            for path in paths
        }

    def remember(self, paths: list[str]) -> dict[tuple[int, str], Shown]:
        """The same, from what is remembered wherever there is something to be shown."""
        self.show(paths)
        before = self._hits()
        shown = self.show(paths)
        well = [one for one in shown.values() if one.status == 200]
        assert self._hits() - before == len(well) > len(paths)
        return shown

    def _hits(self) -> int:
        totals = self.services.cache.stats.totals()
        return sum(one.hits for one in totals if one.use == USE)


def _shown(response: Any) -> Shown:
    said = response.text if response.status_code == 200 else response.json["code"]
    return Shown(response.status_code, response.headers.get("ETag"), said)


@contextmanager
def worker(config: Config, world: World) -> Iterator[Worker]:
    made = Worker(config, world)
    yield made
    made.services.close()


@pytest.fixture
def config(config: Config, database_url: str, tmp_path: Path) -> Config:
    # The engine that searches wait for is never there.
    return msgspec.structs.replace(
        config,
        database_url=database_url,
        guest=False,
        search_deadline_ms=100,
        secret_key="of every worker " * 2,
        url_allow_private=True,
        folder_roots=str(tmp_path),
    )


@pytest.fixture
def world(services: Services, tmp_path: Path) -> Iterator[World]:
    services.accounts._passwords = QUICK
    made = made_world(services)
    (tmp_path / "b.md").write_text("# B")

    def things(c: Any) -> dict[str, str]:
        clock, member = services.clock, made.member.user.id
        return {
            "token": links.create(c, clock, "invite", role="member")[1],
            "member_key": api_keys.create(c, clock, member, name="k", scopes=["read"])[0].id,
            "folder": str(tmp_path),
        }

    more = services.db.write(things)
    # Both see a document and a collection, one of each alone.
    admin = services.db.read(lambda c: access.reader_for(c, made.owner.user.id))
    services.ingest.file(admin, "default", "shared.md", b"# Everybody's", tags=["x"])
    with StubOpenAI() as web:
        yield made._replace(ids=made.ids | more | {"page": f"{web.url}/models"})


def reads(app: Flask, world: World) -> list[str]:
    """Every address whose answers are remembered, and some in other ways."""
    remembered = [
        call.removeprefix("GET ").format(**world.ids)
        for call, view in routes(app)
        if view.operation.remembered is not None
    ]
    ways = (
        "documents?tag=x",
        "documents?collection=default",
        "conversations?q=why",
        "jobs?limit=1",
    )
    return remembered + [f"/api/v1/{way}" for way in ways]


def write(client: Client, world: World, call: str) -> Any:
    """Do what `call` says, with everything that it takes."""
    method, path = call.split(" ")
    keywords = dict(SENDS.get(call, TABLE[call].send))
    if "data" in keywords:
        keywords["data"] = {"file": file_part("n.md", b"# N")}
    if call in SENDS and "json" in keywords:
        keywords["json"] = {
            name: value.format(**world.ids) if isinstance(value, str) else value
            for name, value in keywords["json"].items()
        }
    return client.open(PATHS.get(call, path).format(**world.ids), method=method, **keywords)


@on_both(WRITES, WRITES)
def test_the_next_answer_of_any_worker_is_that_of_after_the_write(
    app: Flask, services: Services, config: Config, world: World, call: str
) -> None:
    paths = reads(app, world)
    writer = signed(app, services, world.owner)
    with (
        tempfile.TemporaryDirectory() as folder,
        worker(config, world) as near,
        # Of another machine: nobody tells it but the database.
        worker(
            msgspec.structs.replace(config, data_dir=Path(folder), database_url=config.database),
            world,
        ) as far,
    ):
        before = near.remember(paths)
        assert far.remember(paths) == before
        written = write(writer, world, call)
        expected = 503 if call in UNANSWERED else 401 if call in REFUSED else written.status_code
        assert written.status_code == expected, written.text
        assert expected < 300 or call in UNANSWERED | REFUSED, written.text
        told = near.show(paths)
        far.look()
        told_far = far.show(paths)
        with worker(config, world) as new:
            # Remembers nothing.
            after = new.show(paths)
    assert told == after
    assert told_far == after
    assert (after == before) == (call in UNSEEN)
