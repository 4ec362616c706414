"""A whole server under load, and one layer of its cache goes or hangs, its disk is full or its
clock is set, and the document that all ask about is changed and deleted meanwhile: nobody sees an
error, nor anything of what was changed before they asked, and once all is as before, so are the
layer's answers."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from likeopt.config import Config
from likeopt.llm.extractive import NOT_FOUND
from tests.servers import free_port, memcached_process, redis_process, wait_until
from tests.stub_openai import Request, StubOpenAI
from tests.web.conftest import Sent, Server, events, serving

# Where the kowari hunts, by the document's editions.
PLACES = ("Birdsville", "Coorabulka", "Diamantina", "Mooraberree")
ANSWER = "It hunts near {} [1]."
QUESTIONS = [f"{word} does the kowari hunt?" for word in ("Where", "When", "Why")]
NEW_QUESTIONS = [f"{word} would the kowari hunt?" for word in ("Where", "When", "Why")]
READERS = 3
_place = re.compile("|".join(PLACES))
# Every Python process of the server reads this before anything else (docs.python.org/3/library/
# site). It moves what a system's clock would: `time.monotonic` goes on.
CLOCK = """
import os, time

def moved(now, day):
    def read():
        with open(os.environ["DAYS_FILE"]) as file:
            return now() + int(file.read()) * day
    return read

# What reads files for the server gets none of its environment, and needs no clock.
if "DAYS_FILE" in os.environ:
    time.time = moved(time.time, 86_400)
    time.time_ns = moved(time.time_ns, 86_400 * 10**9)
"""


class Fault:
    """What befalls `layer`, and ends; here, noise over its file while it is in use, which needs no
    end. `config` and `environ` are the server's."""

    layer = "disk"
    # What is asked from then on, and how many calls of the model tell that it has happened.
    asked = QUESTIONS
    calls = 1
    # Whether documents can be added meanwhile.
    takes_files = True

    def __init__(self, config: Config) -> None:
        self.config = config
        self.environ: dict[str, str] = {}
        self.running = ExitStack()

    def begin(self, server: Server) -> None:
        """Let it happen to `server`."""
        files = list((server.config.data_dir / "cache").glob("disk-*.db*"))
        assert files
        for path in files:
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))

    def end(self, server: Server) -> None:
        """Let all be as before."""


class Killed(Fault):
    """The layer's own server is killed, and started again on the same port."""

    def __init__(self, config: Config, layer: str) -> None:
        super().__init__(config)
        self.layer = layer
        self._port = free_port()
        where: dict[str, Any] = {"redis_url": f"redis://127.0.0.1:{self._port}/0"}
        if layer == "memcached":
            where = {"memcached_servers": f"127.0.0.1:{self._port}"}
        self.config = msgspec.structs.replace(config, **where)
        self._start()

    def begin(self, server: Server) -> None:
        self._process.kill()
        self._process.wait()

    def end(self, server: Server) -> None:
        self._start()

    def _start(self) -> None:
        start = redis_process if self.layer == "redis" else memcached_process
        self._process, _ = self.running.enter_context(start(self._port))


class Hung(Killed):
    """The layer's own server stands still: it takes connections, and answers nothing."""

    def begin(self, server: Server) -> None:
        self._process.send_signal(signal.SIGSTOP)
        # Until the last of its threads stands: one could still answer.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def end(self, server: Server) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _start(self) -> None:
        super()._start()
        # One that stands does not hear that it is to end.
        self.running.callback(self._process.send_signal, signal.SIGCONT)


class Full(Fault):
    """No process of the server can write to a file, as on a full disk; its database is elsewhere.
    What is on the disk can be read, so only new questions tell."""

    asked = NEW_QUESTIONS
    # If their answers were kept, each would cost one.
    calls = len(NEW_QUESTIONS) + 1
    takes_files = False

    def __init__(self, config: Config, postgres_url: str) -> None:
        super().__init__(msgspec.structs.replace(config, database_url=postgres_url))

    def begin(self, server: Server) -> None:
        self._limit(server, full=True)

    def end(self, server: Server) -> None:
        self._limit(server, full=False)

    def _limit(self, server: Server, *, full: bool) -> None:
        above = psutil.Process(server.process.pid)
        for process in [above, *above.children(recursive=True)]:
            # What reads one file ends with it.
            with suppress(psutil.NoSuchProcess):
                hard = process.rlimit(psutil.RLIMIT_FSIZE)[1]
                process.rlimit(psutil.RLIMIT_FSIZE, (0 if full else hard, hard))


class Moved(Fault):
    """The clock of the server's processes is set, and then set right."""

    def __init__(self, config: Config, folder: Path, days: int) -> None:
        super().__init__(config)
        self._days = days
        self._file = folder / "days"
        self._set(0)
        (folder / "sitecustomize.py").write_text(CLOCK)
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environ = {"PYTHONPATH": path, "DAYS_FILE": str(self._file)}

    def begin(self, server: Server) -> None:
        self._set(self._days)

    def end(self, server: Server) -> None:
        self._set(0)

    def _set(self, days: int) -> None:
        # In one step: it is being read.
        new = self._file.with_suffix(".new")
        new.write_text(str(days))
        new.replace(self._file)


