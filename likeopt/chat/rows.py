"""The stored answers that are being written for readers of this process, all at once.

One thread looks for what somebody asked to stop, perhaps through another process, and saves the
text so far, which proves that this process lives. What ends is written in slices, each one
transaction, so that a thousand answers hold neither the database nor the event loop. While the
database is away, their ends wait here, and their readers with them.
"""

import logging
import re
import threading
from collections.abc import Iterable, Iterator

import msgspec

from likeopt.chat.broadcast import Broadcast, Log
from likeopt.chat.events import Done, End, Failed, Final
from likeopt.chat.follow import final_of
from likeopt.clock import Clock
from likeopt.errors import LikeOptError, NotFound, StorageUnavailable
from likeopt.storage import answers, messages
from likeopt.storage.db import Database
from likeopt.storage.messages import Message, Outcome

# How often the database is asked who wants to stop, and how often the text so far is saved.
POLL_SECONDS = 0.25
SAVE_SECONDS = 2.0

_marker = re.compile(r"\[(\d+)\]")

log = logging.getLogger(__name__)


class _Ending(msgspec.Struct, frozen=True):
    """The end of answers that are all stored, or none of them; `failed_at` is when the first try
    had failed."""

    askers: list[Broadcast]
    end: End
    until: int
    failed_at: float | None = None


class Rows:
    """See the module. Thread-safe."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._running: dict[str, Broadcast] = {}
        self._unwritten: list[_Ending] = []
        # Ends that are being written just now.
        self._ending = 0
        self._lock = threading.Lock()
        # Held while text is saved: what was saved behind its end would run again.
        self._saving = threading.Lock()
        self._watching = False

    def watch(self, asker: Broadcast) -> None:
        """Keep a stored answer alive until it is finished."""
        with self._lock:
            self._running[asker.message_id] = asker
            if self._watching:
                return
            self._watching = True
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether every answer that was watched is stored."""
        with self._lock:
            return not (self._running or self._unwritten or self._ending)

    def finish(self, askers: Iterable[Broadcast], end: End, until: int) -> None:
        """Write the end of answers, and tell it to their readers after the first `until` events.

        Returns while that is still tried if the database is away.
        """
        groups: dict[tuple[bool, bool], list[Broadcast]] = {}
        for asker in askers:
            groups.setdefault((asker.whole, asker.answer is None), []).append(asker)
        for (wants_whole, _), group in groups.items():
            seen = end.seen(whole=wants_whole)
            for part in _slices(group):
                self._end(_Ending(part, seen, until))

    def _end(self, ending: _Ending) -> None:
        """Write and tell it, or have that tried again."""
        with self._saving, self._lock:
            self._ending += 1
            for asker in ending.askers:
                self._running.pop(asker.message_id, None)
        try:
            self._write(ending)
        finally:
            with self._lock:
                self._ending -= 1

    def _write(self, ending: _Ending) -> None:
        try:
            finals = self._finals(ending.askers, ending.end.outcome, ending.end.failed)
        except StorageUnavailable as error:
            # It may be starting again. Not counted from when the try began: while its host is cut
            # off, the first alone takes 15 to 30 s. What was given up meanwhile is written still.
            now = self._clock.monotonic()
            failed_at = now if ending.failed_at is None else ending.failed_at
            if now - failed_at < messages.STALE_SECONDS:
                for asker in ending.askers:
                    self.watch(asker)
                with self._lock:
                    self._unwritten.append(msgspec.structs.replace(ending, failed_at=failed_at))
                return
            finals = [Failed.of(error)] * len(ending.askers)
        except LikeOptError as error:
            # The disk is full.
            finals = [Failed.of(error)] * len(ending.askers)
        except Exception:  # outermost handler: readers wait for a last event, whatever happens
            log.exception("the end of an answer could not be stored")
            finals = [Failed.of(logged())] * len(ending.askers)
        for asker, final in zip(ending.askers, finals, strict=True):
            asker.finish(final, ending.until)

    def _finals(
        self, askers: list[Broadcast], outcome: Outcome, failed: Failed | None
    ) -> list[Final]:
        stages = {one.message_id: self._stages(one) for one in askers}
        if askers[0].answer is not None:
            return [
                last_event(_unstored(one, outcome, stages[one.message_id]), failed)
                for one in askers
            ]
        stored = self._db.write(lambda c: answers.finish(c, self._clock, stages, outcome))
        return [
            last_event(stored[one.message_id], failed)
            if one.message_id in stored
            else self._elsewhere(one)
            for one in askers
        ]

    def _stages(self, asker: Broadcast) -> dict[str, float]:
        total = round((self._clock.monotonic() - asker.begun) * 1000, 1)
        return asker.stages | {"total": total}

    def _elsewhere(self, asker: Broadcast) -> Final:
        """The end of an answer that was finished already, or is gone."""
        try:
            message = self._db.read(lambda c: messages.get(c, asker.reader, asker.message_id))
        except NotFound:
            return Failed.of(NotFound("The answer no longer exists."))
        return final_of(message)

    def _watch(self) -> None:
        waiting = threading.Event()
        saved = self._clock.monotonic()
        while True:
            waiting.wait(POLL_SECONDS)
            with self._lock:
                askers = list(self._running.values())
                if not askers:
                    self._watching = False
                    return
                unwritten, self._unwritten = self._unwritten, []
            for ending in unwritten:
                self._end(ending)
            try:
                self._look(askers)
                if self._clock.monotonic() - saved >= SAVE_SECONDS:
                    saved = self._clock.monotonic()
                    self._save(askers)
            except LikeOptError:
                # The database is away for a moment; the answers go on, and their end will tell.
                continue
            except Exception:  # outermost handler of this thread or greenlet, which has to go on
                log.exception("answers could not be saved")

    def _look(self, askers: list[Broadcast]) -> None:
        for part in _slices(askers):
            ids = [one.message_id for one in part]
            wanted = self._db.read(lambda c, ids=ids: answers.wanted(c, ids))  # type: ignore[misc]
            for one in part:
                if one.message_id not in wanted and not one.left.is_set():
                    one.leave()

    def _save(self, askers: list[Broadcast]) -> None:
        by_log: dict[tuple[int, bool], list[Broadcast]] = {}
        for one in askers:
            by_log.setdefault((id(one.log), one.bound), []).append(one)
        for (_, bound), sharing in by_log.items():
            told = sharing[0].log or Log()
            text, sources = told.text, [] if bound else told.sources
            for part in _slices(sharing):
                with self._saving:
                    with self._lock:
                        ids = [one.message_id for one in part if one.message_id in self._running]
                    self._db.write(
                        lambda c, ids=ids, text=text, sources=sources: answers.keep_alive(  # type: ignore[misc]
                            c, self._clock, ids, text, sources
                        )
                    )
                for one in part:
                    one.bound = one.bound or bool(sources)


