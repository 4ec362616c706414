"""Clients that send or read too slowly: real sockets to a real worker that loses patience soon."""

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests import guest
from tests.servers import wait_until
from tests.web.hasty import serving

HEAD = (
    b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\n"
    + guest.LINE
    + b"Content-Type: application/json\r\n"
)
FORM = (
    b"POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\n"
    + guest.LINE
    + b"Content-Type: multipart/form-data; boundary=x\r\n"
)
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
# Long enough for the hasty worker to end it many times over.
TOO_LONG = 20


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving() as found:
        yield found


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=TOO_LONG) as connection:
        yield connection


def rest(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    answer = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            answer += piece
    return answer


def through(client: socket.socket, end: bytes) -> bytes:
    """What comes until `end`; the server need not close."""
    answer = b""
    while not answer.endswith(end):
        piece = client.recv(65536)
        assert piece, answer
        answer += piece
    return answer


def trickled(client: socket.socket, piece: bytes) -> bytes:
    """The answer to one who sends a piece ten times a second, for as long as nobody objects."""
    client.settimeout(0.1)
    for _ in range(TOO_LONG * 10):
        try:
            first = client.recv(65536)
        except TimeoutError:
            client.sendall(piece)
            continue
        client.settimeout(TOO_LONG)
        return first + rest(client)
    raise AssertionError("the server reads on and on")


def code(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), answer
    assert b"connection: close" in head.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["retryable"]) == (408, True)
    found: str = problem["code"]
    return found


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /health HT",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n",
        HEAD + b'Content-Length: 100\r\n\r\n{"query"',
        HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"query"\r\n',
        FORM + b"Content-Length: 10000\r\n\r\n" + PART + b"beginning",
    ],
    ids=["line", "headers", "body", "chunks", "upload"],
)
def test_request_that_stops_arriving(client: socket.socket, raw: bytes) -> None:
    client.sendall(raw)
    assert code(rest(client)) == "request_timeout"


@pytest.mark.parametrize(
    ("raw", "piece"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"x"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (FORM + b"Content-Length: 100000\r\n\r\n" + PART, b"x"),
    ],
    ids=["headers", "body", "chunks", "upload"],
)
def test_request_that_trickles_in(client: socket.socket, raw: bytes, piece: bytes) -> None:
    client.sendall(raw)
    assert code(trickled(client, piece)) == "request_timeout"


def test_body_nobody_wanted_is_not_waited_for(client: socket.socket) -> None:
    client.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
    answer = trickled(client, b"x")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_slow_but_steady_request_is_served(client: socket.socket) -> None:
    # 1,600 bytes earn 3.2 s more than the 1.5 s that it may take anyway.
    body = b'{"name": "Steady"' + b" " * 1600 + b"}"
    raw = HEAD.replace(b"/search", b"/collections")
    client.sendall(raw + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    client.settimeout(0.1)
    for at in range(0, len(body), 64):
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.sendall(body[at : at + 64])
    client.settimeout(TOO_LONG)
    assert rest(client).startswith(b"HTTP/1.1 201 ")


def test_connection_without_a_request_may_wait(client: socket.socket) -> None:
    # Longer than any request may take.
    client.settimeout(1.8)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert through(client, b'{"status":"ok"}').startswith(b"HTTP/1.1 200 ")


def original(client: socket.socket, size: int) -> bytes:
    """The path of the original of a file of `size` bytes, which is added first."""
    text = b"word " * (size // 5)
    body = PART + text + b"\r\n--x--\r\n"
    client.sendall(FORM + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = rest(client)
    assert b" 202 " in answer.splitlines()[0], answer
    document = json.loads(answer.partition(b"\r\n\r\n")[2])["items"][0]["document"]
    return f"/api/v1/documents/{document['id']}/original".encode()


def test_client_that_does_not_read_is_let_go(
    address: tuple[str, int], client: socket.socket
) -> None:
    path = original(client, 32 << 20)
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.settimeout(TOO_LONG)
        idle.connect(address)
        idle.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, guest.LINE))
        # Reset, so that the kernel too forgets what was not taken.
        wait_until(lambda: error_of(idle) == errno.ECONNRESET, "the end", seconds=TOO_LONG)


def error_of(client: socket.socket) -> int:
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
