"""How many calls of a model are spared while documents change, and is anything ever stale?

100,000 questions, drawn from 10,000 by Zipf's law with exponent 1, are asked in process, through
the chat, search, database and indexes that the product has. After every 500 of them a document is
added, changed or deleted, one that the question before it was answered from; the index of words
follows 20 questions later and the vectors 60 later, and that question is asked again each time.

Two things stand in: a model that writes down a hash of each passage it is given, so that its answer
says what it is made of; and an embedder that hashes words, since embedding 15,000 passages takes
half an hour.

Each answer is compared with what the passages that an engine finds which keeps nothing make of it:
text, kind and citations. Another one is stale. As that engine reads the same indexes, each version
of a document also has a word of its own, which the model repeats, and the bench keeps a list: an
answer is gone that has the word of a version which was deleted before it was asked for, or replaced
and its successor in the index of words, or cites what no document says. The ceiling leaves out what
nobody can spare: the first call for a question, and one each time its passages really changed.
"""

import hashlib
import itertools
import os
import random
import re
import shutil
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, cast
from unittest import mock

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import common
from likeopt.chat.events import Done
from likeopt.chat.text import clean_question, language_of
from likeopt.chat.writer import Task, Writer
from likeopt.cli.eval import fill
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.llm.stream import TextStream
from likeopt.llm.types import Completion
from likeopt.retrieval import evaluate
from likeopt.retrieval.evaluate import DataSet, Passage
from likeopt.retrieval.search import EngineClient, search
from likeopt.retrieval.types import Filters, SearchRequest, SearchResponse
from likeopt.services import Services
from likeopt.storage import access, documents
from likeopt.storage.messages import Citation, Message
from likeopt.storage.reader import Reader
from likeopt.worker.embedding import Embedding
from likeopt.worker.follower import Follower
from likeopt.worker.vectors import LocalVectors

QUESTIONS = 10_000
REQUESTS = 100_000
# After so many minutes the rest of the stream is left out, and the result says so.
MINUTES = float(os.environ.get("BENCH_MINUTES", "60"))
EVERY = 500
WORDS_AFTER, VECTORS_AFTER = 20, 60
SETS = ("boolq_en", "xquad_en", "scifact_dev", "msdocs_ko", "msdocs_en")
# Of each set at most; the Korean one has 81,000 passages.
PASSAGES = 6000

_block = re.compile(r"^\[(\d+)\] ", re.MULTILINE)
_edition = re.compile(r"\bedition\d+\b")


# -- what stands in ------------------------------------------------------------------------------


class Naming:
    """A model whose answer names the passages it was given, and that counts its calls."""

    name = "naming"
    quick = False

    def __init__(self) -> None:
        self.calls = 0

    @property
    def identity(self) -> str:
        """See `ChatModel`."""
        return self.name

    def prompt_tokens(self) -> int:
        """As an endpoint's."""
        return 3000

    def stream(self, request: Completion) -> TextStream:
        """One sentence for each passage."""
        self.calls += 1
        return cast("TextStream", _Text(_said(request.turns[-1].content)))


class _Text(Iterator[str]):
    """A `TextStream` of one piece."""

    def __init__(self, text: str) -> None:
        self._pieces = iter([text])

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Nothing is open."""


def _said(asked: str) -> str:
    _, *parts = _block.split(asked.rpartition("\n\n")[0])
    named = zip(parts[::2], parts[1::2], strict=True)
    which = ((_digest(text), " ".join(_edition.findall(text)), number) for number, text in named)
    return " ".join(f"Passage {digest} of {words} [{number}]." for digest, words, number in which)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.strip().encode(), digest_size=8).hexdigest()


class Hashing:
    """Texts that share words get similar vectors."""

    model = identity = "hashing"
    dim = 128

    def queries(self, texts: list[str]) -> NDArray[np.float32]:
        """[n, dim], of length 1."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                digest = zlib.crc32(word.encode())
                row[digest % self.dim] += 1.0 if digest & 0x10000 else -1.0
            row[0] += 1e-3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    passages = queries


