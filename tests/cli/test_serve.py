"""`likeopt serve`: what starts, what is restarted, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest

from likeopt.cli.serve import environment
from likeopt.cli.supervisor import FAILED_STARTS
from likeopt.config import Config, load
from tests import guest
from tests.servers import free_port, wait_until
from tests.web.conftest import LOAD_AND_SERVE, Server, begin_upload, serving


def processes(server: Server) -> list[psutil.Process]:
    """Every process of a server, the supervisor first."""
    supervisor = psutil.Process(server.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def gone(found: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in found)


# -- the whole server ------------------------------------------------------------------------------


def test_life_of_a_server(config: Config) -> None:
    """Start, deaths of its processes, and the end, in one: each start costs seconds of CPU."""
    # On a busy machine an engine needs more than 5 s to come back.
    config = msgspec.structs.replace(config, graceful_timeout=30, search_deadline_ms=60_000)
    with serving(config) as server:
        # It says one thing to a person, and JSON to everybody else.
        assert len(server.said) == 1
        assert server.said[0].startswith(f"Like-Opt is ready: {server.url}/link#{guest.TOKEN} ")
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
        exits = {line["part"]: line["exit"] for line in parts}
        assert exits == {"web": 0, "worker": 0, "engine": 0}
        assert guest.TOKEN not in str(server.lines)
        # Nothing waits for a server that is gone.
        host, port = server.url.removeprefix("http://").split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def _finds(server: Server) -> bool:
    found = server.json("GET", "/api/v1/search?q=potoroo&mode=lexical")["hits"]
    return bool(found[0]["document_name"] == "potoroo.txt")


def _dies_and_comes_back(server: Server, name: str, works: Callable[[], Any]) -> None:
    before = server.pids(name)
    orphans = psutil.Process(before[-1]).children()
    os.kill(before[-1], signal.SIGKILL)
    wait_until(lambda: gone(orphans), f"the end of what {name} had started")
    wait_until(lambda: len(server.pids(name)) > len(before), f"a new {name}")
    # Connections to what has died are of no use.
    server.http.clear()
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
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            finish = begin_upload(connection)
            server.process.send_signal(signal.SIGINT)
            wait_until(lambda: any(x["message"] == "stopping" for x in server.log()), "the signal")
            # What has begun is finished first.
            assert finish().startswith(b"HTTP/1.1 400")
        assert server.process.wait(30) == 0


def test_sample_library_of_a_first_start(config: Config) -> None:
    folder = config.data_dir / "new" / "data"
    config = msgspec.structs.replace(config, sample_library=True, data_dir=folder)
    with serving(config) as server:
        # Nobody else on this machine may enter it.
        assert folder.stat().st_mode & 0o777 == 0o700
        items = server.json("GET", "/api/v1/documents?limit=200")["items"]
        assert items
        assert {item["source"] for item in items} == {"sample"}
        assert {tag for item in items for tag in item["tags"]} == {"ko", "en"}
        # Where this copy of Like-Opt is installed is nobody's business.
        assert {item["source_uri"] for item in items} == {
            f"likeopt:docs/{language}/{page.name}"
            for language in ("ko", "en")
            for page in (Path(__file__).parents[2] / "docs" / language).glob("*.md")
        }


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


def test_first_start_prints_a_link_that_makes_the_administrator(config: Config) -> None:
    config = msgspec.structs.replace(config, guest=False, secret_key="", workers=1)
    with serving(config) as server:
        wait_until(lambda: len(server.said) == 3, "the link")
        first = server.said[2]
        assert first.startswith(f"{server.url}/link#")
        assert server.request("GET", "/api/v1/info").status == 401
    # Each start makes a new one until one is used.
    with serving(config) as server:
        wait_until(lambda: len(server.said) == 3, "the link")
        token = server.said[2].partition("#")[2]
        old = {"token": first.partition("#")[2]}
        server.json("POST", "/api/v1/link", json=old, status=404)
        accepted = {"token": token, "name": "Kim", "email": "kim@example.org"}
        state = server.json(
            "POST", "/api/v1/link/accept", json=accepted | {"password": "correct horse 9"}
        )
        assert state["user"]["role"] == "admin"
        # The log is for machines, and may be kept for long.
        assert token not in str(server.lines)
        assert (config.data_dir / "secret.key").stat().st_mode & 0o777 == 0o600
    with serving(config) as server:
        wait_until(lambda: server.request("GET", "/health").status == 200, "the server")
        assert len(server.said) == 1


def test_port_that_is_taken(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused(msgspec.structs.replace(config, port=port))
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 is used by another program" in done.stderr
    assert "--port" in done.stderr
    assert not (config.data_dir / "likeopt.db").exists()


def test_address_that_is_not_ours(config: Config) -> None:
    done = refused(msgspec.structs.replace(config, host="203.0.113.1", guest=False))
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

SUPERVISE = """
import json, os, socket, sys
from likeopt.cli import supervisor
supervisor.FIRST_DELAY_SECONDS = 0.001
supervisor.LONGEST_DELAY_SECONDS = 0.01
supervisor.STOP_SECONDS = 2.0
exec(os.environ["BEFORE"])
def part(name, code, **kind):
    return supervisor.Part(name, [sys.executable, "-c", code], **kind)
