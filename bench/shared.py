"""What a thousand people cost who ask one new question at once: calls of the model, and time.

Two app servers of two web workers each, with a data folder each, over one PostgreSQL and one Redis;
the model is a stub that counts its calls and writes 40 words in 20 s. All streams are opened at
once. Then the same with another question, while the worker that writes is killed (`kill -9`) at its
tenth word: whoever loses the connection comes back to the other server with Last-Event-ID. Last,
the first question again, one at a time: answered from the cache.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bench import common
from tests import servers
from tests.guest import HEADERS
from tests.stub_openai import StubOpenAI

READERS = 1000
CACHED = 200
WORDS = [f"word{number} " for number in range(39)] + ["end [1]."]
PAUSE_SECONDS = 0.5
DOCUMENT = b"The kowari hunts in the Channel Country at night. It eats insects and small mammals."
QUESTIONS = ("Where does the kowari hunt at night?", "Which small mammals does the kowari eat?")
# What each part may ask of the model: a writer that was killed, once more.
CALLS = {"all at once": 1, "asked again, one by one": 0, "its writer killed": 2}
# Whoever cannot come back for this long counts as broken.
PATIENCE_SECONDS = 120.0


def main() -> None:
    """Measure and report; fails over a call of the model too many, or a reader short of a word."""
    with StubOpenAI() as model:
        # More than the calls that there should be.
        for _ in range(20):
            model.say(*WORDS, pause=PAUSE_SECONDS)
        settings: dict[str, Any] = {"llm": "openai", "llm_url": model.url, "llm_model": "stub"}
        with common.two_serving(cache="memory,redis", **settings) as apps:
            rows = _rows(model, apps)
    common.report("shared", rows, unit="ms from the request's first byte; calls of the model")
    if found := broken(rows):
        sys.exit("; ".join(found))


def broken(rows: list[dict[str, Any]]) -> list[str]:
    """What was promised and is not so."""
    found = []
    for row in rows:
        calls, wanted = row["model calls"], CALLS[row["what"]]
        if calls != wanted:
            found.append(f"{row['what']}: {calls} calls of the model instead of {wanted}")
        if row["complete and equal"] != row["readers"]:
            found.append(f"{row['what']}: only {row['complete and equal']} read it whole")
    return found


def _rows(model: StubOpenAI, apps: list[common.Server]) -> list[dict[str, Any]]:
    _add(apps)
    crowd, again, killed = CALLS
    return [
        _row(crowd, _crowd(model, apps, QUESTIONS[0], kill=False)),
        _row(again, _cached(model, apps)),
        _row(killed, _crowd(model, apps, QUESTIONS[1], kill=True)),
    ]


def _add(apps: list[common.Server]) -> None:
    boundary = b"bench"
    head = b'Content-Disposition: form-data; name="file"; filename="kowari.txt"\r\n\r\n'
    body = b"--" + boundary + b"\r\n" + head + DOCUMENT + b"\r\n--" + boundary + b"--\r\n"

    async def post(app: common.Server, path: str, kind: str, data: bytes) -> bytes:
        reader, writer = await _open(app)
        writer.write(_request("POST", path, data, [f"Content-Type: {kind}"]))
        answer = await reader.read()
        writer.close()
        return answer

    kind = "multipart/form-data; boundary=bench"
    added = asyncio.run(post(apps[0], "/api/v1/documents", kind, body))
    assert b" 202 " in added.partition(b"\r\n")[0], added
    # Of its own words alone: vectors come when they come, and may change what a model is given.
    query = b'{"query": "kowari", "mode": "lexical"}'
    for app in apps:
        servers.wait_until(
            lambda a=app: (
                b"kowari.txt"
                in asyncio.run(  # type: ignore[misc]
                    post(a, "/api/v1/search", "application/json", query)
                )
            ),
            f"the document at {app.url}",
            seconds=300,
        )
    servers.wait_until(lambda: _embedded(apps[0]), "its vector", seconds=300)


def _embedded(app: common.Server) -> bool:
    (document,) = app.get("/api/v1/documents")["items"]
    return bool(document["embedded"] == document["chunks"] > 0)


class Reader:
    """Somebody who asks and reads to the end, coming back when the connection breaks."""

    def __init__(
        self,
        apps: list[common.Server],
        number: int,
        question: str,
        tenth: asyncio.Event | None = None,
    ) -> None:
        """`tenth` is set once the tenth word is there."""
        self._apps = apps
        self._at = number
        self._question = question
        self._tenth = tenth
        self._id = 0
        self._message = ""
        self.text = ""
        # Seconds of time.perf_counter.
        self.begun = 0.0
        self.first_ms: float | None = None
        self.done_ms = 0.0
        self.answer: dict[str, Any] = {}
        self.starts = 0
        self.breaks = 0
        self.cached = False

    async def read(self) -> None:
        """From the question to the last event."""
        self.begun = time.perf_counter()
        while not self.done_ms:
            with suppress(OSError, EOFError):
                await self._stream()
            if not self.done_ms:
                if time.perf_counter() - self.begun > PATIENCE_SECONDS:
                    return
                self.breaks += 1
                self._at += 1
                await asyncio.sleep(0.2)

    async def _stream(self) -> None:
        reader, writer = await _open(self._apps[self._at % len(self._apps)])
        try:
            if self._message:
                path = f"/api/v1/chat/{self._message}/stream"
                request = _request("GET", path, b"", [f"Last-Event-ID: {self._id}"])
            else:
                body = json.dumps({"question": self._question, "stream": True}).encode()
                kind = "Content-Type: application/json"
                request = _request("POST", "/api/v1/chat", body, [kind])
            writer.write(request)
            name = ""
            while not self.done_ms:
                line = await reader.readline()
                if not line:
                    raise EOFError
                word, _, rest = line.decode().rstrip().partition(": ")
                if word == "event":
                    name = rest
                elif word == "id":
                    self._id = int(rest)
                elif word == "data" and name:
                    self._take(name, json.loads(rest))
        finally:
            writer.close()

    def _take(self, name: str, data: Any) -> None:
        passed = (time.perf_counter() - self.begun) * 1000
        if name == "start":
            self.starts += 1
            self.text, self._message = "", data["message_id"]
        elif name == "delta":
            self.first_ms = self.first_ms or passed
            self.text += data["text"]
            if self._tenth and "word9" in self.text:
                self._tenth.set()
        elif name == "done":
            self.done_ms = passed
            self.answer = data["message"]
            self.cached = self.answer["cached_at"] is not None
            if self.answer["content"] != self.text.strip():
                self.text = "another text than what was stored"
        elif name == "error":
            self.done_ms, self.text = passed, f"error {data['problem']['code']}"


def _crowd(
    model: StubOpenAI, apps: list[common.Server], question: str, *, kill: bool
) -> dict[str, Any]:
    async def run() -> list[Reader]:
        tenth = asyncio.Event()
        readers = [Reader(apps, number, question, tenth) for number in range(READERS)]
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        if kill:
            await tenth.wait()
            for pid in _holder(model, apps):
                os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*reading)
        return readers

    return _measure(model, apps, run)


def _cached(model: StubOpenAI, apps: list[common.Server]) -> dict[str, Any]:
    async def run() -> list[Reader]:
        readers = [Reader(apps, number, QUESTIONS[0]) for number in range(CACHED)]
        for reader in readers:
            await reader.read()
        return readers

    return _measure(model, apps, run)


def _measure(
    model: StubOpenAI,
    apps: list[common.Server],
    run: Callable[[], Coroutine[None, None, list[Reader]]],
) -> dict[str, Any]:
    calls, cpu = len(model.requests), _cpu_s(apps)
    readers = asyncio.run(run())
    whole = "".join(WORDS).strip()
    late = PATIENCE_SECONDS * 1000
    for one in readers:
        if one.text.strip() != whole:
            print(f"odd: {one.text!r} after {one.done_ms:.0f} ms, {one.starts} starts", flush=True)
    first = common.spread([one.first_ms or late for one in readers])
    done = common.spread([one.done_ms or late for one in readers])
    return {
        "model calls": len(model.requests) - calls,
        "complete and equal": sum(one.text.strip() == whole for one in readers),
        "came back": sum(one.breaks > 0 for one in readers),
        "told anew": sum(one.starts > 1 for one in readers),
        "from cache": sum(one.cached for one in readers),
        **{f"first {name}": first[name] for name in ("p50", "p95", "max")},
        **{f"end {name}": done[name] for name in ("p50", "p95", "max")},
        "cpu each": round((_cpu_s(apps) - cpu) * 1000 / len(readers), 1),
    }


def _cpu_s(apps: list[common.Server]) -> float:
    """CPU seconds of all web workers so far, those that have ended included."""
    found = [one for app in apps for name, one in app.processes().items() if name[:4] == "web "]
    return float(sum(sum(one.cpu_times()[:4]) for one in found))


def _row(what: str, figures: dict[str, Any]) -> dict[str, Any]:
    return {"what": what, "readers": CACHED if "again" in what else READERS, **figures}


def _holder(model: StubOpenAI, apps: list[common.Server]) -> list[int]:
    """The web worker that is connected to the model; nobody if the model has ended."""
    port = urlsplit(model.url).port
    return [
        process.pid
        for app in apps
        for process in app.process.children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.raddr and connection.raddr.port == port
    ][:1]


async def _open(app: common.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(app.url)
    return await asyncio.open_connection(parts.hostname, parts.port)


def _request(method: str, path: str, body: bytes, headers: list[str]) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Accept: text/event-stream" if "chat" in path else "Accept: application/json",
        "Connection: close",
        f"Authorization: {HEADERS['Authorization']}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