class Here(EngineClient):
    """An engine in this process; one that keeps no results if `config` has no cache."""

    def __init__(self, services: Services, config: Config) -> None:
        super().__init__(config.data_dir / "run" / "none.sock", Clock())
        self.library = Library(config, services.db, self.clock, lambda _: Hashing())
        self.searcher = Searcher(self.library, services.db, self.clock, threads=2)

    def search(self, request: SearchRequest) -> SearchResponse:
        """On this thread."""
        return self.searcher.search(request, self.clock.monotonic() + 60)

    def commit(self) -> int:
        """Which commit of the index of words is searched. One that only merges segments, in the
        background, ranks a little differently too."""
        words = self.library.view(self.clock.monotonic() + 60).lexical
        return words.number if words else 0

    def close(self) -> None:
        """The indexes."""
        self.searcher.close()
        self.library.close()


# -- the library, and its changes ----------------------------------------------------------------


def _data() -> tuple[DataSet, list[str]]:
    """15,000 passages, and 10,000 questions about them in random order."""
    corpus: list[Passage] = []
    questions: list[str] = []
    for name in SETS:
        data = common.data_set(name)
        part = evaluate.sample(data, passages=PASSAGES, queries=len(data.qrels))
        corpus += [Passage(f"{name}:{p.id}", p.text, p.title) for p in part.corpus]
        questions += list(data.queries.values())
    questions = [question[:1900] for question in dict.fromkeys(questions)]
    random.Random(7).shuffle(questions)
    return DataSet("zipf", corpus, {}, {}), questions[:QUESTIONS]


class Shelf:
    """The documents, and the indexing worker's steps, taken one at a time."""

    def __init__(self, services: Services, data: DataSet) -> None:
        self._services = services
        db, clock, config = services.db, services.clock, services.config
        self.reader: Reader = db.read(access.local_reader)
        self._random = random.Random(7)
        self._added = itertools.count()
        self._numbers = itertools.count()
        vectors = LocalVectors(db, clock, _indexes(config))
        self._follower = Follower(db, clock, config, vectors, "bench")
        self._embedding = Embedding(
            db, clock, Hashing, Hashing.model, "bench:0", lease_ms=600_000, batch=500
        )
        # By document: its page, and the passages on it.
        self.pages: dict[str, tuple[str, list[Passage]]] = {}
        # Words of versions: by page those of now; of those replaced, which may be found until the
        # index of words has followed; and of all others.
        self._editions: dict[str, str] = {}
        self._leaving: set[str] = set()
        self._past: set[str] = set()
        self._put(data.corpus)
        self.follow_words()
        self.embed()
        LocalVectors(db, clock, _indexes(config)).follow(lambda: False)

    def change(self, number: int, answer: Message, question: str) -> str:
        """Add, change or delete a document, in turn, about a question; what was done is committed
        when this returns."""
        ids = [one.document_id for one in answer.citations if one.document_id in self.pages]
        kinds = ("change", "add", "delete")
        kind = kinds[number % 3] if ids else "add"
        if kind == "add":
            key = f"added {next(self._added)}"
            self._put([Passage(key, f"{question} This was settled in {number}.", "News")])
            return kind
        page, passages = self.pages[self._random.choice(ids)]
        if kind == "change":
            self._put([_revised(passage, number) for passage in passages])
            return kind
        (id_,) = [id_ for id_, (key, _) in self.pages.items() if key == page]
        del self.pages[id_]
        self._past.add(self._editions.pop(page))
        db, clock = self._services.db, self._services.clock
        db.write(lambda c: documents.delete(c, self.reader, clock, id_))
        return kind

    def is_gone(self, answer: Message) -> bool:
        """Whether an answer says or cites anything that is in no document now."""
        cited = [(one.quote, self.pages.get(one.document_id, ("", []))) for one in answer.citations]
        return not self._past.isdisjoint(_edition.findall(answer.content)) or not all(
            any(quote in passage.text for passage in held) for quote, (_, held) in cited
        )

    def follow_words(self) -> None:
        """Bring the index of words up to the database."""
        while pause := self._follower.follow_words():
            time.sleep(pause)
        self._past |= self._leaving

    def embed(self) -> None:
        """Embed what is not."""
        while self._embedding.step():
            pass

    def close(self) -> None:
        """Let go of the index."""
        self._follower.stop()

    def _put(self, passages: list[Passage]) -> None:
        pages: dict[str, list[Passage]] = {}
        for passage in passages:
            pages.setdefault(_page(passage.id), []).append(passage)
        self._leaving |= {old for page in pages if (old := self._editions.get(page))}
        self._editions |= {page: f"edition{next(self._numbers)}" for page in pages}
        of = self._editions
        named = [Passage(p.id, p.text, f"{of[_page(p.id)]} {p.title}") for p in passages]
        for id_, (first, *_) in fill(self._services, DataSet("zipf", named, {}, {})).items():
            key = _page(first)
            self.pages[id_] = key, pages[key]


