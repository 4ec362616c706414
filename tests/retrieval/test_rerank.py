"""The optional reranker: a server's second opinion, never a reason to fail."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from likeopt.errors import ModelUnavailable
from likeopt.retrieval.rerank import HttpReranker, NoReranker, open_reranker
from likeopt.retrieval.types import Hit
from tests.servers import free_port

Reply = Callable[[dict[str, Any]], tuple[int, bytes]]


class Server:
    """Answers `/v1/rerank` with what the test puts into `reply`; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reply: Reply = by_length
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(body)
                outer.keys.append(self.headers.get("authorization"))
                status, data = outer.reply(body) if self.path == "/v1/rerank" else (404, b"")
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", outer.url + "/rerank")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def by_length(body: dict[str, Any]) -> tuple[int, bytes]:
    """Scores in Jina's format, best first: the longer, the better."""
    scored = sorted(enumerate(body["documents"]), key=lambda pair: -len(pair[1]))
    results = [{"index": i, "relevance_score": len(text) / 100} for i, text in scored]
    return 200, msgspec.json.encode({"model": "m", "results": results, "usage": {}})


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


def hit(chunk_id: int, text: str, context: str = "") -> Hit:
    return Hit(
        chunk_id=chunk_id,
        document_id="d",
        version_id=1,
        collection_id="c",
        document_name="n",
        media_type="text/plain",
        ordinal=0,
        text=text,
        context=context,
        start=0,
        end=len(text),
        page=None,
        score=0.5,
    )


def hits() -> list[Hit]:
    return [hit(1, "short"), hit(2, "the longest of the three", "Title"), hit(3, "middle one")]


def test_passages_come_back_in_the_servers_order_with_its_scores(server: Server) -> None:
    ranked = HttpReranker(server.url, "m", "secret").rank("q", hits(), 5.0)
    assert [one.chunk_id for one in ranked] == [2, 3, 1]
    assert ranked[0].score == 0.3
    (asked,) = server.asked
    assert (asked["query"], asked["model"], asked["top_n"]) == ("q", "m", 3)
    assert asked["documents"][1] == "Title\nthe longest of the three"
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"oops", "answered 500"),
        (200, b"not json", "Not a reranker"),
        (200, b'{"results": []}', "scored 0 of 3"),
        (200, b'{"results": [{"index": 7, "relevance_score": 1}]}', "scored 1 of 3"),
    ],
)
def test_a_wrong_answer_is_refused(server: Server, status: int, body: bytes, message: str) -> None:
    server.reply = lambda _: (status, body)
    with pytest.raises(ModelUnavailable, match=message):
        HttpReranker(server.url).rank("q", hits(), 5.0)


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.reply = lambda _: (307, b"")
    with pytest.raises(ModelUnavailable, match="answered 307"):
        HttpReranker(server.url).rank("q", hits(), 5.0)
    assert len(server.asked) == 1


def test_a_server_that_is_slow_or_away_is_not_waited_for(server: Server) -> None:
    release = threading.Event()

    def late(body: dict[str, Any]) -> tuple[int, bytes]:
        release.wait(10)
        return by_length(body)

    server.reply = late
    with pytest.raises(ModelUnavailable, match="does not answer"):
        HttpReranker(server.url).rank("q", hits(), 0.05)
    release.set()
    with pytest.raises(ModelUnavailable, match="does not answer"):
        HttpReranker(f"http://127.0.0.1:{free_port()}").rank("q", hits(), 5.0)


def test_one_passage_needs_no_second_opinion(server: Server) -> None:
    assert len(HttpReranker(server.url).rank("q", hits()[:1], 5.0)) == 1
    assert server.asked == []


def test_the_settings_choose() -> None:
    assert isinstance(open_reranker(Config()), NoReranker)
    chosen = open_reranker(Config(rerank_url="http://127.0.0.1:1/v1"))
    assert isinstance(chosen, HttpReranker)
    assert chosen.candidates(10) == 30
    assert NoReranker().candidates(10) == 10
