"""Framing of events, pings, and what happens when the client goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response

from likeopt.web import sse
from tests.web.conftest import Client


def test_frame() -> None:
    assert sse.frame({"a": "줄\n"}, event="delta", number=7) == (
        'event: delta\nid: 7\ndata: {"a":"줄\\n"}\n\n'.encode()
    )
    assert sse.frame(b"[DONE]") == b"data: [DONE]\n\n"


def test_stream_opens_at_once_and_pings(app: Flask, client: Client) -> None:
    @app.get("/events")
    def events() -> Response:
        return sse.respond(iter([None, sse.frame(1), None]))

    body = client.get("/events").data
    assert body == b":\n\n" + b": ping\n\n" + b"data: 1\n\n" + b": ping\n\n"


def test_source_is_closed_when_the_client_goes(app: Flask, client: Client) -> None:
    closed = []

    @app.get("/events")
    def events() -> Response:
        def frames() -> Iterator[bytes | None]:
            try:
                while True:
                    yield sse.frame(1)
            finally:
                closed.append(True)

        return sse.respond(frames())

    response: Any = client.get("/events", buffered=False)
    parts = response.iter_encoded()
    assert [next(parts), next(parts)] == [b":\n\n", b"data: 1\n\n"]
    assert not closed
    response.close()
    assert closed


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("text/event-stream, */*;q=0.1", True),
        ("application/json, text/event-stream;q=0.9", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_who_asks_for_events(app: Flask, accept: str, wanted: bool) -> None:
    with app.test_request_context("/", headers={"Accept": accept}):
        assert sse.wanted() is wanted
