"""A web worker that is told to stop ends, whenever that is and whatever is connected."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from likeopt.cli.serve import environment, listen
from likeopt.cli.supervisor import die_with_parent
from likeopt.config import Config
from likeopt.services import Services

# Far below `graceful_timeout` (180 s), which is what a worker that hears nothing takes.
SOON = 30
# Tells gunicorn to stop when its worker is forked and cannot handle signals yet.
EARLY = """
import os, signal
from gevent import monkey
from likeopt.web.gunicorn_conf import *
from likeopt.web import gunicorn_conf

def post_fork(server, worker):
    gunicorn_conf.post_fork(server, worker)
    os.kill(os.getppid(), signal.SIGNAL)
    while server.SIG_QUEUE.empty():
        monkey.get_original("time", "sleep")(0.01)
"""


@contextmanager
def gunicorn(
    config: Config, conf: str
) -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    """The socket and the arbiter of one worker."""
    services = Services(config)
    services.prepare()
    services.close()
    with listen("127.0.0.1", 0) as bound:
        command = [sys.executable, "-m", "gunicorn", "-c", conf, "--workers", "1"]
        with subprocess.Popen(
            [*command, "--bind", f"fd://{bound.fileno()}"],
            stdout=subprocess.DEVNULL,
            env=environment(config) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=(bound.fileno(),),
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one system call)
        ) as process:
            try:
                yield bound, process
            finally:
                process.kill()


def connect(bound: socket.socket) -> socket.socket:
    return socket.create_connection(bound.getsockname(), timeout=SOON)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_worker_told_to_stop_before_it_can_listen_to_signals(
    config: Config, tmp_path: Path, number: str
) -> None:
    conf = tmp_path / "early.py"
    conf.write_text(EARLY.replace("SIGNAL", number))
    with gunicorn(config, f"file:{conf}") as (_, process):
        assert process.wait(SOON) == 0


def test_connections_that_wait_do_not_keep_a_worker(config: Config) -> None:
    with (
        gunicorn(config, "python:likeopt.web.gunicorn_conf") as (bound, process),
        connect(bound) as waiting,
        connect(bound) as busy,
    ):
        finish = _begin(busy)
        waiting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += waiting.recv(4096)
        process.send_signal(signal.SIGTERM)
        # What waits is closed at once, which is when others have yet to come.
        assert waiting.recv(4096) == b""
        with connect(bound):
            # It still answers what has begun, and that connection stays open.
            assert finish().startswith(b"HTTP/1.1 400")
            assert process.wait(SOON) == 0


def _begin(connection: socket.socket) -> Callable[[], bytes]:
    """Send the beginning of an upload that will be refused; the function sends its end."""
    body = b'--x\r\nContent-Disposition: form-data; name="tags"\r\n\r\nslow\r\n--x--\r\n'
    head = (
        "POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode())
    # The application reads: it has the request.
    assert connection.recv(1024).startswith(b"HTTP/1.1 100")

    def finish() -> bytes:
        connection.sendall(body)
        return connection.recv(65536)

    return finish
