"""More connections than the open files that a shell or systemd allows at first."""

import resource
import socket
from contextlib import ExitStack

import psutil

from likeopt.config import Config
from tests.limits import soft_limit
from tests.web.conftest import serving
from tests.web.hasty import gunicorn

REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
FEW = 256


def test_connections_beyond_the_soft_limit_are_served(config: Config) -> None:
    with ExitStack() as opened:
        with soft_limit(resource.RLIMIT_NOFILE, FEW):
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
        with soft_limit(resource.RLIMIT_NOFILE, FEW):
            server = opened.enter_context(serving(config))
        supervisor = psutil.Process(server.process.pid)
        for process in [supervisor, *supervisor.children(recursive=True)]:
            assert process.rlimit(resource.RLIMIT_NOFILE)[0] > FEW, process
