"""What the benches share: data, processes, figures."""

import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg

from likeopt.cli import parts
from likeopt.cli.serve import environment
from likeopt.config import Config
from likeopt.retrieval import evaluate
from likeopt.services import Services
from tests import servers
from tests.guest import HEADERS, SECRET_KEY

BENCH = Path(__file__).parent
# Scratch that may be deleted at any time: libraries with their embeddings.
WORK = BENCH / ".work"


def data_dir() -> Path:
    """The folder with the data sets (BEIR layout): BENCH_DATA, or beside the checkout."""
    return Path(os.environ.get("BENCH_DATA", BENCH.parent.parent / "shared" / "data"))


def data_set(name: str) -> evaluate.DataSet:
    """One of the sets in `data_dir`."""
    return evaluate.load(data_dir() / name)


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest, rounded to a hundredth."""
    two = values if len(values) > 1 else [*values, *values]
    cuts = statistics.quantiles(two, n=100, method="inclusive")
    return {
        "p50": round(cuts[49], 2),
        "p95": round(cuts[94], 2),
        "p99": round(cuts[98], 2),
        "max": round(max(values), 2),
    }


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds of wall time that `call` takes."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def pss_mib(process: psutil.Process) -> float:
    """Proportional set size: shared pages counted once, divided among who shares them."""
    return float(round(process.memory_full_info().pss / 2**20, 1))


def disk_mib(folder: Path) -> float:
    """What the files below a folder take on disk."""
    blocks = sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
    return round(blocks * 512 / 2**20, 1)


@contextmanager
def library(name: str, **settings: Any) -> Iterator[Services]:
    """A library of its own below WORK, kept between runs, but for what the last one cached."""
    config = Config(data_dir=WORK / name, sample_library=False, **settings)
    shutil.rmtree(config.data_dir / "cache", ignore_errors=True)
    with parts.services(config) as services:
        yield services


class Server:
    """A running `likeopt serve`, with all its processes."""

    def __init__(self, url: str, process: psutil.Process, config: Config) -> None:
        self.url = url
        self.process = process
        self.config = config

    def get(self, path: str) -> Any:
        """What a GET answers as JSON, None if nothing answers yet."""
        try:
            request = urllib.request.Request(f"{self.url}{path}", headers=HEADERS)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def processes(self) -> dict[str, psutil.Process]:
        """By what each is called, with a number where there are several of a kind."""
        found = {"supervisor": self.process}
        for one in self.process.children(recursive=True):
            if one.status() == psutil.STATUS_ZOMBIE:
                continue
            words = " ".join(one.cmdline()).split() or ["ended"]
            name = f"web {words[1]}" if words[0] == "gunicorn:" else words[-1]
            found[name if name not in found else f"{name} {one.pid}"] = one
        return found

    def wait_until_ready(self) -> None:
        """Until nothing is missing, a local model neither."""
        while (self.get("/ready") or {}).get("status") != "ready":
            time.sleep(0.1)

    def settle(self) -> None:
        """Until everything is indexed and embedded."""
        while True:
            state: Any = self.get("/api/v1/indexing")
            if state and not (state["queued"] or state["running"] or state["pending_embeddings"]):
                return
            time.sleep(0.5)

    def cpu_s(self) -> float:
        """CPU seconds of all processes so far, those that have ended included."""
        return float(sum(sum(one.cpu_times()[:4]) for one in self.processes().values()))

    def memory(self) -> dict[str, float]:
        """PSS of each process and of all, in MiB, and how much of it is mapped model weights."""
        processes = self.processes()
        each = {f"{name}_mib": pss_mib(one) for name, one in processes.items()}
        maps = [part for one in processes.values() for part in one.memory_maps()]
        weights = sum(one.pss for one in maps if Path(one.path).name.startswith("e5-small"))
        return {
            **each,
            "all_mib": round(sum(each.values()), 1),
            "weights_mib": round(weights / 2**20, 1),
        }


@contextmanager
def serving(config: Config, *, guest: bool = True) -> Iterator[Server]:
    """`likeopt serve` with these settings on a free port, for a guest unless told otherwise; it
    runs, and need not be ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = SECRET_KEY if guest else config.secret_key
    config = msgspec.structs.replace(config, port=port, guest=guest, secret_key=key)
    environ = environment(config)
    command = [str(Path(sys.executable).with_name("likeopt")), "serve"]
    log = config.data_dir.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid), config)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextmanager
def two_serving(*, guest: bool = True, **settings: Any) -> Iterator[list[Server]]:
    """Two app servers that are ready, of two web workers and with a data folder each, over one
    PostgreSQL, one Redis and one folder of originals; without limits on requests."""
    with ExitStack() as running:
        originals = running.enter_context(tempfile.TemporaryDirectory(prefix="lo-"))
        database = running.enter_context(servers.postgres())
        with psycopg.connect(f"{database}/postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE bench")
        redis = running.enter_context(servers.redis_server())
        apps = []
        for _ in range(2):
            folder = running.enter_context(tempfile.TemporaryDirectory(prefix="lo-"))
            config = Config(
                data_dir=Path(folder, "data"),
                files_dir=originals,
                database_url=f"{database}/bench",
                redis_url=redis,
                workers=2,
                rate_limit=0,
                rate_limit_chat=0,
                sample_library=False,
                **settings,
            )
            app = running.enter_context(serving(config, guest=guest))
            ready = f"{app.url}/ready"
            servers.wait_until(lambda url=ready: servers.answers(url), "the server")  # type: ignore[misc]
            apps.append(app)
        yield apps


def child(title: str) -> psutil.Process:
    """The child process of this one with `title` in its name."""
    for process in psutil.Process().children(recursive=True):
        if title in " ".join(process.cmdline()):
            return process
    raise LookupError(title)


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def report(name: str, rows: list[dict[str, Any]], **about: Any) -> None:
    """Print rows as a table, and keep them with what they were measured on."""
    show(rows)
    for key, value in about.items():
        print(f"{key}: {value}")
    machine = {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    folder = BENCH / "results"
    folder.mkdir(exist_ok=True)
    result = {"machine": machine, **about, "rows": rows}
    text = json.dumps(result, indent=1, ensure_ascii=False, default=msgspec.to_builtins)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
