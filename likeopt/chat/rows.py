"""The stored answers that are being written for readers of this process, all at once.

One thread looks for what somebody asked to stop, perhaps through another process, and saves the
text so far, which proves that this process lives. What ends is written in slices, each one
transaction, so that a thousand answers hold neither the database nor the event loop.
"""

import re
import threading
from collections.abc import Iterable, Iterator

import msgspec

from likeopt.chat.broadcast import Broadcast, Log
from likeopt.chat.events import Done, End, Failed, Final
from likeopt.chat.follow import final_of
from likeopt.clock import Clock
from likeopt.errors import LikeOptError, NotFound
from likeopt.storage import answers, messages
from likeopt.storage.db import Database
from likeopt.storage.messages import Message, Outcome

# How often the database is asked who wants to stop, and how often the text so far is saved.
POLL_SECONDS = 0.25
SAVE_SECONDS = 2.0

_marker = re.compile(r"\[(\d+)\]")


class Rows:
    """See the module. Thread-safe."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._running: dict[str, Broadcast] = {}
        self._lock = threading.Lock()
        self._watching = False

    def watch(self, asker: Broadcast) -> None:
        """Keep a stored answer alive until it is finished."""
        with self._lock:
            self._running[asker.message_id] = asker
            if self._watching:
                return
            self._watching = True
        threading.Thread(target=self._watch, daemon=True).start()

    def finish(self, askers: Iterable[Broadcast], end: End, until: int) -> None:
        """Write the end of answers, and tell it to their readers after the first `until` events."""
        groups: tuple[list[Broadcast], list[Broadcast]] = ([], [])
        for asker in askers:
            groups[asker.whole].append(asker)
        for wants_whole, group in enumerate(groups):
            seen = end.seen(whole=bool(wants_whole))
            for part in _slices(group):
                finals = self._finals(part, seen.outcome, seen.failed)
                for asker, final in zip(part, finals, strict=True):
                    with self._lock:
                        self._running.pop(asker.message_id, None)
                    asker.finish(final, until)

    def _finals(
        self, askers: list[Broadcast], outcome: Outcome, failed: Failed | None
    ) -> list[Final]:
        stages = {one.message_id: self._stages(one) for one in askers if one.answer is None}
        if not stages:
            return [
                last_event(_unstored(one, outcome, self._stages(one)), failed) for one in askers
            ]
        try:
            stored = self._db.write(lambda c: answers.finish(c, self._clock, stages, outcome))
        except LikeOptError as error:
            # The disk is full, or the database is away.
            return [Failed.of(error)] * len(askers)
        finals: list[Final] = []
        for asker in askers:
            message = stored.get(asker.message_id)
            if asker.answer is not None:
                message = _unstored(asker, outcome, self._stages(asker))
            if message is None:
                finals.append(self._elsewhere(asker))
            else:
                finals.append(last_event(message, failed))
        return finals

    def _stages(self, asker: Broadcast) -> dict[str, float]:
        total = round((self._clock.monotonic() - asker.begun) * 1000, 1)
        return asker.stages | {"total": total}

    def _elsewhere(self, asker: Broadcast) -> Final:
        """The end of an answer that was finished already, or is gone."""
        try:
            message = self._db.read(lambda c: messages.get(c, asker.reader, asker.message_id))
        except NotFound:
            return Failed.of(NotFound("The answer no longer exists."))
        except LikeOptError as error:
            return Failed.of(error)
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
            try:
                self._look(askers)
                if self._clock.monotonic() - saved >= SAVE_SECONDS:
                    saved = self._clock.monotonic()
                    self._save(askers)
            except LikeOptError:
                # The database is away for a moment; the answers go on, and their end will tell.
                continue

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
            log = sharing[0].log or Log()
            text, sources = log.text, [] if bound else log.sources
            for part in _slices(sharing):
                ids = [one.message_id for one in part]
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