class Shelf:
    """The one document, and what has been its text; None where there is none."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # The last may not have been acknowledged yet, but be seen already.
        self._editions: list[str | None] = []
        self._acknowledged = 0
        self._left = iter(PLACES)

    def change(self) -> None:
        """Add the document, or replace it; it can be found as it is now when this returns."""
        place = next(self._left)
        self._editions.append(place)
        content = f"The kowari hunts near {place}.".encode()
        self._id = self.server.add("kowari.txt", content)["id"]
        self._acknowledged = len(self._editions)

    def delete(self) -> None:
        """Delete the document."""
        self._editions.append(None)
        response = self.server.request("DELETE", f"/api/v1/documents/{self._id}")
        assert response.status == 204, response.data.decode()
        self._acknowledged = len(self._editions)

    def ask(self, question: str) -> Any:
        """The message of a complete answer to a question, after a look at everything that its
        reader was sent; None if they were told that what they were shown is there no more, which
        is so only of what was changed after they had asked."""
        before = self._acknowledged - 1
        sent, told = ask(self.server, question)
        possible = self._editions[before:]
        old = [place for place in PLACES if place not in possible and place in sent]
        assert not old, f"{old} of before {possible}: {sent}"
        if told[-1].event == "error" and len(possible) > 1:
            assert told[-1].data["problem"]["code"] == "access_revoked", sent
            return None
        logged = [line["exception"] for line in self.server.log() if "exception" in line]
        assert told[-1].event == "done", "\n".join([repr(told[-1]), *logged])
        message = told[-1].data["message"]
        assert message["state"] == "complete"
        begun = max(place for place, one in enumerate(told) if one.event == "start")
        text = "".join(one.data["text"] for one in told[begun:] if one.event == "delta")
        assert text.strip() == message["content"]
        # While one takes the place of another, neither may be found.
        is_away = None in possible or len(possible) > 1
        if not (is_away and message["kind"] == "not_found"):
            assert text in [ANSWER.format(place) for place in possible if place], sent
        else:
            assert text.startswith(NOT_FOUND["en"])
        return message


class Crowd:
    """People who ask the same few questions again and again, until the block ends."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.questions = QUESTIONS
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

    def hears_from(self, layer: str) -> None:
        """Wait until an answer has come from the layer."""
        before = hits(self.shelf.server, layer)
        self.wait_until(lambda: hits(self.shelf.server, layer) > before, "an answer from the layer")

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Wait as long as they are answered."""
        wait_until(lambda: done() or self._enough.is_set(), what)

    def _ask_on(self, number: int) -> None:
        try:
            while not self._enough.is_set():
                place = (number + self.answered[number]) % len(self.questions)
                self.shelf.ask(self.questions[place])
                self.answered[number] += 1
        finally:
            self._enough.set()


def ask(server: Server, question: str) -> tuple[str, list[Sent]]:
    """All that is sent as an answer, with nothing left in the worker's memory that could give it in
    the place of the layer below."""
    server.json("DELETE", "/api/v1/caches?layer=memory")
    body = {"question": question, "stream": True}
    response = server.request("POST", "/api/v1/chat", json=body)
    sent = response.data.decode()
    assert response.status == 200, sent
    return sent, events(response.data)


def written(request: Request) -> str:
    """What the model makes of the passages that it is given."""
    return ANSWER.format(" and ".join(sorted(set(_place.findall(request.prompt)))))


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


@pytest.fixture(
    params=[
        "redis killed",
        "memcached killed",
        "redis hangs",
        "memcached hangs",
        "disk damaged",
        "disk full",
        "a year ahead",
        "a year behind",
    ]
)
def fault(request: pytest.FixtureRequest, config: Config, tmp_path: Path) -> Iterator[Fault]:
    made: Fault
    match str(request.param).split():
        case [layer, "killed"]:
            made = Killed(config, layer)
        case [layer, "hangs"]:
            made = Hung(config, layer)
        case ["disk", "full"]:
            made = Full(config, request.getfixturevalue("postgres_url"))
        case [*_, ("ahead" | "behind") as where]:
            made = Moved(config, tmp_path, 365 if where == "ahead" else -365)
        case _:
            made = Fault(config)
    with made.running:
        yield made


def test_nobody_is_told_an_error_or_what_was_before_and_the_layer_answers_again(
    fault: Fault,
) -> None:
    with StubOpenAI() as model, ExitStack() as running:
        model.default = written
        config = msgspec.structs.replace(
            fault.config,
            llm="openai",
            llm_url=model.url,
            llm_model="stub",
            workers=1,
            rate_limit=0,
            rate_limit_chat=0,
            cache=f"memory,{fault.layer}",
        )
        server = running.enter_context(serving(config, **fault.environ))
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
        shelf = Shelf(server)
        shelf.change()
        crowd = Crowd(shelf)
        with crowd.asking():
            crowd.hears_from(fault.layer)
            crowd.each_was_answered()
            before = len(model.requests)
            fault.begin(server)
            crowd.questions = fault.asked
            crowd.wait_until(
                lambda: len(model.requests) >= before + fault.calls, "answers to be written anew"
            )
            if fault.takes_files:
                shelf.change()
                crowd.each_was_answered()
            shelf.delete()
            crowd.each_was_answered()
            fault.end(server)
            # Right after it: what the layer still has is of before all that.
            shelf.change()
            crowd.each_was_answered()
            # Once more when it answers again, and so has something of before that change, too.
            crowd.hears_from(fault.layer)
            shelf.change()
            crowd.hears_from(fault.layer)
            crowd.each_was_answered(len(fault.asked) + 1)
        # Nobody else asks now: each answer is there, and no model is needed for it.
        found, before = hits(server, fault.layer), len(model.requests)
        for question in fault.asked:
            assert shelf.ask(question)["cached_at"] is not None
        assert hits(server, fault.layer) == found + len(fault.asked)
        assert len(model.requests) == before
