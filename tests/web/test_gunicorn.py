"""What gunicorn answers by itself, and that one connection does not starve the others."""

import json
import socket
import threading
from typing import Any

import pytest

from likeopt.web.middleware import CLOSED_POLICY
from tests import guest
from tests.servers import wait_until
from tests.web.conftest import Server


def connect(served: Server) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def exchange(served: Server, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to raw bytes, after which the server must close."""
    with connect(served) as connection:
        connection.sendall(raw)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400, "malformed_request"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "address_too_long"),
        (
            b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(80)) + b"\r\n",
            431,
            "headers_too_large",
        ),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "malformed_request",
        ),
    ],
)
def test_what_is_not_http_is_refused_as_a_problem(
    served: Server, raw: bytes, status: int, code: str
) -> None:
    got, headers, body = exchange(served, raw)
    problem = json.loads(body)
    assert (got, problem["code"], problem["status"]) == (status, code, status)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-ID"] == problem["request_id"]
    assert headers["Content-Security-Policy"] == CLOSED_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Traceback" not in body.decode()
    wait_until(
        lambda: any(line.get("request_id") == problem["request_id"] for line in served.log()),
        "the refusal in the log",
    )


def test_busy_connection_lets_others_have_a_turn(served: Server) -> None:
    # Thousands of requests wait on one connection. gunicorn's own worker would answer them all
    # before it looked at another connection of the same worker.
    many = 4000
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    done = threading.Event()
    answered = 0

    def count(connection: socket.socket) -> None:
        nonlocal answered
        while answered < many:
            answered += connection.recv(1 << 20).count(b'{"status":"ok"}')
        done.set()

    with connect(served) as busy, connect(served) as other:
        threading.Thread(target=count, args=(busy,), daemon=True).start()
        threading.Thread(target=busy.sendall, args=(one * many,), daemon=True).start()
        wait_until(lambda: answered > 0, "the first answer")
        other.sendall(one)
        assert b"200 OK" in other.recv(65536)
        assert answered < many
        assert done.wait(60)


def test_upload_that_is_refused_can_be_answered(served: Server) -> None:
    # 12 MiB to a server that takes 4: the refusal is read although nobody wanted the rest.
    response = served.request(
        "POST", "/api/v1/documents", fields={"file": ("big.txt", b"x" * (12 << 20))}
    )
    assert response.status == 413
    response = served.request("POST", "/nothing", body=b"x" * (12 << 20))
    assert response.status == 404


def test_body_in_chunks_without_a_length(served: Server) -> None:
    body = b'{"query": "chunked"}'
    raw = b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    raw += guest.LINE + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(served, raw + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))[0] == 200
    large = b"x" * 300_000
    status, _, answer = exchange(served, raw + b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large))
    assert (status, json.loads(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["search", "documents"])
@pytest.mark.parametrize("chunks", [b"zz\r\n", b"2\r\n{}garbage\r\n0\r\n\r\n"])
def test_chunks_that_are_none_are_refused(served: Server, path: str, chunks: bytes) -> None:
    kind = {"search": b"application/json", "documents": b"multipart/form-data; boundary=x"}[path]
    raw = b"POST /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" % path.encode()
    raw += guest.LINE + b"Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
    status, headers, answer = exchange(served, raw + chunks)
    problem = json.loads(answer)
    assert (status, problem["code"]) == (400, "malformed_request")
    assert headers["X-Request-ID"] == problem["request_id"]


def test_access_log_of_a_real_request(served: Server) -> None:
    served.request("GET", "/health", headers={"X-Request-ID": "find-me"})

    def line() -> list[dict[str, Any]]:
        return [one for one in served.log() if one.get("request_id") == "find-me"]

    wait_until(lambda: bool(line()), "the access log")
    (found,) = line()
    assert (found["process"], found["message"], found["path"]) == ("web", "request", "/health")
    assert (found["status"], found["bytes"]) == (200, 15)
    assert found["duration_ms"] > 0
    assert found["client"] == "127.0.0.1"


def test_events_are_not_collected_before_they_are_sent(served: Server) -> None:
    served.add("dibbler.txt", b"The dibbler is a small marsupial of the heath.")
    response = served.request(
        "POST",
        "/api/v1/chat",
        json={"question": "What is a dibbler?", "stream": True},
        preload_content=False,
    )
    pieces = list(response.stream(1 << 16))
    # More than one write arrived as such: nothing on the way held the stream back.
    assert len(pieces) > 1
    assert b"event: done" in pieces[-1]
    response.release_conn()
