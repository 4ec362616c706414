"""A whole server under load, and one layer of its cache goes: nobody sees an error, and once the
layer is there again, so are its answers."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from tests.servers import free_port, memcached_process, redis_process, wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Server, serving

ANSWER = "It hunts in the Channel Country [1]."
QUESTIONS = [f"{word} does the kowari hunt?" for word in ("Where", "When", "Why")]
READERS = 3
# Where each layer is, as settings.
SETTINGS: dict[str, Callable[[int], dict[str, Any]]] = {
    "redis": lambda port: {"redis_url": f"redis://127.0.0.1:{port}/0"},
    "memcached": lambda port: {"memcached_servers": f"127.0.0.1:{port}"},
    "disk": lambda _: {},
}


class Layer:
    """The layer under test: it is there, goes, and comes back."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._running = ExitStack()
        self._process: Any = None

    def come(self) -> None:
        """Start its server, on the same port each time; a file needs none."""
        if self.name != "disk":
            start = redis_process if self.name == "redis" else memcached_process
            self._process, _ = self._running.enter_context(start(self.port))

    def go(self) -> None:
        """Kill its server, or write noise over its files while they are in use."""
        if self._process:
            self._process.kill()
            self._process.wait()
            return
        files = [path for path in self._folder.glob("disk-*") if path.is_file()]
        assert files
        for path in files:
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))

    def close(self) -> None:
        self._running.close()


class Crowd:
    """People who ask the same few questions again and again, until the block ends."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answered = [0] * READERS
        self._enough = threading.Event()

    @contextmanager
    def asking(self) -> Iterator[None]:
        with ThreadPoolExecutor(READERS) as pool:
            readers = [pool.submit(self._ask_on, number) for number in range(READERS)]
            try:
                yield
            finally:
                self._enough.set()
                # What befell a reader comes before a wait that was in vain for that reason.
                for reader in readers:
                    reader.result()

    def each_was_answered(self, times: int = 2) -> None:
        """Wait until each of them has had so many more answers."""
        before = list(self.answered)
        self.wait_until(
            lambda: all(
                now >= then + times for now, then in zip(self.answered, before, strict=True)
            ),
            "answers for everybody",
        )

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Wait as long as they are answered."""
        wait_until(lambda: done() or self._enough.is_set(), what)

    def _ask_on(self, number: int) -> None:
        try:
            while not self._enough.is_set():
                ask(self.server, QUESTIONS[(number + self.answered[number]) % len(QUESTIONS)])
                self.answered[number] += 1
        finally:
            self._enough.set()


def ask(server: Server, question: str) -> Any:
    """The message of a complete answer, with nothing left in the worker's memory that could give
    it in the place of the layer below."""
    server.json("DELETE", "/api/v1/caches?layer=memory")
    body = {"question": question, "stream": True}
    response = server.request("POST", "/api/v1/chat", json=body)
    assert response.status == 200, response.data.decode()
    events = [
        dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        for block in response.data.decode().split("\n\n")
        if block
    ]
    told = [(event["event"], json.loads(event["data"])) for event in events if event]
    name, last = told[-1]
    assert name == "done", told[-1]
    message = last["message"]
    assert message["state"] == "complete"
    assert message["content"] == ANSWER
    begun = max(place for place, (name, _) in enumerate(told) if name == "start")
    assert "".join(data["text"] for name, data in told[begun:] if name == "delta") == ANSWER
    return message


def hits(server: Server, layer: str) -> int:
    """How many answers the layer has given, as administrators see it."""
    uses = server.json("GET", "/api/v1/caches")["uses"]
    return sum(
        one["hits"]
        for use in uses
        if use["use"] == "answers"
        for one in use["layers"]
        if one["layer"] == layer
    )


@pytest.fixture(params=["redis", "memcached", "disk"])
def layer(request: pytest.FixtureRequest, config: Config) -> Iterator[Layer]:
    made = Layer(request.param, config.data_dir / "cache")
    made.come()
    yield made
    made.close()


def test_no_error_reaches_anybody_and_answers_come_from_the_layer_again(
    config: Config, layer: Layer
) -> None:
    with StubOpenAI() as model, ExitStack() as running:
        model.default = ANSWER
        config = msgspec.structs.replace(
            config,
            llm="openai",
            llm_url=model.url,
            llm_model="stub",
            workers=1,
            rate_limit=0,
            rate_limit_chat=0,
            cache=f"memory,{layer.name}",
            **SETTINGS[layer.name](layer.port),
        )
        server = running.enter_context(serving(config))
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
        server.add("kowari.txt", b"The kowari hunts in the Channel Country.")
        crowd = Crowd(server)
        with crowd.asking():
            crowd.wait_until(lambda: hits(server, layer.name) > 0, "an answer from the layer")
            crowd.each_was_answered()
            before = len(model.requests)
            layer.go()
            crowd.wait_until(lambda: len(model.requests) > before, "an answer to be written anew")
            crowd.each_was_answered()
            layer.come()
            found = hits(server, layer.name)
            crowd.wait_until(
                lambda: hits(server, layer.name) > found, "an answer from the layer again"
            )
            crowd.each_was_answered(len(QUESTIONS))
        # Nobody else asks now: each answer is there, and no model is needed for it.
        found, before = hits(server, layer.name), len(model.requests)
        for question in QUESTIONS:
            assert ask(server, question)["cached_at"] is not None
        assert hits(server, layer.name) == found + len(QUESTIONS)
        assert len(model.requests) == before
