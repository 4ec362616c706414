"""What is compressed on its way, for whom, and what never is."""

import gzip
import json
import sys
import threading
from collections.abc import Iterator

import brotli
import pytest
from flask import Flask, Response, request

from likeopt.web import compression
from tests.web.conftest import Client

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ITEMS = json.dumps([{"title": f"출장 여비 규정 {n}"} for n in range(100)]).encode()
DECODE = {
    "zstd": zstd.decompress,
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


@pytest.fixture
def listing(app: Flask, client: Client) -> Client:
    @app.get("/list")
    def items() -> Response:
        response = Response(ITEMS, content_type="application/json")
        response.set_etag("tag")
        response.make_conditional(request)
        return response

    return client


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("zstd;q=0, br", "br"),
    ],
)
def test_list_in_what_the_client_likes_best(listing: Client, accepted: str, coding: str) -> None:
    response = listing.get("/list", headers={"Accept-Encoding": accepted})
    assert response.headers["Content-Encoding"] == coding
    assert DECODE[coding](response.data) == ITEMS
    assert int(response.headers["Content-Length"]) == len(response.data) < len(ITEMS) / 3
    assert "Accept-Encoding" in response.headers["Vary"]
    # Other bytes than those of the plain answer, so no strong tag.
    assert response.headers["ETag"] == 'W/"tag"'


@pytest.mark.parametrize("accepted", ["", "identity", "br;q=0", "compress"])
def test_client_that_takes_nothing_gets_it_plain(listing: Client, accepted: str) -> None:
    response = listing.get("/list", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert response.data == ITEMS
    assert "Accept-Encoding" in response.headers["Vary"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_asks_for_has_its_own_length(listing: Client, site: str) -> None:
    headers = {"Accept-Encoding": "br", "Sec-Fetch-Site": site}
    assert listing.get("/list", headers=headers).data == ITEMS
    headers["Sec-Fetch-Site"] = "same-origin"
    assert listing.get("/list", headers=headers).headers["Content-Encoding"] == "br"


def test_stream_small_answer_and_file_stay_as_they_are(app: Flask, client: Client) -> None:
    @app.get("/stream")
    def stream() -> Response:
        def events() -> Iterator[bytes]:
            yield b"data: 1\n\n" * 500

        return Response(events(), content_type="text/event-stream")

    @app.get("/lines")
    def lines() -> Response:
        return Response(iter([ITEMS, ITEMS]), content_type="application/json")

    @app.get("/picture")
    def picture() -> Response:
        return Response(b"\x89PNG" * 1000, content_type="image/png")

    for path in ("/stream", "/lines", "/picture", "/health"):
        response = client.get(path, headers={"Accept-Encoding": "gzip, br, zstd"})
        assert "Content-Encoding" not in response.headers, path


def test_answer_with_the_session_token_is_too_small_to_be_compressed(client: Client) -> None:
    response = client.get("/api/v1/session", headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "Content-Encoding" not in response.headers
    assert len(response.data) < compression.MIN_BYTES


@pytest.mark.parametrize("coding", list(DECODE))
def test_large_answer_leaves_the_loop(app: Flask, client: Client, coding: str) -> None:
    large = b'"' + b"x" * compression.LOOP_BYTES + b'"'
    seen: list[bool] = []
    before = compression.CODERS[coding]

    def watched(data: bytes) -> bytes:
        seen.append(threading.get_native_id() == here)
        return before(data)

    @app.get("/large")
    def answer() -> Response:
        return Response(large, content_type="application/json")

    here = threading.get_native_id()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(compression.CODERS, coding, watched)
        response = client.get("/large", headers={"Accept-Encoding": coding})
    assert DECODE[coding](response.data) == large
    assert seen == [False]


def test_unchanged_list_is_not_sent_again(listing: Client) -> None:
    headers = {"Accept-Encoding": "br"}
    tag = listing.get("/list", headers=headers).headers["ETag"]
    again = listing.get("/list", headers=headers | {"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
