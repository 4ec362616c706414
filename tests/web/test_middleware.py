"""What every response carries, and the line that every request leaves in the log."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response

from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.app import create_app
from tests.web.conftest import Client

EVERYWHERE = ["/health", "/nothing", "/api/v1/nothing", "/api/v1/info", "/", "/assets/nothing.js"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_response_has_the_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])
    assert re.fullmatch(r"\d+\.\d\dms", headers["X-Response-Time"])
    assert re.search(r"(^|, )total;dur=\d+\.\d\d$", headers["Server-Timing"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"]
    assert "Set-Cookie" not in headers


def test_callers_own_request_id_is_kept(client: Client) -> None:
    mine = "trace-7.Of_mine"
    assert client.get("/health", headers={"X-Request-ID": mine}).headers["X-Request-ID"] == mine


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "ü", 'a"b', "a\tb"])
def test_strange_request_id_is_replaced(client: Client, bad: str) -> None:
    given = client.get("/health", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{16}", given)


@pytest.mark.parametrize("path", ["/api/v1/conversations", "/api/v1/documents", "/health"])
def test_what_is_personal_is_stored_nowhere(client: Client, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"


def test_log_line_of_a_request(client: Client, access_log: list[dict[str, Any]]) -> None:
    headers = {"X-Request-ID": "r1"}
    response = client.get("/api/v1/search?q=", headers=headers, buffered=True)
    (line,) = access_log
    assert line["request_id"] == "r1"
    assert line["method"] == "GET"
    # What people search for stays out of the log.
    assert line["path"] == "/api/v1/search"
    assert line["status"] == response.status_code == 400
    assert line["bytes"] == len(response.data)
    assert line["duration_ms"] >= 0
    assert "aborted" not in line
    assert json.dumps(line)


def test_log_line_of_a_stream_is_written_at_its_end(
    app: Flask, client: Client, access_log: list[dict[str, Any]]
) -> None:
    @app.get("/stream")
    def stream() -> Response:
        return Response(iter([b"one", b"two"]))

    response = client.get("/stream", buffered=False)
    parts = response.iter_encoded()
    assert next(parts) == b"one"
    assert access_log == []
    assert list(parts) == [b"two"]
    response.close()
    assert access_log[0]["bytes"] == 6
    assert "aborted" not in access_log[0]


def test_log_line_of_a_client_that_goes(
    app: Flask, client: Client, access_log: list[dict[str, Any]]
) -> None:
    closed = []

    @app.get("/stream")
    def stream() -> Response:
        def items() -> Iterator[bytes]:
            try:
                while True:
                    yield b"more"
            finally:
                closed.append(True)

        return Response(items())

    response = client.get("/stream", buffered=False)
    next(response.iter_encoded())
    response.close()
    assert closed
    assert access_log[0]["aborted"] is True


def test_stages_are_told_to_client_and_log(
    app: Flask, client: Client, access_log: list[dict[str, Any]]
) -> None:
    from likeopt.web import middleware

    @app.get("/staged")
    def staged() -> str:
        middleware.exchange().stages.add("search", 1.5)
        middleware.exchange().stages.add("search", 1.0)
        return ""

    timing = client.get("/staged", buffered=True).headers["Server-Timing"]
    assert timing.startswith("search;dur=2.50, total;dur=")
    assert access_log[0]["stages"] == {"search": 2.5}


def test_application_opens_nothing_until_it_is_asked(config: Config) -> None:
    services = Services(config)
    create_app(config, services)
    assert not {"db", "engine", "chat", "ingest", "files"} & set(vars(services))
    assert list(config.data_dir.iterdir()) == []
