"""The use case of chat: a question comes in, its answer is written, whoever wants it reads it.

What an answer is made of is searched first. Then it is known whether the same is being answered
already, here or in another process: if so it is joined, and no model is asked. Whoever is first
leads: it writes the answer detached from any request, for all who join (see `meeting`).
"""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from likeopt.cache.layered import Cache
from likeopt.chat.asking import Asking, asking_of
from likeopt.chat.broadcast import PING_SECONDS, Broadcast, Broadcasts, Log, Telling, nobody_tells
from likeopt.chat.entrance import Entrance
from likeopt.chat.events import End, Numbered, Record, Restart, Start
from likeopt.chat.events import Queue as Position
from likeopt.chat.exchange import Exchange, Lead, NoExchange
from likeopt.chat.follow import follow, start_of
from likeopt.chat.generation import Generation, detach, over
from likeopt.chat.kept import Kept, KeptAnswers
from likeopt.chat.meeting import Meeting
from likeopt.chat.rewrites import Enter, Rewrites, Rewriting
from likeopt.chat.rows import Rows, broken, last_event, logged, so_far
from likeopt.chat.similar import Embed, SimilarAnswers
from likeopt.chat.text import Language, clean_question, language_of
from likeopt.chat.writer import Prepared, Task, Writer
from likeopt.clock import Clock
from likeopt.errors import LikeOptError, NotFound
from likeopt.llm.queue import Queue, Ticket
from likeopt.retrieval.types import Filters
from likeopt.storage import answers, conversations, idempotency, messages
from likeopt.storage.conversations import Conversation
from likeopt.storage.db import ANSWERS_CONNECTIONS, Database
from likeopt.storage.idempotency import IdempotencyKey
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader

# What is asked again should not be answered with the same words.
_AGAIN_TEMPERATURE = 0.7

# Finds, or stores, the question to answer.
_Find = Callable[[Any], tuple[Conversation, Message]]


