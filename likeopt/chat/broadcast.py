"""One answer, read by any number of readers of this process.

What it tells is in a `Log`, which many answers may share. Readers come, leave and return without
touching it. Events keep their numbers, so a reader that lost its connection goes on where it was,
in another process too.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from likeopt.chat.events import (
    Delta,
    End,
    Final,
    Numbered,
    Queue,
    Record,
    Restart,
    Sources,
    Start,
)
from likeopt.chat.frames import frame_seconds
from likeopt.clock import Clock
from likeopt.storage.ids import new_id
from likeopt.storage.messages import Citation, Message
from likeopt.storage.reader import Reader

# A finished answer stays this long, for those who lost their connection just before its end.
KEEP_SECONDS = 60.0
# Finished answers that are kept at most, of some 4 KB each.
MOST_KEPT = 1000
# A reader hears at least this often from us, so that its connection can be kept open.
PING_SECONDS = 15.0
# An answer that nobody reads counts as read for this long: its reader may come back.
GRACE_SECONDS = 60.0


# Has a function called while a block runs, whenever somebody's rights have changed.
Telling = Callable[[Callable[[], None]], AbstractContextManager[None]]


def nobody_tells(_changed: Callable[[], None]) -> AbstractContextManager[None]:
    """Rights do not change here."""
    return nullcontext()


class Log:
    """What a generation has told so far. One thread adds, any number read."""

    def __init__(self) -> None:
        # At place n the event with number n + 2; None where it began anew.
        self.told: list[Numbered | None] = []
        self.end: End | None = None
        self.text = ""
        self.sources: list[Citation] = []
        self._restarts: list[int] = []

    def add(self, record: Record) -> None:
        """Add a record; the last one is an End."""
        if isinstance(record, End):
            self.end = record
            return
        if isinstance(record, Restart):
            self.text = ""
            self.sources = []
            self._restarts.append(len(self.told))
            self.told.append(None)
            return
        if isinstance(record, Delta):
            self.text += record.text
        elif isinstance(record, Sources):
            self.sources = record.citations
        self.told.append(Numbered(len(self.told) + 2, record))

    def begins(self, before: int) -> int:
        """The place from which what is told before place `before` counts: where it last began
        anew, or -1."""
        return max((at for at in self._restarts if at < before), default=-1)


class Broadcast:
    """An answer that is being written, as its reader sees it. Thread-safe; works with greenlets
    where threads are patched."""

    def __init__(
        self,
        reader: Reader,
        start: Start,
        clock: Clock,
        *,
        answer: Message | None = None,
        whole: bool = False,
    ) -> None:
        """`answer` is what becomes of one that is not stored; a reader who wants the `whole` gets
        no text before the end."""
        self.message_id = start.message_id
        self.reader = reader
        self.answer = answer
        self.whole = whole
        self.readers = 0
        # Told of each reader that comes (1) or goes (-1).
        self.counted: Callable[[int], None] = lambda _more: None
        # Milliseconds that went by before its generation was known.
        self.stages: dict[str, float] = {}
        # Set when its reader wants no more of it.
        self.left = threading.Event()
        # Whether what it may be made of is stored.
        self.bound = False
        self.final: Final | None = None
        self.begun = clock.monotonic()
        self._clock = clock
        self._start = start
        # What it tells, once that is known.
        self.log: Log | None = None
        self._until = 0
        self._position: Queue | None = None
        self._alone_since = self.begun
        self._changed = threading.Condition()
        self._woken = 0
        self._on_leave: Callable[[], None] = lambda: None

    @classmethod
    def unstored(cls, reader: Reader, clock: Clock, *, whole: bool) -> "Broadcast":
        """An answer that is not to be stored."""
        now = clock.now_ms()
        answer = Message(new_id(clock), "", "assistant", "", "streaming", now, now)
        return cls(reader, Start("", "", answer.id, ""), clock, answer=answer, whole=whole)

    # -- for who writes it -----------------------------------------------------------------------

    def attach(self, log: Log, on_leave: Callable[[], None]) -> None:
        """What it tells from now on; `on_leave` is called when its reader leaves."""
        self.log = log
        self._on_leave = on_leave
        self.wake()

    def position(self, position: int) -> None:
        """Its place before a busy model, while it has no log."""
        self._position = Queue(position)
        self.wake()

    def news(self, record: Record) -> None:
        """Something was added to the log."""
        if not (self.whole and isinstance(record, Delta)):
            self.wake()

    def finish(self, final: Final, until: int = 0) -> None:
        """Its last event, which comes after the first `until` of the log."""
        self._until = until
        self.final = final
        self.wake()

    def wake(self) -> None:
        """Have every reader look what there is, or get a None, so that it can look whether it may
        go on."""
        with self._changed:
            self._woken += 1
            self._changed.notify_all()

    @property
    def attended(self) -> bool:
        """Whether somebody reads it, or may come back to it."""
        if self.left.is_set() or self.final is not None:
            return False
        return self.readers > 0 or self._clock.monotonic() - self._alone_since < GRACE_SECONDS

    # -- for its readers -------------------------------------------------------------------------

    def leave(self) -> None:
        """Its reader wants no more of it: it ends with what there is."""
        self.left.set()
        self._on_leave()

    def shown(self) -> set[str]:
        """Ids of the documents that the events so far have something of."""
        sources = self.log.sources if self.log else []
        return {cited.document_id for cited in sources if cited.available}

    def events(
        self, after: int = 0, ping: float = PING_SECONDS, telling: Telling = nobody_tells
    ) -> Iterator[Numbered | None]:
        """The events after number `after`, to the last; None whenever `ping` seconds brought none,
        and when `telling` tells of a change.

        What was written before a reader came is given to it in as few events as possible, each
        under the number of the last one that it contains. Who names a number that was never told
        gets the last event alone, when it comes.
        """
        with self._changed:
            self.readers += 1
            self.counted(1)
            woken = self._woken
        told: Queue | None = None
        try:
            with telling(self.wake):
                while not self._is_over(after):
                    with self._changed:
                        if woken == self._woken and self._next(after, told) is None:
                            self._changed.wait(ping)
                        woken = self._woken
                    one = self._next(after, told)
                    if one is not None and isinstance(one.event, Queue):
                        told = one.event
                    after = max(after, one.sequence) if one else after
                    yield one
                    if one is not None and one.event is self.final:
                        return
        finally:
            with self._changed:
                self.readers -= 1
                self.counted(-1)
                self._alone_since = self._clock.monotonic()

    def _is_over(self, after: int) -> bool:
        return self.final is not None and after == self._until + 2

    def _next(self, after: int, told: Queue | None) -> Numbered | None:
        """The event to tell after number `after`, and after this place if it has no log yet, if
        there is one."""
        final, log = self.final, self.log
        if log is None:
            if after == 0:
                return Numbered(1, self._start)
            if final is not None:
                return Numbered(2, final)
            # They have no numbers of their own: who comes back goes on after the start.
            place = self._position
            return Numbered(1, place) if place is not None and place is not told else None
        until = self._until if final is not None else len(log.told)
        begins = log.begins(until)
        if after < begins + 2:
            return Numbered(begins + 2, self._start)
        at = after - 1
        if at >= until:
            return Numbered(until + 2, final) if final is not None else None
        return self._at(log, at, until, final)

    def _at(self, log: Log, place: int, until: int, final: Final | None) -> Numbered | None:
        texts = []
        one = log.told[place]
        while one is not None and isinstance(one.event, Delta):
            texts.append(one.event.text)
            place += 1
            following = log.told[place] if place < until else None
            if following is None or not isinstance(following.event, Delta):
                break
            one = following
        if not texts:
            return one
        if self.whole:
            if place < until:
                return self._at(log, place, until, final)
            return Numbered(until + 2, final) if final is not None else None
        assert one is not None
        return one if len(texts) == 1 else Numbered(one.sequence, Delta("".join(texts)))


class Broadcasts:
    """All answers that are being written for readers of this process, and those just finished."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, Broadcast] = {}
        self._finished: OrderedDict[str, tuple[float, Broadcast]] = OrderedDict()
        # Who reads any of them. Each generation asks for it at every word, and a sum over 5,000
        # answers took 370 µs.
        self._readers = 0
        # A reader's generator, which counts down at its end, may be collected while it is held.
        self._lock = threading.RLock()

    def open(self, broadcast: Broadcast) -> Broadcast:
        """An answer that is about to be written, and that nobody reads yet; returns the one that is
        open for it already, if there is one."""
        broadcast.counted = self._count
        with self._lock:
            return self._running.setdefault(broadcast.message_id, broadcast)

    def close(self, broadcast: Broadcast) -> None:
        """It has its last event: keep it for a while."""
        with self._lock:
            now = self._clock.monotonic()
            self._running.pop(broadcast.message_id, None)
            self._finished[broadcast.message_id] = (now, broadcast)
            while self._finished:
                at, _ = next(iter(self._finished.values()))
                if len(self._finished) <= MOST_KEPT and now - at <= KEEP_SECONDS:
                    break
                self._finished.popitem(last=False)

    def find(self, message_id: str) -> Broadcast | None:
        """The answer's broadcast if it is written for readers of this process, or just was."""
        with self._lock:
            kept = self._finished.get(message_id)
            return self._running.get(message_id) or (kept[1] if kept else None)

    def frame_seconds(self) -> float:
        """How long text is collected before it is sent, by the number of readers."""
        return frame_seconds(self._readers)

    def _count(self, more: int) -> None:
        with self._lock:
            self._readers += more
