"""Whole servers: the web worker that writes an answer is killed while others read it."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest
import urllib3

from likeopt.config import Config
from tests import guest
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import serving, worker

QUESTION = {"question": "Where does the kowari hunt?", "stream": True}


class Event(NamedTuple):
    name: str
    id: int
    data: Any


class Web(NamedTuple):
    """A web server of one worker; the process `above` began it."""

    url: str
    above: int

    def request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        options["headers"] = guest.HEADERS | options.get("headers", {})
        return urllib3.request(method, self.url + path, retries=False, timeout=60, **options)

    def kill(self) -> None:
        """Kill the process that serves requests."""
        for process in psutil.Process(self.above).children(recursive=True):
            if " ".join(process.cmdline()).startswith("gunicorn: worker"):
                os.kill(process.pid, signal.SIGKILL)
                return
        raise LookupError("no web worker")


@pytest.fixture(params=["one machine", "two machines"])
def webs(
    request: pytest.FixtureRequest, config: Config, model: StubOpenAI
) -> Iterator[tuple[Web, Web]]:
    """Two web servers on the same data: with files of one machine, or with PostgreSQL and Redis."""
    config = msgspec.structs.replace(
        config, llm="openai", llm_url=model.url, llm_model="stub", workers=1
    )
    with ExitStack() as running:
        if request.param == "one machine":
            first = running.enter_context(serving(config))
            url, process = running.enter_context(worker(config))
            webs = Web(url, process.pid), Web(first.url, first.process.pid)
        else:
            config = msgspec.structs.replace(
                config,
                database_url=request.getfixturevalue("postgres_url"),
                redis_url=request.getfixturevalue("redis_url"),
                cache="memory,redis",
                files_dir=running.enter_context(tempfile.TemporaryDirectory(prefix="lo-")),
            )
            folder = running.enter_context(tempfile.TemporaryDirectory(prefix="lo-"))
            first = running.enter_context(serving(config))
            second = running.enter_context(
                serving(msgspec.structs.replace(config, data_dir=Path(folder)))
            )
            webs = Web(second.url, second.process.pid), Web(first.url, first.process.pid)
        for web in webs:
            wait_until(lambda w=web: w.request("GET", "/ready").status == 200, "the engine")  # type: ignore[misc]
        first.add("kowari.txt", b"The kowari hunts in the Channel Country.")
        for web in webs:
            wait_until(lambda w=web: _finds(w), "the document")  # type: ignore[misc]
        yield webs


def _finds(web: Web, word: str = "kowari") -> bool:
    body = {"query": word, "mode": "lexical"}
    return bool(web.request("POST", "/api/v1/search", json=body).json()["hits"])


@pytest.fixture
def model() -> Iterator[StubOpenAI]:
    with StubOpenAI() as stub:
        yield stub


def opened(web: Web, method: str, path: str, **options: Any) -> Iterator[Event]:
    """The events of a stream as they come."""
    response = web.request(method, path, preload_content=False, **options)
    assert response.status == 200
    lines: dict[str, str] = {}
    for raw in response:
        line = raw.decode().rstrip("\n")
        if not line and lines:
            yield Event(lines["event"], int(lines["id"]), json.loads(lines["data"]))
            lines = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            lines[name] = value


def text_of(told: list[Event]) -> str:
    """The text after the last start."""
    text = ""
    for event in told:
        text = "" if event.name == "start" else text + event.data.get("text", "")
    return text


def test_readers_elsewhere_get_the_whole_answer_for_one_more_call(
    webs: tuple[Web, Web], model: StubOpenAI
) -> None:
    killed, other = webs
    model.say("It hunts ", "in the Channel Country [1].", hold=1)
    second = model.say("It hunts ", "in the Channel Country [1].", hold=1)
    dropped, joined = (opened(one, "POST", "/api/v1/chat", json=QUESTION) for one in webs)
    seen: list[list[Event]] = [[], []]
    # The first one leads.
    for told, stream in zip(seen, (dropped, joined), strict=True):
        while not told or told[-1].name != "delta":
            told.append(next(stream))
    assert len(model.requests) == 1
    killed.kill()
    model.wait_for_request(2, timeout=30)
    # Whoever lost the connection goes on at the other server.
    path = f"/api/v1/chat/{seen[0][0].data['message_id']}/stream"
    back = opened(other, "GET", path, headers={"Last-Event-ID": str(seen[0][-1].id)})
    second.release()
    for told, stream in zip(seen, (back, joined), strict=True):
        told.extend(stream)
        names = [event.name for event in told]
        assert names.count("start") == 2
        assert names[-1] == "done"
        message = told[-1].data["message"]
        assert message["id"] == told[0].data["message_id"]
        assert text_of(told) == message["content"] == "It hunts in the Channel Country [1]."
        assert [event.id for event in told] == sorted({event.id for event in told})
        path = f"/api/v1/conversations/{told[0].data['conversation_id']}"
        stored = other.request("GET", path).json()
        assert stored["messages"][1] == message
    assert len(model.requests) == 2
    # And the answer is kept for the next one.
    *_, done = opened(other, "POST", "/api/v1/chat", json=QUESTION)
    assert done.data["message"]["cached_at"] is not None
    assert len(model.requests) == 2


def test_who_asks_after_a_change_is_not_told_what_a_killed_writers_heir_writes(
    webs: tuple[Web, Web], model: StubOpenAI
) -> None:
    killed, other = webs
    old = "It hunts in the Channel Country [1]."
    for _ in range(2):
        held = model.say(old, hold=1)
    led, joined = (opened(one, "POST", "/api/v1/chat", json=QUESTION) for one in webs)
    for stream in (led, joined):
        assert any(event.name == "delta" for event in stream)
    killed.kill()
    model.wait_for_request(2, timeout=30)
    # What the heir writes was asked for before this is acknowledged, and is not done yet.
    file = ("kowari.txt", b"The kowari hunts near Birdsville.")
    assert other.request("POST", "/api/v1/documents", fields={"file": file}).status == 202
    for web in webs:
        wait_until(lambda w=web: _finds(w, "Birdsville"), "the document as it is now")  # type: ignore[misc]
    model.default = "It hunts near Birdsville [1]."
    for web in webs:
        told = list(opened(web, "POST", "/api/v1/chat", json=QUESTION))
        assert text_of(told) == model.default
        assert "Channel" not in str(told)
    # The second was told what was written for the first.
    assert len(model.requests) == 3
    assert "Channel" not in model.requests[2].prompt
    held.release()
    *_, last = joined
    if last.name == "error":
        # What they were shown is there no more; nothing else may have gone wrong.
        assert last.data["problem"]["code"] == "access_revoked"
    else:
        assert last.data["message"]["content"] == old
