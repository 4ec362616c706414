"""The application over a real database, and the whole server as a user starts it."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import urllib3
from flask import Flask

from likeopt import accounts
from likeopt.accounts import SignedIn
from likeopt.cli.serve import environment, listen
from likeopt.cli.supervisor import die_with_parent
from likeopt.config import Config
from likeopt.passwords import Passwords
from likeopt.services import Services
from likeopt.storage import access, bootstrap, people
from likeopt.storage.db import run_here
from likeopt.storage.reader import Reader
from likeopt.storage.tables import users
from likeopt.web.app import create_app
from tests import guest
from tests.fakes import FakeClock
from tests.servers import wait_until

LOAD_AND_SERVE = (
    "import os, sys; from likeopt.cli.serve import serve; from likeopt.config import load;"
    " sys.exit(serve(load(os.environ)))"
)
STRANGER = "stranger"
CLIENT = accounts.Client("127.0.0.1", "tests")
PASSWORD = "correct horse 9"
# Argon2id with as little work as it takes.
QUICK = Passwords(run_here, passes=1, memory_kib=8, lanes=1)
with QUICK.slot():
    PASSWORD_HASH = QUICK.hash(PASSWORD)

# Flask's test client. Its type says that a response's JSON may be None, which tests know better.
Client = Any


# -- in this process ------------------------------------------------------------------------------


@pytest.fixture
def services(config: Config, _sqlite_template: Path) -> Iterator[Services]:
    """Services over a new, prepared database; there is no engine and no worker.

    On SQLite, unless the module's `config` has the `database_url` of tests/conftest.py: then its
    tests run on PostgreSQL too.
    """
    if not config.database_url:
        shutil.copy(_sqlite_template, config.data_dir / "likeopt.db")
    built = Services(config)
    built.db.write(lambda c: bootstrap.prepare(c, built.clock))
    yield built
    built.close()


@pytest.fixture
def signing_in(config: Config, _sqlite_template: Path, clock: FakeClock) -> Iterator[Services]:
    """The same on SQLite, by the test's clock, and with passwords that cost no time."""
    shutil.copy(_sqlite_template, config.data_dir / "likeopt.db")
    built = Services(config, clock=clock)
    built.accounts._passwords = QUICK
    yield built
    built.close()


@pytest.fixture
def access_log() -> list[dict[str, Any]]:
    """What `app` writes to its access log."""
    return []


@pytest.fixture
def app(config: Config, services: Services, access_log: list[dict[str, Any]]) -> Flask:
    """The application, without a server around it."""
    return create_app(config, services, write=access_log.append)


@pytest.fixture
def client(config: Config, app: Flask) -> Client:
    """A client of `app`; a guest where sign-in is skipped."""
    return guest.client(app) if config.guest else app.test_client()


@pytest.fixture
def upload(client: Client) -> Callable[..., Any]:
    """Add one file and return its item of the response."""

    def add(name: str = "notes.md", content: bytes = b"# Notes\n\nHello.", **fields: Any) -> Any:
        response = client.post(
            "/api/v1/documents", data={"file": file_part(name, content), **fields}
        )
        assert response.status_code == 202, response.text
        answer: Any = response.json
        return answer["items"][0]["document"]

    return add


def as_stranger(services: Services) -> Reader:
    """Another member of this server, with what they may read now."""

    def find(c: Any) -> Reader:
        known = c.execute(users.select().where(users.c.id == STRANGER)).first()
        if known is None:
            c.execute(users.insert().values(id=STRANGER, name="S", role="member", created_at=0))
        return access.reader_for(c, STRANGER)

    return services.db.write(find)


def let_in(services: Services, email: str, *, role: people.Role = "member") -> SignedIn:
    """A new person with an address that an administrator chose, signed in."""

    def make(c: Any) -> str:
        made = people.create(
            c,
            services.clock,
            name=email.split("@", maxsplit=1)[0],
            email=email,
            role=role,
            email_confirmed=True,
        )
        people.set_password(c, services.clock, made.id, PASSWORD_HASH)
        return made.id

    user_id = services.db.write(make)
    return services.accounts.open_session(user_id, CLIENT, how="password")


def file_part(name: str, content: bytes) -> Any:
    """A file as Werkzeug's test client takes it."""
    return (io.BytesIO(content), name)


# -- the whole server ------------------------------------------------------------------------------


class Sent(NamedTuple):
    """An event of a stream."""

    event: str
    id: int
    data: Any


