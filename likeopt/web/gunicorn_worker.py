"""gunicorn's gevent worker, made fair, quick to stop, firm with slow clients, and consistent in
its errors."""

import logging
import queue
import secrets
import signal
import socket
import time
from typing import Any

import gevent
import msgspec
from gunicorn import util
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http import errors as refused
from gunicorn.workers.ggevent import GeventWorker

from likeopt.errors import RequestTimeout
from likeopt.web.connection import Connection, Patience
from likeopt.web.context import services_of
from likeopt.web.middleware import CLOSED_POLICY
from likeopt.web.native import look_up_names_apart

PROBLEM_TYPE = "application/problem+json"

# How much of a body that nobody wanted is read before the connection is closed.
DISCARD_BYTES = 256 << 20
DISCARD_SECONDS = 30.0
# Between looks at the connections of a worker that stops. It accepts for up to 1 s more, and who
# has just connected gets that long to send a request.
CLOSE_SECONDS = 2.0
# Between looks whether the last answers are written.
ANSWERS_SECONDS = 0.1

# What is refused before there is a request: status, reason, code, sentence.
_LINE = (414, "URI Too Long", "address_too_long", "The address is too long; use POST instead.")
_FIELDS = (
    431,
    "Request Header Fields Too Large",
    "headers_too_large",
    "The headers are too large.",
)
_CODING = (501, "Not Implemented", "unsupported_coding", "This transfer coding is not supported.")
_SYNTAX = (400, "Bad Request", "malformed_request", "The request is not valid HTTP.")
_LATE = (408, "Request Timeout", RequestTimeout.code, "The request arrived too slowly.")
_FAILED = (500, "Internal Server Error", "internal_error", "Something went wrong on the server.")

log = logging.getLogger(__name__)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no type hints
    """Serves until told to stop, then only the requests that have begun."""

    patience = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The connection that each greenlet serves, and those that wait for their next request.
        self._served: dict[gevent.Greenlet, Connection] = {}
        self._idle: set[Connection] = set()
        # Until when it may go on after it was told to stop, on the monotonic clock.
        self._until = 0.0
        # The arbiter's, as it was copied by the fork.
        self.signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def init_signals(self) -> None:
        """From here on signals reach this worker.

        Those since the fork went to its copy of the arbiter's queue, which nobody reads: a worker
        told to stop then would serve until it is killed, `graceful_timeout` later.
        """
        super().init_signals()
        while not self.signals.empty():
            number = self.signals.get_nowait()
            if number == signal.SIGTERM:
                self.handle_exit(number, None)
            elif number in (signal.SIGINT, signal.SIGQUIT):
                # Ctrl-C, and what an arbiter sends then.
                self.handle_quit(number, None)

    def run(self) -> None:
        """Serve; then see the answers to their end that no connection waits for: their reader has
        closed the page and will look for them later, or reads them through another worker."""
        look_up_names_apart()
        super().run()
        services = services_of(self.app.callable)
        services.rest()
        while services.answers() and time.monotonic() < self._until:
            self.notify()
            gevent.sleep(ANSWERS_SECONDS)

    def handle(self, listener: socket.socket, client: socket.socket, addr: Any) -> None:
        """Serve one connection to its end."""
        greenlet = gevent.getcurrent()
        connection = self._served[greenlet] = Connection(client, self.patience)
        try:
            super().handle(listener, connection, addr)
        finally:
            del self._served[greenlet]

    def timeout_ctx(self) -> "_Waiting":
        """gunicorn waits for a connection's next request inside this."""
        return _Waiting(self._idle, self._served[gevent.getcurrent()])

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request, then let others have their turn.

        gunicorn's own worker never does while the next request is already there. With 500 busy
        connections on one worker p99 was 1.7 s and hundreds timed out; so it is 0.7 s and none,
        for at most 12 % of throughput. Turns of 2 ms instead of one request were no better than
        none.
        """
        sock.begin_body(req)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            # Also when the connection is about to be closed, which StopIteration says.
            _discard_body(req)
        gevent.sleep(0)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: the connections that wait for a request need not be waited for."""
        super().handle_exit(sig, frame)
        self._until = time.monotonic() + self.cfg.graceful_timeout
        gevent.spawn(self._close_idle)

    def _close_idle(self) -> None:
        # Again and again: a request that was being answered leaves a connection that waits.
        while True:
            for client in list(self._idle):
                try:
                    # What has already arrived is still read and answered.
                    client.shutdown(socket.SHUT_RD)
                except OSError:
                    continue
            gevent.sleep(CLOSE_SECONDS)

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is not HTTP, or over a limit, with a problem like every other error."""
        status, reason, code, sentence = _refusal(exc)
        request_id = secrets.token_hex(8)
        fields = {"request_id": request_id, "status": status, "client": addr[0] if addr else ""}
        if status == 500:
            log.error("request failed", exc_info=exc, extra={"fields": fields})
        else:
            log.warning("request refused: %s", sentence, extra={"fields": fields})
        body = msgspec.json.encode(
            {
                "type": f"/api/docs#{code}",
                "title": reason,
                "status": status,
                "detail": sentence,
                "code": code,
                "request_id": request_id,
                "retryable": status == RequestTimeout.status,
            }
        )
        head = (
            f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nCache-Control: no-store\r\n"
            f"Content-Type: {PROBLEM_TYPE}\r\nX-Request-ID: {request_id}\r\n"
            f"X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n"
            f"Content-Security-Policy: {CLOSED_POLICY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            util.write_nonblock(client, head.encode() + body)
        except OSError:
            # The client is gone; there is nobody to tell.
            return


class _Waiting:
    """While a connection has no request: may be closed."""

    def __init__(self, idle: set[Connection], connection: Connection) -> None:
        self._idle = idle
        self._connection = connection

    def __enter__(self) -> None:
        self._idle.add(self._connection)
        self._connection.expect()

    def __exit__(self, *_: object) -> None:
        self._idle.discard(self._connection)


class Logger(GunicornLogger):  # type: ignore[misc]  # gunicorn has no type hints
    """gunicorn's own messages as JSON lines; requests are logged by the middleware."""

    def setup(self, cfg: Any) -> None:
        """Hand everything to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _discard_body(req: Any) -> None:
    """Read what a refused upload still sends, so that its sender gets to read the refusal.

    Closing at once would reset the connection before that. gunicorn itself would read without an
    end and without letting others have a turn. Raises StopIteration to close the connection.
    """
    deadline = time.monotonic() + DISCARD_SECONDS
    left = DISCARD_BYTES
    while not req.body.failed and (data := _read(req)):
        left -= len(data)
        if left < 0 or time.monotonic() > deadline:
            raise StopIteration
        gevent.sleep(0)


def _read(req: Any) -> bytes:
    try:
        piece: bytes = req.body.read(1 << 16)
    except RequestTimeout:
        # It has its answer.
        raise StopIteration from None
    return piece


def _refusal(error: BaseException) -> tuple[int, str, str, str]:
    if isinstance(error, RequestTimeout):
        return _LATE
    if isinstance(error, refused.LimitRequestLine):
        return _LINE
    if isinstance(error, refused.LimitRequestHeaders):
        return _FIELDS
    if isinstance(error, refused.UnsupportedTransferCoding):
        return _CODING
    if isinstance(error, refused.InvalidResponseHeader | refused.InvalidResponseHeaderName):
        return _FAILED
    return _SYNTAX if isinstance(error, refused.ParseException) else _FAILED