parts = [part(*one, **kind) for *one, kind in json.loads(sys.argv[1])]
with socket.create_server(("127.0.0.1", 0)) as listener:
    made = supervisor.Supervisor(parts, dict(os.environ), listener, graceful_timeout=1)
    sys.exit(made.run())
"""
READY: tuple[str, str, dict[str, bool]] = ("prepare", "pass", {"first": True})
WEB = {"essential": True}
SLEEPS = "import time; time.sleep(600)"
FAILS = "import sys; print('Traceback: it broke', file=sys.stderr); sys.exit(3)"
# Writes down who it is.
SIGNS = "import os; open(os.environ['SIGNED'], 'w').write(str(os.getpid()));"
# Waits until the supervisor has buried who signed, and asks it to stop.
ENDS = """
import os, signal, time
pid = 0
while not pid or os.path.exists(f"/proc/{pid}"):
    time.sleep(0.01)
    if os.path.exists(os.environ["SIGNED"]):
        pid = open(os.environ["SIGNED"]).read()
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(600)
"""


class Run(NamedTuple):
    code: int
    said: str
    log: list[dict[str, Any]]

    def messages(self, part: str) -> list[str]:
        return [line["message"] for line in self.log if line.get("part") == part]


def supervise(
    *parts: tuple[str, str, dict[str, bool]],
    signed: Path = Path("/nonexistent"),
    before: str = "",
) -> Run:
    """Run a supervisor over small parts (name, Python code, kind), and some code `before`."""
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISE, json.dumps(parts)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"SIGNED": str(signed), "BEFORE": before},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Run(done.returncode, done.stderr, lines)


def test_part_that_keeps_failing_is_tried_until_it_runs_and_others_go_on(tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    failures = FAILED_STARTS + 2
    broken = (
        f"import os, signal, time\nopen({str(tried)!r}, 'a').write('x')\n"
        f"if len(open({str(tried)!r}).read()) > {failures}:\n"
        # What was in its way has gone.
        "    os.kill(os.getppid(), signal.SIGTERM); time.sleep(600)\n"
        f"{FAILS}"
    )
    run = supervise(READY, ("web", SLEEPS, WEB), ("worker", broken, {}))
    assert run.code == 0
    assert run.messages("worker").count("process died") == failures
    assert run.messages("worker")[-1] == "process stopped"
    # The person at the terminal is told once.
    assert run.said.count("The worker process does not run and is tried again and again") == 1
    assert run.said.count("again: Traceback: it broke") == 1
    # The other one lived to its end.
    assert run.messages("web") == ["process started", "process stopped"]
    # What the part wrote came out as JSON under its name.
    wrapped = [line for line in run.log if line["process"] == "worker"]
    assert {line["message"] for line in wrapped} == {"Traceback: it broke"}


def test_wrong_setting_is_not_tried_again(tmp_path: Path) -> None:
    wrong = (
        f"{SIGNS} import sys; print('Fetch the model first.', file=sys.stderr);"
        " sys.exit(os.EX_CONFIG)"
    )
    run = supervise(READY, ("web", ENDS, WEB), ("model", wrong, {}), signed=tmp_path / "signed")
    assert run.messages("model") == ["process started", "process given up"]
    assert "model process does not run and was given up: Fetch the model first." in run.said


def test_part_that_the_system_refuses_to_start_is_tried_again() -> None:
    before = """
import errno, subprocess
start, left = subprocess.Popen, 2
def refusing(command, **how):
    global left
    if "worker" in command[-1] and left:
        left -= 1
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return start(command, **how)
subprocess.Popen = refusing
"""
    ends = (
        "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(600)  # worker"
    )
    run = supervise(READY, ("web", SLEEPS, WEB), ("worker", ends, {}), before=before)
    assert run.code == 0
    # The other one lived to its end.
    assert run.messages("web") == ["process started", "process stopped"]
    assert run.messages("worker") == [
        "process died",
        "process died",
        "process started",
        "process stopped",
    ]


def test_without_its_web_processes_the_server_ends() -> None:
    run = supervise(READY, ("web", FAILS, WEB), ("engine", SLEEPS, {"needed": True}))
    assert run.code == 1
    assert run.messages("web")[-1] == "process given up"
    assert run.messages("engine")[-1] == "process stopped"


def test_needed_parts_stop_after_the_web() -> None:
    slow = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), sys.exit(0)))\n"
        "import os; os.kill(os.getppid(), signal.SIGTERM); time.sleep(600)"
    )
    run = supervise(READY, ("engine", SLEEPS, {"needed": True}), ("web", slow, WEB))
    ends = [line["part"] for line in run.log if line["message"] == "process stopped"]
    assert ends == ["web", "engine"]
    assert run.code == 0


def test_part_that_does_not_stop_is_killed() -> None:
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " os.kill(os.getppid(), signal.SIGINT); time.sleep(600)"
    )
    run = supervise(READY, ("web", SLEEPS, WEB), ("worker", stubborn, {}))
    assert "process did not stop in time" in run.messages("worker")
    assert run.code == 0


def test_preparation_that_fails_starts_nothing() -> None:
    run = supervise(("prepare", FAILS, {"first": True}), ("web", SLEEPS, WEB))
    assert run.code == 1
    assert run.said.strip() == "Like-Opt could not prepare its database: Traceback: it broke"
    assert run.messages("web") == []
