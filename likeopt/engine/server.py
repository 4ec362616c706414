"""The engine: one process a machine that computes, so that web workers only wait.

Serves `likeopt.retrieval.search.EngineClient` on `data_dir/run/engine.sock`. A connection has a
thread that reads and writes, and answers what is remembered; what is not is computed on a few
others, first come first served, so that the number of connections decides nothing but who waits.
Who asks what somebody else is waiting for already takes none of them.
"""

import logging
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.errors import Busy, ConfigError, LikeOptError
from likeopt.retrieval.embed import FALLBACK, Embedder, likely_model, open_embedder
from likeopt.retrieval.search import MAX_REQUEST, address, frame, receive
from likeopt.retrieval.types import (
    EmbedRequest,
    Failure,
    ForgetRequest,
    Request,
    Response,
    SearchRequest,
    StatusRequest,
)
from likeopt.storage.db import Database

# Searches computed at the same time. A new question holds its thread for the 20 ms of its
# embedding, two at a time; with a remote model it waits for the network instead.
THREADS_LOCAL = 4
THREADS_REMOTE = 12
# Requests that may wait for such a thread, and connections that may be open.
QUEUE = 128
CONNECTIONS = 512
# Between looks at the database and the indexes when nobody searches, in seconds.
_TICK = 1.0
# For the last answers when the engine stops, in seconds.
_LAST_ANSWERS = 5.0
# A client that does not read its answer for so many seconds is given up.
_SEND = 5

_TOO_MUCH = "The search engine has too much to do."

T = TypeVar("T")

_log = logging.getLogger(__name__)
_TIMEVAL = struct.Struct("ll")
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)