class Chat:
    """Questions, answers and their readers, in one process. Thread-safe."""

    def __init__(  # noqa: PLR0913  (what a chat is made of; called in one place)
        self,
        db: Database,
        clock: Clock,
        writer: Writer,
        queue: Queue | None = None,
        exchange: Exchange | None = None,
        cache: Cache | None = None,
        *,
        embed: Embed | None = None,
        hear: Callable[[], object] = lambda: None,
        max_tokens: int = 512,
    ) -> None:
        """`queue` stands before the writer's model; through `exchange` its answers are shared with
        other processes while they are written, through `cache` afterwards (`hear` as for
        `KeptAnswers`); with `embed`, also with who asks the same in other words. `max_tokens` is
        the longest answer."""
        self._db = db
        self._clock = clock
        self._writer = writer
        self._queue = queue
        self._kept = KeptAnswers(cache, clock, hear)
        self._similar = SimilarAnswers(cache, self._kept, embed) if cache and embed else None
        self._rewrites = Rewrites(writer, self._enter, cache, hear)
        self._max_tokens = max_tokens
        self._entrance = Entrance()
        # For those whose question was rewritten: they have waited before, and may be a thousand.
        self._reentrance = Entrance()
        self._broadcasts = Broadcasts(clock)
        self._rows = Rows(db.apart(ANSWERS_CONNECTIONS), clock)
        self._meeting = Meeting(
            exchange or NoExchange(), self._rows, self._broadcasts, clock, self._lead
        )

    @property
    def idle(self) -> bool:
        """Whether no answer is being written or stored here, for whomever."""
        return self._meeting.idle and self._rows.idle

    # -- asking ----------------------------------------------------------------------------------

    def ask(
        self,
        reader: Reader,
        question: str,
        conversation_id: str | None = None,
        *,
        filters: Filters | None = None,
        language: Language | None = None,
        whole: bool = False,
        key: IdempotencyKey | None = None,
    ) -> Broadcast:
        """Store a question and begin to answer it; without `conversation_id`, in a new one.

        `whole`: its reader sees no text before the end (see `likeopt.chat.writer`). Raises
        BadInput, TooLarge, NotFound (not the reader's conversation), Busy when too many others
        are asking, or when the model's queue is full and nobody is being told the same, and as
        `idempotency.check`, by `key`; then nothing is stored.
        """
        text = clean_question(question)
        if key:
            self._db.read(lambda c: idempotency.check(c, reader, key))
        with self._entrance.place():
            exchanges = []
            if conversation_id is not None:
                exchanges = self._db.read(
                    lambda c: conversations.recent(c, reader, conversation_id)
                )
            task = self._task(reader, text, exchanges, filters, language, key)
            asked_with = Asking(task.filters, language).stored()

            def store(c: Any) -> tuple[Conversation, Message]:
                return conversations.add_question(
                    c, reader, self._clock, conversation_id, text, asked_with=asked_with
                )

            return self._begin(task, store, whole=whole)

    def regenerate(
        self,
        reader: Reader,
        message_id: str,
        *,
        filters: Filters | None = None,
        language: Language | None = None,
        whole: bool = False,
        key: IdempotencyKey | None = None,
    ) -> Broadcast:
        """Answer a question again, given it or any answer to it, with an answer of its own; from
        what it was limited to and in the language asked for, unless others are given. `whole`,
        `key` and errors as `ask`."""

        def find(c: Any) -> tuple[Conversation, Message]:
            return conversations.question_of(c, reader, message_id)

        def look(c: Any) -> tuple[Message, list[messages.Exchange], Asking]:
            _, question = find(c)
            before = question.created_at
            exchanges = messages.recent(c, reader, question.conversation_id, before=before)
            return question, exchanges, asking_of(messages.asked_with(c, question.id))

        if key:
            self._db.read(lambda c: idempotency.check(c, reader, key))
        with self._entrance.place():
            question, exchanges, asked = self._db.read(look)
            filters, language = filters or asked.filters, language or asked.language
            task = self._task(reader, question.content, exchanges, filters, language, key)
            task = msgspec.structs.replace(task, temperature=_AGAIN_TEMPERATURE)
            return self._begin(task, find, whole=whole, fresh=True)

    def reply(
        self,
        reader: Reader,
        question: str,
        exchanges: list[messages.Exchange],
        *,
        asking: Asking = Asking(),  # noqa: B008  (immutable)
        max_tokens: int | None = None,
        temperature: float = 0.0,
        whole: bool = False,
    ) -> Broadcast:
        """Answer without storing anything, for clients that keep the conversation themselves.

        Whoever reads it leaves it when the client goes. `whole` and errors as `ask`.
        """
        text = clean_question(question)
        task = self._task(reader, text, exchanges, asking.filters, asking.language)
        most = max(1, min(max_tokens or self._max_tokens, self._max_tokens))
        task = msgspec.structs.replace(task, max_tokens=most, temperature=temperature)
        with self._entrance.place():
            return self._begin(task, None, whole=whole)

    def _task(
        self,
        reader: Reader,
        question: str,
        exchanges: list[messages.Exchange],
        filters: Filters | None,
        language: Language | None,
        key: IdempotencyKey | None = None,
    ) -> Task:
        return Task(
            reader=reader,
            question=question,
            language=language or language_of(question),
            exchanges=exchanges,
            filters=filters or Filters(),
            max_tokens=self._max_tokens,
            temperature=0.0,
            idempotency=key,
        )

    # -- beginning -------------------------------------------------------------------------------

    def _begin(
        self, task: Task, find: _Find | None, *, whole: bool, fresh: bool = False
    ) -> Broadcast:
        """`find` is None for an answer that is not stored; a `fresh` one is not shared."""
        begun = self._clock.monotonic()
        rewritten = self._rewrites.begin(task)
        if isinstance(rewritten, Rewriting):
            return self._begin_later(task, find, rewritten, whole=whole, fresh=fresh)
        prepared = None
        try:
            prepared = self._writer.prepare(task, rewritten)
        except LikeOptError as error:
            # It is stored all the same, and can be asked again.
            generation = over(broken(Log(), error))
        else:
            generation = self._place(prepared, self._enter, fresh=fresh)
        try:
            asker = self._asker(
                task, find, generation, prepared, whole=whole, new=not fresh, begun=begun
            )
        except BaseException:
            generation.forget()
            raise
        if asker.final is None:
            self._attach(asker, generation, prepared.stages if prepared else {})
        return asker

    def _begin_later(
        self, task: Task, find: _Find | None, rewriting: Rewriting, *, whole: bool, fresh: bool
    ) -> Broadcast:
        """Begin an answer whose question the model has to rewrite first."""
        try:
            asker = self._asker(task, find, None, None, whole=whole, new=not fresh)
        except BaseException:
            self._rewrites.leave(rewriting)
            raise
        if asker.answer is None:
            self._rows.watch(asker)
        detach(lambda: self._rewritten(asker, task, rewriting, fresh=fresh))
        return asker

    def _rewritten(self, asker: Broadcast, task: Task, one: Rewriting, *, fresh: bool) -> None:
        prepared = generation = None
        begun = self._clock.monotonic()
        try:
            text = self._rewrites.wait(one, asker.left, asker.position)
            took = self._clock.monotonic() - begun
            with self._reentrance.place():
                prepared = self._writer.prepare(task, text)
                prepared.stages["rewrite"] = round(took * 1000, 1)
                if asker.left.is_set():
                    generation = over(so_far(Log()))
                else:
                    enter = partial(self._rewrites.enter, one)
                    generation = self._place(prepared, enter, fresh=fresh)
                    self._know(asker, generation, prepared)
        except LikeOptError as error:
            generation = generation or over(broken(Log(), error))
        except Exception:  # outermost handler of this thread or greenlet
            logging.getLogger(__name__).exception("an answer failed")
            generation = generation or over(broken(Log(), logged()))
        finally:
            self._rewrites.leave(one)
        self._attach(asker, generation, prepared.stages if prepared else {})

    def _know(self, asker: Broadcast, generation: Generation, prepared: Prepared) -> None:
        """Store which generation an answer is of."""
        if asker.answer is None:
            id_, query = generation.id, prepared.reworded
            self._db.write(lambda c: answers.set_generation(c, asker.message_id, id_, query))

    def _asker(
        self,
        task: Task,
        find: _Find | None,
        generation: Generation | None,
        prepared: Prepared | None,
        *,
        whole: bool,
        new: bool,
        begun: float | None = None,
    ) -> Broadcast:
        """Store the question, if it is `new`, and the beginning of its answer; or its end, if that
        is known."""
        clock = self._clock
        if find is None:
            return self._broadcasts.open(Broadcast.unstored(task.reader, clock, whole=whole))
        end = generation.log.end if generation else None
        end = end.seen(whole=whole) if end else None
        stages = dict(prepared.stages) if prepared else {}
        if begun is not None:
            stages["total"] = round((clock.monotonic() - begun) * 1000, 1)

        def store(c: Any) -> tuple[Start, Message | None]:
            conversation, question = find(c)
            # A question that is asked again has other messages after it.
            last = question.created_at if new else None
            query = prepared.reworded if prepared else None
            if end:
                known = msgspec.structs.replace(end.outcome, stages=end.outcome.stages | stages)
                made = answers.add(c, clock, question, known, last=last, query=query)
            else:
                of = generation.id if generation else None
                made = messages.start_answer(
                    c, clock, question, last=last, generation=of, query=query
                )
            if task.idempotency:
                idempotency.keep(c, task.reader, task.idempotency, made.id)
            start = Start(conversation.id, question.id, made.id, conversation.title)
            return start, made if end else None

        start, told = self._db.write(store)
        asker = Broadcast(task.reader, start, clock, whole=whole)
        asker.begun = asker.begun if begun is None else begun
        self._broadcasts.open(asker)
        if generation and end and told:
            asker.attach(generation.log, lambda: None)
            asker.finish(last_event(told, end.failed), generation.until)
            self._broadcasts.close(asker)
        return asker

    def _attach(self, asker: Broadcast, generation: Generation, stages: dict[str, float]) -> None:
        asker.stages = stages
        if generation.log.end is None and asker.answer is None:
            self._rows.watch(asker)
        generation.attach(asker)
        if generation.log.end is not None:
            self._meeting.settle(generation)

    # -- writing ---------------------------------------------------------------------------------

    def _enter(self, *, beyond: bool = False) -> Ticket | None:
        return self._queue.enter(beyond=beyond) if self._queue else None

    def _place(self, prepared: Prepared, enter: Enter, *, fresh: bool) -> Generation:
        """The generation that answers a task, where one answer more is expected. Raises Busy."""
        if prepared.asked is None:
            # No model is needed, or none can be asked: that takes no time.
            told: list[Record] = []
            return over(self._writer.write(prepared, told.append), told)
        key = secrets.token_hex(16) if fresh else prepared.key
        if kept := self._known(prepared, key, fresh=fresh):
            repeated: list[Record] = []
            return over(self._writer.repeat(prepared, kept, repeated.append), repeated)
        lead = ticket = None
        generation = self._meeting.join(prepared, key)
        if generation is None:
            ticket = enter()
            try:
                generation, lead = self._meeting.enter(prepared, key)
            except BaseException:
                if ticket:
                    ticket.leave()
                raise
        if lead is not None:
            detach(lambda: self._lead(generation, lead, ticket))
        elif ticket:
            ticket.leave()
        return generation

    def _known(self, prepared: Prepared, key: str, *, fresh: bool) -> Kept | None:
        """What a model has answered to the same, or, if that is wanted, in other words."""
        kept = self._kept.get(key)
        if kept is None and self._similar and not fresh:
            kept = self._similar.find(prepared)
        return kept

    def _keep(self, prepared: Prepared, end: End, begun: Mapping[str, int] | None) -> None:
        if self._kept.put(prepared.key, end, begun) and self._similar:
            self._similar.add(prepared)

    def _lead(self, generation: Generation, lead: Lead, ticket: Ticket | None = None) -> None:
        """Write an answer to its end, whatever happens: its readers wait for the last event."""
        assert generation.prepared is not None

        def publish(record: Record) -> None:
            lead.append(record)
            generation.add(record)

        done = threading.Event()
        detach(lambda: self._meeting.watch(generation, lead, done))
        error = logged()
        end: End | None = None
        try:
            generation.catch_up(lead.told)
            if generation.log.told:
                publish(Restart())
            begun = self._kept.era()
            # Somebody may have come to the end between our look and our lead.
            if kept := self._kept.get(generation.key):
                end = self._writer.repeat(generation.prepared, kept, publish)
            else:
                # Without one, somebody who led before has died: all who were let in wait for this.
                ticket = ticket or self._enter(beyond=True)
                end = self._written(generation, publish, ticket)
                if generation.key == generation.prepared.key:
                    self._keep(generation.prepared, end, begun)
        except LikeOptError as raised:
            error = raised
        except Exception:  # outermost handler of this thread or greenlet
            logging.getLogger(__name__).exception("an answer failed")
        finally:
            done.set()
            generation.changed.set()
            if ticket:
                ticket.leave()
            publish(end or broken(generation.log, error))
            self._meeting.end(generation, lead)

    def _written(
        self, generation: Generation, publish: Callable[[Record], None], ticket: Ticket | None
    ) -> End:
        assert generation.prepared is not None
        stop = generation.stop

        def turn() -> bool:
            if ticket is None:
                return not stop.event.is_set()
            return ticket.wait(stop.event, lambda place: publish(Position(place)))

        return self._writer.write(
            generation.prepared,
            publish,
            seconds=self._broadcasts.frame_seconds,
            stop=stop,
            turn=turn,
        )

    # -- reading ---------------------------------------------------------------------------------

    def resume(
        self,
        reader: Reader,
        message_id: str,
        after: int = 0,
        *,
        ping: float = PING_SECONDS,
        telling: Telling = nobody_tells,
    ) -> Iterator[Numbered | None]:
        """The events of an answer after number `after`, in whichever process it began; see
        `Broadcast.events`. Raises NotFound unless it is the reader's."""
        message = self._db.read(lambda c: messages.get(c, reader, message_id))
        if message.role != "assistant":
            raise NotFound("There is no such answer.")
        broadcast = self._broadcasts.find(message_id)
        if broadcast is None and message.state == "streaming":
            broadcast = self._adopt(reader, message)
        if broadcast is not None:
            return broadcast.events(after, ping, telling)

        def begun(after: int) -> Iterator[Numbered | None] | None:
            adopted = self._adopt(reader, message)
            return adopted.events(after, ping, telling) if adopted else None

        return follow(self._db, self._clock, reader, message, after, telling, begun)

    def _adopt(self, reader: Reader, message: Message) -> Broadcast | None:
        """An answer that began in another process, which may have died: from now on it is
        finished here, too."""

        def look(c: Any) -> tuple[str | None, Conversation]:
            conversation, _ = conversations.question_of(c, reader, message.id)
            return answers.generation_of(c, message.id), conversation

        id_, conversation = self._db.read(look)
        generation = self._meeting.adopt(id_) if id_ else None
        if generation is None:
            return None
        asker = Broadcast(reader, start_of(conversation, message), self._clock)
        asker.bound = bool(message.citations)
        first = self._broadcasts.open(asker)
        if first is not asker:
            # Somebody else came back to it at the same moment, and will have it attached.
            generation.forget()
            return first
        self._attach(asker, generation, message.stages)
        return asker

    def shown(self, message_id: str) -> set[str]:
        """Ids of the documents that an answer of this process shows something of, so far."""
        broadcast = self._broadcasts.find(message_id)
        return broadcast.shown() if broadcast else set()

    def stop(self, reader: Reader, message_id: str) -> None:
        """Stop an answer; what is written stays. NotFound unless it is the reader's.

        Others who are told the same are told on.
        """
        self._db.write(lambda c: messages.request_stop(c, reader, message_id))
        broadcast = self._broadcasts.find(message_id)
        if broadcast is not None:
            broadcast.leave()
