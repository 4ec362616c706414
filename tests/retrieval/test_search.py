"""The door for queries, against engines that behave, restart, hang and die."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from likeopt.clock import Clock
from likeopt.errors import (
    BadInput,
    Busy,
    ConfigError,
    EngineUnavailable,
    LikeOptError,
    ModelUnavailable,
    StorageUnavailable,
    TooLarge,
)
from likeopt.retrieval.rerank import NoReranker
from likeopt.retrieval.search import (
    MAX_QUERY,
    EngineClient,
    address,
    frame,
    normalise,
    receive,
    search,
)
from likeopt.retrieval.types import (
    FAILED,
    Degraded,
    EmbedRequest,
    EmbedResponse,
    EngineStatus,
    Failure,
    Filters,
    Hit,
    Request,
    Response,
    SearchRequest,
    SearchResponse,
)
from likeopt.storage.reader import Reader

READER = Reader("me", is_admin=False, collections=frozenset({"b", "a", "c"}))
Answer = Callable[[Request], Response | None]


def hit(chunk_id: int, text: str = "text") -> Hit:
    return Hit(
        chunk_id=chunk_id,
        document_id="d",
        version_id=1,
        collection_id="a",
        document_name="n",
        media_type="text/plain",
        ordinal=0,
        text=text,
        context="",
        start=0,
        end=len(text),
        page=None,
        score=1.0 / chunk_id,
    )


class FakeEngine:
    """Answers with what `answer` makes; None closes the connection instead."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.asked: list[Request] = []
        self.connections: list[socket.socket] = []
        self._answer = answer
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (answer := self._next(connection)) is not None:
                    connection.sendall(frame(answer))
            except (EOFError, OSError):
                return

    def _next(self, connection: socket.socket) -> Response | None:
        request: Request = msgspec.msgpack.decode(receive(connection, 1 << 20), type=Request)
        self.asked.append(request)
        return self._answer(request)

    def close(self) -> None:
        """As when the process ends: nobody listens, and every connection breaks."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def found(*chunk_ids: int) -> Answer:
    return lambda _: SearchResponse([hit(i) for i in chunk_ids], generation=7)


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "engine.sock"


@pytest.fixture
def client(path: Path) -> Iterator[EngineClient]:
    made = EngineClient(path, Clock())
    yield made
    made.close()


def ask(client: EngineClient, query: str = "question", **more: object) -> SearchResponse:
    return search(client, NoReranker(), READER, query, **more)  # type: ignore[arg-type]


# -- what is asked -------------------------------------------------------------------------------


def test_a_search_carries_the_readers_scope(path: Path, client: EngineClient) -> None:
    engine = FakeEngine(path, found(1, 2, 3))
    response = ask(
        client,
        "  e\u0301te\u0301 \n 질문  ",
        k=2,
        mode="lexical",
        filters=Filters(collections=["c", "b", "stranger"], tags=["x"]),
        sentences=3,
        deadline_ms=4000,
    )
    assert [one.chunk_id for one in response.hits] == [1, 2]
    assert response.generation == 7
    assert engine.asked == [
        SearchRequest(
            "été 질문",
            ["b", "c"],
            k=2,
            mode="lexical",
            filters=Filters(collections=["c", "b", "stranger"], tags=["x"]),
            sentences=3,
            deadline_ms=4000,
        )
    ]
    engine.close()


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("", BadInput, "empty"),
        (" \n\t ", BadInput, "empty"),
        ("\0", BadInput, "empty"),
        ("\u200b", BadInput, "empty"),
        ("\u3164", BadInput, "empty"),
        ("\u3164 \u200b\u3000\ufeff", BadInput, "empty"),
        ("\u115f\u1160", BadInput, "empty"),
        ("\uffa0", BadInput, "empty"),
        ("가" * (MAX_QUERY + 1), TooLarge, "2,000"),
        ("x" * 1_000_000, TooLarge, "2,000"),
    ],
)
def test_bad_questions_are_refused(
    client: EngineClient, query: str, kind: type[LikeOptError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        ask(client, query)


@pytest.mark.parametrize("k", [0, -1, 101])
def test_a_k_out_of_bounds_is_refused(client: EngineClient, k: int) -> None:
    with pytest.raises(BadInput, match="between 1 and 100"):
        ask(client, k=k)


def test_what_cannot_be_encoded_is_replaced() -> None:
    assert normalise("a\ud800b") == "a?b"


def test_the_socket_of_a_deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    with pytest.raises(ConfigError, match="too long"):
        address(deep / "engine.sock")
    monkeypatch.chdir(deep)
    assert address(deep / "engine.sock") == "engine.sock"


# -- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("busy", Busy),
        ("model_unavailable", ModelUnavailable),
        ("storage_unavailable", StorageUnavailable),
        ("bad_input", BadInput),
        ("engine_unavailable", EngineUnavailable),
        ("something new", EngineUnavailable),
    ],
)
def test_a_refusal_becomes_its_error(
    path: Path, client: EngineClient, code: str, kind: type[Exception]
) -> None:
    engine = FakeEngine(path, lambda _: Failure(code, "No.", retry_after=3.0))
    with pytest.raises(kind, match="No") as raised:
        ask(client)
    assert getattr(raised.value, "retry_after", None) == 3.0
    engine.close()


def test_embed_and_status(path: Path, client: EngineClient) -> None:
    status = EngineStatus(1, 1, 2, 2, 2, 0, "m", "local")
    engine = FakeEngine(
        path,
        lambda asked: EmbedResponse("m", [b"1234"]) if isinstance(asked, EmbedRequest) else status,
    )
    assert client.status() == status
    assert client.embed(["q"]).vectors == [b"1234"]
    engine.close()


class Reverse:
    """A reranker that prefers the last."""

    def candidates(self, k: int) -> int:
        return k * 3

    def rank(self, query: str, hits: list[Hit], timeout: float) -> list[Hit]:
        if query == "fail":
            raise ModelUnavailable("The reranker does not answer.")
        return hits[::-1]


def test_the_reranker_sees_more_and_orders(path: Path, client: EngineClient) -> None:
    engine = FakeEngine(path, found(1, 2, 3, 4, 5, 6))
    response = search(client, Reverse(), READER, "question", k=2)
    assert [one.chunk_id for one in response.hits] == [6, 5]
    assert "rerank" in response.stages
    (asked,) = engine.asked
    assert isinstance(asked, SearchRequest)
    assert asked.k == 6
    engine.close()


def test_a_failing_reranker_keeps_the_order_and_says_so(path: Path, client: EngineClient) -> None:
    engine = FakeEngine(path, found(1, 2, 3))
    response = search(client, Reverse(), READER, "fail", k=2)
    assert [one.chunk_id for one in response.hits] == [1, 2]
    assert response.degraded == [Degraded("rerank", FAILED)]
    engine.close()


# -- engines that come and go --------------------------------------------------------------------


def test_no_engine_is_said_within_the_deadline(client: EngineClient) -> None:
    with pytest.raises(EngineUnavailable, match="not running") as raised:
        ask(client, deadline_ms=60)
    assert raised.value.retry_after


def test_an_engine_that_starts_within_the_deadline_answers(
    path: Path, client: EngineClient
) -> None:
    engines: list[FakeEngine] = []
    timer = threading.Timer(0.1, lambda: engines.append(FakeEngine(path, found(1))))
    timer.start()
    assert ask(client, deadline_ms=10_000).hits
    timer.join()
    engines[0].close()


def test_a_restart_between_two_searches_is_not_noticed(path: Path, client: EngineClient) -> None:
    first = FakeEngine(path, found(1))
    gate = threading.Barrier(3)

    def together() -> None:
        gate.wait()
        ask(client)

    threads = [threading.Thread(target=together) for _ in range(2)]
    for thread in threads:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join()
    first.close()
    second = FakeEngine(path, found(2))
    for _ in range(3):
        assert [one.chunk_id for one in ask(client).hits] == [2]
    second.close()


def test_a_request_that_kills_the_engine_is_given_up(path: Path, client: EngineClient) -> None:
    engine = FakeEngine(path, lambda _: None)
    with pytest.raises(EngineUnavailable, match="restarted"):
        ask(client, deadline_ms=10_000)
    assert len(engine.asked) == 2
    engine.close()


def test_an_engine_that_hangs_is_not_waited_for(path: Path, client: EngineClient) -> None:
    release = threading.Event()

    def hang(_: Request) -> Response:
        release.wait(10)
        return SearchResponse([], 0)

    engine = FakeEngine(path, hang)
    with pytest.raises(EngineUnavailable, match="in time"):
        ask(client, deadline_ms=50)
    release.set()
    assert client._idle == []
    engine.close()


def test_nonsense_from_the_engine_is_an_error(path: Path, client: EngineClient) -> None:
    engine = FakeEngine(path, lambda _: EmbedResponse("m", []))
    with pytest.raises(EngineUnavailable, match="another question"):
        ask(client)
    engine.close()


def test_connections_are_kept_and_bounded(
    path: Path, client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeopt.retrieval.search.CONNECTIONS", 3)
    client = EngineClient(path, Clock())
    engine = FakeEngine(path, found(1))
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask(client)
    assert len(engine.asked) == 21
    assert 1 <= len(engine.connections) <= 3
    client.close()
    engine.close()


def test_a_child_process_does_not_use_its_parents_connections(
    path: Path, client: EngineClient
) -> None:
    engine = FakeEngine(path, found(1))
    ask(client)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if ask(client).hits and len(client._idle) == 1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(engine.connections) == 2
    ask(client)
    assert len(engine.connections) == 2
    engine.close()


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from pathlib import Path
from likeopt.clock import Clock
from likeopt.retrieval.search import EngineClient
from likeopt.retrieval.types import SearchRequest
client = EngineClient(Path(sys.argv[1]), Clock())
started = time.monotonic()
jobs = [gevent.spawn(client.search, SearchRequest("q", ["a"])) for _ in range(20)]
gevent.joinall(jobs, raise_error=True)
assert all(job.value.hits for job in jobs)
print(time.monotonic() - started)
"""


def test_greenlets_wait_together(path: Path) -> None:
    """Twenty searches of 0.2 s take a greenlet world 0.2 s, not 4."""
    pause = threading.Event()

    def slow(_: Request) -> Response:
        pause.wait(0.2)
        return SearchResponse([hit(1)], 0)

    engine = FakeEngine(path, slow)
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, str(path)], check=True, capture_output=True, timeout=60
    )
    assert float(done.stdout) < 3
    engine.close()
