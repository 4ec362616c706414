"""Servers that skip sign-in: for whoever has their link, and nobody else."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import urllib3

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import audit
from likeopt.storage.reader import LOCAL_USER
from likeopt.web import cookies
from likeopt.web.app import create_app
from tests import guest
from tests.web.api.test_access import NO_ID, PRIVATE
from tests.web.conftest import Client, Server

STATE = "/api/v1/session"


@pytest.fixture
def stranger(app: Any) -> Client:
    """Somebody at this machine who has not opened the link."""
    return app.test_client()


def noted(services: Services) -> list[str]:
    page = services.db.read(lambda c: audit.list_(c, audit.Filters(action="access.refuse")))
    return [event.detail["code"] for event in page.items]


def test_link_lets_in_and_nothing_else_does(stranger: Client, access_log: Any) -> None:
    assert stranger.get("/api/v1/info").status_code == 401
    state = stranger.get(STATE).json
    assert (state["guest"], state["user"], state["via"]) == (True, None, None)
    entered = stranger.post(guest.LINK, json={"token": guest.TOKEN})
    assert (entered.json["user"]["id"], entered.json["via"]) == (LOCAL_USER, "guest")
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"{cookies.NAME}=g")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert stranger.get("/api/v1/info").status_code == 200
    assert guest.TOKEN not in str(access_log)


@pytest.mark.parametrize("token", ["", "lo_guest_", f"{guest.TOKEN}0", "lo_guest_" + "가" * 64])
def test_another_link_does_not(stranger: Client, services: Services, token: str) -> None:
    refused = stranger.post(guest.LINK, json={"token": token})
    assert (refused.status_code, refused.json["code"]) == (401, "guest_link")
    assert "Set-Cookie" not in refused.headers
    assert noted(services) == ["guest_link"]


def test_programs_send_the_token_of_the_link(stranger: Client) -> None:
    assert stranger.get(STATE, headers=guest.HEADERS).json["via"] == "guest"
    made = stranger.post("/api/v1/collections", json={"name": "x"}, headers=guest.HEADERS)
    assert made.status_code == 201
    wrong = {"Authorization": f"{guest.HEADERS['Authorization']}0"}
    assert stranger.get("/api/v1/info", headers=wrong).status_code == 401


def test_where_people_sign_in_the_link_is_none(config: Config, services: Services) -> None:
    services.config = msgspec.structs.replace(config, guest=False)
    client = create_app(services.config, services, write=lambda _: None).test_client()
    assert client.get("/api/v1/info", headers=guest.HEADERS).status_code == 401
    assert client.post(guest.LINK, json={"token": guest.TOKEN}).status_code == 401


def test_other_sites_open_no_link(stranger: Client) -> None:
    elsewhere = {"Origin": "http://elsewhere.example"}
    refused = stranger.post(guest.LINK, json={"token": guest.TOKEN}, headers=elsewhere)
    assert (refused.status_code, refused.json["code"]) == (403, "other_site")


def test_who_signs_out_needs_the_link_again(app: Any, stranger: Client, services: Services) -> None:
    begun = [stranger.post(guest.LINK, json={"token": guest.TOKEN}) for _ in range(2)]
    taken, kept = (one.headers["Set-Cookie"].split(";")[0] for one in begun)
    assert taken != kept
    copies = app.test_client(use_cookies=False)
    assert copies.get("/api/v1/info", headers={"Cookie": taken}).status_code == 401
    assert copies.get("/api/v1/info", headers={"Cookie": kept}).status_code == 200
    assert stranger.delete(STATE).json["code"] == "csrf"
    token = {"X-CSRF-Token": begun[1].json["csrf"]}
    assert stranger.delete(STATE, headers=token).status_code == 204
    # What somebody may have taken of the browser opens nothing any more.
    assert copies.get("/api/v1/info", headers={"Cookie": kept}).status_code == 401
    written = services.db.read(lambda c: audit.list_(c, audit.Filters())).items
    told = [(one.action, one.via, one.detail) for one in written if one.object_kind == "session"]
    assert told == [
        ("session.end", "guest", {}),
        *[("session.create", "guest", {"how": "guest"})] * 2,
    ]


def test_the_cookie_of_before_opens_nothing(app: Any, services: Services) -> None:
    constant = f"guest.{cookies.sign(services.secret_key, 'session', 'guest')}"
    client = app.test_client()
    client.set_cookie(cookies.NAME, constant)
    assert client.get("/api/v1/info").status_code == 401


def test_sessions_of_guests_end_with_guest_mode(client: Client, services: Services) -> None:
    kept = {"Cookie": f"{cookies.NAME}={client.get_cookie(cookies.NAME).value}"}
    closed = msgspec.structs.replace(services.config, guest=False)
    services.config = closed
    later = create_app(closed, services, write=lambda _: None).test_client(use_cookies=False)
    assert later.get("/api/v1/info", headers=kept).status_code == 401


def test_guests_make_no_key_that_would_outlast_the_link(client: Client, app: Any) -> None:
    body = {"name": "kept", "scopes": ["admin", "read"]}
    program = app.test_client(use_cookies=False)
    for refused in (
        client.post("/api/v1/me/keys", json=body),
        program.post("/api/v1/me/keys", json=body, headers=guest.HEADERS),
    ):
        assert (refused.status_code, refused.json["code"]) == (403, "guest_key")
    assert client.get("/api/v1/me/keys").json["items"] == []


def test_the_token_has_no_session_to_end(app: Any) -> None:
    program = app.test_client(use_cookies=False)
    refused = program.delete(STATE, headers=guest.HEADERS)
    assert (refused.status_code, refused.json["code"]) == (409, "no_session")
    assert "secret.key" in refused.json["detail"]
    assert program.get("/api/v1/info", headers=guest.HEADERS).status_code == 200


@pytest.mark.parametrize(
    ("headers", "environ"),
    [
        ({"X-Forwarded-For": "203.0.113.5"}, {}),
        ({"X-Forwarded-Proto": "http"}, {}),
        ({"Forwarded": "for=203.0.113.5"}, {}),
        ({"X-Real-IP": "203.0.113.5"}, {}),
        ({"Via": "1.1 proxy"}, {}),
        ({"Host": ""}, {}),
        ({"Origin": "http://elsewhere.example"}, {}),
        ({"Origin": "null"}, {}),
        ({}, {"REMOTE_ADDR": "192.0.2.7"}),
        # nginx's `proxy_pass` as it was before 1.29.7.
        ({"Host": "127.0.0.1:8080", "Connection": "close"}, {"SERVER_PROTOCOL": "HTTP/1.0"}),
    ],
)
def test_guest_must_be_here(app: Any, headers: dict[str, str], environ: dict[str, str]) -> None:
    cookie = guest.client(app).get_cookie(cookies.NAME).value
    client = app.test_client(use_cookies=False)
    for shown in ({"Cookie": f"{cookies.NAME}={cookie}"}, guest.HEADERS):
        assert client.get("/api/v1/info", headers=shown).status_code == 200
        told = headers | shown
        refused = client.get("/api/v1/info", headers=told, environ_overrides=environ)
        assert (refused.status_code, refused.json["code"]) == (401, "guest_refused")
        state = client.get(STATE, headers=told, environ_overrides=environ).json
        assert (state["guest"], state["user"]) == (True, None)
    token = {"token": guest.TOKEN}
    refused = client.post(guest.LINK, json=token, headers=headers, environ_overrides=environ)
    assert refused.status_code == (403 if "Origin" in headers else 401)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
def test_guest_under_every_name_of_this_machine(stranger: Client, host: str) -> None:
    response = stranger.get(STATE, headers=guest.HEADERS | {"Host": host})
    assert (response.json["user"]["id"], response.json["via"]) == (LOCAL_USER, "guest")


@contextmanager
def bare_proxy(target: str) -> Iterator[str]:
    """What `proxy_pass` alone makes of nginx 1.29.7 and newer: HTTP/1.1, kept alive, the server's
    own address as the host, and no header that tells of a proxy."""
    http = urllib3.PoolManager(retries=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = dict(self.headers.items()) | {"Host": urlsplit(target).netloc}
            answer = http.request(self.command, target + self.path, body=body, headers=headers)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  (names of http.server)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    http.clear()


def test_who_comes_through_a_proxy_that_cannot_be_seen_needs_the_link(served: Server) -> None:
    served.add("quokka.txt", b"The quokka is on Rottnest Island.")
    with bare_proxy(served.url) as url, urllib3.PoolManager(retries=False, timeout=60) as http:
        for call in PRIVATE:
            # The id of a session is a hash.
            known = call.replace("{session}", NO_ID * 2)
            method, path = re.sub(r"{\w+}", NO_ID, known).split(" ")
            assert http.request(method, url + path).status == 401, call
        for path, body in (("search", {"query": "quokka"}), ("chat", {"question": "quokka?"})):
            asked = http.request("POST", f"{url}/api/v1/{path}", json=body)
            assert asked.status == 401
            assert b"Rottnest" not in asked.data
        state = http.request("GET", url + STATE).json()
        assert (state["guest"], state["user"]) == (True, None)
        # It is the link that lets in.
        assert http.request("GET", f"{url}/api/v1/documents", headers=guest.HEADERS).status == 200
