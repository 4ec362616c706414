"""Who may call what: every operation as owner, as another member, and as a stranger.

The table below must name every route, so that a new one cannot be added without saying who may
call it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from flask import Flask

from likeopt.accounts import SignedIn
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, answers, api_keys, collections, groups, links, messages
from likeopt.storage import conversations as talks
from likeopt.storage.api_keys import SCOPES
from likeopt.web import cookies
from likeopt.web.app import create_app
from likeopt.web.assets import Assets
from likeopt.web.endpoint import Endpoint
from tests.retrieval.parse.make_files import make_pdf
from tests.web.conftest import Client, file_part, let_in
from tests.web.test_pages import build

NO_ID = "0" * 32


class Call(NamedTuple):
    """Statuses for the owner (who is also an administrator where `admin`), another member and a
    stranger. `send` are keywords for the client."""

    owner: int
    member: int
    stranger: int = 401
    send: Any = MappingProxyType({})


def body(**json: Any) -> dict[str, Any]:
    return {"json": json}


# The owner is an administrator and owns `{collection}` (nobody else's), `{document}` in it, and
# `{conversation}` with `{message}` in it.
ADMIN = {
    "GET /api/v1/users": Call(200, 403),
    "PATCH /api/v1/users/{user}": Call(200, 403, send=body(name="B")),
    "POST /api/v1/users/{user}/reset": Call(201, 403),
    "POST /api/v1/users/{user}/sign-out": Call(200, 403),
    "GET /api/v1/users/{user}/keys": Call(200, 403),
    # It is the administrator's own, and not that member's.
    "DELETE /api/v1/users/{user}/keys/{key}": Call(404, 403),
    "GET /api/v1/invitations": Call(200, 403),
    "POST /api/v1/invitations": Call(201, 403, send=body()),
    "DELETE /api/v1/invitations/{invitation}": Call(204, 403),
    "GET /api/v1/groups": Call(200, 403),
    "POST /api/v1/groups": Call(201, 403, send=body(name="g2")),
    "PATCH /api/v1/groups/{group}": Call(200, 403, send=body(name="g3")),
    "DELETE /api/v1/groups/{group}": Call(204, 403),
    "GET /api/v1/audit": Call(200, 403),
    "GET /api/v1/audit/export": Call(200, 403),
    "GET /api/v1/caches": Call(200, 403),
    "DELETE /api/v1/caches": Call(200, 403),
    "POST /api/v1/caches/warm": Call(202, 403, send=body()),
    "GET /api/v1/jobs": Call(200, 403),
    "POST /api/v1/jobs/{document}/retry": Call(204, 403),
    "POST /api/v1/jobs/{document}/cancel": Call(204, 403),
    "GET /api/v1/settings": Call(200, 403),
}
OWNED = {
    "PATCH /api/v1/collections/{collection}": Call(200, 404, send=body(name="x")),
    "DELETE /api/v1/collections/{collection}": Call(204, 404),
    "GET /api/v1/collections/{collection}/readers": Call(200, 404),
    "PUT /api/v1/collections/{collection}/readers": Call(
        200, 404, send=body(everyone=False, users=[], groups=[])
    ),
    "GET /api/v1/documents/{document}": Call(200, 404),
    "PATCH /api/v1/documents/{document}": Call(200, 404, send=body(tags=["t"])),
    "DELETE /api/v1/documents/{document}": Call(204, 404),
    "POST /api/v1/documents/{document}/reindex": Call(202, 404),
    "POST /api/v1/documents/{document}/cancel": Call(202, 404),
    "GET /api/v1/documents/{document}/original": Call(200, 404),
    # Nobody has indexed it; to whom it exists is told in the problem's words (see below).
    "GET /api/v1/documents/{document}/text": Call(404, 404),
    # Of no document: whose are not shown to whom, see `test_images.py`.
    "GET /api/v1/images": Call(404, 404, send={"query_string": {"document": "0" * 32}}),
    "GET /api/v1/images/{image}": Call(200, 404),
    "GET /api/v1/images/{image}/info": Call(200, 404),
    "GET /api/v1/conversations/{conversation}": Call(200, 404),
    "PATCH /api/v1/conversations/{conversation}": Call(200, 404, send=body(title="x")),
    "DELETE /api/v1/conversations/{conversation}": Call(204, 404),
    "GET /api/v1/conversations/{conversation}/export": Call(200, 404),
    "GET /api/v1/chat/{message}/stream": Call(200, 404),
    "POST /api/v1/chat/{message}/stop": Call(202, 404),
    "PUT /api/v1/messages/{message}/feedback": Call(204, 404, send=body(feedback="up")),
    "DELETE /api/v1/messages/{question}": Call(204, 404),
}
OWN = {
    "PATCH /api/v1/me": Call(200, 200, send=body(name="me")),
    "POST /api/v1/me/password": Call(
        403, 403, send=body(current="not it at all", new="m!9Kq2xLw0")
    ),
    "GET /api/v1/me/sessions": Call(200, 200),
    "DELETE /api/v1/me/sessions": Call(200, 200),
    # The owner's: another member has no such session, and no such key.
    "DELETE /api/v1/me/sessions/{session}": Call(204, 404),
    "GET /api/v1/me/keys": Call(200, 200),
    "POST /api/v1/me/keys": Call(201, 201, send=body(name="k", scopes=["read"])),
    "DELETE /api/v1/me/keys/{key}": Call(204, 404),
    "DELETE /api/v1/session": Call(204, 204),
}
MEMBERS = {
    "GET /api/v1/directory": Call(200, 200),
    "GET /api/v1/info": Call(200, 200),
    "GET /api/v1/indexing": Call(200, 200),
    "GET /api/v1/collections": Call(200, 200),
    "POST /api/v1/collections": Call(201, 201, send=body(name="new")),
    "GET /api/v1/documents": Call(200, 200),
    # In the default collection, which everyone reads and administrators write.
    "POST /api/v1/documents": Call(202, 403, send={"data": {"file": file_part("n.md", b"# N")}}),
    "POST /api/v1/documents/url": Call(
        400, 403, send=body(url="ftp://localhost/nothing", collection="default")
    ),
    "POST /api/v1/documents/folder": Call(403, 403, send=body(path="/srv")),
    "GET /api/v1/conversations": Call(200, 200),
    # There is no engine in these tests: what is let in finds none.
    "GET /api/v1/search": Call(503, 503, send={"query_string": "q=x"}),
    "POST /api/v1/search": Call(503, 503, send=body(query="x")),
    "POST /api/v1/chat": Call(503, 503, send=body(question="x", stream=False)),
    "GET /v1/models": Call(200, 200),
    "POST /v1/chat/completions": Call(
        503, 503, send=body(messages=[{"role": "user", "content": "x"}])
    ),
}
PAGES = {
    f"GET {path}": Call(200, 200, 200)
    for path in (
        "/",
        "/c/{conversation}",
        "/library",
        "/library/{document}",
        "/sign-in",
        "/link",
        "/account",
        "/admin",
        "/admin/jobs",
        "/admin/caches",
        "/admin/settings",
        "/admin/people",
        "/admin/audit",
        "/offline",
        "/app.webmanifest",
    )
}
PUBLIC = PAGES | {
    "GET /assets/{asset}": Call(404, 404, 404),
    "GET /sw.js": Call(200, 200, 200),
    "GET /health": Call(200, 200, 200),
    "GET /ready": Call(503, 503, 503),
    "GET /api/v1/openapi.json": Call(200, 200, 200),
    "GET /api/docs": Call(200, 200, 200),
    "GET /api/v1/session": Call(200, 200, 200),
    "POST /api/v1/session": Call(401, 401, 401, send=body(email="x@y.z", password="wrong")),
    # Without a provider in the settings.
    "GET /api/v1/oidc/start": Call(404, 404, 404),
    "GET /api/v1/oidc/callback": Call(404, 404, 404),
    # Only from a page of this server, which these requests do not say they are from.
    "POST /api/v1/metrics": Call(
        403,
        403,
        403,
        send=body(screen="desktop", samples=[{"name": "CLS", "value": 0, "page": "chat"}]),
    ),
    "POST /api/v1/session/guest": Call(401, 401, 401, send=body(token="none")),
    "POST /api/v1/link": Call(404, 404, 404, send=body(token="none")),
    "POST /api/v1/link/accept": Call(404, 404, 404, send=body(token="none", password="none")),
}
PRIVATE = ADMIN | OWNED | OWN | MEMBERS
TABLE = PRIVATE | PUBLIC


class World(NamedTuple):
    """Two people and what the first of them has."""

    owner: SignedIn
    member: SignedIn
    ids: dict[str, str]


@pytest.fixture
def config(config: Config, database_url: str) -> Config:
    # The engine that searches wait for is never there.
    return msgspec.structs.replace(
        config, database_url=database_url, guest=False, search_deadline_ms=100
    )


@pytest.fixture
def app(config: Config, services: Services, tmp_path: Path) -> Flask:
    build(tmp_path)
    return create_app(config, services, assets=Assets(tmp_path), write=lambda _: None)


@pytest.fixture
def world(services: Services) -> World:
    return made_world(services)


def made_world(services: Services) -> World:
    """Two people, one of each thing that the first has, and of what an administrator gives out."""
    owner = let_in(services, "owner@example.org", role="admin")
    member = let_in(services, "member@example.org")
    clock = services.clock

    def make(c: Any) -> dict[str, str]:
        reader = access.reader_for(c, owner.user.id)
        collection = collections.create(c, reader, clock, "Private")
        conversation, question = talks.add_question(c, reader, clock, None, "Why?")
        answer = messages.start_answer(c, clock, question)
        done = messages.Outcome(content="So.", state="complete", kind="extractive")
        answers.finish(c, clock, {answer.id: {}}, done)
        key, _ = api_keys.create(c, clock, owner.user.id, name="k", scopes=["read"])
        invitation, _ = links.create(c, clock, "invite", role="member")
        return {
            "collection": collection.id,
            "conversation": conversation.id,
            "message": answer.id,
            "question": question.id,
            "key": key.id,
            "invitation": invitation.id,
            "group": groups.create(c, clock, "g").id,
            "user": member.user.id,
            "session": owner.session.id,
            "asset": "nothing.js",
        }

    ids = services.db.write(make)
    reader = services.db.read(lambda c: access.reader_for(c, owner.user.id))
    added = services.ingest.file(reader, ids["collection"], "a.md", b"# Only mine")
    drawn = services.ingest.file(reader, ids["collection"], "a.pdf", make_pdf("Only mine"))
    more = {"document": added.document.id, "image": f"{drawn.document.id}-p1"}
    return World(owner, member, ids | more)


def signed(app: Flask, services: Services, who: SignedIn) -> Client:
    """A browser in which somebody is signed in, and whose page sends the token."""
    client: Client = app.test_client()
    key = services.secret_key
    value = f"{who.cookie_id}.{cookies.sign(key, 'session', who.cookie_id)}"
    client.set_cookie(cookies.NAME, value)
    client.environ_base["HTTP_X_CSRF_TOKEN"] = cookies.sign(key, "csrf", who.session.id)
    return client


def routes(app: Flask) -> Iterator[tuple[str, Endpoint]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        assert isinstance(view, Endpoint)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {_path(rule.rule)}", view


def _path(rule: str) -> str:
    names = {"document_id": "document", "conversation_id": "conversation", "name": "asset"}
    names |= {"link_id": "invitation"}

    def known(found: re.Match[str]) -> str:
        return f"{{{names.get(found[1], found[1].removesuffix('_id'))}}}"

    return re.sub(r"<(?:\w+:)?(\w+)>", known, rule)


def send(client: Client, world: World, call: str, **more: Any) -> Any:
    method, path = call.format(**world.ids).split(" ")
    keywords = dict(TABLE[call].send)
    if "data" in keywords:
        keywords["data"] = {"file": file_part("n.md", b"# N")}
    return client.open(path, method=method, **keywords, **more)


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    assert {call for call, _ in routes(app)} == TABLE.keys()


def test_what_is_for_administrators_needs_their_scope(app: Flask) -> None:
    for call, view in routes(app):
        asked = view.operation
        assert (asked.access == "admin") == (asked.scope == "admin"), call


def on_both(calls: Iterable[str], again: Iterable[str]) -> pytest.MarkDecorator:
    """Each of `calls` on SQLite, and those of `again` on PostgreSQL, where a test costs 0.6 s."""
    rows = [*(("sqlite", call) for call in calls), *(("postgres", call) for call in again)]
    return pytest.mark.parametrize(("database_url", "call"), rows, indirect=["database_url"])


# Pages and what is public ask the database for nothing of anybody's.
@on_both(TABLE, PRIVATE)
def test_owner_member_and_stranger(app: Flask, services: Services, world: World, call: str) -> None:
    expected = TABLE[call]
    # The owner last: they may delete it.
    stranger = send(app.test_client(), world, call)
    assert stranger.status_code == expected.stranger, stranger.text
    if stranger.status_code == 401 and call in PRIVATE:
        assert stranger.headers["WWW-Authenticate"] == "Bearer"
        assert "Set-Cookie" not in stranger.headers
    member = send(signed(app, services, world.member), world, call)
    assert member.status_code == expected.member, member.text
    if call in OWNED:
        # What one may not read is told apart from nothing by nobody.
        nothing = World(world.owner, world.member, dict.fromkeys(world.ids, NO_ID))
        absent = send(signed(app, services, world.member), nothing, call)
        assert absent.json["detail"] == member.json["detail"]
        assert absent.status_code == member.status_code
    owner = send(signed(app, services, world.owner), world, call)
    assert owner.status_code == expected.owner, owner.data
    for response in (stranger, member, owner):
        assert b"Traceback" not in response.data
        response.close()


# Keys are read by the same SQL for all calls: a few calls will do.
@on_both(
    PRIVATE,
    (
        "GET /api/v1/conversations/{conversation}",
        "PATCH /api/v1/documents/{document}",
        "GET /api/v1/users",
        "PATCH /api/v1/me",
    ),
)
def test_key_needs_the_scope(app: Flask, services: Services, world: World, call: str) -> None:
    scope = next(view for name, view in routes(app) if name == call).operation.scope
    others = [one for one in SCOPES if one != scope]
    _, token = services.db.write(
        lambda c: api_keys.create(
            c, services.clock, world.owner.user.id, name="other", scopes=others
        )
    )
    headers = {"Authorization": f"Bearer {token}"}
    refused = send(app.test_client(), world, call, headers=headers)
    assert refused.status_code == 403
    assert "scope_missing" in refused.text
    if scope == "account":
        return
    _, token = services.db.write(
        lambda c: api_keys.create(
            c, services.clock, world.owner.user.id, name="right", scopes=[scope]
        )
    )
    headers = {"Authorization": f"Bearer {token}"}
    allowed = send(app.test_client(), world, call, headers=headers)
    assert allowed.status_code == TABLE[call].owner, allowed.data
    allowed.close()


def test_change_by_cookie_needs_the_token(app: Flask, services: Services, world: World) -> None:
    client = signed(app, services, world.owner)
    for wrong in ("", "x", cookies.sign(services.secret_key, "csrf", world.member.session.id)):
        client.environ_base["HTTP_X_CSRF_TOKEN"] = wrong
        for call in PRIVATE:
            if call.startswith("GET"):
                continue
            refused = send(client, world, call)
            assert refused.status_code == 403, call
            assert "csrf" in refused.text, call


def test_every_endpoint_tells_who_may_call_it_in_its_description(app: Flask) -> None:
    document: Any = app.test_client().get("/api/v1/openapi.json").json
    for call, view in routes(app):
        method, path = call.split(" ")
        # Names of parameters differ from those above.
        described = next(
            operations[method.lower()]
            for template, operations in document["paths"].items()
            if re.sub(r"{\w+}", "", template) == re.sub(r"{\w+}", "", path)
            and method.lower() in operations
        )
        if view.operation.access == "public":
            assert described["security"] == []
            continue
        assert {"401", "403"} <= described["responses"].keys()
        ways = {name for way in described["security"] for name in way}
        assert ways == ({"session"} if view.operation.scope == "account" else {"session", "key"})
