"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

The stream's events come from a generator that yields None when nothing happened for a while. It
is closed when the last event is sent or, at the latest one ping later, when the client is gone;
whoever writes the answer does not notice. While it waits it holds no database connection.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from flask import Response, request

from likeopt.errors import BadInput
from likeopt.web import cache_control

MEDIA_TYPE = "text/event-stream"
# A comment: keeps proxies from closing a quiet connection, and finds out that a client is gone.
PING = b": ping\n\n"


def wanted() -> bool:
    """Whether the client asks for events and not for one JSON answer."""
    accept = request.accept_mimetypes
    return accept[MEDIA_TYPE] > accept["application/json"]


def last_event_id() -> int:
    """The number of the last event that a returning client has seen; 0 for a new one."""
    given = request.headers.get("Last-Event-ID", "").strip()
    if not given:
        return 0
    if not given.isascii() or not given.isdecimal() or len(given) > 18:
        raise BadInput("Last-Event-ID must be the id of an event of this stream.")
    return int(given)


def frame(data: Any, *, event: str | None = None, number: int | None = None) -> bytes:
    """One event. `data` becomes JSON, which has no line breaks, or is bytes of one line."""
    head = b"" if event is None else b"event: %s\n" % event.encode()
    if number is not None:
        head += b"id: %d\n" % number
    body = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return head + b"data: " + body + b"\n\n"


def respond(frames: Iterator[bytes | None]) -> Response:
    """A response that sends `frames` as they come; None is sent as a ping."""
    response = Response(_Stream(frames), content_type=f"{MEDIA_TYPE}; charset=utf-8")
    response.headers["Cache-Control"] = cache_control.PERSONAL
    # nginx collects a response before it sends it, unless told not to.
    response.headers["X-Accel-Buffering"] = "no"
    return response


class _Stream:
    """The body. Its `close` runs the generators' own clean-up at once, not at collection."""

    def __init__(self, frames: Iterator[bytes | None]) -> None:
        self._frames = frames
        # Sends the headers at once, so that the client knows that it is connected.
        self._opened = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._opened:
            self._opened = True
            return b":\n\n"
        return next(self._frames) or PING

    def close(self) -> None:
        """Stop listening."""
        close: Callable[[], None] | None = getattr(self._frames, "close", None)
        if close is not None:
            close()