class Server:
    """Answers on a socket until it is told to stop."""

    def __init__(self, path: Path, searcher: Searcher, clock: Clock, *, threads: int) -> None:
        self._path = path
        self._searcher = searcher
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "search")
        self._room = threading.BoundedSemaphore(threads + QUEUE)
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._stopped = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def listen(self) -> None:
        """Take the socket; ConfigError if another engine answers there."""
        name = address(self._path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(name)
            except OSError:
                self._path.unlink(missing_ok=True)
            else:
                raise ConfigError(f"Another engine already serves {self._path}.")
        # Only this user's processes may ask: what they may read is in the request.
        before = os.umask(0o177)
        try:
            self._listener.bind(name)
        finally:
            os.umask(before)
        self._listener.listen(128)

    def serve(self) -> None:
        """Answer until `stop`; then finish what is being computed, and return."""
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        while not self._stopped.wait(_TICK):
            self._keep_up()
        self._path.unlink(missing_ok=True)
        _shut(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_ = dict(self._connections)
        for connection in open_:
            # Its thread waits for a request that will not come; its answer can still be written.
            _shut(connection, socket.SHUT_RD)
        end = self._clock.monotonic() + _LAST_ANSWERS
        for thread in open_.values():
            thread.join(max(0.0, end - self._clock.monotonic()))
        self._pool.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Make `serve` return; from a signal handler or another thread."""
        self._stopped.set()

    def _keep_up(self) -> None:
        """Follow the library while nobody searches, so that the next search need not."""
        try:
            self._searcher.status(self._clock.monotonic() + _TICK)
        except LikeOptError as error:
            _log.debug("not ready: %s", error.message)
        except Exception:  # noqa: BLE001  (outermost handler: a bug here must not end the engine)
            _log.exception("the library cannot be followed")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._stopped.is_set():
                    return
                _log.exception("accept failed")
                self._stopped.wait(0.1)
                continue
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(_SEND, 0))
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            if not self._start(connection, thread):
                connection.close()

    def _start(self, connection: socket.socket, thread: threading.Thread) -> bool:
        """Begin to converse, unless that is too much."""
        with self._lock:
            if self._stopped.is_set() or len(self._connections) >= CONNECTIONS:
                return False
            try:
                thread.start()
            except RuntimeError as error:
                # The system gives no more threads for now; whoever asks tries again.
                _log.warning("a connection was refused: %s", error)
                return False
            # It cannot end before, since it removes itself under the lock.
            self._connections[connection] = thread
            return True

    def _converse(self, connection: socket.socket) -> None:
        """Read one connection's requests until it closes; the next one after an answer."""
        try:
            while True:
                request = _requests.decode(receive(connection, MAX_REQUEST))
                if self._stopped.is_set():
                    return
                _send(connection, self._answer(request, self._deadline(request)))
        except (EOFError, OSError, CancelledError):
            pass  # The client is gone, or the engine stops: nobody waits for an answer.
        except ValueError as error:
            # Not a message of ours: where the next one begins is anyone's guess.
            _log.warning("malformed request: %s", error)
            _send(connection, Failure("bad_input", f"Not a request of the engine: {error}"))
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _deadline(self, request: Request) -> float:
        milliseconds = 1000 if isinstance(request, StatusRequest) else request.deadline_ms
        return self._clock.monotonic() + milliseconds / 1000

    def _answer(self, request: Request, deadline: float) -> Response:
        try:
            return self._compute(request, deadline)
        except LikeOptError as error:
            return Failure(error.instance_code, error.message, error.retry_after)
        except CancelledError:
            raise
        except BaseException:  # noqa: BLE001  (outermost handler: a panic in Rust is no Exception)
            _log.exception("request failed")
            return Failure("internal_error", "The search failed; the engine's log says why.")

    def _compute(self, request: Request, deadline: float) -> Response:
        def run(work: Callable[[], T]) -> T:
            return self._in_pool(work, deadline)

        if isinstance(request, SearchRequest):
            return self._searcher.search(request, deadline, run)
        if isinstance(request, EmbedRequest):
            return run(lambda: self._searcher.embed(request, deadline))
        if isinstance(request, ForgetRequest):
            return self._searcher.forget(request, deadline)
        return self._searcher.status(deadline)

    def _in_pool(self, work: Callable[[], T], deadline: float) -> T:
        """Do work on one of the few threads; Busy if too much waits, or when it came too late."""
        if not self._room.acquire(blocking=False):
            raise Busy(_TOO_MUCH, retry_after=1.0)

        def in_time() -> T:
            try:
                if self._clock.monotonic() > deadline:
                    raise Busy(_TOO_MUCH, retry_after=1.0)
                return work()
            finally:
                self._room.release()

        return self._pool.submit(in_time).result()


def main(config: Config) -> None:
    """Be the engine until SIGTERM or SIGINT."""
    clock = Clock()
    run = config.data_dir / "run"
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = Database(config.database)
    threads = THREADS_REMOTE if config.embedder == "openai" else THREADS_LOCAL
    library = Library(config, db, clock, lambda model: open_by_name(config, model))
    searcher = Searcher(library, db, clock, threads=threads)
    server = Server(run / "engine.sock", searcher, clock, threads=threads)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.listen()
    try:
        server.serve()
    finally:
        searcher.close()
        library.close()
        db.close()


def open_by_name(config: Config, model: str | None) -> Embedder:
    """The embedder called `model` if any setting can open it, else the one that is set.

    After a change of the embedder, the old model's vectors serve until the new ones are made.
    """
    chosen = open_embedder(config, threads=1)
    if model in (None, chosen.model):
        return chosen
    if model == FALLBACK:
        # What served while int8 could not be used.
        from likeopt.retrieval.embedding.nano import LocalEmbedder  # noqa: PLC0415

        return LocalEmbedder(threads=1)
    for kind in ("local", "openai"):
        other = msgspec.structs.replace(config, embedder=kind)
        if likely_model(other) == model:
            return open_embedder(other, threads=1)
    return chosen


def _send(connection: socket.socket, message: Response) -> None:
    try:
        connection.sendall(frame(message))
    except OSError:
        # Gone, or in the middle of a message that it did not read: no other can follow.
        _shut(connection, socket.SHUT_RDWR)


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        return