def _page(passage_id: str) -> str:
    return passage_id.partition("#")[0]


def _revised(passage: Passage, number: int) -> Passage:
    return Passage(passage.id, f"{passage.text} Revised for the {number}th time.", passage.title)


def _indexes(config: Config) -> Any:
    return config.data_dir / "indexes"


# -- asking --------------------------------------------------------------------------------------


class Truth(msgspec.Struct, frozen=True):
    """What an answer has to be: text, kind and what it cites; `asks` says whether a model has to
    write it."""

    asks: bool
    text: str
    kind: str | None
    cited: list[tuple[object, ...]]

    @classmethod
    def of(cls, answer: Message, *, asks: bool) -> "Truth":
        """Of an answer that was given."""
        return cls(asks, answer.content, answer.kind, _cited(answer.citations))


class Asked:
    """A chat with its model, asked one question after the other."""

    def __init__(self, services: Services, engine: Here) -> None:
        self.engine = engine
        self.model = Naming()
        services.__dict__["engine"] = engine
        with mock.patch("likeopt.chat.opening.open_openai", return_value=self.model):
            self._chat = services.chat
        self._reader = services.db.read(access.local_reader)
        self._writer = Writer(
            partial(search, engine, services.reranker), self.model, services.clock
        )

    def ask(self, question: str) -> tuple[Message, bool]:
        """The answer, and whether the model was asked for it."""
        calls = self.model.calls
        broadcast = self._chat.reply(self._reader, question, [])
        *_, last = (one for one in broadcast.events() if one is not None)
        if isinstance(last.event, Done):
            return last.event.message, self.model.calls > calls
        raise RuntimeError(last.event)

    def truth(self, question: str) -> Truth:
        """What the passages found now make of it. A model's answer is known from what it would
        be asked, so it need not be."""
        text = clean_question(question)
        task = Task(
            reader=self._reader,
            question=text,
            language=language_of(text),
            exchanges=[],
            filters=Filters(),
            max_tokens=512,
            temperature=0.0,
        )
        prepared = self._writer.prepare(task)
        if prepared.asked is None:
            return Truth.of(self.ask(question)[0], asks=False)
        numbers = prepared.asked.numbers
        cited = [one.citation() for one in prepared.sources if one.number in numbers]
        said = _said(prepared.asked.turns[-1].content)
        return Truth(True, said, "generated", _cited(cited))


def _cited(citations: list[Citation]) -> list[tuple[object, ...]]:
    return [(one.number, one.version_id, one.chunk_id, one.document_name) for one in citations]


# -- measuring -----------------------------------------------------------------------------------


class Counts(msgspec.Struct):
    """What the stream cost."""

    requests: int = 0
    without_model: int = 0
    calls: int = 0
    first: int = 0
    changed: int = 0
    stale: int = 0
    gone: int = 0
    again: int = 0
    changes: int = 0

    def row(self) -> dict[str, Any]:
        """With what follows from them, in per cent."""
        needed = self.requests - self.without_model
        sparable = needed - self.first - self.changed
        spared = needed - self.calls
        return {
            **msgspec.structs.asdict(self),
            "hit rate %": _percent(spared, needed),
            "ceiling %": _percent(sparable, needed),
            "spared of sparable %": _percent(spared, sparable),
        }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


