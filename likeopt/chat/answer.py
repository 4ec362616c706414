"""The use case of chat: a question comes in, its answer is written, whoever wants it reads it.

An answer is written detached from the request that asked for it. While a model writes, a watcher
saves what there is, which proves that the process lives, and looks whether somebody, perhaps
through another process, asked to stop.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import msgspec

from likeopt.chat.broadcast import (
    PING_SECONDS,
    Broadcast,
    Broadcasts,
    Frames,
    Stop,
    Telling,
    nobody_tells,
)
from likeopt.chat.events import Done, Event, Failed, Numbered, Start
from likeopt.chat.follow import ELSEWHERE, POLL_SECONDS, again, follow
from likeopt.chat.text import Language, clean_question, language_of
from likeopt.chat.writer import Search, Task, Writer, Written
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import LikeOptError, NotFound
from likeopt.llm import local
from likeopt.llm.local import LocalChat
from likeopt.llm.openai import open_openai
from likeopt.llm.queue import Queue, Ticket
from likeopt.llm.stream import Run
from likeopt.llm.types import ChatModel
from likeopt.retrieval.types import Filters
from likeopt.storage import conversations, jobs, messages
from likeopt.storage.conversations import Conversation
from likeopt.storage.db import Database
from likeopt.storage.ids import new_id
from likeopt.storage.messages import Citation, Exchange, Message, Outcome
from likeopt.storage.reader import Reader

# How often the text so far is saved.
SAVE_SECONDS = 2.0
# What is asked again should not be answered with the same words.
_AGAIN_TEMPERATURE = 0.7
# An endpoint schedules by itself; this only bounds what one machine of ours sends to it.
_ENDPOINT_CONCURRENCY = 32

_Finish = Callable[[Outcome], Message]


class Chat:
    """Questions, answers and their readers, in one process. Thread-safe."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        writer: Writer,
        queue: Queue | None = None,
        *,
        max_tokens: int = 512,
    ) -> None:
        """`queue` stands before the writer's model; `max_tokens` is the longest answer."""
        self._db = db
        self._clock = clock
        self._writer = writer
        self._queue = queue
        self._max_tokens = max_tokens
        self._broadcasts = Broadcasts(clock)

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
    ) -> Broadcast:
        """Store a question and begin to answer it; without `conversation_id`, in a new one.

        `whole`: its reader sees no text before the end (see `likeopt.chat.writer`). Raises
        BadInput, TooLarge, NotFound (not the reader's conversation), or Busy when the model's
        queue is full; then nothing is stored.
        """
        text = clean_question(question)
        return self._begin(
            lambda c: conversations.add_question(c, reader, self._clock, conversation_id, text),
            _Wish(reader, filters or Filters(), language, 0.0, self._max_tokens, whole),
        )

    def regenerate(
        self,
        reader: Reader,
        message_id: str,
        *,
        filters: Filters | None = None,
        language: Language | None = None,
        whole: bool = False,
    ) -> Broadcast:
        """Answer a question again, given it or any answer to it; `whole` and errors as `ask`."""
        return self._begin(
            lambda c: conversations.question_of(c, reader, message_id),
            _Wish(
                reader, filters or Filters(), language, _AGAIN_TEMPERATURE, self._max_tokens, whole
            ),
        )

    def reply(
        self,
        reader: Reader,
        question: str,
        exchanges: list[Exchange],
        *,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        whole: bool = False,
    ) -> Broadcast:
        """Answer without storing anything, for clients that keep the conversation themselves.

        Whoever reads it asks it to stop when the client goes. `whole` and errors as `ask`.
        """
        text = clean_question(question)
        most = max(1, min(max_tokens or self._max_tokens, self._max_tokens))
        wish = _Wish(reader, Filters(), None, temperature, most, whole)
        now = self._clock.now_ms()
        answer = Message(new_id(self._clock), "", "assistant", "", "streaming", now, now)
        start = Start("", "", answer.id, "")
        ticket = self._queue.enter() if self._queue else None
        task = wish.task(text, exchanges, ticket)

        def finish(outcome: Outcome) -> Message:
            return msgspec.structs.replace(answer, **msgspec.structs.asdict(outcome))

        return self._start(start, task, finish, watched=False)

    def _begin(self, find: Callable[..., tuple[Conversation, Message]], wish: "_Wish") -> Broadcast:
        """Store the beginning of an answer, and write the rest of it detached."""
        ticket = self._queue.enter() if self._queue else None
        try:
            start, question, exchanges = self._db.write(lambda c: self._store(c, wish.reader, find))
        except BaseException:
            if ticket:
                ticket.leave()
            raise
        task = wish.task(question, exchanges, ticket)

        def finish(outcome: Outcome) -> Message:
            return self._db.write(
                lambda c: messages.finish_answer(c, self._clock, start.message_id, outcome)
            )

        return self._start(start, task, finish, watched=self._writer.model is not None)

    def _store(
        self, c: Any, reader: Reader, find: Callable[..., tuple[Conversation, Message]]
    ) -> tuple[Start, str, list[Exchange]]:
        conversation, question = find(c)
        answer = messages.start_answer(c, self._clock, question)
        start = Start(conversation.id, question.id, answer.id, conversation.title)
        return start, question.content, messages.recent(c, reader, question)

    def _start(self, start: Start, task: Task, finish: _Finish, *, watched: bool) -> Broadcast:
        broadcast = self._broadcasts.open(start.message_id, task.stop)
        broadcast.publish(start)
        _detach(lambda: self._run(broadcast, task, finish, watched=watched))
        return broadcast

    # -- writing ---------------------------------------------------------------------------------

    def _run(self, broadcast: Broadcast, task: Task, finish: _Finish, *, watched: bool) -> None:
        """Write an answer to its end, whatever happens: its readers wait for the last event."""
        seconds = _until_the_end if task.whole else self._broadcasts.frame_seconds
        frames = Frames(broadcast.publish, self._clock, seconds)
        started = self._clock.monotonic()
        last: Event = Failed.of(LikeOptError("The answer failed for a reason that was logged."))
        try:
            with self._watched(broadcast, frames) if watched else nullcontext():
                written = self._write(task, broadcast, frames)
            total = round((self._clock.monotonic() - started) * 1000, 1)
            stages = written.outcome.stages | {"total": total}
            message = finish(msgspec.structs.replace(written.outcome, stages=stages))
            last = Failed.of(written.error, message) if written.error else Done(message)
        except LikeOptError as error:
            # It could not be stored: the conversation is gone, or the disk is full.
            last = Failed.of(error)
        except Exception:  # outermost handler of this thread or greenlet
            logging.getLogger(__name__).exception("an answer failed")
        finally:
            if task.ticket:
                task.ticket.leave()
            broadcast.publish(last)
            self._broadcasts.close(broadcast)

    def _write(self, task: Task, broadcast: Broadcast, frames: Frames) -> Written:
        try:
            return self._writer.write(task, broadcast.publish, frames)
        except LikeOptError as error:
            outcome = Outcome(
                content=frames.text, state="failed", kind=None, error_code=error.instance_code
            )
            return Written(outcome, error)

    @contextmanager
    def _watched(self, broadcast: Broadcast, frames: Frames) -> Iterator[None]:
        """While the block runs, look for a stop and save the text so far."""
        done = threading.Event()
        _detach(lambda: self._watch(broadcast, frames, done))
        try:
            yield
        finally:
            done.set()

    def _watch(self, broadcast: Broadcast, frames: Frames, done: threading.Event) -> None:
        id_ = broadcast.message_id
        saved = self._clock.monotonic()
        bound = False
        while not done.wait(POLL_SECONDS):
            try:
                wanted = not self._db.read(lambda c: messages.stop_requested(c, id_))
                if wanted and self._clock.monotonic() - saved >= SAVE_SECONDS:
                    saved = self._clock.monotonic()
                    text = frames.text
                    sources = [] if bound else broadcast.sources()
                    wanted = self._save(id_, text, sources)
                    bound = bound or bool(sources)
            except LikeOptError:
                # The database is away for a moment; the answer goes on, and its end will tell.
                continue
            if not wanted:
                broadcast.stop.request()
                return

    def _save(self, message_id: str, text: str, sources: list[Citation]) -> bool:
        return self._db.write(
            lambda c: messages.keep_alive(c, self._clock, message_id, text, sources)
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
        """The events of an answer after number `after`; see `Broadcast.events`.

        An answer that another process writes is followed in the database, where its text grows
        every SAVE_SECONDS, from `start`: what `after` numbers there is not known here. Raises
        NotFound unless it is the reader's.
        """
        message = self._db.read(lambda c: messages.get(c, reader, message_id))
        if message.role != "assistant":
            raise NotFound("There is no such answer.")
        broadcast = self._broadcasts.find(message_id)
        if broadcast is None:
            return follow(self._db, self._clock, reader, message, after, ping, telling)
        if after < ELSEWHERE:
            return broadcast.events(after, ping, telling)
        return again(after, broadcast.events(0, ping, telling))

    def shown(self, message_id: str) -> set[str]:
        """Ids of the documents that an answer of this process shows something of, so far."""
        broadcast = self._broadcasts.find(message_id)
        return broadcast.shown() if broadcast else set()

    def stop(self, reader: Reader, message_id: str) -> None:
        """Stop an answer; what is written stays. NotFound unless it is the reader's."""
        self._db.write(lambda c: messages.request_stop(c, reader, message_id))
        broadcast = self._broadcasts.find(message_id)
        if broadcast is not None:
            broadcast.stop.request()


def _detach(work: Callable[[], None]) -> None:
    """Run `work` in a thread, which in web workers is a greenlet: threading is patched there."""
    threading.Thread(target=work, daemon=True).start()


def _until_the_end() -> float:
    return float("inf")


class _Wish(msgspec.Struct, frozen=True):
    """What is asked for beside the question itself."""

    reader: Reader
    filters: Filters
    language: Language | None
    temperature: float
    max_tokens: int
    whole: bool

    def task(self, question: str, exchanges: list[Exchange], ticket: Ticket | None) -> Task:
        """The task of answering `question`, asked after `exchanges`."""
        return Task(
            reader=self.reader,
            question=question,
            language=self.language or language_of(question),
            exchanges=exchanges,
            filters=self.filters,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            whole=self.whole,
            stop=Stop(),
            ticket=ticket,
        )


def _unread(c: Any, reader: Reader) -> int:
    """Files that are waited for, being read, or on their way into the index of words."""
    now = jobs.summary(c, reader)
    return now.queued + sum(job.kind == "index" for job in now.running) + now.pending_words


def open_chat(config: Config, db: Database, clock: Clock, search: Search, run: Run) -> Chat:
    """The chat that the settings describe.

    `search` is `likeopt.retrieval.search.search` with its client and reranker bound; `run` is
    where work that blocks belongs.
    """
    model: ChatModel | None = None
    running = config.llm_concurrency or _ENDPOINT_CONCURRENCY
    if config.llm == "openai":
        model = open_openai(config, clock, run)
    elif local.is_local(config):
        model = LocalChat(config, clock)
        running = local.concurrency(config)
    folder = config.data_dir / "run" / "queue"
    queue = Queue(folder, running=running, waiting=config.llm_queue) if model else None
    writer = Writer(search, model, clock, lambda reader: db.read(lambda c: _unread(c, reader)))
    return Chat(db, clock, writer, queue, max_tokens=config.llm_max_tokens)
