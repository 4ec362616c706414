"""Writing one answer: search, then a model or the documents' own sentences.

Knows nothing of conversations, databases or readers: it takes a task, publishes events and
returns what became of it.

What a model's failure means to the reader: before its first word, the extractive answer takes its
place (kind `extractive`, with the reason in `error_code`). After that, what was written stays and
the answer is `failed`: sentences quoted after half a generated answer would be neither, while
the best quotes of all sources stand beside it already, and asking again is one click. A reader who
gets the answer as a whole has seen nothing of it: there the extractive answer takes its place too.
"""

import unicodedata
from collections.abc import Callable
from functools import cached_property

import msgspec

from likeopt.chat import followup, prompt
from likeopt.chat.broadcast import Frames, Stop
from likeopt.chat.citations import Markers
from likeopt.chat.doubts import doubts
from likeopt.chat.events import Event, Queue, Sources
from likeopt.chat.sources import Source, nearest, select
from likeopt.chat.text import Language, language_of
from likeopt.clock import Clock
from likeopt.errors import LikeOptError, ModelUnavailable
from likeopt.llm import extractive
from likeopt.llm.queue import Ticket
from likeopt.llm.stream import TextStream
from likeopt.llm.types import ChatModel, Completion
from likeopt.monitoring.stages import Stages
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.types import Filters, SearchResponse
from likeopt.storage.messages import Citation, Exchange, Kind, Outcome, State
from likeopt.storage.reader import Reader

# Passages that are looked at, and sentences marked in each.
HITS = 10
SENTENCES = 8
# The engine takes queries up to 2,000 characters; a longer question has its point at its ends.
_QUERY_CHARS = 2000
_QUERY_HEAD = 600

# `likeopt.retrieval.search.search` with its client and its reranker bound.
Search = Callable[..., SearchResponse]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer, for whom. `whole`: text is sent at its end only. `ticket` is the place in
    the model's queue, if there is a model."""

    reader: Reader
    question: str
    language: Language
    exchanges: list[Exchange]
    filters: Filters
    max_tokens: int
    temperature: float
    whole: bool
    stop: Stop
    ticket: Ticket | None


class Written(msgspec.Struct, frozen=True):
    """What became of an answer, and why it failed if it did."""

    outcome: Outcome
    error: LikeOptError | None = None


class Writer:
    """Answers questions, with a model or without one. Thread-safe."""

    def __init__(
        self,
        search: Search,
        model: ChatModel | None,
        clock: Clock,
        unread: Callable[[Reader], int] = lambda _: 0,
    ) -> None:
        """`unread` counts a reader's files that cannot be found yet."""
        self.unread = unread
        self.search = search
        self.model = model
        self.clock = clock

    @cached_property
    def analyser(self) -> Analyser:
        """Compares a model's sentences with its passages."""
        return Analyser()

    def write(self, task: Task, publish: Callable[[Event], None], frames: Frames) -> Written:
        """Answer, publishing sources and text on the way (not the last event).

        Raises EngineUnavailable, Busy or BadInput when nothing could be searched.
        """
        return _Answer(self, task, publish, frames).write()


