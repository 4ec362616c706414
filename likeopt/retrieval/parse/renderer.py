"""Has pictures made in another process, from a web worker: nothing here forks or blocks.

The process is started when a picture is wanted and not in the cache, and ends when it was not
needed for some seconds. One for each worker: a page takes as much of a core as it can get.
"""

import contextlib
import logging
import os
import signal
import threading
from typing import NamedTuple

import msgspec

from likeopt.config import Config
from likeopt.errors import UnreadableFile
from likeopt.retrieval.parse.failures import unreadable
from likeopt.retrieval.parse.protocol import LENGTH, Draw, Drawn, Refused, Reply, frame
from likeopt.retrieval.parse.sandbox import spawn
from likeopt.storage.db import Runner

_log = logging.getLogger(__name__)

# Seconds a picture may take (a page took 0.1 s), to which the process adds 5 of grace.
_TIMEOUT = 5


class _Process(NamedTuple):
    pid: int
    to_it: int
    from_it: int


class Renderer:
    """A process that makes one picture at a time. `run` is where waiting for it belongs."""

    def __init__(self, config: Config, run: Runner) -> None:
        self._config = config
        self._run = run
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def draw(self, wanted: Draw) -> Drawn:
        """Raises UnreadableFile with the code no_picture, too_large_picture, parser_timeout or
        parser_crashed, or one of `parse.parse`."""
        with self._lock:
            data = self._ask(frame(wanted), wanted.name)
        reply: Drawn | Refused = msgspec.msgpack.decode(data, type=Reply)
        if isinstance(reply, Drawn):
            return reply
        raise UnreadableFile(reply.message, code=reply.code)

    def close(self) -> None:
        """End the process; a later `draw` would start another."""
        with self._lock:
            if self._process is not None:
                os.kill(self._process.pid, signal.SIGKILL)
                self._bury(self._process)

    def _ask(self, request: bytes, name: str) -> bytes:
        while True:
            fresh = self._process is None
            process = self._process or self._start()
            answer: bytes | None = None
            sent = False
            try:
                with contextlib.suppress(BrokenPipeError):
                    os.write(process.to_it, request)
                    sent = True
                    answer = self._run(lambda: _message(process.from_it))  # noqa: B023  (runs now)
            except BaseException:
                # Whatever it answers later must not be taken for the next one's.
                os.kill(process.pid, signal.SIGKILL)
                self._bury(process)
                raise
            if answer is not None:
                return answer
            status = self._bury(process)
            if not fresh and (status == 0 or not sent):
                continue  # it went before it was asked, or at that moment
            _log.warning("the renderer of %s ended (%s)", name, status)
            timeout = status == -signal.SIGALRM
            raise unreadable("parser_timeout" if timeout else "parser_crashed", name)

    def _start(self) -> _Process:
        process = self._process = _Process(*spawn(self._config, timeout=_TIMEOUT))
        # First comes the empty message that it is ready.
        if self._run(lambda: _message(process.from_it)) is None:
            raise RuntimeError(f"the renderer does not start ({self._bury(process)})")
        return process

    def _bury(self, process: _Process) -> int:
        """Wait for the process, which is ending, and say why it went."""
        self._process = None
        os.close(process.to_it)
        os.close(process.from_it)
        return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def _message(pipe: int) -> bytes | None:
    """The next message; None if the process has ended."""
    length = _bytes(pipe, LENGTH)
    return None if length is None else _bytes(pipe, int.from_bytes(length, "little"))


def _bytes(pipe: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        part = os.read(pipe, min(1 << 20, count - len(data)))
        if not part:
            return None
        data += part
    return bytes(data)