def so_far(log: Log) -> End:
    """The end of an answer whose reader wants no more than what was told."""
    cited = {int(number) for number in _marker.findall(log.text)}
    outcome = Outcome(
        content=log.text.strip(),
        state="stopped",
        kind="generated" if log.text else None,
        citations=[one for one in log.sources if one.number in cited],
    )
    return End(outcome)


def broken(log: Log, error: LikeOptError) -> End:
    """The end of an answer that failed after what was told."""
    outcome = msgspec.structs.replace(
        so_far(log).outcome, state="failed", error_code=error.instance_code
    )
    return End(outcome, Failed.of(error))


def logged() -> LikeOptError:
    """What readers are told of an error that is not ours."""
    return LikeOptError("The answer failed for a reason that was logged.")


def last_event(message: Message, failed: Failed | None) -> Final:
    """How an answer ends, once that is stored."""
    return msgspec.structs.replace(failed, message=message) if failed else Done(message)


def _unstored(asker: Broadcast, outcome: Outcome, stages: dict[str, float]) -> Message:
    assert asker.answer is not None
    fields = msgspec.structs.asdict(outcome) | {"stages": outcome.stages | stages}
    return msgspec.structs.replace(asker.answer, **fields)


def _slices(askers: list[Broadcast]) -> Iterator[list[Broadcast]]:
    for start in range(0, len(askers), answers.ROWS):
        yield askers[start : start + answers.ROWS]