class _Answer:
    """One answer being written."""

    def __init__(
        self, writer: Writer, task: Task, publish: Callable[[Event], None], frames: Frames
    ) -> None:
        self._writer = writer
        self._task = task
        self._publish = publish
        self._frames = frames
        self._stages = Stages(writer.clock)
        self._query = task.question
        self._found = SearchResponse([], 0)
        self._sources: list[Source] = []
        self._announced = False
        self._markers = Markers({}, writer.analyser)

    def write(self) -> Written:
        with self._stages.time("rewrite"):
            self._query = self._standalone()
        with self._stages.time("search"):
            found = self._writer.search(
                self._task.reader,
                _shortened(self._query),
                k=HITS,
                filters=self._task.filters,
                sentences=SENTENCES,
            )
        for name, millis in found.stages.items():
            self._stages.add(f"search.{name}", millis)
        self._found = found
        asked_in = language_of(self._task.question) if self._writer.model else None
        self._sources = select(found.hits, asked_in)
        if self._task.stop.event.is_set():
            return self._written("stopped", None)
        if not self._sources:
            return self._not_found()
        if self._writer.model is None:
            return self._extract()
        return self._generate(self._writer.model)

    def _standalone(self) -> str:
        """The question as it is searched. A quick model rewrites it, when it is its turn."""
        task, model = self._task, self._writer.model
        if not task.exchanges or not followup.depends(task.question):
            return task.question
        if model is not None and not (model.quick and self._wait()):
            model = None
        return followup.standalone(task.question, task.exchanges, model)

    # -- without a model -------------------------------------------------------------------------

    def _not_found(self, error_code: str | None = None) -> Written:
        """Say so, and name the nearest passages: their reader may see what no rule sees."""
        near = self._nearest()
        self._announce(near)
        self._frames.write(extractive.NOT_FOUND[self._task.language])
        self._doubt()
        return self._written("complete", "not_found", near, error_code=error_code)

    def _doubt(self) -> None:
        """Say what could not be looked at."""
        unread = self._writer.unread(self._task.reader)
        if said := doubts(self._task.language, self._found.degraded, unread):
            self._frames.write(f" {said}")
        self._frames.flush()

    def _extract(self, error_code: str | None = None) -> Written:
        """Answer with the documents' sentences; `error_code` says why no model did."""
        candidates = [one for source in self._sources for one in source.candidates()]
        chosen = extractive.choose(candidates)
        if not chosen:
            return self._not_found(error_code)
        by_number = {source.number: source for source in self._sources}
        numbers = list(dict.fromkeys(one.number for one in chosen))
        if not self._announced:
            # Nobody has seen the numbers yet: count from 1 in the order of the text.
            renumbered = {number: place for place, number in enumerate(numbers, 1)}
        else:
            renumbered = {number: number for number in numbers}
        citations = []
        for number in numbers:
            source = msgspec.structs.replace(by_number[number], number=renumbered[number])
            starts = {one.start for one in chosen if one.number == number}
            citations.append(source.citation([s for s in source.sentences if s.start in starts]))
        self._announce(citations)
        for piece in extractive.write(
            [msgspec.structs.replace(one, number=renumbered[one.number]) for one in chosen]
        ):
            self._frames.write(piece)
        self._frames.flush()
        return self._written("complete", "extractive", citations, error_code=error_code)

    # -- with a model ----------------------------------------------------------------------------

    def _generate(self, model: ChatModel) -> Written:
        task = self._task
        try:
            built = prompt.build(
                task.question,
                self._query,
                self._sources,
                task.exchanges,
                task.language,
                model.prompt_tokens(),
            )
            self._announce([source.citation() for source in self._sources])
            if not self._wait():
                return self._written("stopped", None)
            texts = {
                source.number: f"{source.hit.context}\n{source.hit.text}"
                for source in self._sources
                if source.number in built.numbers
            }
            self._markers = Markers(texts, self._writer.analyser)
            request = Completion(built.turns, task.max_tokens, task.temperature)
            self._stream(model.stream(request))
        except LikeOptError as error:
            if task.whole:
                self._frames.discard()
            if not self._frames.text:
                return self._extract(error_code=error.instance_code)
            self._frames.flush()
            return self._written("failed", "generated", self._cited(), error=error)
        if task.stop.event.is_set():
            return self._written("stopped", "generated", self._cited())
        if prompt.is_not_found(self._frames.text):
            self._doubt()
            return self._written("complete", "not_found", self._nearest())
        return self._written("complete", "generated", self._cited())

    def _stream(self, stream: TextStream) -> None:
        """Send the model's text on. Raises ModelUnavailable if there is none."""
        self._task.stop.attach(stream)
        clock = self._writer.clock
        started = clock.monotonic()
        first = None
        broken = True
        try:
            for piece in stream:
                if first is None:
                    first = clock.monotonic()
                    self._stages.add("first_token", (first - started) * 1000)
                self._frames.write(self._markers.feed(piece))
            broken = self._task.stop.event.is_set()
        finally:
            stream.close()
            if first is not None:
                self._frames.write(self._markers.end(broken=broken))
                self._stages.add("generate", (clock.monotonic() - first) * 1000)
        self._frames.flush()
        if first is None and not self._task.stop.event.is_set():
            raise ModelUnavailable("The model wrote nothing.", code="model_silent")

    def _wait(self) -> bool:
        """Wait for one's turn with the model, telling readers the place; false to stop."""
        ticket = self._task.ticket
        if ticket is None:
            return not self._task.stop.event.is_set()
        with self._stages.time("queue"):
            return ticket.wait(self._task.stop.event, lambda place: self._publish(Queue(place)))

    # -- the end ---------------------------------------------------------------------------------

    def _announce(self, citations: list[Citation]) -> None:
        """Show the sources, once: a fallback keeps the numbers that readers have seen."""
        if not self._announced:
            self._announced = True
            found = self._found
            self._publish(Sources(self._query, citations, found.pending, found.degraded))

    def _nearest(self) -> list[Citation]:
        asked_in = language_of(self._task.question)
        return [one.citation() for one in nearest(self._sources, self._found.hits, asked_in)]

    def _cited(self) -> list[Citation]:
        used = self._markers.used
        return [source.citation() for source in self._sources if source.number in used]

    def _written(
        self,
        state: State,
        kind: Kind | None,
        citations: list[Citation] | None = None,
        *,
        error: LikeOptError | None = None,
        error_code: str | None = None,
    ) -> Written:
        # With an error code, another answer took the place of what the model wrote.
        wrote = "first_token" in self._stages.millis and not error_code
        generated = kind == "generated" or wrote
        outcome = Outcome(
            content=unicodedata.normalize("NFC", self._frames.text).strip(),
            state=state,
            kind=kind,
            model=self._writer.model.name if generated and self._writer.model else None,
            query=self._query if self._query != self._task.question else None,
            stages={name: round(millis, 1) for name, millis in self._stages.millis.items()},
            citations=citations or [],
            error_code=error.instance_code if error else error_code,
        )
        return Written(outcome, error)


def _shortened(query: str) -> str:
    if len(query) <= _QUERY_CHARS:
        return query
    return f"{query[:_QUERY_HEAD]} {query[_QUERY_HEAD + 1 - _QUERY_CHARS :]}"
