"""A client's connection that loses patience with one who sends or reads too slowly.

Only time spent waiting for the client counts, so a slow disk or a busy server ends nobody's
upload. A proxy in front that collects requests and responses hides all this from us, and has
limits of its own.
"""

import contextlib
import errno
import logging
import socket
import struct
import time
from typing import Any

from msgspec import Struct

from likeopt.errors import RequestTimeout

log = logging.getLogger(__name__)

# What has to leave within `reading` seconds: 4 KiB/s with the usual patience.
_SEND_BYTES = 256 << 10
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Patience(Struct, frozen=True):
    """Seconds of waiting for a client before its connection is ended."""

    # For a next request. Longer than nginx's own 60 s, so that it is nginx which closes.
    idle: float = 75.0
    # For the rest of a request's line and headers, once they have begun.
    head: float = 20.0
    # For the next byte of a body.
    stall: float = 20.0
    # For a whole body, and the bytes that earn a second more: as Apache's mod_reqtimeout has it
    # (https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html).
    body: float = 20.0
    bytes_per_second: int = 500
    # For a client to take what is sent.
    reading: float = 60.0


class Connection:
    """A socket as gunicorn uses one, with deadlines."""

    def __init__(self, client: socket.socket, patience: Patience) -> None:
        self._client = client
        self._patience = patience
        self._request: Any = None
        self._begun = False
        self._received = 0
        self._waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def expect(self) -> None:
        """A request may come."""
        self._request, self._begun, self._waited = None, False, 0.0

    def begin_body(self, request: Any) -> None:
        """The request's headers are read; what comes next is its body."""
        self._request, self._begun, self._received, self._waited = request, True, 0, 0.0

    def recv(self, size: int) -> bytes:
        """What the client sends next, empty at its end or when no request comes.

        Raises RequestTimeout when it sends too slowly.
        """
        self._client.settimeout(max(0.001, self._left()))
        began = time.monotonic()
        try:
            data = self._client.recv(size)
        except TimeoutError:
            return self._late()
        self._waited += time.monotonic() - began
        self._received += len(data)
        if not self._begun:
            # How long it took to begin is no sign of slowness.
            self._begun, self._waited = True, 0.0
        return data

    def _left(self) -> float:
        patience = self._patience
        if self._request is not None:
            earned = patience.body + self._received / patience.bytes_per_second
            return min(patience.stall, earned - self._waited)
        return patience.head - self._waited if self._begun else patience.idle

    def _late(self) -> bytes:
        if not self._begun:
            return b""
        if self._request is not None:
            # The rest of the body may still come, and is no next request.
            self._request.force_close()
        raise RequestTimeout("The request arrived too slowly. Send it again.")

    def sendall(self, data: bytes) -> None:
        """Send; ConnectionResetError if the client does not take it in time."""
        self._client.settimeout(self._patience.reading)
        try:
            if len(data) <= _SEND_BYTES:
                self._client.sendall(data)
                return
            # gevent gives all of it one deadline, which a large answer would miss on a slow line.
            view = memoryview(data)
            for at in range(0, len(data), _SEND_BYTES):
                self._client.sendall(view[at : at + _SEND_BYTES])
        except TimeoutError:
            raise self._not_read() from None

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file; raises as `sendall`."""
        self._client.settimeout(self._patience.reading)
        try:
            # In pieces of 8 KiB, each with a deadline of its own.
            return self._client.sendfile(file, offset, count)
        except TimeoutError:
            raise self._not_read() from None

    def _not_read(self) -> ConnectionResetError:
        log.info("connection ended: the client does not read its answer")
        with contextlib.suppress(OSError):
            # Otherwise the kernel keeps what it would not take for minutes after the end.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        return ConnectionResetError(errno.ECONNRESET, "the client does not read")
