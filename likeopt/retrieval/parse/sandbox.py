"""Reads files in another process, with limits on time and memory.

The process is started when a file comes, reused for the next ones (a small file costs half a
millisecond more than in-process), replaced when a file breaks it, and ends by itself when idle:
PDFium and lxml hold 60 MB that an idle server should not.
"""

import contextlib
import logging
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from likeopt.config import Config
from likeopt.errors import UnreadableFile, UnsupportedType
from likeopt.retrieval.parse.failures import unreadable
from likeopt.retrieval.parse.protocol import LENGTH, Done, Job, Refused, Reply, frame
from likeopt.retrieval.types import Parsed

_log = logging.getLogger(__name__)

# What Python and its libraries need to be found; everything else, keys above all, stays here.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
# Where this very package lies, installed or not.
_ROOT = Path(__file__).parents[3]
# Importing takes 0.1 s; a machine may be busy.
_START_TIMEOUT = 60.0
_IDLE = 10.0
_STDERR_KEPT = 4096
# Bytes, of the peak in getrusage(2).
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


def opens(
    config: Config, path: Path, media_type: str, name: str, *, run: Callable[[Any], Any]
) -> None:
    """Have a process of its own open a file, and no more (0.2 s). Raises as `Sandbox.parse` does.

    For web workers: `run` is where waiting for it belongs. gevent's `subprocess` would fork, and
    hold everybody up for 15 ms.
    """
    process, job, replies = spawn(
        config,
        timeout=config.parse_timeout,
        first=frame(Job(str(path.absolute()), media_type, name, only_open=True)),
    )
    os.close(job)
    with os.fdopen(replies, "rb") as answer:
        # It ends itself when it takes too long. First comes the empty message that it is ready.
        data = run(lambda: _message(answer) is not None and _message(answer))
    # It would wait for another job.
    os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if not data:
        _log.warning("the reader of %s ended (%s)", name, status)
        raise unreadable("parser_timeout" if status == -signal.SIGALRM else "parser_crashed", name)
    _done(msgspec.msgpack.decode(data, type=Reply))


def _message(pipe: IO[bytes]) -> bytes | None:
    """The next message; None if the other side ended before."""
    length = pipe.read(LENGTH)
    if len(length) < LENGTH:
        return None
    wanted = int.from_bytes(length, "little")
    body = pipe.read(wanted)
    return body if len(body) == wanted else None


def spawn(config: Config, *, timeout: float, first: bytes = b"") -> tuple[int, int, int]:
    """The process without gevent's fork: its id, a pipe to it, which holds `first` already, and
    one from it."""
    command = _command(config.parse_memory_mb, timeout, _IDLE)
    (stdin, to_it), (from_it, stdout) = os.pipe(), os.pipe()
    os.write(to_it, first)
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    try:
        process = os.posix_spawn(command[0], command, _environment(), file_actions=actions)
    finally:
        os.close(stdin)
        os.close(stdout)
    return process, to_it, from_it


def _done(reply: Reply) -> Parsed | None:
    if isinstance(reply, Done):
        return reply.parsed
    assert isinstance(reply, Refused), "no picture was asked for"
    if reply.kind == "unsupported":
        raise UnsupportedType(reply.message)
    raise UnreadableFile(reply.message, code=reply.code)


def _command(memory_mb: int, timeout: float, idle: float) -> list[str]:
    arguments = [str(memory_mb), str(timeout), str(idle)]
    # -B: it may write no files, so no compiled modules either. -P: not the working directory.
    return [sys.executable, "-B", "-P", "-m", "likeopt.retrieval.parse.child", *arguments]


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    )
    return environment


