"""Starting the processes of a server, restarting what dies, stopping them in order.

The supervisor stays small: it imports no server code, has one thread, and each part is a process
of its own that reads its settings from the environment. It holds the listening socket, so that
connections wait while the web processes are being restarted, and a port that is taken is an
error before anything has started.

Standard output gets JSON lines only. What a part writes to standard error (a crash, a C library)
is wrapped into such lines here.
"""

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from likeopt.clock import Clock, rfc3339
from likeopt.config import PREFIX, Config
from likeopt.monitoring import log

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# A part that lives this long had a good start; before that its death counts as a failed one.
GOOD_START_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 30.0
FAILED_STARTS = 6
# What a part gets to stop in, beyond what the web processes give their open streams.
STOP_SECONDS = 10.0


class Part:
    """One process, through its lives."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        essential: bool = False,
        needed: bool = False,
        first: bool = False,
    ) -> None:
        """Without an `essential` part there is no server; a `needed` one stops after it; the
        `first` one runs to its end before the others start."""
        self.name = name
        self.command = command
        self.essential = essential
        self.needed = needed
        self.first = first
        self.process: subprocess.Popen[bytes] | None = None
        # The last line that it wrote to standard error.
        self.last_words = ""
        # What the first part has to say to the supervisor alone.
        self.answer = b""
        self.started = 0.0
        self.failed_starts = 0
        # When to start it next; None while it runs, or if it will not be.
        self.start_at: float | None = 0.0
        self.kill_at: float | None = None


def plan(config: Config, listener: socket.socket, *, prepared: bool) -> list[Part]:
    """The parts of a server with these settings, first what must end before the others start."""
    web = [sys.executable, "-m", "gunicorn", "-c", "python:likeopt.web.gunicorn_conf"]
    web += ["--bind", f"fd://{listener.fileno()}"]
    parts = [
        Part("web", web, essential=True),
        Part("engine", _own("engine"), needed=True),
        Part("worker", _own("worker")),
    ]
    if config.llm in ("local", "local-small") or config.llm.startswith("gguf:"):
        parts.append(Part("model", _own("model"), needed=True))
    return parts if prepared else [Part("prepare", _own("prepare"), first=True), *parts]


class Supervisor:
    """Runs the parts of one server until a signal asks it to stop."""

    def __init__(
        self,
        parts: list[Part],
        environ: dict[str, str],
        listener: socket.socket,
        *,
        graceful_timeout: float,
        guest: str = "",
    ) -> None:
        """`environ` is the parts' environment with all settings, `listener` the web's socket,
        `graceful_timeout` the seconds that its open streams get when the server stops, `guest` the
        token of the link that lets guests in."""
        self._first = next((part for part in parts if part.first), None)
        self._parts = [part for part in parts if not part.first]
        self._graceful_timeout = graceful_timeout
        self._listener = listener
        self._environ = environ
        self._guest = guest
        self._write = log.line_writer("serve")
        self._stderr = log.never_waiting(sys.stderr.fileno())
        self._clock = Clock()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._exit_code = 0

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> int:
        """Prepare the database, start everything, and watch."""
        wake = self._catch_signals()
        try:
            if not self._prepare():
                return 0 if self._stopping else 1
            self._greet()
            while not self._over():
                self._start_due()
                for key, _ in self._selector.select(self._pause()):
                    key.data()
                self._reap()
        finally:
            self._kill_all()
            for one in wake:
                one.close()
            self._selector.close()
        return self._exit_code

    def _catch_signals(self) -> tuple[socket.socket, socket.socket]:
        """Turn signals into something to select on."""
        read, write = socket.socketpair()
        for end in (read, write):
            end.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

        def woken() -> None:
            for number in read.recv(4096):
                self._on_signal(number)

        self._selector.register(read, selectors.EVENT_READ, woken)
        return read, write

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP and not sys.stdin.isatty():
            # gunicorn replaces its workers one after the other; open streams end in peace.
            self._signal(signal.SIGHUP)
        elif number != signal.SIGCHLD:
            if self._stopping:
                self._kill_all()
                self._say("stopped at once")
            else:
                self._stop()

    def _over(self) -> bool:
        return self._stopping and all(part.process is None for part in self._parts)

    def _pause(self) -> float | None:
        """Seconds until something is due."""
        times = [p.start_at for p in self._parts if p.start_at is not None and not self._stopping]
        times += [part.kill_at for part in self._parts if part.kill_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    # -- starting ------------------------------------------------------------------------------

    def _prepare(self) -> bool:
        """Bring the database up to date, in a process that takes its memory with it."""
        if self._first is None:
            return True
        ours, theirs = os.pipe()
        process = self._spawn(self._first, theirs)
        os.close(theirs)
        while process.poll() is None:
            for key, _ in self._selector.select(None):
                key.data()
            if self._stopping:
                process.kill()
                process.wait()
                return False
        # A pipe holds 4,096 bytes and more without a reader.
        with os.fdopen(ours, "rb") as answer:
            self._first.answer = answer.read()
        # What it said last may still be in the pipe.
        for key, _ in self._selector.select(0):
            key.data()
        if process.returncode != 0:
            why = self._first.last_words or "the log says why"
            self._say(f"Like-Opt could not prepare its database: {why}")
        return process.returncode == 0

    def _start_due(self) -> None:
        now = time.monotonic()
        for part in self._parts:
            if part.start_at is None or self._stopping or part.start_at > now:
                continue
            part.start_at = None
            part.started = now
            try:
                part.process = self._spawn(part)
            except OSError as error:
                # No memory or no process is left for now (fork(2)): the other parts go on.
                part.last_words = f"it cannot be started: {error.strerror}"
                self._on_death(part, None, now)
                continue
            self._log("info", "process started", part, pid=part.process.pid)

    def _spawn(self, part: Part, answer: int | None = None) -> subprocess.Popen[bytes]:
        """Start a part; `answer` is where it may write what is not for the log."""
        passed = [self._listener.fileno()] if part.essential else []
        command = part.command
        if answer is not None:
            passed.append(answer)
            command = [*command, str(answer)]
        process = subprocess.Popen(  # noqa: S603  (no shell, our own arguments)
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environ,
            pass_fds=passed,
            # Ctrl-C reaches the supervisor only, which stops the parts in order.
            process_group=0,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one thread)
        )
        assert process.stderr is not None
        pipe = process.stderr
        os.set_blocking(pipe.fileno(), False)
        relay = _Relay(log.line_writer(part.name), part, self._clock)

        def readable() -> None:
            if not relay.pass_on(pipe.fileno()):
                self._selector.unregister(pipe)
                pipe.close()

        self._selector.register(pipe, selectors.EVENT_READ, readable)
        return process

    def _greet(self) -> None:
        """Print the address once the web processes answer: the first connection waits in the
        listening socket's queue, so nothing has to be tried again."""
        host, port = self._listener.getsockname()[:2]
        probe = socket.create_connection(_reachable(host, port))
        probe.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        probe.setblocking(False)
        answer = bytearray()

        def answered() -> None:
            try:
                piece = probe.recv(4096)
            except OSError:
                piece = b""
            answer.extend(piece)
            if piece:
                return
            self._selector.unregister(probe)
            probe.close()
            if answer.startswith(b"HTTP/1.1 200"):
                shown = f"[{host}]" if ":" in host else host
                address = f"http://{shown}:{port}"
                link = f"{address}/link#{self._guest}" if self._guest else address
                self._say(f"Like-Opt is ready: {link}  (Ctrl-C stops it)")
                self._invite(address)
            elif not self._stopping:
                self._greet()

        self._selector.register(probe, selectors.EVENT_READ, answered)

    def _invite(self, address: str) -> None:
        """Give the one-time link of the first administrator to whoever sits at the terminal."""
        token = self._first.answer.decode() if self._first else ""
        if token:
            address = self._environ.get(f"{PREFIX}PUBLIC_URL", address)
            self._say(
                "Nobody can sign in yet. Within 24 hours, become the first administrator here:\n"
                f"{address}/link#{token}"
            )

    # -- dying ---------------------------------------------------------------------------------

    def _reap(self) -> None:
        now = time.monotonic()
        for part in self._parts:
            process = part.process
            if process is None:
                continue
            if process.poll() is None:
                if part.kill_at is not None and part.kill_at <= now:
                    self._log("warning", "process did not stop in time", part, pid=process.pid)
                    part.kill_at = None
                    process.kill()
                continue
            part.process = None
            part.kill_at = None
            if self._stopping:
                self._log("info", "process stopped", part, exit=process.returncode)
                self._stop_rest()
            else:
                self._on_death(part, process.returncode, now)

    def _on_death(self, part: Part, code: int | None, now: float) -> None:
        """Have a part started again in a while, or give it up; `code` is None if it never ran."""
        if now - part.started >= GOOD_START_SECONDS:
            part.failed_starts = 0
        part.failed_starts += 1
        why = part.last_words or "the log says why"
        # Without the others the server is of use, and what keeps them from starting may pass.
        if code == os.EX_CONFIG or (part.essential and part.failed_starts >= FAILED_STARTS):
            self._log("error", "process given up", part, exit=code, deaths=part.failed_starts)
            self._say(f"The {part.name} process does not run and was given up: {why}")
            if part.essential:
                self._exit_code = 1
                self._stop()
            return
        if part.failed_starts == FAILED_STARTS:
            self._say(f"The {part.name} process does not run and is tried again and again: {why}")
        failed = min(part.failed_starts, FAILED_STARTS)
        delay = min(FIRST_DELAY_SECONDS * 4 ** (failed - 1), LONGEST_DELAY_SECONDS)
        part.start_at = now + delay
        self._log("error", "process died", part, exit=code, restart_in_seconds=delay)

    # -- stopping ------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Refuse new connections, let open streams end, then stop what they needed."""
        self._stopping = True
        self._log("info", "stopping")
        self._listener.close()
        for part in self._parts:
            if not part.needed:
                self._end(part)
        self._stop_rest()

    def _stop_rest(self) -> None:
        if any(part.process is not None for part in self._parts if part.essential):
            return
        for part in self._parts:
            self._end(part)

    def _end(self, part: Part) -> None:
        """Ask a part to stop, once."""
        if part.process is not None and part.kill_at is None:
            grace = self._graceful_timeout if part.essential else 0.0
            part.kill_at = time.monotonic() + grace + STOP_SECONDS
            part.process.send_signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for part in self._parts:
            if part.essential and part.process is not None:
                part.process.send_signal(number)

    def _kill_all(self) -> None:
        for part in self._parts:
            if part.process is not None:
                try:
                    # The whole group: gunicorn's workers, a parser.
                    os.killpg(part.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    # -- saying --------------------------------------------------------------------------------

    def _log(self, level: str, message: str, part: Part | None = None, **fields: object) -> None:
        about = {} if part is None else {"part": part.name}
        time_ = rfc3339(self._clock.now_ms())
        self._write({"time": time_, "level": level, "message": message, **about, **fields})

    def _say(self, sentence: str) -> None:
        """To the person at the terminal; not if that is a pipe that nobody empties."""
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._stderr, f"{sentence}\n".encode())


class _Relay:
    """Wraps the raw lines of one process into JSON lines."""

    LONGEST_LINE = 16_384

    def __init__(self, write: log.Write, part: Part, clock: Clock) -> None:
        self._write = write
        self._part = part
        self._clock = clock
        self._rest = b""

    def pass_on(self, fd: int) -> bool:
        """Read what is there; false at the end."""
        try:
            data = os.read(fd, 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data or len(self._rest) > self.LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._part.last_words = text
                now = rfc3339(self._clock.now_ms())
                self._write({"time": now, "level": "error", "logger": "stderr", "message": text})
        return bool(data)


def _reachable(host: str, port: int) -> tuple[str, int]:
    """The address under which this machine itself reaches a socket bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104  (not bound)


def _own(name: str) -> list[str]:
    return [sys.executable, "-m", "likeopt.cli.serve", name]


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child runs before its program, so that a killed supervisor leaves nothing behind."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
