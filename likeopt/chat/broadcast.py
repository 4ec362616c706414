"""One answer, written once, read by any number of readers of this process.

The writer runs detached from whoever asked: readers come, leave and return without touching it.
Events keep their numbers, so a reader that lost its connection goes on where it was. Reaching
readers in other processes is not done here: they follow the answer in the database.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from likeopt.chat.events import Delta, Done, Event, Failed, Numbered, Sources
from likeopt.clock import Clock
from likeopt.llm.stream import TextStream
from likeopt.storage.messages import Citation

# A finished answer stays this long, for those who lost their connection just before its end.
KEEP_SECONDS = 60.0
# Finished answers that are kept at most, of some 4 KB each.
MOST_KEPT = 1000
# A reader hears at least this often from us, so that its connection can be kept open.
PING_SECONDS = 15.0

# Text is sent in frames of this length, so that a quick model does not cost 100 events a second.
# An event costs 60 µs of CPU for each reader; frames grow with the number of readers so that all
# of them together stay below a quarter of a core, up to 300 ms, which reads as flowing still.
FRAME_SECONDS = 0.03
LONGEST_FRAME_SECONDS = 0.3
_EVENTS_PER_SECOND = 4000


# Has a function called while a block runs, whenever somebody's rights have changed.
Telling = Callable[[Callable[[], None]], AbstractContextManager[None]]


def nobody_tells(_changed: Callable[[], None]) -> AbstractContextManager[None]:
    """Rights do not change here."""
    return nullcontext()


class Stop:
    """A wish to stop, from any thread, that also reaches a model in the middle of its work."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._stream: TextStream | None = None

    def request(self) -> None:
        """Stop as soon as possible."""
        self.event.set()
        if self._stream is not None:
            self._stream.close()

    def attach(self, stream: TextStream) -> None:
        """Close `stream` when the wish comes, or now if it has come."""
        self._stream = stream
        if self.event.is_set():
            stream.close()


class Broadcast:
    """The events of one answer. Thread-safe; works with greenlets where threads are patched."""

    def __init__(self, message_id: str, stop: Stop) -> None:
        self.message_id = message_id
        self.stop = stop
        self.readers = 0
        self._log: list[Event] = []
        self._changed = threading.Condition()
        self._woken = 0

    @property
    def finished(self) -> bool:
        """Whether the last event is there."""
        return bool(self._log) and isinstance(self._log[-1], (Done, Failed))

    def publish(self, event: Event) -> None:
        """Add an event; the last one is Done or Failed."""
        with self._changed:
            self._log.append(event)
            self._changed.notify_all()

    def sources(self) -> list[Citation]:
        """The passages that the answer is made of, as far as they were told."""
        told = [one for one in self._log if isinstance(one, Sources)]
        return [cited for one in told for cited in one.citations]

    def shown(self) -> set[str]:
        """Ids of the documents that the events so far have something of."""
        return {cited.document_id for cited in self.sources() if cited.available}

    def wake(self) -> None:
        """Have every reader get a None, so that it can look whether it may go on."""
        with self._changed:
            self._woken += 1
            self._changed.notify_all()

    def events(
        self, after: int = 0, ping: float = PING_SECONDS, telling: Telling = nobody_tells
    ) -> Iterator[Numbered | None]:
        """The events after number `after`, to the last; None whenever `ping` seconds brought none,
        and when `telling` tells of a change.

        What was written before a reader came is given to it in as few events as possible, each
        under the number of the last one that it contains.
        """
        with self._changed:
            self.readers += 1
            woken = self._woken
        try:
            with telling(self.wake):
                while not (self.finished and after >= len(self._log)):
                    with self._changed:
                        if len(self._log) <= after and woken == self._woken:
                            self._changed.wait(ping)
                        news = len(self._log) > after
                        woken = self._woken
                    if not news:
                        yield None
                        continue
                    after, event = self._next(after)
                    yield Numbered(after, event)
        finally:
            with self._changed:
                self.readers -= 1

    def _next(self, after: int) -> tuple[int, Event]:
        event = self._log[after]
        number = after + 1
        texts = []
        while isinstance(event, Delta):
            texts.append(event.text)
            if number == len(self._log) or not isinstance(self._log[number], Delta):
                return number, Delta("".join(texts))
            event = self._log[number]
            number += 1
        return number, event


class Broadcasts:
    """All answers that are being written in this process, and those just finished."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, Broadcast] = {}
        self._finished: OrderedDict[str, tuple[float, Broadcast]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, message_id: str, stop: Stop) -> Broadcast:
        """A new broadcast for an answer that is about to be written; `stop` ends its writer."""
        with self._lock:
            made = self._running[message_id] = Broadcast(message_id, stop)
            return made

    def close(self, broadcast: Broadcast) -> None:
        """Its last event was published: keep it for a while."""
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
        """The answer's broadcast if this process writes it or just did."""
        with self._lock:
            kept = self._finished.get(message_id)
            return self._running.get(message_id) or (kept[1] if kept else None)

    def frame_seconds(self) -> float:
        """How long text is collected before it is sent, by the number of readers."""
        with self._lock:
            readers = sum(broadcast.readers for broadcast in self._running.values())
        return min(LONGEST_FRAME_SECONDS, max(FRAME_SECONDS, readers / _EVENTS_PER_SECOND))


class Frames:
    """Collects pieces of text into events. For one writer."""

    def __init__(
        self, publish: Callable[[Event], None], clock: Clock, seconds: Callable[[], float]
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._seconds = seconds
        self._held: list[str] = []
        self._sent_at = float("-inf")
        # All text so far, sent or held.
        self.text = ""

    def write(self, piece: str) -> None:
        """Send a piece, or hold it until the frame is over."""
        if not piece:
            return
        self.text += piece
        self._held.append(piece)
        if self._clock.monotonic() - self._sent_at > self._seconds():
            self.flush()

    def discard(self) -> None:
        """Forget all text. Only while `seconds` is endless: what was sent cannot be taken back."""
        self._held.clear()
        self.text = ""

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            self._publish(Delta("".join(self._held)))
            self._held.clear()
            self._sent_at = self._clock.monotonic()