class Sandbox:
    """A process that reads one file at a time. Threads may share it."""

    def __init__(self, config: Config, *, idle: float = _IDLE) -> None:
        """`idle` is in seconds."""
        self._timeout = float(config.parse_timeout)
        self._memory_mb = config.parse_memory_mb
        self._idle = idle
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parse(self, path: Path, media_type: str, name: str) -> Parsed:
        """As `parse.parse`, and UnreadableFile with the code parser_timeout, parser_memory or
        parser_crashed when the file breaks its reader."""
        request = frame(Job(str(path.absolute()), media_type, name))
        with self._lock:
            parsed = _done(self._ask(request, name))
        assert parsed is not None, "asked for"
        return parsed

    def tidy(self) -> None:
        """Bury the process if it has ended by itself: until then it would stay a zombie."""
        with self._lock:
            if self._child is not None and self._child.has_ended():
                self._child.close()
                self._child = None

    def close(self) -> None:
        """End the process; a later `parse` would start another."""
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    def _ask(self, request: bytes, name: str) -> Reply:
        while True:
            fresh = self._child is None
            child = self._child = self._child or _Child(self._memory_mb, self._timeout, self._idle)
            try:
                data = child.ask(request, self._timeout)
            except _Ended as ended:
                self._child = None
                if ended.code == "idle" and not fresh:
                    continue  # it went just when it was asked
                _log.warning("the reader of %s ended (%s): %s", name, ended.code, ended.said)
                code = "parser_crashed" if ended.code == "idle" else ended.code
                raise unreadable(code, name) from None
            reply: Reply = msgspec.msgpack.decode(data, type=Reply)
            return reply


class _Ended(Exception):
    """The process is gone: why (an error code, or `idle`), and its last words."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(code)
        self.code, self.said = code, said


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "asked for with PIPE"
    return pipe


class _Child:
    """The process and its pipes."""

    def __init__(self, memory_mb: int, timeout: float, idle: float) -> None:
        self._inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._much = (memory_mb << 20) // (3 * _PEAK_UNIT)
        self._process = subprocess.Popen(  # noqa: S603 - our own module and numbers
            _command(memory_mb, timeout, idle),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd="/",
        )
        self._stdin = _open(self._process.stdin)
        self._stdout = _open(self._process.stdout)
        self._stderr = _open(self._process.stderr)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._said = b""
        try:
            self._answer(_START_TIMEOUT)
        except _Ended as ended:
            raise RuntimeError(f"the reader of files does not start: {ended.said}") from None

    def ask(self, request: bytes, timeout: float) -> bytes:
        """The answer, within `timeout` seconds. Raises _Ended, and then the process is gone."""
        try:
            self._stdin.write(request)
            self._stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer(timeout)

    def has_ended(self) -> bool:
        """Whether it is gone; it still has to be closed."""
        # Nothing was asked, so its pipe can only have come to its end.
        return any(key.fileobj is self._stdout for key, _ in self._selector.select(0))

    def close(self) -> None:
        """End the process."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._ended()

    def _answer(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        data = bytearray()
        needed = LENGTH
        while len(data) < needed:
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(self._process.pid, signal.SIGKILL)
                raise _Ended("parser_timeout", self._ended().said)
            for key, _ in ready:
                part = os.read(key.fd, 1 << 20)
                if key.fileobj is self._stderr:
                    self._said = (self._said + part)[-_STDERR_KEPT:]
                    if not part:
                        self._selector.unregister(self._stderr)
                elif part:
                    data += part
                else:
                    raise self._ended()
            if needed == LENGTH <= len(data):
                needed += int.from_bytes(data[:LENGTH], "little")
        return bytes(data[LENGTH:])

    def _ended(self) -> _Ended:
        """Wait for the process, whose pipe is closed, and say why it went."""
        _, status, usage = os.wait4(self._process.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        rest = b""
        with contextlib.suppress(ValueError):  # closed already
            rest = self._stderr.read() or b""
        self._selector.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        said = (self._said + rest)[-_STDERR_KEPT:].decode("utf-8", "replace").strip()
        # Native code that gets no memory aborts, saying so (Rust, C++) or not (PDFium). The peak
        # includes what this process had when it forked, which tells nothing.
        peak = usage.ru_maxrss if usage.ru_maxrss > self._inherited else 0
        starved = "memory allocation" in said or "bad_alloc" in said or peak > self._much
        if code == 0:
            return _Ended("idle", said)
        if code == -signal.SIGALRM:
            return _Ended("parser_timeout", said)
        if starved:
            return _Ended("parser_memory", said)
        return _Ended("parser_crashed", said)
