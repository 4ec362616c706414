"""Structured log: one JSON object a line on standard output, from every process.

Every line has `time` (RFC 3339, UTC), `level`, `process` and `message`; a line that belongs to a
request has its `request_id`. Further members come from `extra={"fields": {...}}`.
"""

import fcntl
import logging
import os
import stat
import sys
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from likeopt.clock import rfc3339

Write = Callable[[dict[str, Any]], None]

# What a pipe is made to hold, which is what anybody may ask for (pipe(7)): 64 KiB are full after
# 270 lines, and at 2,000 requests a second the reader would have to come every 0.1 s.
_PIPE_BYTES = 1 << 20

_encode = msgspec.json.Encoder(enc_hook=str).encode


def line_writer(process: str, fd: int = 1) -> Write:
    """A function that writes one record as one line to a file descriptor.

    The line is one `write(2)`: lines of processes that share a pipe do not mix while they are
    shorter than PIPE_BUF (4,096 bytes on Linux, pipe(7)). A pipe that nobody empties holds nothing
    up: lines are lost, and the next one that is not says how many, as `lost_lines`.
    """
    own = never_waiting(fd)
    lost, torn = 0, b""

    def write(record: dict[str, Any]) -> None:
        nonlocal lost, torn
        missing = {"lost_lines": lost} if lost else {}
        whole = torn + _encode({**record, **missing, "process": process}) + b"\n"
        line = memoryview(whole)
        try:
            while line:
                line = line[os.write(own, line) :]
        except (BrokenPipeError, BlockingIOError):
            # Whoever read the log is gone or does not keep up. Serving goes on without it.
            lost += 1
            # What is left of a line must not spoil the next one.
            torn = b"\n" if 0 < len(line) < len(whole) else torn
            return
        lost, torn = lost - missing.get("lost_lines", 0), b""

    if own != fd:
        # Not at the exit of the process, which may still have something to say.
        weakref.finalize(write, os.close, own).atexit = False
    return write


def never_waiting(fd: int) -> int:
    """A descriptor for the same pipe that refuses what would have to wait; `fd` itself if it is
    none. Making `fd` so would make it so for all who have it, up to the shell that began this."""
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return fd
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # It is closed, nobody reads it, it is another user's, or there is no /proc.
        return fd
    with suppress(OSError):
        if fcntl.fcntl(own, fcntl.F_GETPIPE_SZ) < _PIPE_BYTES:
            fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return own


class JsonLines(logging.Handler):
    """Formats log records for a `line_writer`."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; its traceback becomes one string."""
        fields: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
        self._write(fields)


def configure(process: str, level: str) -> None:
    """Send this process's log, warnings and uncaught exceptions to standard output.

    Called once by each command that is a process of the server; replaces earlier handlers.
    """
    handler = JsonLines(line_writer(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("likeopt").critical("uncaught", exc_info=(kind, error, trace))
