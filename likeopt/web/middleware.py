"""What happens to every request and response, in order.

`Edge` wraps the whole WSGI application, so that errors of any layer and the bodies of streams are
covered too. When a response's headers are about to leave, the functions of `HEADER_HOOKS` run in
that order over the plain list of headers; each is a few microseconds (`bench/middleware.py` holds
the sum to the budget of 450 µs a request).
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flask import request

from likeopt.clock import Clock, rfc3339
from likeopt.monitoring.log import Write
from likeopt.monitoring.stages import Stages
from likeopt.web import cache_control

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

_ENVIRON_KEY = "likeopt.exchange"
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# What a response may load when nothing else was said: nothing, and nobody may frame it.
CLOSED_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# A year of TLS only, for this name and those below it (ASVS 3.4.1).
STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"

log = logging.getLogger(__name__)


class Exchange:
    """One request and its response, as the log sees them."""

    __slots__ = ("environ", "more", "request_id", "sent", "stages", "started", "status", "whole")

    def __init__(self, environ: "WSGIEnvironment", clock: Clock) -> None:
        given: str = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        self.environ = environ
        # Headers that the response gets, whether it is an error or not.
        self.more: Headers = []
        self.started = clock.monotonic()
        self.stages = Stages(clock)
        self.status = 0
        self.sent = 0
        # Whether the body was sent to its end.
        self.whole = False


Hook = Callable[[Exchange, Headers, float], None]


def exchange() -> Exchange:
    """The exchange of the request being handled."""
    found: Exchange = request.environ[_ENVIRON_KEY]
    return found


def request_id(exchange: Exchange, headers: Headers, _elapsed: float) -> None:
    """Return the caller's own id, or the one given to the request."""
    headers.append(("X-Request-ID", exchange.request_id))
    headers += exchange.more


def timing(exchange: Exchange, headers: Headers, elapsed: float) -> None:
    """Say how long the response took until its first byte, in milliseconds, and where."""
    headers.append(("X-Response-Time", f"{elapsed:.2f}ms"))
    headers.append(("Server-Timing", exchange.stages.server_timing(elapsed)))


def caching(_exchange: Exchange, headers: Headers, _elapsed: float) -> None:
    """Let nobody keep what no view has called cacheable."""
    if not _has(headers, "cache-control"):
        headers.append(("Cache-Control", cache_control.PERSONAL))


def security(exchange: Exchange, headers: Headers, _elapsed: float) -> None:
    """Forbid guessing of types, framing, referrers to other sites, and falling back from TLS."""
    headers.append(("X-Content-Type-Options", "nosniff"))
    headers.append(("Referrer-Policy", "same-origin"))
    if not _has(headers, "cross-origin-resource-policy"):
        headers.append(("Cross-Origin-Resource-Policy", "same-origin"))
    if not _has(headers, "content-security-policy"):
        headers.append(("Content-Security-Policy", CLOSED_POLICY))
    if exchange.environ["wsgi.url_scheme"] == "https":
        headers.append(("Strict-Transport-Security", STRICT_TRANSPORT))


HEADER_HOOKS: tuple[Hook, ...] = (request_id, caching, security, timing)


class Edge:
    """The outermost layer: gives each request its exchange, runs the hooks, writes the log line."""

    def __init__(
        self,
        app: "WSGIApplication",
        clock: Clock,
        write: Write,
        hooks: tuple[Hook, ...] = HEADER_HOOKS,
    ) -> None:
        self._app = app
        self._clock = clock
        self._write = write
        self._hooks = hooks

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        exchange = Exchange(environ, self._clock)
        environ[_ENVIRON_KEY] = exchange

        def start(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            exchange.status = int(status[:3])
            elapsed = (self._clock.monotonic() - exchange.started) * 1000
            for hook in self._hooks:
                hook(exchange, headers, elapsed)
            return start_response(status, headers, exc_info)

        return _Body(self._app(environ, start), exchange, self._finish)

    def _finish(self, exchange: Exchange) -> None:
        environ = exchange.environ
        record = {
            "time": rfc3339(self._clock.now_ms()),
            "level": "info",
            "message": "request",
            "request_id": exchange.request_id,
            "method": environ["REQUEST_METHOD"],
            # Without the query string: it holds what people search for.
            "path": environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"),
            "status": exchange.status,
            "bytes": exchange.sent,
            "duration_ms": round((self._clock.monotonic() - exchange.started) * 1000, 2),
            "client": environ.get("REMOTE_ADDR", ""),
        }
        if exchange.stages.millis:
            record["stages"] = {k: round(v, 2) for k, v in exchange.stages.millis.items()}
        if not exchange.whole:
            record["aborted"] = True
        self._write(record)


class _Body:
    """A response's body that counts what is sent and tells when it is over.

    The server calls `close` when the last byte is sent or the client is gone (PEP 3333).
    """

    __slots__ = ("_body", "_exchange", "_finish", "_items")

    def __init__(
        self, body: Iterable[bytes], exchange: Exchange, finish: Callable[[Exchange], None]
    ) -> None:
        self._body = body
        self._items = iter(body)
        self._exchange = exchange
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            item = next(self._items)
        except StopIteration:
            self._exchange.whole = True
            raise
        self._exchange.sent += len(item)
        return item

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._finish(self._exchange)


def _has(headers: Headers, name: str) -> bool:
    return any(key.lower() == name for key, _ in headers)
