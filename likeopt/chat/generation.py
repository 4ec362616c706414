"""A generation in this process: what it told, and the answers here that get their text from it."""

import secrets
import threading
from collections.abc import Callable, Sequence

from likeopt.chat.broadcast import Broadcast, Log
from likeopt.chat.events import End, Record
from likeopt.chat.exchange import generation_id, key_of
from likeopt.chat.frames import Stop
from likeopt.chat.writer import Prepared


class Generation:
    """Passive: one thread leads or follows it and adds to it. Thread-safe."""

    def __init__(self, id_: str, prepared: Prepared | None = None) -> None:
        """`prepared` is what it is written from: without it, it can only be followed."""
        self.id = id_
        self.key = key_of(id_)
        self.prepared = prepared
        self.log = Log()
        # Asks the model to stop.
        self.stop = Stop()
        # Set when somebody left.
        self.changed = threading.Event()
        self._askers: dict[str, Broadcast] = {}
        # Those who will be attached as soon as their answer is stored.
        self._expected = 0
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Tell the readers here."""
        with self._lock:
            self.log.add(record)
            askers = list(self._askers.values())
        for asker in askers:
            asker.news(record)

    def expect(self) -> None:
        """Somebody will be attached."""
        with self._lock:
            self._expected += 1

    def catch_up(self, told: list[Record]) -> None:
        """Tell them what was told elsewhere, as far as they have not heard it."""
        for record in told[self.until :]:
            self.add(record)

    def forget(self) -> None:
        """Nobody will, after all."""
        with self._lock:
            self._expected -= 1
        self.changed.set()

    def attach(self, asker: Broadcast) -> None:
        """Give an answer that was expected its text."""
        with self._lock:
            self._askers[asker.message_id] = asker
            self._expected -= 1
        asker.attach(self.log, self.changed.set)

    def attended(self) -> bool:
        """Whether somebody here wants to have it."""
        with self._lock:
            return self._expected > 0 or any(one.attended for one in self._askers.values())

    def take(self, *, left: bool = False) -> list[Broadcast]:
        """The answers that have to be finished, or only those whose reader `left`. Each is given
        out once."""
        with self._lock:
            taken = [one for one in self._askers.values() if one.left.is_set() or not left]
            for one in taken:
                del self._askers[one.message_id]
            return taken

    @property
    def until(self) -> int:
        """How many events were told."""
        return len(self.log.told)


def over(end: End, told: Sequence[Record] = ()) -> Generation:
    """A generation that needs no thread, where one answer is expected."""
    made = Generation(generation_id(secrets.token_hex(16)))
    made.expect()
    for record in (*told, end):
        made.add(record)
    return made


def detach(work: Callable[[], None]) -> None:
    """Run `work` in a thread, which in web workers is a greenlet: threading is patched there."""
    threading.Thread(target=work, daemon=True).start()
