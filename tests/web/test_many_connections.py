"""More connections than the open files that a shell or systemd allows at first."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from likeopt.config import Config
from tests.web.conftest import serving
from tests.web.hasty import gunicorn

REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
FEW = 256


@contextmanager
def few_open_files() -> Iterator[None]:
    """What is started meanwhile begins with a low limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_beyond_the_soft_limit_are_served(config: Config) -> None:
    with ExitStack() as opened:
        with few_open_files():
            conf = ("-c", "python:likeopt.web.gunicorn_conf")
            bound, _ = opened.enter_context(gunicorn(config, *conf))
        for _ in range(FEW + 100):
            connection = socket.create_connection(bound.getsockname(), timeout=30)
            opened.enter_context(connection)
            connection.sendall(REQUEST)
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                piece = connection.recv(4096)
                assert piece, "closed without an answer"
                answer += piece


def test_every_process_of_a_server_may_open_more(config: Config) -> None:
    with ExitStack() as opened:
        with few_open_files():
            server = opened.enter_context(serving(config))
        supervisor = psutil.Process(server.process.pid)
        for process in [supervisor, *supervisor.children(recursive=True)]:
            assert process.rlimit(resource.RLIMIT_NOFILE)[0] > FEW, process
