"""An OpenAI-compatible model server that says what a test tells it to.

A real HTTP server on loopback. Answers are taken from a queue, and faults with them; every
request is remembered. Run it alone with `python -m tests.stub_openai PORT` to try things by hand.

    with StubOpenAI() as stub:
        stub.say("Fifteen days [1].")
        ...
        assert "annual leave" in stub.requests[0].prompt
"""

import hashlib
import json
import math
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

DIMENSIONS = 64


@dataclass
class Reply:
    """One scripted answer of `/chat/completions`.

    `pieces` are sent as deltas; a piece that is bytes is sent as it is, in place of an event.
    `hold` blocks before the piece of that index until `release` is called: a slow first token is
    `hold=0`. `drop` cuts the connection before the piece of that index.
    """

    pieces: list[str | bytes] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hold: int | None = None
    drop: int | None = None
    # Seconds between pieces.
    pause: float = 0.0
    # Ends with a finish_reason and [DONE], as servers should.
    proper_end: bool = True
    # Sent once, as a comment, while the answer is held back.
    comment: bytes = b""
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let a held answer go on."""
        self.released.set()


@dataclass
class Request:
    """What a client sent. `gone` is set when it hung up before the answer's end."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    gone: threading.Event = field(default_factory=threading.Event)
    # Set once the answer was sent to its end.
    answered: threading.Event = field(default_factory=threading.Event)

    @property
    def prompt(self) -> str:
        """All messages of a chat request as one text."""
        return "\n".join(message["content"] for message in self.body["messages"])


class StubOpenAI:
    """The server. Without a scripted reply it says `default`, or what that makes of the request."""

    def __init__(
        self, *, key: str = "", model: str = "stub", port: int = 0, tls: Path | None = None
    ) -> None:
        """`tls` is a PEM file with a certificate and its key: then the server speaks HTTPS."""
        self.key = key
        self.model = model
        self.default: str | Callable[[Request], str] = "The stub's answer."
        self.requests: list[Request] = []
        self._replies: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._arrived = threading.Condition()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stub = self
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        """The base URL to configure."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for reply in self._replies:
            reply.release()
        self._server.shutdown()
        self._server.server_close()

    # -- scripting -----------------------------------------------------------------------------

    def say(self, *pieces: str | bytes, **options: Any) -> Reply:
        """Queue an answer; one string is sent word by word."""
        split: list[str | bytes] = list(pieces)
        if len(pieces) == 1 and isinstance(pieces[0], str):
            split = list(_words(pieces[0]))
        return self.reply(Reply(split, **options))

    def fail(self, status: int, body: object = None, **headers: str) -> Reply:
        """Queue a refusal; `retry_after="3"` becomes the header Retry-After."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.reply(Reply(status=status, headers=named, body=raw))

    def reply(self, reply: Reply) -> Reply:
        """Queue any reply."""
        with self._lock:
            self._replies.append(reply)
        return reply

    def wait_for_request(self, number: int = 1, timeout: float = 10.0) -> Request:
        """The `number`th request, as soon as it has come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= number, timeout)
            return self.requests[number - 1]

    # -- for the handler -----------------------------------------------------------------------

    def remember(self, request: Request) -> None:
        """Keep a request."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def next_reply(self, request: Request) -> Reply:
        """The next scripted reply, or the default."""
        with self._lock:
            if self._replies:
                return self._replies.popleft()
        said = self.default if isinstance(self.default, str) else self.default(request)
        return Reply(list(_words(said)))


def embed(text: str) -> list[float]:
    """Texts that share words get similar vectors; L2-normalised."""
    vector = [0.0] * DIMENSIONS
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector] if any(vector) else [1.0, *vector[1:]]