def events(raw: bytes) -> list[Sent]:
    """The events of a whole stream."""
    found = []
    for block in raw.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append(Sent(lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return found


class Line(NamedTuple):
    """A line that a server wrote, as JSON."""

    text: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class Server:
    """A running `likeopt serve`."""

    def __init__(self, process: "subprocess.Popen[str]", config: Config) -> None:
        self.process = process
        self.config = config
        self.lines: list[str] = []
        self.said: list[str] = []
        self.url = ""
        self.http = urllib3.PoolManager(retries=False, timeout=60)
        self._readers = [
            threading.Thread(target=_collect, args=(stream, into), daemon=True)
            for stream, into in ((process.stdout, self.lines), (process.stderr, self.said))
        ]
        for reader in self._readers:
            reader.start()

    def request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """One request; `json`, `fields`, `headers`, `preload_content` as urllib3 takes them. It is
        the guest's where sign-in is skipped."""
        if self.config.guest:
            options["headers"] = guest.HEADERS | options.get("headers", {})
        return self.http.request(method, self.url + path, **options)

    def json(self, method: str, path: str, *, status: int = 200, **options: Any) -> Any:
        """The JSON of a response that must have `status`."""
        response = self.request(method, path, **options)
        assert response.status == status, f"{response.status}: {response.data.decode()}"
        return response.json()

    def add(self, name: str, content: bytes) -> Any:
        """Add one file and wait until it can be found by words."""
        items = self.json(
            "POST", "/api/v1/documents", status=202, fields={"file": (name, content)}
        )["items"]
        document = items[0]["document"]
        word = max(re.findall(r"\w+", content.decode("utf-8", "replace")), key=len)
        wait_until(lambda: self._indexed(document["id"], word), name, seconds=60)
        return document

    def _indexed(self, document_id: str, word: str) -> bool:
        """Whether a document failed, or can be found by a word."""
        state = self.json("GET", f"/api/v1/documents/{document_id}")["state"]
        body = {"query": word, "mode": "lexical", "filters": {"documents": [document_id]}}
        found = state == "ready" and self.json("POST", "/api/v1/search", json=body)["hits"]
        return state == "failed" or bool(found)

    def close(self) -> None:
        """Stop the server, if it still runs, and let go of it."""
        self.http.clear()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for reader in self._readers:
            reader.join(10)

    def log(self) -> list[dict[str, Any]]:
        """Every line written to standard output so far."""
        return [json.loads(line) for line in list(self.lines)]

    def pids(self, name: str) -> list[int]:
        """Processes of a part, newest last, from the supervisor's log."""
        return [
            line["pid"]
            for line in self.log()
            if line.get("part") == name and line["message"] == "process started"
        ]


def _collect(stream: Any, into: list[str]) -> None:
    with stream:
        into.extend(line.rstrip("\n") for line in stream)


@contextmanager
def serving(config: Config, **environ: str) -> Iterator[Server]:
    """Run `likeopt serve` with `config` while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD_AND_SERVE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(config) | environ,
        # Tests that are killed leave no servers behind.
        preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one system call)
    )
    server = Server(process, config)
    try:
        wait_until(
            lambda: _address(server) or process.poll() is not None,
            "the server's address",
            seconds=60,
        )
        assert process.poll() is None, "\n".join([*server.said, *server.lines])
        yield server
    finally:
        server.close()


@contextmanager
def worker(config: Config) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """One web worker on these data: its address, and the process whose child it is."""
    with listen("127.0.0.1", 0) as bound:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:likeopt.web.gunicorn_conf"]
        command += ["--bind", f"fd://{bound.fileno()}", "--workers", "1"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            env=environment(config),
            pass_fds=(bound.fileno(),),
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one system call)
        )
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}", process
        finally:
            process.terminate()
            process.wait()


def begin_upload(connection: socket.socket) -> Callable[[], bytes]:
    """Send the beginning of an upload that will be refused; the function sends its rest and
    returns the answer."""
    begin = b'--x\r\nContent-Disposition: form-data; name="tags"\r\n\r\nslow'
    rest = b"\r\n--x--\r\n"
    head = (
        f"POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\n{guest.LINE.decode()}"
        "Expect: 100-continue\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(begin) + len(rest)}\r\n\r\n"
    )
    connection.sendall(head.encode())
    # The application reads: it has the request.
    assert connection.recv(1024).startswith(b"HTTP/1.1 100")
    connection.sendall(begin)

    def finish() -> bytes:
        connection.sendall(rest)
        return connection.recv(65536)

    return finish


def _address(server: Server) -> bool:
    for line in server.said:
        if "http://" in line:
            address = line.partition("http://")[2].split()[0]
            server.url = "http://" + address.partition("/")[0]
            return True
    return False


@pytest.fixture(scope="session")
def served() -> Iterator[Server]:
    """One server for all tests that need the engine and the worker: add your own documents, and
    expect those of others."""
    with tempfile.TemporaryDirectory(prefix="lo-", ignore_cleanup_errors=True) as folder:
        config = Config(
            data_dir=Path(folder),
            port=0,
            guest=True,
            secret_key=guest.SECRET_KEY,
            sample_library=False,
            graceful_timeout=5,
            max_upload_mb=4,
        )
        with serving(config) as server:
            wait_until(
                lambda: server.request("GET", "/ready").status == 200, "the engine", seconds=60
            )
            yield server
