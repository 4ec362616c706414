"""`likeopt serve`: what starts, what is restarted, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from likeopt.cli.serve import environment
from likeopt.cli.supervisor import FAILED_STARTS, Part, Supervisor
from likeopt.config import Config, load
from likeopt.errors import Conflict, LikeOptError
from tests.servers import free_port, wait_until
from tests.web.conftest import LOAD_AND_SERVE, Server, serving


def processes(server: Server) -> list[psutil.Process]:
    """Every process of a server, the supervisor first."""
    supervisor = psutil.Process(server.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def gone(found: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in found)


# -- the whole server ------------------------------------------------------------------------------


def test_life_of_a_server(config: Config) -> None:
    """Start, deaths of its processes, and the end, in one: each start costs seconds of CPU."""
    config = msgspec.structs.replace(config, graceful_timeout=30)
    with serving(config) as server:
        # It says one thing to a person, and JSON to everybody else.
        assert len(server.said) == 1
        assert server.said[0].startswith(f"Like-Opt is ready: {server.url}")
        assert server.json("GET", "/health") == {"status": "ok"}
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
        server.add("potoroo.txt", b"The potoroo eats truffles.")
        assert {line["process"] for line in server.log()} >= {"serve", "prepare", "web"}

        second = subprocess.run(
            [sys.executable, "-c", LOAD_AND_SERVE],
            env=environment(config),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert f"already runs with the data folder {config.data_dir}" in second.stderr
        assert str(server.process.pid) in second.stderr

        _dies_and_comes_back(server, "engine", lambda: _finds(server))
        _dies_and_comes_back(server, "worker", lambda: server.add("new.txt", b"Wombats dig."))
        # New connections wait in the supervisor's socket until gunicorn is back.
        _dies_and_comes_back(server, "web", lambda: _finds(server))

        everybody = processes(server)
        assert len(everybody) >= 5
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert gone(everybody)
        parts = [line for line in server.log() if line["message"] == "process stopped"]
        assert {line["part"]: line["exit"] for line in parts} == {"web": 0, "worker": 0, "engine": 0}
        # Nothing waits for a server that is gone.
        host, port = server.url.removeprefix("http://").split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def _finds(server: Server) -> bool:
    found = server.json("GET", "/api/v1/search?q=potoroo&mode=lexical")["hits"]
    return bool(found[0]["document_name"] == "potoroo.txt")


def _dies_and_comes_back(server: Server, name: str, works: Callable[[], Any]) -> None:
    before = server.pids(name)
    os.kill(before[-1], signal.SIGKILL)
    wait_until(lambda: len(server.pids(name)) > len(before), f"a new {name}")
    died = [line for line in server.log() if line["message"] == "process died"][-1]
    assert (died["part"], died["exit"], died["level"]) == (name, -9, "error")
    assert works()


def test_killed_supervisor_leaves_nothing_behind_and_open_streams_may_end(config: Config) -> None:
    with serving(config) as server:
        everybody = processes(server)
        server.process.kill()
        wait_until(lambda: gone(everybody), "the end of every process")
    # What it leaves does not hinder the next one.
    with serving(config) as server:
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
        reading = _slow_upload(server)
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: any(x["message"] == "stopping" for x in server.log()), "the signal")
        # What has begun is finished first.
        assert reading(b"--x--\r\n").startswith(b"HTTP/1.1 400")
        assert server.process.wait(30) == 0


def _slow_upload(server: Server) -> Callable[[bytes], bytes]:
    """Begin a request; the function sends its rest and returns the answer."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    begin = b'--x\r\nContent-Disposition: form-data; name="tags"\r\n\r\nslow'
    head = (
        "POST /api/v1/documents HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(begin) + 9}\r\n\r\n"
    )
    connection.sendall(head.encode())
    # The application reads: it has the request.
    assert connection.recv(1024).startswith(b"HTTP/1.1 100")
    connection.sendall(begin)

    def finish(rest: bytes) -> bytes:
        with connection:
            connection.sendall(b"\r\n" + rest[:7])
            return connection.recv(65536)

    return finish


def test_sample_library_of_a_first_start(config: Config) -> None:
    config = msgspec.structs.replace(config, sample_library=True)
    with serving(config) as server:
        items = server.json("GET", "/api/v1/documents?limit=200")["items"]
        assert items
        assert {item["source"] for item in items} == {"sample"}
        assert {tag for item in items for tag in item["tags"]} == {"ko", "en"}


# -- what is refused before anything starts --------------------------------------------------------


def refused(config: Config) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LOAD_AND_SERVE],
        env=environment(config),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_port_that_is_taken(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused(msgspec.structs.replace(config, port=port))
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 is used by another program" in done.stderr
    assert "--port" in done.stderr
    assert not (config.data_dir / "likeopt.db").exists()


def test_address_that_is_not_ours(config: Config) -> None:
    done = refused(msgspec.structs.replace(config, host="203.0.113.1"))
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_data_folder_that_cannot_be_one(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    done = refused(msgspec.structs.replace(config, data_dir=file))
    assert done.returncode == 1
    assert f"{file} cannot be used" in done.stderr


def test_database_that_does_not_answer(config: Config) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    done = refused(msgspec.structs.replace(config, database_url=url))
    assert done.returncode == 1
    assert "could not prepare its database" in done.stderr


# -- settings for the parts ------------------------------------------------------------------------


def test_parts_get_exactly_the_settings(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEOPT_LLM_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("LIKEOPT_WORKERS", "7")
    changed = msgspec.structs.replace(
        config, llm_key="s3cret", workers=1, sample_library=False, url_allow_private=True
    )
    given = environment(changed)
    assert load(given) == changed
    assert given["PATH"] == os.environ["PATH"]
    assert "LIKEOPT_LLM_KEY_FILE" not in given


# -- the supervisor with parts of its own ----------------------------------------------------------


@pytest.fixture
def run(config: Config) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a supervisor over small parts: name -> (Python, whether it is essential)."""

    def supervise(
        parts: dict[str, tuple[str, bool]], stop: float | None = None
    ) -> "subprocess.CompletedProcess[str]":
        script = """
import json, os, socket, sys
from likeopt.cli import supervisor
from likeopt.config import load
supervisor.FIRST_DELAY_SECONDS = 0.001
parts = [
    supervisor.Part(name, [sys.executable, "-c", code], essential=essential)
    for name, (code, essential) in json.loads(sys.argv[1]).items()
]
with socket.create_server(("127.0.0.1", 0)) as listener:
    sys.exit(supervisor.Supervisor(load(os.environ), dict(os.environ), listener, parts).run())
"""
        config.data_dir.joinpath("run").mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", script, json.dumps(parts)],
            env=environment(config),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return supervise


FAILS = "import sys; print('Traceback: broken', file=sys.stderr); sys.exit(3)"
# Ends the supervisor once it has seen that the other was given up.
WAITS = """
import os, signal, sys, time
while not os.path.exists(sys.argv[0] + "never"):
    time.sleep(0.05)
    if os.environ.get("LIKEOPT_DATA_DIR") and os.path.exists(
        os.environ["LIKEOPT_DATA_DIR"] + "/run/enough"
    ):
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(600)
"""
