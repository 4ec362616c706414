"""Parts of the server that a command borrows when `likeopt serve` does not run."""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from likeopt.cli.output import note
from likeopt.cli.serve import environment
from likeopt.cli.supervisor import die_with_parent
from likeopt.config import Config
from likeopt.errors import EngineUnavailable, IndexDamaged
from likeopt.llm import local
from likeopt.services import Services

# The engine maps its indexes within a second; the larger model is read and warmed up in ten.
START_SECONDS = 60.0
STOP_SECONDS = 15.0


@contextmanager
def services(config: Config) -> Iterator[Services]:
    """The services of a command; the database is there and up to date."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    built = Services(config)
    try:
        if not server_runs(config):
            built.prepare()
        yield built
    finally:
        built.close()


def server_runs(config: Config) -> bool:
    """Whether `likeopt serve` runs on this data folder: it holds a lock for as long as it lives."""
    try:
        lock = (config.data_dir / "run" / "serve.lock").open("a")
    except OSError:
        return False
    with lock:
        return not _take(lock)


@contextmanager
def engine(built: Services) -> Iterator[None]:
    """While the block runs there is an engine: the server's, or one of our own."""
    if server_runs(built.config):
        yield
        return
    with _own_part(built.config, "engine") as process:
        if not _comes_up(process, lambda: _answers(built)):
            raise EngineUnavailable(
                f"The search engine did not start; {built.config.data_dir}/run/engine.log says why."
            )
        yield


@contextmanager
def worker(config: Config) -> Iterator[Callable[[], bool]]:
    """While the block runs somebody indexes: the server's worker, or one of our own.

    Gives a function that says whether that is still so: a server restarts its worker.
    """
    if server_runs(config):
        yield lambda: server_runs(config)
        return
    with _own_part(config, "worker") as process:
        yield lambda: process.poll() is None


def words_follow(built: Services) -> Callable[[], bool]:
    """A function that says whether the index of words holds all that is published."""
    from likeopt.retrieval.analyse import Analyser
    from likeopt.retrieval.lexical import LexicalReader
    from likeopt.storage import changes, facts

    folder = built.config.data_dir / "indexes" / "lexical"
    index = LexicalReader(folder, Analyser(built.config.analyser))
    database_id = built.db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or ""

    def follows() -> bool:
        try:
            snapshot = index.refresh(database_id)
        except IndexDamaged:
            # The worker rebuilds it.
            return False
        applied = snapshot.applied if snapshot else 0
        left = built.db.read(lambda c: changes.since(c, applied, 1))
        return not (left.published or left.retired)

    return follows


@contextmanager
def model(config: Config) -> Iterator[None]:
    """While the block runs there is the local language model, if the settings ask for one.

    Without it an answer is extractive, and says so.
    """
    if not local.is_local(config) or server_runs(config):
        yield
        return
    with _own_part(config, "model") as process:
        if not _comes_up(process, lambda: local.is_ready(config)):
            note(f"The model did not start; {config.data_dir}/run/model.log says why.")
        yield


@contextmanager
def _own_part(config: Config, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one part of the server; it is stopped at the end, as `likeopt serve` would.

    A second command that needs the same part waits, since both would use the same socket.
    """
    run = config.data_dir / "run"
    run.mkdir(exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as opened:
        lock = opened.enter_context((run / f"{name}.lock").open("a"))
        if not _take(lock):
            note("Waiting for another likeopt command to finish.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        output = opened.enter_context((run / f"{name}.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603  (no shell, our own arguments)
            [sys.executable, "-m", "likeopt.cli.serve", name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(config),
            # Ctrl-C is ours: we stop the part in order.
            process_group=0,
            # And a command that is killed leaves nothing behind.
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one thread)
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(built: Services) -> bool:
    try:
        built.engine.status()
    except EngineUnavailable:
        return False
    return True


def _comes_up(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.02)
    return False
