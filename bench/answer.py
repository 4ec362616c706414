"""How soon does an answer to a question begin that nobody has asked before?

Through the whole server (gunicorn, engine, database; the question is embedded and stored), in
milliseconds from the request to the first `delta` event and to `done`. The library is xquad_en and
the Korean half of docs/; asked are the questions of xquad_en, and the Korean ones of
bench/semantic, few of which it can answer. First the sentences of the documents themselves; then
what Like-Opt adds to a model, a stub in this process that answers at once (English: what is not
found is not asked of a model); then eight clients at a time, with how long the event loops of the
web workers did not turn (see bench/ticking.py).

`python -m bench.answer local` measures the models of this machine, which it fetches (0.5 and
1.1 GB): time to the first word of new questions, and of each asked again at once, when the model
has the prompt in its memory (nothing else is cached). BENCH_LOCAL names which.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from bench import common, ticking
from bench.semantic import pairs
from bench.shared import Reader
from likeopt.cli.eval import fill
from likeopt.config import Config
from likeopt.llm import models
from likeopt.storage import access
from likeopt.storage.reader import DEFAULT_COLLECTION
from tests.stub_openai import Reply, Request, StubOpenAI

WARM_UP = 20
QUESTIONS = int(os.environ.get("BENCH_QUESTIONS", "100"))
LOCAL_QUESTIONS = min(10, QUESTIONS)
CLIENTS = 8
DOCUMENTS = common.BENCH.parent / "docs" / "ko"
TARGETS = {"extractive first_ms": 50, "added by Like-Opt ms": 20, "loop ms": 10, "local first_s": 2}


def main() -> None:
    """Measure and report."""
    library, questions = _library()
    load = os.getloadavg()[0]
    with _serving(library) as server:
        list(_ask(server, _mixed(questions, WARM_UP)))
        rows = [
            _row(f"extractive, {language}", list(_ask(server, islice(these, QUESTIONS))))
            for language, these in questions.items()
        ]
    rows += _with_model(library, questions)
    rows += _at_once(library, questions)
    loads = [load, os.getloadavg()[0]]
    common.report("answer", rows, unit="ms", targets=TARGETS, loads=loads)


def local() -> None:
    """Measure the models of this machine, and report."""
    library, questions = _library()
    rows = []
    for name in os.environ.get("BENCH_LOCAL", "local-small,local").split(","):
        path = models.get(name, common.WORK / "models")
        new: list[Reader] = []
        again: list[Reader] = []
        with _serving(library, llm=f"gguf:{path}", cache="") as server:
            for question in islice(questions["English"], LOCAL_QUESTIONS):
                new += _ask(server, [question])
                again += _ask(server, [question])
        for what, readers in (("new", new), ("asked again", again)):
            by_model = sum(one.answer["kind"] == "generated" for one in readers)
            rows.append({**_row(f"{name}, {what}", readers), "by the model": by_model})
    common.report("answer-local", rows, unit="ms", targets=TARGETS, load=os.getloadavg()[0])


def _library() -> tuple[Path, dict[str, Iterator[str]]]:
    """A data folder in which everything is embedded, and questions in a fixed order."""
    english = common.data_set("xquad_en")
    with common.library("answer") as services:
        fill(services, english)
        reader = services.db.read(access.local_reader)
        list(services.ingest.folder(reader, DEFAULT_COLLECTION, DOCUMENTS))
    with common.serving(services.config) as server:
        server.settle()
    korean = dict.fromkeys(pair.a for pair in pairs() if pair.language == "ko")
    asked = {"English": iter(dict.fromkeys(english.queries.values())), "Korean": iter(korean)}
    return services.config.data_dir, asked


def _mixed(questions: dict[str, Iterator[str]], count: int) -> list[str]:
    """The next so many, as many of each language."""
    return [next(these) for these in questions.values() for _ in range(count // len(questions))]


@contextmanager
def _serving(library: Path, **settings: Any) -> Iterator[common.Server]:
    """A ready server with a copy of the library, in which nothing is cached yet."""
    with tempfile.TemporaryDirectory(prefix="lo-answer-", dir=common.WORK) as folder:
        data = shutil.copytree(library, Path(folder, "data"), ignore=shutil.ignore_patterns("run"))
        own = Config(data_dir=data, rate_limit=0, rate_limit_chat=0, **settings)
        with common.serving(own) as server:
            server.wait_until_ready()
            yield server


def _ask(server: common.Server, questions: Iterator[str] | list[str]) -> Iterator[Reader]:
    """Who has asked, one after the other."""
    for question in questions:
        reader = Reader([server], 0, question)
        asyncio.run(reader.read())
        if _is_own(reader):
            yield reader


def _is_own(reader: Reader) -> bool:
    """Whether the answer was made for this question: some differ in a comma only."""
    if reader.first_ms is None or not reader.answer:
        raise RuntimeError(f"no answer: {reader.text!r}")
    return not reader.cached


def _row(what: str, readers: list[Reader]) -> dict[str, Any]:
    first = _figures(what, [one.first_ms or 0.0 for one in readers])
    done = common.spread([one.done_ms for one in readers])
    answered = sum(one.answer["kind"] != "not_found" for one in readers)
    return {**first, "done p50": done["p50"], "done p95": done["p95"], "answered": answered}


def _figures(what: str, values: list[float]) -> dict[str, Any]:
    return {"what": what, "n": len(values), **common.spread(values)}


class _Model(StubOpenAI):
    """Answers at once, and knows when: `asked` and `answering`, seconds of time.perf_counter."""

    asked = answering = 0.0

    def remember(self, request: Request) -> None:
        """See `StubOpenAI`."""
        self.asked = time.perf_counter()
        super().remember(request)

    def next_reply(self, request: Request) -> Reply:
        """See `StubOpenAI`."""
        reply = super().next_reply(request)
        self.answering = time.perf_counter()
        return reply


def _with_model(library: Path, questions: dict[str, Iterator[str]]) -> list[dict[str, Any]]:
    before, after = [], []
    with _Model() as model:
        model.default = "That is what the document says [1]."
        with _serving(library, llm="openai", llm_url=model.url, llm_model=model.model) as server:
            list(_ask(server, islice(questions["English"], WARM_UP)))
            for reader in _ask(server, islice(questions["English"], QUESTIONS)):
                if reader.answer["kind"] != "generated":
                    continue
                before.append((model.asked - reader.begun) * 1000)
                after.append((reader.first_ms or 0.0) - (model.answering - reader.begun) * 1000)
    return [
        _figures("added to a model: question to model", before),
        _figures("added to a model: its word to client", after),
        _figures("added to a model: both", [sum(both) for both in zip(before, after, strict=True)]),
    ]


def _at_once(library: Path, questions: dict[str, Iterator[str]]) -> list[dict[str, Any]]:
    """Eight clients, a worker that ticks, and how long its turns were apart meanwhile."""

    async def client(server: common.Server, mine: list[str]) -> list[Reader]:
        readers = [Reader([server], 0, question) for question in mine]
        for reader in readers:
            await reader.read()
        return readers

    async def all_clients(server: common.Server) -> list[Reader]:
        asked = _mixed(questions, 2 * QUESTIONS)
        ways = (client(server, asked[number::CLIENTS]) for number in range(CLIENTS))
        return [one for readers in await asyncio.gather(*ways) for one in readers if _is_own(one)]

    with tempfile.TemporaryDirectory(prefix="lo-ticks-") as ticks:
        worker = "--worker-class=bench.ticking.TickingWorker"
        how = mock.patch.dict(os.environ, GUNICORN_CMD_ARGS=worker, BENCH_TICKS=ticks)
        with how, _serving(library) as server:
            list(_ask(server, _mixed(questions, WARM_UP)))
            begun = time.perf_counter()
            readers = asyncio.run(all_clients(server))
            ended = time.perf_counter()
        turns = [one for one in ticking.read(Path(ticks)) if begun < one.at < ended]
    return [
        _row(f"extractive, {CLIENTS} clients", readers),
        _figures("loop: turns apart", [one.apart_ms for one in turns]),
        _figures("loop: CPU of a turn", [one.cpu_ms for one in turns]),
    ]


if __name__ == "__main__":
    local() if "local" in sys.argv[1:] else main()
