import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from likeopt.errors import ModelUnavailable
from likeopt.retrieval.embedding.http import HttpEmbedder
from likeopt.retrieval.embedding.text import MAX_CHARS
from tests.servers import free_port

Reply = tuple[int, dict[str, str], bytes]


def vector(text: str) -> list[float]:
    """Not of length one, as some servers' vectors are not."""
    return [float(len(text)), 3.0, -4.0]


def embeddings(request: dict[str, Any]) -> Reply:
    """What OpenAI answers; last text first, as a server may that works in parallel."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(request["input"])
    ]
    body = {"object": "list", "model": request["model"], "data": data[::-1]}
    return 200, {}, json.dumps(body).encode()


class Server(ThreadingHTTPServer):
    """An embedding endpoint: `requests` holds (path, headers, body) of each call."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[dict[str, Any]], Reply] = embeddings
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        status, more, content = self.server.reply(body)
        self.send_response(status)
        for name, value in {**more, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def embedder(server: Server) -> HttpEmbedder:
    return HttpEmbedder(server.url, "bge-m3", "secret")


def test_texts_go_out_as_they_are_and_come_back_in_order(
    server: Server, embedder: HttpEmbedder
) -> None:
    texts = ["가", "abc", "abcdefgh"]
    expected = np.array([vector(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for vectors in (embedder.queries(texts), embedder.passages(texts)):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    path, headers, body = server.requests[0]
    assert path == "/v1/embeddings"
    assert headers["authorization"] == "Bearer secret"
    assert body == {"model": "bge-m3", "input": texts, "encoding_format": "float"}


def test_many_texts_are_asked_in_batches(server: Server, embedder: HttpEmbedder) -> None:
    texts = ["x" * number for number in range(1, 71)]
    vectors = embedder.passages(texts)
    assert [len(body["input"]) for _, _, body in server.requests] == [32, 32, 6]
    assert (np.diff(vectors[:, 0]) > 0).all()


def test_the_dimension_is_asked_once(server: Server, embedder: HttpEmbedder) -> None:
    assert embedder.dim == 3
    assert embedder.queries([]).shape == (0, 3)
    assert len(server.requests) == 1


def test_no_key_sends_no_authorization(server: Server) -> None:
    embedder = HttpEmbedder(f"{server.url}/", "m")
    embedder.queries(["a"])
    path, headers, _ = server.requests[0]
    assert path == "/v1/embeddings"
    assert "authorization" not in headers


def test_odd_texts_are_made_sendable(server: Server, embedder: HttpEmbedder) -> None:
    embedder.passages(["", "half \ud83d", "x" * 20_000])
    assert server.requests[0][2]["input"] == [" ", "half ?", "x" * MAX_CHARS]


def test_a_server_that_is_not_there() -> None:
    embedder = HttpEmbedder(f"http://127.0.0.1:{free_port()}/v1", "m")
    with pytest.raises(ModelUnavailable, match="does not answer") as caught:
        embedder.queries(["a"])
    assert caught.value.retryable


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        embedder = HttpEmbedder(url, "m", timeout=0.05)
        with pytest.raises(ModelUnavailable, match="does not answer"):
            embedder.queries(["a"])


def test_a_refusal_is_passed_on_with_its_reason(server: Server, embedder: HttpEmbedder) -> None:
    server.reply = lambda _: (429, {"retry-after": "7"}, b'{"error": "slow\ndown"}')
    with pytest.raises(ModelUnavailable, match=r'429: {"error": "slow down"}') as caught:
        embedder.queries(["a"])
    assert caught.value.retry_after == 7


def test_a_redirect_is_not_followed(server: Server, embedder: HttpEmbedder) -> None:
    server.reply = lambda _: (307, {"location": f"{server.url}/elsewhere"}, b"")
    with pytest.raises(ModelUnavailable, match="307"):
        embedder.queries(["a"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "Not an embedding endpoint's answer"),
        (b'{"data": [{"index": 0, "embedding": "AAAA"}]}', "Not an embedding endpoint's answer"),
        (b'{"data": []}', "0 vectors for 1 texts"),
        (b'{"data": [{"index": 1, "embedding": [1.0]}]}', "1 vectors for 1 texts"),
        (b'{"data": [{"index": 0, "embedding": []}]}', "without a direction"),
        (b'{"data": [{"index": 0, "embedding": [0, 0]}]}', "without a direction"),
    ],
)
def test_an_answer_that_is_none(
    body: bytes, message: str, server: Server, embedder: HttpEmbedder
) -> None:
    server.reply = lambda _: (200, {}, body)
    with pytest.raises(ModelUnavailable, match=message):
        embedder.queries(["a"])


def test_a_model_that_changes_its_dimension(server: Server, embedder: HttpEmbedder) -> None:
    assert embedder.dim == 3
    server.reply = lambda _: (200, {}, b'{"data": [{"index": 0, "embedding": [1, 0]}]}')
    with pytest.raises(ModelUnavailable, match="3 to 2"):
        embedder.queries(["a"])
