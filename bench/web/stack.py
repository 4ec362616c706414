"""The product as people use it: two web workers behind nginx with TLS, and an administrator."""

import os
import pwd
import shutil
import string
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import urllib3

from bench.web import content
from likeopt.cli import parts
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.passwords import Passwords
from likeopt.storage import access, links, messages, people
from likeopt.storage.db import Database, run_here
from likeopt.storage.reader import LOCAL_USER
from tests import servers, tls
from tests.stub_openai import StubOpenAI

# Starts the real one, named in the environment.
CHROMIUM = Path(__file__).with_name("chromium")
PASSWORD = "correct horse 9"
EMAIL = "kim@example.org"
# What one sees of a history without scrolling, and more.
CONVERSATIONS = 40


class Stack(NamedTuple):
    """What runs, and what is in it. `usual` has 12 messages and `long` 200; `conversation` makes
    another one of so many."""

    url: str
    pem: Path
    model: StubOpenAI
    cookie: dict[str, str]
    invitation: str
    document: str
    usual: str
    long: str
    conversation: Callable[[int], str]


def nginx() -> str:
    """The path of nginx, which Debian puts where only root looks."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise servers.MissingServer("nginx is not installed: `make bench-web` installs it with apt")
    return found


@contextmanager
def proxy(folder: Path, app: int, port: int, pem: Path) -> Iterator[str]:
    """nginx on `port`, in front of the app on another one; yields its address."""
    template = string.Template(Path(__file__).with_name("nginx.conf").read_text())
    user = pwd.getpwuid(os.geteuid()).pw_name
    # nginx has variables of its own, which are in small letters.
    text = template.safe_substitute(FOLDER=folder, APP=app, PORT=port, PEM=pem, USER=user)
    config = folder / "nginx.conf"
    config.write_text(text)
    url = f"https://127.0.0.1:{port}"
    with servers.running(
        [nginx(), "-e", "stderr", "-p", str(folder), "-c", str(config)],
        lambda: _is_up(url),
        cwd=folder,
    ):
        yield url


@contextmanager
def running() -> Iterator[Stack]:
    """Everything, with nothing left to be indexed."""
    with tempfile.TemporaryDirectory(prefix="lo-web-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        pem = tls.certificate(folder)
        port = servers.free_port()
        url = f"https://127.0.0.1:{port}"
        config = Config(data_dir=folder / "data")
        with parts.services(config) as services:
            invitation = _people(services.db)
        with StubOpenAI(model="bench") as model:
            settings = {
                "LIKEOPT_SAMPLE_LIBRARY": "true",
                "LIKEOPT_WORKERS": "2",
                "LIKEOPT_PUBLIC_URL": url,
                "LIKEOPT_TRUSTED_PROXIES": "1",
                "LIKEOPT_LLM": "openai",
                "LIKEOPT_LLM_URL": model.url,
                "LIKEOPT_LLM_MODEL": "bench",
                # `streaming` writes 3,000.
                "LIKEOPT_LLM_MAX_TOKENS": "4096",
                # A bench is more people than one.
                "LIKEOPT_RATE_LIMIT": "0",
                "LIKEOPT_RATE_LIMIT_CHAT": "0",
            }
            with (
                servers.like_opt(folder, settings) as app,
                proxy(folder, int(app.rsplit(":", 1)[1]), port, pem),
            ):
                database = Database(config.database)
                try:
                    yield _furnished(url, pem, model, database, invitation)
                finally:
                    database.close()


def _is_up(url: str) -> bool:
    try:
        return _http().request("GET", f"{url}/health").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _http() -> urllib3.PoolManager:
    """A client that minds no certificate; the warning about it is meant for others."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, timeout=60)


def _furnished(
    url: str, pem: Path, model: StubOpenAI, database: Database, invitation: str
) -> Stack:
    http = Session(url)
    http.wait_until_indexed()
    first, template = _ask_all(http, model)
    me = _id_of(http.call("GET", "/api/v1/session"))
    reader = database.read(lambda c: access.reader_for(c, me))
    like = database.read(lambda c: messages.of_conversation(c, reader, first))

    def conversation(count: int) -> str:
        title = f"Conversation of {count}"
        return content.conversation(database, reader, title, like, count)

    for number in range(CONVERSATIONS):
        title = content.QUESTIONS[number % len(content.QUESTIONS)]
        content.conversation(database, reader, title, like, 2)
    document = template["citations"][0]["document_id"]
    return Stack(
        url,
        pem,
        model,
        http.cookie,
        invitation,
        document,
        conversation(12),
        conversation(200),
        conversation,
    )


def _id_of(session: Any) -> str:
    return str(session["user"]["id"])


def _people(database: Database) -> str:
    """An administrator and some members; the token of an invitation."""
    passwords = Passwords(run_here)
    with passwords.slot():
        hashed = passwords.hash(PASSWORD)

    def write(c: Any) -> str:
        people.update(c, LOCAL_USER, name="Kim", email=EMAIL)
        people.set_password(c, Clock(), LOCAL_USER, hashed)
        for number in range(12):
            email = f"member-{number}@example.org"
            people.create(c, Clock(), name=f"Member {number}", email=email, role="member")
        return links.create(c, Clock(), "invite", email="lee@example.org", role="member")[1]

    return database.write(write)


def _ask_all(http: "Session", model: StubOpenAI) -> tuple[str, Any]:
    """A conversation of six questions, answered in full: its id, and the last answer."""
    here: dict[str, str] = {}
    answer: Any = None
    for question in content.QUESTIONS:
        model.say(content.ANSWER)
        body = {"question": question, "stream": False, **here}
        told = http.call("POST", "/api/v1/chat", body)
        here = {"conversation_id": told["conversation_id"]}
        answer = told["message"]
    return here["conversation_id"], answer


class Session:
    """The administrator's session, for programs."""

    def __init__(self, url: str) -> None:
        self._http = _http()
        self._url = url
        self._headers: dict[str, str] = {"Origin": url, "Content-Type": "application/json"}
        response = self._send("POST", "/api/v1/session", {"email": EMAIL, "password": PASSWORD})
        name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
        self._headers["Cookie"] = f"{name}={value}"
        self._headers["X-CSRF-Token"] = response.json()["csrf"]
        self.cookie = {"name": name, "value": value}

    def _send(self, method: str, path: str, body: Any = None) -> urllib3.BaseHTTPResponse:
        data = None if body is None else msgspec.json.encode(body)
        response = self._http.request(method, self._url + path, body=data, headers=self._headers)
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {response.data.decode()}")
        return response

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What a request is answered with."""
        return self._send(method, path, body).json()

    def wait_until_indexed(self) -> None:
        """Until every document is found by words and by meaning."""
        while True:
            now = self.call("GET", "/api/v1/indexing")
            if not (now["queued"] or now["running"] or now["pending_embeddings"]):
                return
            time.sleep(0.5)


def fingerprint(pem: Path) -> str:
    """What Chromium is told to trust: the SHA-256 of the certificate's public key, in base64."""
    command = f"openssl x509 -in {pem} -pubkey -noout"
    public = subprocess.run(command.split(), check=True, capture_output=True).stdout
    steps = ("openssl pkey -pubin -outform der", "openssl dgst -sha256 -binary", "openssl base64")
    for step in steps:
        public = subprocess.run(step.split(), input=public, check=True, capture_output=True).stdout
    return public.decode().strip()
