"""What a trivial request costs with all middleware: at most 450 µs of CPU.

Two ways, each interleaved with a Flask application that has one view and nothing else, so that a
noisy machine disturbs both alike: the WSGI application called in this process, and a request on a
kept connection through gunicorn. The difference between the two applications is what request id,
timing, headers, problem shape and access log cost together. gunicorn's own two workers for gevent
are measured beside ours.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from bench import common
from likeopt.cli.serve import environment, listen
from likeopt.config import Config
from likeopt.monitoring.log import line_writer
from likeopt.web.app import create_app

BUDGET_MICROS = 450
ROUNDS = 15
CALLS = 2000
HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
OURS = "likeopt.web.gunicorn_worker.Worker"
APPLICATION = "likeopt.web.wsgi:application()"


def bare() -> Flask:
    """Flask with one view that answers as /health does."""
    app = Flask("bare", static_folder=None)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    """Measure and report; fails over the budget."""
    rows = _in_process() + _through_gunicorn()
    common.report(
        "middleware", rows, budget_micros=BUDGET_MICROS, unit="µs of CPU a request, of GET /health"
    )
    ours = next(row for row in rows if row["what"] == f"gunicorn, Like-Opt, {_short(OURS)}")
    if ours["least"] > BUDGET_MICROS:
        sys.exit(f"over the budget of {BUDGET_MICROS} µs")


def _in_process() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        write = line_writer("web", log.fileno())
        apps: dict[str, Any] = {
            "in process, bare Flask": bare(),
            "in process, Like-Opt": create_app(Config(data_dir=Path(folder)), write=write),
        }
        environ = EnvironBuilder("/health", headers=Headers(HEADERS)).get_environ()

        def calls(app: Any) -> float:
            start = time.process_time()
            for _ in range(CALLS):
                body = app(dict(environ), lambda *_: None)
                for _ in body:
                    pass
                body.close()
            return time.process_time() - start

        return _interleaved({name: (calls, app) for name, app in apps.items()})


def _through_gunicorn() -> list[dict[str, Any]]:
    variants = [
        ("bare Flask", "bench.middleware:bare()", OURS),
        ("Like-Opt", APPLICATION, OURS),
        ("Like-Opt", APPLICATION, "gevent"),
        ("Like-Opt", APPLICATION, "gevent_pywsgi"),
    ]
    with ExitStack() as servers:
        measured: dict[str, tuple[Callable[[Any], float], Any]] = {}
        for name, application, worker in variants:
            served = servers.enter_context(_gunicorn(application, worker))
            measured[f"gunicorn, {name}, {_short(worker)}"] = (_requests, served)
        return _interleaved(measured)


@contextmanager
def _gunicorn(application: str, worker: str) -> Iterator[tuple[socket.socket, psutil.Process]]:
    """A connection to a gunicorn with one worker, and that worker's process."""
    with tempfile.TemporaryDirectory() as folder, listen("127.0.0.1", 0) as bound:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:likeopt.web.gunicorn_conf"]
        command += ["--bind", f"fd://{bound.fileno()}", "--workers", "1"]
        command += ["--worker-class", worker, application]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                cwd=common.BENCH.parent,
                env=environment(Config(data_dir=Path(folder))) | {"PYTHONPATH": os.curdir},
                pass_fds=(bound.fileno(),),
            )
        try:
            with socket.create_connection(bound.getsockname()) as connection:
                _ask(connection)
                (child,) = psutil.Process(process.pid).children()
                yield connection, child
        finally:
            process.terminate()
            process.wait()


def _requests(served: tuple[socket.socket, psutil.Process]) -> float:
    connection, process = served
    before = _cpu_seconds(process)
    for _ in range(CALLS):
        _ask(connection)
    return _cpu_seconds(process) - before


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ask(connection: socket.socket) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    connection.sendall(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
    answer = b""
    # Flask writes a line break after its JSON.
    while not answer.rstrip().endswith(b"}"):
        answer += connection.recv(65536)


def _interleaved(
    measured: dict[str, tuple[Callable[[Any], float], Any]],
) -> list[dict[str, Any]]:
    micros: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(ROUNDS + 1):
        for name, (measure, what) in measured.items():
            seconds = measure(what)
            # The first round warms up.
            if turn:
                micros[name].append(seconds / CALLS * 1e6)
    return [
        {"what": name, "least": round(min(values)), "median": round(statistics.median(values))}
        for name, values in micros.items()
    ]


def _short(worker: str) -> str:
    return "our worker" if worker == OURS else worker


if __name__ == "__main__":
    main()
