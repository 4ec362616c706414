"""A web worker that is told to stop ends, whenever that is and whatever is connected."""

import signal
import socket
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage.tables import messages
from tests.stub_openai import StubOpenAI
from tests.web.conftest import begin_upload, serving
from tests.web.hasty import gunicorn

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


def connect(bound: socket.socket) -> socket.socket:
    return socket.create_connection(bound.getsockname(), timeout=SOON)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_worker_told_to_stop_before_it_can_listen_to_signals(
    config: Config, tmp_path: Path, number: str
) -> None:
    conf = tmp_path / "early.py"
    conf.write_text(EARLY.replace("SIGNAL", number))
    with gunicorn(config, "-c", f"file:{conf}") as (_, process):
        assert process.wait(SOON) == 0


def test_connections_that_wait_do_not_keep_a_worker(config: Config) -> None:
    with (
        gunicorn(config, "-c", "python:likeopt.web.gunicorn_conf") as (bound, process),
        connect(bound) as waiting,
        connect(bound) as busy,
    ):
        finish = begin_upload(busy)
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


def test_answer_that_nobody_reads_any_more_is_written_to_its_end(config: Config) -> None:
    with StubOpenAI() as model:
        config = msgspec.structs.replace(
            config, llm="openai", llm_url=model.url, llm_model="stub", workers=1
        )
        with serving(config) as server:
            server.add("kowari.txt", b"The kowari hunts in the Channel Country.")
            # Longer than a worker whose connections are closed takes to end.
            pieces = ["The ", "kowari ", "hunts ", "there ", *("too " for _ in range(16)), "[1]."]
            model.say(*pieces, pause=0.25)
            body = {"question": "Where does the kowari hunt?", "stream": True}
            stream = server.request("POST", "/api/v1/chat", json=body, preload_content=False)
            assert any(b'"text"' in line for line in stream)
            # The page is closed.
            stream.close()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        assert model.requests[0].answered.is_set()
    services = Services(config)
    try:
        found = services.db.read(lambda c: c.execute(sa.select(messages)).all())
    finally:
        services.close()
    (answer,) = [one for one in found if one.role == "assistant"]
    assert (answer.state, answer.content) == ("complete", "".join(pieces))
