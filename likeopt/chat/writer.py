"""Writing one answer: search, then a model or the documents' own sentences.

Knows nothing of conversations, databases or readers: it prepares a task, which finds what the
answer will be made of, publishes events while it writes, and returns what became of it.

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
from likeopt.chat.citations import Markers
from likeopt.chat.doubts import doubts
from likeopt.chat.events import Delta, End, Failed, Sources
from likeopt.chat.frames import Frames, Stop
from likeopt.chat.kept import Kept
from likeopt.chat.key import answer_key
from likeopt.chat.sources import Source, nearest, select
from likeopt.chat.text import Language, language_of
from likeopt.clock import Clock
from likeopt.errors import LikeOptError, ModelUnavailable
from likeopt.llm import extractive
from likeopt.llm.stream import TextStream
from likeopt.llm.types import ChatModel, Completion
from likeopt.monitoring.stages import Stages
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.types import Filters, SearchResponse
from likeopt.storage.idempotency import IdempotencyKey
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
# Waits for one's turn with the model; false if nobody wants the answer any more.
Turn = Callable[[], bool]
Publish = Callable[[Sources | Delta], None]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer, for whom."""

    reader: Reader
    question: str
    language: Language
    exchanges: list[Exchange]
    filters: Filters
    max_tokens: int
    temperature: float
    idempotency: IdempotencyKey | None = None

    @property
    def scope(self) -> Reader:
        """The reader with no more than what this may be answered from."""
        wanted, readable = self.filters.collections, self.reader.collections
        if wanted:
            readable &= set(wanted)
        return msgspec.structs.replace(self.reader, collections=readable)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A task with what its answer will be made of.

    `asked` is what a model is asked; without one none is needed, or `problem` says why none can
    be. `key` is equal for tasks whose answers can be the same, `model` is who writes them. `stages`
    are milliseconds.
    """

    task: Task
    query: str
    found: SearchResponse
    sources: list[Source]
    stages: dict[str, float]
    asked: prompt.Prompt | None = None
    key: str = ""
    model: str = ""
    problem: LikeOptError | None = None

    @property
    def reworded(self) -> str | None:
        """What was searched, if it differs from the question."""
        return self.query if self.query != self.task.question else None


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

    def rewrites(self, task: Task) -> bool:
        """Whether the model is to rewrite the question before the search."""
        depends = bool(task.exchanges) and followup.depends(task.question)
        return depends and self.model is not None and self.model.quick

    def prepare(self, task: Task, rewritten: str = "") -> Prepared:
        """Search; for the question as it was `rewritten`, if a model did that.

        Raises EngineUnavailable, Busy or BadInput when nothing could be searched.
        """
        stages = Stages(self.clock)
        with stages.time("rewrite"):
            query = rewritten or _standalone(task)
        with stages.time("search"):
            found = self.search(
                task.reader,
                _shortened(query),
                k=HITS,
                filters=task.filters,
                sentences=SENTENCES,
            )
        for name, millis in found.stages.items():
            stages.add(f"search.{name}", millis)
        asked_in = language_of(task.question) if self.model else None
        prepared = Prepared(
            task=task,
            query=query,
            found=found,
            sources=select(found.hits, asked_in),
            stages={name: round(millis, 1) for name, millis in stages.millis.items()},
        )
        if self.model is None or not prepared.sources:
            return prepared
        return _asking(prepared, self.model)

    def write(
        self,
        prepared: Prepared,
        publish: Publish,
        *,
        seconds: Callable[[], float] = lambda: 0.0,
        stop: Stop | None = None,
        turn: Turn = lambda: True,
    ) -> End:
        """Answer, publishing sources and text on the way, the text in frames of `seconds`.

        `turn` waits for the model, if there is one.
        """
        frames = Frames(publish, self.clock, seconds)
        return _Answer(self, prepared, publish, frames, stop or Stop()).write(turn)

    def repeat(self, prepared: Prepared, kept: Kept, publish: Publish) -> End:
        """Answer with what was kept under the key of the task; doubts are today's."""
        frames = Frames(publish, self.clock, lambda: 0.0)
        return _Answer(self, prepared, publish, frames, Stop()).repeat(kept)


