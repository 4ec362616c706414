"""Real servers for tests, each on a free loopback port and gone when the session ends.

Every pytest-xdist worker starts its own: a second PostgreSQL costs 1.5 s and no coordination.
"""

import ctypes
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from psycopg.pq import PGconn, Ping

ROOT = Path(__file__).parent.parent
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class MissingServer(Exception):
    """The program of a server is not installed; the message says how to get it."""


def free_port() -> int:
    """A loopback TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Poll `ready` until it is true; raises TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


@contextmanager
def running(
    command: list[str],
    ready: Callable[[], bool],
    *,
    user: str | None = None,
    environ: dict[str, str] | None = None,
    cwd: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` while the block runs; its output is shown only if it fails to start."""
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        # A test process that is killed with -9 must not leave servers behind.
        libc.prctl(PR_SET_PDEATHSIG, stop)

    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            preexec_fn=die_with_parent,  # noqa: PLW1509  (tests start servers before any thread)
        )
        try:
            wait_until(lambda: process.poll() is not None or ready(), command[0])
            if process.poll() is not None:
                log.seek(0)
                output = log.read().decode(errors="replace")
                raise RuntimeError(f"{command[0]} ended at once:\n{output}")
            yield process
        finally:
            process.send_signal(stop)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL without durability; yields `postgresql://postgres@127.0.0.1:PORT`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise MissingServer("PostgreSQL is not installed: `make test` installs it with apt")
    binaries = found[-1] if found else Path(str(on_path)).parent
    # initdb and postgres refuse to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="likeopt-pg-") as folder:
        if user:
            shutil.chown(folder, user)
        data, port = Path(folder, "data"), free_port()
        initdb = f"{binaries}/initdb -D {data} -U postgres -A trust -E UTF8 --locale=C --no-sync"
        subprocess.run(
            initdb.split(),
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "shared_buffers": "32MB",
        }
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        url = f"postgresql://postgres@127.0.0.1:{port}"

        def ready() -> bool:
            # It accepts connections, and refuses them, before it is ready.
            return PGconn.ping(f"{url}/postgres".encode()) == Ping.OK

        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        with running(command, ready, user=user, cwd=Path(folder), stop=signal.SIGINT):
            yield url


@contextmanager
def chroma() -> Iterator[str]:
    """A Chroma server with its own data; yields its base URL."""
    program = Path(os.environ.get("TEST_CHROMA") or ROOT / ".venv-chroma/bin/chroma")
    if not program.exists():
        raise MissingServer("Chroma is not installed: `make test` makes .venv-chroma")
    with tempfile.TemporaryDirectory(prefix="likeopt-chroma-") as folder:
        url = f"http://127.0.0.1:{(port := free_port())}"
        with running(
            [str(program), "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
            lambda: answers(f"{url}/api/v2/heartbeat"),
            environ={"ANONYMIZED_TELEMETRY": "False"},
            cwd=Path(folder),
        ):
            yield url


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk; yields `redis://127.0.0.1:PORT/0`."""
    with redis_process(free_port()) as (_, url):
        yield url


@contextmanager
def redis_process(port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Redis on `port`, for tests that kill it."""
    program = shutil.which("redis-server")
    if program is None:
        raise MissingServer("Redis is not installed: `make test` installs it with apt")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    with (
        tempfile.TemporaryDirectory(prefix="likeopt-redis-") as folder,
        running(
            [program, *options], lambda: _says(port, b"PING", b"+PONG"), cwd=Path(folder)
        ) as process,
    ):
        yield process, f"redis://127.0.0.1:{port}/0"


# Redis knows only differences between its clock and times that it holds: to set the clock is to
# move those the other way. (With libfaketime, Debian's Redis, which has jemalloc, never starts.)
_SET_CLOCK = """
local by = tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= by then
    redis.call('DEL', key)
  else
    if left >= 0 then redis.call('PEXPIRE', key, left - by) end
    local kind = redis.call('TYPE', key).ok
    if kind == 'hash' and redis.call('HEXISTS', key, 'until') == 1 then
      redis.call('HINCRBY', key, 'until', -by)
    elseif kind == 'zset' then
      for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        redis.call('ZINCRBY', key, -by, member)
      end
    end
  end
end
"""


def set_redis_clock(url: str, seconds: float) -> None:
    """As if the clock of the Redis at `url` were set forward by so many seconds, or back."""
    with redis.Redis.from_url(url) as client:
        client.eval(_SET_CLOCK, 0, round(seconds * 1000))


@contextmanager
def memcached_server() -> Iterator[str]:
    """A Memcached; yields `127.0.0.1:PORT`."""
    with memcached_process(free_port()) as (_, server):
        yield server


@contextmanager
def memcached_process(port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Memcached on `port`, for tests that kill it."""
    program = shutil.which("memcached")
    if program is None:
        raise MissingServer("Memcached is not installed: `make test` installs it with apt")
    # It refuses to run as root without a name.
    user = ["-u", "root"] if os.geteuid() == 0 else []
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", *user]
    with running(command, lambda: _says(port, b"version", b"VERSION")) as process:
        yield process, f"127.0.0.1:{port}"


def _says(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(question + b"\r\n")
            return connection.recv(64).startswith(answer)
    except OSError:
        return False


@contextmanager
def openid_provider() -> Iterator[str]:
    """An OpenID Connect provider that believes everybody; yields its issuer."""
    issuer = f"http://127.0.0.1:{(port := free_port())}"
    with running(
        [
            sys.executable,
            "-m",
            "oidc_provider_mock",
            "--port",
            str(port),
            "--require-nonce",
            "true",
        ],
        lambda: answers(f"{issuer}/jwks"),
        environ={"AUTHLIB_INSECURE_TRANSPORT": "1", "PYTHONWARNINGS": "ignore"},
    ):
        yield issuer


def known_to_provider(issuer: str, sub: str, **claims: object) -> None:
    """Tell an `openid_provider` about somebody."""
    request = urllib.request.Request(
        f"{issuer}/users/{sub}",
        data=json.dumps(claims).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 204


def chromium() -> str:
    """The path of the browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise MissingServer("Chromium is not installed: `make test` installs it with apt")
    return found


LIKEOPT = [sys.executable, "-c", "from likeopt.cli.main import main; raise SystemExit(main())"]


@contextmanager
def like_opt(home: Path, settings: dict[str, str] | None = None) -> Iterator[str]:
    """`likeopt serve` with the data folder `home`/data; yields its address.

    It must stop cleanly when asked to.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    environ = {
        "LIKEOPT_DATA_DIR": str(home / "data"),
        "LIKEOPT_PORT": str(port),
        "LIKEOPT_WORKERS": "1",
        "LIKEOPT_SAMPLE_LIBRARY": "false",
    }
    with running(
        [*LIKEOPT, "serve"],
        lambda: answers(f"{url}/ready"),
        environ=environ | (settings or {}),
        cwd=home,
    ) as server:
        yield url
    assert server.returncode == 0
