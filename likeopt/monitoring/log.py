"""Structured log: one JSON object a line on standard output, from every process.

Every line has `time` (RFC 3339, UTC), `level`, `process` and `message`; a line that belongs to a
request has its `request_id`. Further members come from `extra={"fields": {...}}`.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from likeopt.clock import rfc3339

Write = Callable[[dict[str, Any]], None]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def line_writer(process: str, fd: int = 1) -> Write:
    """A function that writes one record as one line to a file descriptor.

    The line is one `write(2)`: lines of processes that share a pipe do not mix while they are
    shorter than PIPE_BUF (4,096 bytes on Linux, pipe(7)).
    """

    def write(record: dict[str, Any]) -> None:
        line = memoryview(_encode({**record, "process": process}) + b"\n")
        try:
            while line:
                line = line[os.write(fd, line) :]
        except (BrokenPipeError, BlockingIOError):
            # Whoever read the log is gone or does not keep up. Serving goes on without it.
            return

    return write


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