class Stream:
    """Asks, changes and compares."""

    def __init__(self, shelf: Shelf, product: Asked, anew: Asked, questions: list[str]) -> None:
        """`product` is measured, `anew` keeps nothing."""
        self._shelf, self._product, self._anew = shelf, product, anew
        self.counts = Counts()
        self.times: dict[str, list[float]] = {"kept": [], "made": []}
        self._right: dict[str, Truth] = {}
        self._commit = 0
        self._seen: dict[str, set[str]] = {}
        weights = 1 / np.arange(1, len(questions) + 1)
        draws = np.random.default_rng(7).choice(len(questions), REQUESTS, p=weights / weights.sum())
        self._asked = [questions[i] for i in draws.tolist()]
        # What each change is about is asked just before and after it, and when an index follows.
        for change in range(EVERY, REQUESTS, EVERY):
            for at in (change - 1, change + WORDS_AFTER, change + VECTORS_AFTER):
                if at < REQUESTS:
                    self._asked[at] = self._asked[change]

    def run(self) -> Iterator[Counts]:
        """One pass, with the counts so far after every change."""
        for number, question in enumerate(self._asked):
            since = number % EVERY
            if since == 0 and number:
                self._shelf.change(number // EVERY, self._last, question)
                self.counts.changes += 1
                self._right.clear()
                yield self.counts
            elif number > EVERY and since == WORDS_AFTER:
                self._shelf.follow_words()
                self._right.clear()
            elif number > EVERY and since == VECTORS_AFTER:
                self._shelf.embed()
                self._right.clear()
            self._one(question)

    def _one(self, question: str) -> None:
        counts = self.counts
        start = time.perf_counter()
        answer, called = self._product.ask(question)
        self.times["made" if called else "kept"].append((time.perf_counter() - start) * 1000)
        if self._shelf.is_gone(answer):
            counts.gone += 1
            print("gone:", question, answer)
        right = self._truth(question)
        counts.requests += 1
        counts.calls += called
        if (given := Truth.of(answer, asks=right.asks)) != right:
            if self._anew.engine.commit() != self._commit:
                # The index was merged between the two: look at both once more.
                counts.again += 1
                right = self._truth(question)
                answer, called = self._product.ask(question)
                given = Truth.of(answer, asks=right.asks)
                counts.calls += called
            if given != right:
                counts.stale += 1
                print("stale:", question, given, right, flush=True)
        self._last = answer
        if not right.asks:
            counts.without_model += 1
            return
        seen = self._seen.setdefault(question.casefold(), set())
        counts.first += not seen
        counts.changed += bool(seen) and right.text not in seen
        seen.add(right.text)

    def _truth(self, question: str) -> Truth:
        """What a chat answers that keeps nothing; looked up once while nothing at all changes."""
        if (commit := self._anew.engine.commit()) != self._commit:
            self._commit = commit
            self._right.clear()
        if question not in self._right:
            self._right[question] = self._anew.truth(question)
        return self._right[question]


def main() -> None:
    """Measure and report."""
    data, questions = _data()
    shutil.rmtree(common.WORK / "zipf", ignore_errors=True)
    model = {"llm": "openai", "llm_url": "http://127.0.0.1:9/v1", "llm_model": Naming.name}
    with common.library("zipf", **model) as services, ExitStack() as stack:
        shelf = Shelf(services, data)
        stack.callback(shelf.close)
        config = services.config
        own = msgspec.structs.replace(config, data_dir=config.data_dir / "anew", cache="")
        other = Services(own)
        other.__dict__["db"] = services.db
        keeping = Here(services, config)
        forgetful = Here(services, msgspec.structs.replace(config, cache=""))
        for engine in (keeping, forgetful):
            stack.callback(engine.close)
        product, anew = Asked(services, keeping), Asked(other, forgetful)
        stream = Stream(shelf, product, anew, questions)
        start = time.perf_counter()
        for counts in stream.run():
            seconds = time.perf_counter() - start
            if counts.changes % 10 == 0:
                print(counts.row(), round(seconds), "s", flush=True)
            if seconds > 60 * MINUTES:
                break
        common.report(
            "zipf",
            [stream.counts.row()],
            of_requests=REQUESTS,
            passages=len(data.corpus),
            questions=len(questions),
            seconds=round(time.perf_counter() - start),
            answered_ms={
                what: common.spread(times) for what, times in stream.times.items() if times
            },
            searches=keeping.searcher.status(keeping.clock.monotonic() + 10).searches,
        )
        stale, gone = stream.counts.stale, stream.counts.gone
        if stale or gone:
            sys.exit(f"{stale} answers were stale, {gone} told what is gone")


if __name__ == "__main__":
    main()
