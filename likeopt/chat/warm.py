"""Asking again what people ask most, before they do, once documents have changed.

Each question is asked as the person who asked it last, and in the same way (filters, language), so
its answer is cached for exactly those who ask the same and may read the same. Where its passages
have not changed, that costs a search, which the engine then remembers, and no model. Nothing is
stored in anybody's history.
"""

import fcntl
import logging
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from likeopt.chat.answer import Chat
from likeopt.chat.asking import asking_of
from likeopt.chat.events import Failed
from likeopt.clock import Clock
from likeopt.errors import Busy, Conflict, LikeOptError
from likeopt.storage import access, asked, jobs, revisions
from likeopt.storage.asked import Asked
from likeopt.storage.db import Database

# What counts as asked lately.
LATELY_MS = 30 * 24 * 3_600_000
# How often the database is asked whether documents have changed, which costs 0.3 ms; and for how
# long nothing must have changed since: documents come in batches.
POLL_SECONDS = 5.0
QUIET_SECONDS = 10.0
# Between looks, while an answer is written, whether to stop.
STOP_SECONDS = 1.0

_log = logging.getLogger(__name__)

# Of `Warming`, in the file that is also the lock: written at once, so nobody reads half of it.
_NUMBERS = struct.Struct("<5q")


class Warming(msgspec.Struct, frozen=True):
    """How the latest round of a machine's processes gets on: `asked` of `questions`, of which
    `failed` got no answer. It is over once it is not `running`, perhaps early: people go first.
    `began_at` is ms since the epoch."""

    running: bool
    questions: int
    asked: int
    failed: int
    began_at: int


class Warmer:
    """Of one process. Thread-safe."""

    def __init__(self, db: Database, clock: Clock, chat: Chat, lock: Path) -> None:
        """Of the processes that share `lock`, one warms at a time."""
        self._db = db
        self._clock = clock
        self._chat = chat
        self._path = lock
        self._stop = threading.Event()

    def follow(self, count: int) -> None:
        """From now on, warm `count` questions whenever documents have changed."""
        threading.Thread(target=lambda: self._follow(count), daemon=True).start()

    def begin(self, count: int) -> int:
        """Warm `count` questions now, detached; returns how many there are. Conflict while that is
        being done."""
        lock = self._take()
        if lock is None:
            raise Conflict("Questions are being asked ahead just now.")
        found = self._most(count)
        # Whoever asks how it gets on next is told of this round, not of the one before.
        began = self._clock.now_ms()
        _tell(lock, Warming(True, len(found), 0, 0, began))

        def work() -> None:
            with lock:
                self._round(lock, found, began)

        threading.Thread(target=work, daemon=True).start()
        return len(found)

    def latest(self) -> Warming | None:
        """The round under way, or the last one; None before the first."""
        try:
            with self._path.open("rb") as lock:
                data = lock.read(_NUMBERS.size)
                if len(data) < _NUMBERS.size:
                    return None
                running, *numbers = _NUMBERS.unpack(data)
                # Whoever died during it can no longer say that it is over.
                return Warming(bool(running) and _is_held(lock), *numbers)
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Stop, and want no more of the answer that is being written."""
        self._stop.set()

    def _follow(self, count: int) -> None:
        # Nothing has changed since whoever runs this server started it.
        warm: int | None = None
        seen, since = -1, self._clock.monotonic()
        while not self._stop.wait(POLL_SECONDS):
            try:
                now = self._db.read(_library)
                if warm is None:
                    warm = now
                if now != seen:
                    seen, since = now, self._clock.monotonic()
                quiet = self._clock.monotonic() - since >= QUIET_SECONDS
                if seen == warm or not quiet or self._db.read(jobs.indexing):
                    continue
                lock = self._take()
                if lock is not None:
                    with lock:
                        self._round(lock, self._most(count), self._clock.now_ms())
                # Else another worker of this machine does it.
                warm = seen
            except (LikeOptError, OSError) as error:
                # Its next look comes all the same: also a full disk may have room again.
                _log.info("questions are not asked ahead: %s", error)

    def _most(self, count: int) -> list[Asked]:
        since = self._clock.now_ms() - LATELY_MS
        return self._db.read(lambda c: asked.most_asked(c, since, count))

    def _round(self, lock: IO[bytes], questions: list[Asked], began: int) -> None:
        now = Warming(True, len(questions), 0, 0, began)
        try:
            for answered in self._ask(questions):
                failed = now.failed + (not answered)
                now = msgspec.structs.replace(now, asked=now.asked + 1, failed=failed)
                _tell(lock, now)
        finally:
            _tell(lock, msgspec.structs.replace(now, running=False))

    def _ask(self, questions: list[Asked]) -> Iterator[bool]:
        """For each question that was asked, whether it got an answer."""
        for one in questions:
            if self._stop.is_set():
                return
            try:
                reader = self._db.read(lambda c, id_=one.user_id: access.reader_for(c, id_))  # type: ignore[misc]
                asking = asking_of(one.asked_with)
                answer = self._chat.reply(reader, one.question, [], asking=asking, whole=True)
            except Busy:
                # People are waiting for the model: they go first.
                return
            except msgspec.MsgspecError:
                # Stored by another version of this program.
                yield False
                continue
            except (LikeOptError, OSError) as error:
                _log.info("a question could not be asked ahead: %s", error)
                yield False
                continue
            answered = True
            for event in answer.events(ping=STOP_SECONDS):
                if self._stop.is_set():
                    answer.leave()
                if event is not None and isinstance(event.event, Failed):
                    answered = False
                    _log.info("a question could not be asked ahead: %s", event.event.detail)
            yield answered

    def _take(self) -> IO[bytes] | None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not for appending, for which Linux takes a write anywhere.
        lock = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock


def _tell(lock: IO[bytes], now: Warming) -> None:
    try:
        os.pwrite(lock.fileno(), _NUMBERS.pack(*msgspec.structs.astuple(now)), 0)
    except OSError as error:
        # The disk is full: asking goes on, and nobody is told how.
        _log.info("how asking ahead gets on cannot be told: %s", error)


def _is_held(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _library(c: Any) -> int:
    return revisions.current(c, "library")
