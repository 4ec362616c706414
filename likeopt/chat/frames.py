"""What a writer writes to: text in frames, and a wish to stop that reaches the model."""

import threading
from collections.abc import Callable
from contextlib import suppress

from likeopt.chat.events import Delta
from likeopt.clock import Clock
from likeopt.errors import LikeOptError
from likeopt.llm.stream import TextStream

# Text is sent in frames of this length, so that a quick model does not cost 100 events a second.
# An event costs 60 µs of CPU for each reader; frames grow with the number of readers so that all
# of them together stay below a quarter of a core, up to 300 ms, which reads as flowing still.
FRAME_SECONDS = 0.03
LONGEST_FRAME_SECONDS = 0.3
_EVENTS_PER_SECOND = 4000


def frame_seconds(readers: int) -> float:
    """How long text is collected before it is sent to so many readers."""
    return min(LONGEST_FRAME_SECONDS, max(FRAME_SECONDS, readers / _EVENTS_PER_SECOND))


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


class Frames:
    """Collects pieces of text into events, and sends what it has when a frame is over, whether or
    not the model says more. For one writer, which flushes at the end."""

    def __init__(
        self, publish: Callable[[Delta], None], clock: Clock, seconds: Callable[[], float]
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._seconds = seconds
        self._held: list[str] = []
        self._sent_at = float("-inf")
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        # All text so far, sent or held.
        self.text = ""

    def write(self, piece: str) -> None:
        """Send a piece, or hold it until the frame is over."""
        if not piece:
            return
        self.text += piece
        with self._lock:
            self._held.append(piece)
            left = self._sent_at + self._seconds() - self._clock.monotonic()
            if left <= 0:
                self._send()
            elif self._timer is None:
                self._timer = threading.Timer(left, self._over)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send what is held."""
        with self._lock:
            self._send()

    def _over(self) -> None:
        # What cannot be sent stays, and the writer meets the reason when it sends next.
        with suppress(LikeOptError):
            self.flush()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held:
            self._publish(Delta("".join(self._held)))
            self._held.clear()
            self._sent_at = self._clock.monotonic()