def _words(text: str) -> Iterator[str]:
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or (text[end] == " " and end > start):
            yield text[start:end]
            start = end


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: StubOpenAI

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        stub = self.server.stub
        if self.path != "/v1/models":
            self._json(404, {"error": {"message": f"no such path: {self.path}"}})
        elif self._allowed({}):
            models = [{"id": stub.model, "object": "model", "created": 0, "owned_by": "tests"}]
            self._json(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed(body):
            return
        request = Request(self.path, dict(self.headers), body)
        self.server.stub.remember(request)
        handlers = {
            "/v1/chat/completions": self._chat,
            "/v1/embeddings": self._embeddings,
            "/v1/rerank": self._rerank,
        }
        if self.path not in handlers:
            self._json(404, {"error": {"message": f"no such path: {self.path}"}})
            return
        handlers[self.path](request)
        request.answered.set()

    def _allowed(self, body: dict[str, Any]) -> bool:
        stub = self.server.stub
        if stub.key and self.headers.get("Authorization") != f"Bearer {stub.key}":
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
            # Some servers repeat the key in the error, which clients must not pass on.
            self._json(401, {"error": {"message": f"Incorrect API key provided: {sent}"}})
            return False
        if body.get("model", stub.model) != stub.model:
            self._json(404, {"error": {"message": f"model '{body['model']}' not found"}})
            return False
        return True

    # -- chat ------------------------------------------------------------------------------------

    def _chat(self, request: Request) -> None:
        reply = self.server.stub.next_reply(request)
        if reply.body is not None:
            self._bytes(reply.status, reply.body, reply.headers)
        elif request.body.get("stream"):
            with self._watch_client(request, reply):
                self._stream(reply)
        else:
            text = "".join(piece for piece in reply.pieces if isinstance(piece, str))
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(200, {"object": "chat.completion", "choices": [choice]})

    def _stream(self, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(self._events(reply)):
            if number == reply.hold:
                self._hold(reply)
            if number == reply.drop:
                self._cut()
                return
            self._chunk(piece)
            if reply.pause:
                time.sleep(reply.pause)
        self._chunk(b"")

    def _events(self, reply: Reply) -> Iterable[bytes]:
        for piece in reply.pieces:
            yield piece if isinstance(piece, bytes) else _event({"content": piece})
        if reply.proper_end:
            yield _event({}, finish="stop") + b"data: [DONE]\n\n"

    def _hold(self, reply: Reply) -> None:
        if reply.comment:
            self._chunk(reply.comment)
        assert reply.released.wait(30), "a held reply was never released"

    def _cut(self) -> None:
        """Break the connection as a crashed server does."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _watch_client(self, request: Request, reply: Reply) -> Iterator[None]:
        """Notice a client that hangs up, at once, even while the answer is held back."""
        stopped = threading.Event()

        def watch() -> None:
            while not stopped.is_set():
                readable, _, _ = select.select([self.connection], [], [], 0.02)
                if readable and not _peek(self.connection):
                    request.gone.set()
                    reply.release()
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    # -- the other endpoints ---------------------------------------------------------------------

    def _embeddings(self, request: Request) -> None:
        texts = request.body["input"]
        texts = [texts] if isinstance(texts, str) else texts
        data = [
            {"object": "embedding", "index": index, "embedding": embed(text)}
            for index, text in enumerate(texts)
        ]
        self._json(200, {"object": "list", "model": request.body["model"], "data": data})

    def _rerank(self, request: Request) -> None:
        query = set(request.body["query"].lower().split())
        scores = [
            len(query & set(text.lower().split())) / (len(query) or 1)
            for text in request.body["documents"]
        ]
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        results = [{"index": index, "relevance_score": scores[index]} for index in ranked]
        self._json(200, {"results": results})

    def _json(self, status: int, value: object) -> None:
        self._bytes(status, json.dumps(value).encode(), {})

    def _bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = json.dumps({"object": "chat.completion.chunk", "choices": [choice]})
    return f"data: {data}\n\n".encode()


def _peek(connection: socket.socket) -> bytes:
    try:
        # Beneath TLS, which cannot peek.
        return socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except OSError:
        return b""


if __name__ == "__main__":
    with StubOpenAI(port=int(sys.argv[1])) as running:
        print(running.url)
        threading.Event().wait()