def _standalone(task: Task) -> str:
    """The question as it is searched where no model rewrites it."""
    if not task.exchanges or not followup.depends(task.question):
        return task.question
    return followup.extended(task.question, task.exchanges)


def _asking(prepared: Prepared, model: ChatModel) -> Prepared:
    """With what the model is asked, if it can be."""
    task = prepared.task
    try:
        built = prompt.build(
            task.question,
            prepared.query,
            prepared.sources,
            task.exchanges,
            task.language,
            model.prompt_tokens(),
        )
    except LikeOptError as problem:
        return msgspec.structs.replace(prepared, problem=problem)
    key = answer_key(
        built,
        [source.citation() for source in prepared.sources],
        model=model.identity,
        query=prepared.query,
        language=task.language,
        max_tokens=task.max_tokens,
        temperature=task.temperature,
        scope=task.scope.collections,
    )
    return msgspec.structs.replace(prepared, asked=built, key=key, model=model.identity)


class _Answer:
    """One answer being written."""

    def __init__(
        self, writer: Writer, prepared: Prepared, publish: Publish, frames: Frames, stop: Stop
    ) -> None:
        self._writer = writer
        self._prepared = prepared
        self._task = prepared.task
        self._publish = publish
        self._frames = frames
        self._stop = stop
        self._stages = Stages(writer.clock)
        self._announced = False
        self._markers = Markers({}, writer.analyser)

    def write(self, turn: Turn) -> End:
        """See `Writer.write`."""
        prepared = self._prepared
        if not prepared.sources:
            return self._not_found()
        if prepared.asked is None:
            problem = prepared.problem
            return self._extract(error_code=problem.instance_code if problem else None)
        assert self._writer.model is not None
        return self._generate(self._writer.model, prepared.asked, turn)

    # -- without a model -------------------------------------------------------------------------

    def _not_found(self, error_code: str | None = None) -> End:
        """Say so, and name the nearest passages: their reader may see what no rule sees."""
        near = self._nearest()
        self._announce(near)
        self._frames.write(extractive.NOT_FOUND[self._task.language])
        self._doubt()
        return self._end("complete", "not_found", near, error_code=error_code)

    def _doubt(self) -> None:
        """Say what could not be looked at."""
        unread = self._writer.unread(self._task.scope)
        if said := doubts(self._task.language, self._prepared.found.degraded, unread):
            self._frames.write(f" {said}")
        self._frames.flush()

    def _extract(self, error_code: str | None = None) -> End:
        """Answer with the documents' sentences; `error_code` says why no model did."""
        text, citations = self._quoted()
        if not text:
            return self._not_found(error_code)
        self._announce(citations)
        self._frames.write(text)
        self._frames.flush()
        return self._end("complete", "extractive", citations, error_code=error_code)

    def _quoted(self) -> tuple[str, list[Citation]]:
        """The documents' sentences that answer best, if any do."""
        sources = self._prepared.sources
        chosen = extractive.choose([one for source in sources for one in source.candidates()])
        by_number = {source.number: source for source in sources}
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
        quoted = [msgspec.structs.replace(one, number=renumbered[one.number]) for one in chosen]
        return "".join(extractive.write(quoted)), citations

    # -- with a model ----------------------------------------------------------------------------

    def _generate(self, model: ChatModel, asked: prompt.Prompt, turn: Turn) -> End:
        task, sources = self._task, self._prepared.sources
        try:
            self._announce([source.citation() for source in sources])
            with self._stages.time("queue"):
                wanted = turn()
            if not wanted:
                return self._end("stopped", None)
            texts = {
                source.number: f"{source.hit.context}\n{source.hit.text}"
                for source in sources
                if source.number in asked.numbers
            }
            self._markers = Markers(texts, self._writer.analyser)
            self._stream(model.stream(Completion(asked.turns, task.max_tokens, task.temperature)))
        except LikeOptError as error:
            if not self._frames.text:
                return self._extract(error_code=error.instance_code)
            return self._broken(error)
        if self._stop.event.is_set():
            return self._end("stopped", "generated", self._cited())
        if prompt.is_not_found(self._frames.text):
            self._doubt()
            return self._end("complete", "not_found", self._nearest())
        return self._end("complete", "generated", self._cited())

    def repeat(self, kept: Kept) -> End:
        """See `Writer.repeat`."""
        sources = [source.citation() for source in self._prepared.sources]
        self._announce(sources)
        if kept.kind == "not_found":
            # In its own words, without what could not be looked at then.
            self._frames.write(extractive.NOT_FOUND[self._task.language])
            self._doubt()
            cited = self._nearest()
        else:
            self._frames.write(kept.text)
            cited = [one for one in sources if one.number in kept.used]
        end = self._end("complete", kept.kind, cited)
        known = msgspec.structs.replace(
            end.outcome, model=kept.model, cached_at=kept.at, cached_question=kept.question
        )
        return End(known)

    def _stream(self, stream: TextStream) -> None:
        """Send the model's text on. Raises ModelUnavailable if there is none."""
        self._stop.attach(stream)
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
            broken = self._stop.event.is_set()
        finally:
            stream.close()
            if first is not None:
                self._frames.write(self._markers.end(broken=broken))
                self._stages.add("generate", (clock.monotonic() - first) * 1000)
                self._frames.flush()
        if first is None and not self._stop.event.is_set():
            raise ModelUnavailable("The model wrote nothing.", code="model_silent")

    def _broken(self, error: LikeOptError) -> End:
        """The model died in the middle of its answer."""
        broken = self._end("failed", "generated", self._cited()).outcome
        broken = msgspec.structs.replace(broken, error_code=error.instance_code)
        text, citations = self._quoted()
        whole = msgspec.structs.replace(
            broken,
            content=_stored(text or extractive.NOT_FOUND[self._task.language]),
            state="complete",
            kind="extractive" if text else "not_found",
            model=None,
            citations=citations if text else self._nearest(),
        )
        return End(broken, Failed.of(error), whole)

    # -- the end ---------------------------------------------------------------------------------

    def _announce(self, citations: list[Citation]) -> None:
        """Show the sources, once: a fallback keeps the numbers that readers have seen."""
        if not self._announced:
            self._announced = True
            found = self._prepared.found
            self._publish(Sources(self._prepared.query, citations, found.pending, found.degraded))

    def _nearest(self) -> list[Citation]:
        asked_in = language_of(self._task.question)
        near = nearest(self._prepared.sources, self._prepared.found.hits, asked_in)
        return [one.citation() for one in near]

    def _cited(self) -> list[Citation]:
        used = self._markers.used
        return [one.citation() for one in self._prepared.sources if one.number in used]

    def _end(
        self,
        state: State,
        kind: Kind | None,
        citations: list[Citation] | None = None,
        *,
        error_code: str | None = None,
    ) -> End:
        # With an error code, another answer took the place of what the model wrote.
        wrote = "first_token" in self._stages.millis and not error_code
        generated = kind == "generated" or wrote
        outcome = Outcome(
            content=_stored(self._frames.text),
            state=state,
            kind=kind,
            model=self._writer.model.name if generated and self._writer.model else None,
            stages={name: round(millis, 1) for name, millis in self._stages.millis.items()},
            citations=citations or [],
            error_code=error_code,
        )
        return End(outcome)


def _stored(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _shortened(query: str) -> str:
    if len(query) <= _QUERY_CHARS:
        return query
    return f"{query[:_QUERY_HEAD]} {query[_QUERY_HEAD + 1 - _QUERY_CHARS :]}"
