"""The indexing process: one a machine, niced, made to be killed.

It takes jobs from the database: words first, then clean-up, then vectors. It looks every quarter
of a second, which costs 0.1 % of a core and works with any database; a datagram to `worker.sock`
only makes it look at once. What it holds when it dies is taken up by the next one: the lock below
tells that the one before is dead, so that nobody waits for its leases.
"""

import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import secrets
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import LikeOptError, StorageFull
from likeopt.retrieval.embed import Embedder, likely_model, open_embedder
from likeopt.retrieval.parse.sandbox import Sandbox
from likeopt.storage import indexing, jobs, messages
from likeopt.storage.board import Board, board_file
from likeopt.storage.db import Database
from likeopt.storage.files import FileStore
from likeopt.storage.wake import wake_socket
from likeopt.worker.cleanup import Cleanup
from likeopt.worker.embedding import BATCH, REMOTE_BATCH, Embedding
from likeopt.worker.follower import Follower
from likeopt.worker.indexer import Indexer
from likeopt.worker.vectors import LocalVectors, VectorFollower

NICE = 10
POLL_SECONDS = 0.25
# How often jobs of dead workers are looked for.
TAKE_OVER_SECONDS = 10.0
PAUSE_SECONDS = 2.0

_log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Index until SIGTERM or SIGINT."""
    os.nice(NICE)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with sole_worker(config.data_dir / "indexes", stop.is_set) as machine:
        if machine is None:
            return
        with bell(wake_socket(config.data_dir)) as wait:
            worker = Worker(config, Clock(), machine)
            try:
                worker.run(stop.is_set, wait)
            finally:
                worker.close()


@contextmanager
def sole_worker(folder: Path, stop: Callable[[], bool]) -> Iterator[str | None]:
    """Wait to be the only worker of this data folder; gives the machine's name, None if stopped.

    The kernel lets go of the lock when its holder dies, however it dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "worker.lock").open("a+") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    _log.info("waiting for another worker of this data folder to end")
                waiting = True
                if stop():
                    yield None
                    return
                select.select([], [], [], POLL_SECONDS)
        lock.seek(0)
        name = lock.read().strip()
        if not name:
            name = secrets.token_hex(8)
            lock.write(name)
            lock.flush()
            os.fsync(lock.fileno())
        yield name


@contextmanager
def bell(path: Path) -> Iterator[Callable[[float], None]]:
    """A function that waits so many seconds, or until somebody rings."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        try:
            line.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            # A path of more than 107 bytes: the worker looks by itself.
            _log.info("no wake-up socket at %s: %s", path, error)

        def wait(seconds: float) -> None:
            select.select([line], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                while True:
                    line.recv(1)

        yield wait
    path.unlink(missing_ok=True)


class Worker:
    """Everything that the process does, one step at a time."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        machine: str,
        *,
        open_model: Callable[[], Embedder] | None = None,
    ) -> None:
        """`machine` names this data folder's workers, of which there is one at a time."""
        self._config = config
        self._clock = clock
        self._machine = machine
        # A new name for each life: what another life held is not ours.
        self._owner = f"{machine}:{secrets.token_hex(8)}"
        # Renewed when half of it is over, and then it outlasts the slowest file.
        self._lease_ms = 2 * (config.parse_timeout + 60) * 1000
        self._renewed = clock.monotonic()
        self._took_over = clock.monotonic()
        self._deserted = messages.Deserted(clock)
        self._seen: tuple[int, int] | None = None
        self._troubled: LikeOptError | None = None
        self._rested = False
        self._db = Database(config.database, spread=Board(board_file(config.data_dir)).mark)
        self._sandbox = Sandbox(config)
        store = FileStore(config.originals)
        self.follower = Follower(self._db, clock, config, self._vectors(), machine)
        self._indexer = Indexer(
            self._db, store, self._sandbox, clock, config, self._owner, lease_ms=self._lease_ms
        )
        self._embedding = Embedding(
            self._db,
            clock,
            open_model or (lambda: open_embedder(config, threads=1)),
            likely_model(config),
            self._owner,
            lease_ms=self._lease_ms,
            batch=BATCH if config.embedder == "local" else REMOTE_BATCH,
        )
        self._cleanup = Cleanup(
            self._db,
            store,
            clock,
            self._owner,
            lambda: self.follower.applied,
            lease_ms=self._lease_ms,
        )

    def run(self, stop: Callable[[], bool], wait: Callable[[float], None]) -> None:
        """Work until `stop` says so; `wait` is called with seconds when there is nothing to do."""
        self.follower.start()
        recovered = False
        while not stop():
            if self.follower.crash is not None:
                raise self.follower.crash
            try:
                if not recovered:
                    self.recover()
                    recovered = True
                if self.step(stop):
                    self._rested = False
                else:
                    self._rest()
                    self._sandbox.tidy()
                    wait(POLL_SECONDS)
            except LikeOptError as error:
                if not (error.retryable or isinstance(error, StorageFull)):
                    raise
                _log.warning("indexing pauses: %s", error.message)
                self._troubled = error
                wait(PAUSE_SECONDS)
        # Without a database, the next worker takes over what is held.
        with contextlib.suppress(LikeOptError):
            self._put_back(None)

    def recover(self) -> None:
        """Take up what the worker before held, and remove what it left."""
        self._take_over()
        self._db.write(lambda c: jobs.enqueue_cleanup(c, self._clock, delay_ms=0))

    def step(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Do the most urgent thing; False if there is nothing to do."""
        if self._troubled is not None:
            self._put_back(self._troubled)
            self._troubled = None
        self._beat()
        due = self._db.read(lambda c: jobs.due(c, self._clock))
        if (due.library, due.embeddings) != self._seen:
            self.follower.wake()
            self._seen = (due.library, due.embeddings)
        if not due.waiting and self._embedding.is_idle():
            return False
        if self._waiting("index"):
            worked = self._indexer.step(self._published, stop)
            self.follower.wake()
            return worked
        # Before vectors, which may take hours: what was deleted is to go soon.
        if self._cleanup.step(lambda: stop() or self._waiting("index")):
            return True
        return self._embedding.step()

    def _rest(self) -> None:
        """Return freed memory to the system, once after work: glibc would keep 50 MB of it."""
        if not self._rested:
            gc.collect()
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)
        self._rested = True

    def close(self) -> None:
        """Stop the follower and the reader of files."""
        self.follower.stop()
        self._sandbox.close()
        self._db.close()

    def _vectors(self) -> VectorFollower:
        if self._config.vector_backend == "local":
            return LocalVectors(self._db, self._clock, self._config.data_dir / "indexes")
        # Its HTTP client takes 60 ms to import.
        from likeopt.worker.chroma_vectors import ChromaVectors  # noqa: PLC0415

        return ChromaVectors(self._db, self._clock, self._config.chroma_url, self._owner)

    def _waiting(self, kind: jobs.Kind) -> bool:
        return self._db.read(lambda c: jobs.waiting(c, self._clock, kind))

    def _published(self) -> None:
        self._beat()
        self.follower.wake()

    def _beat(self) -> None:
        now = self._clock.monotonic()
        if now - self._renewed >= self._lease_ms / 2000:
            self._db.write(lambda c: jobs.renew(c, self._clock, self._owner, self._lease_ms))
            self._renewed = now
        if now - self._took_over >= TAKE_OVER_SECONDS:
            self._take_over()

    def _take_over(self) -> None:
        """Queue what dead workers of this machine held, and fail the answers of dead processes. Not
        only at the start: PostgreSQL may commit what a killed worker sent last after the next one
        has started, and an answer counts as dead some seconds after its process."""
        self._db.write(lambda c: jobs.release(c, self._clock, self._machine, alive=self._owner))
        if self._db.write(lambda c: indexing.give_up(c, self._clock)):
            self._embedding.look_again()
        self._db.write(self._deserted.give_up)
        self._took_over = self._clock.monotonic()

    def _put_back(self, why: LikeOptError | None) -> None:
        error = (why.instance_code, why.message) if why is not None else (None, None)
        self._db.write(lambda c: jobs.put_back(c, self._clock, self._owner, error=error))
        self._embedding.forget()
