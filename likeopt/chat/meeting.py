"""The generations that answers of this process get their text from, led here or elsewhere.

Each is followed once, however many read it here. When its leader dies, whoever notices first and
knows what to ask the model takes its place; so a killed process costs one more call of the model.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from likeopt.chat.broadcast import GRACE_SECONDS, Broadcasts
from likeopt.chat.events import End
from likeopt.chat.exchange import Alone, Exchange, Lead, Seat, key_of
from likeopt.chat.generation import Generation
from likeopt.chat.rows import POLL_SECONDS, Rows, broken, so_far
from likeopt.chat.writer import Prepared
from likeopt.clock import Clock
from likeopt.errors import ModelUnavailable

# A generation that nobody leads and whose lead cannot be had is written for the readers here alone
# after this long; where it is not known what to ask the model, it has failed.
ORPHAN_SECONDS = 10.0
# Between two looks whether it is led, while nothing comes.
_LOOK_SECONDS = 0.25
# A leader says what it leads within a millisecond.
_ATTEMPT_SECONDS = 0.002
# Who gets neither a seat nor the lead for this long, as on a full disk, writes the answer alone.
_ENTER_SECONDS = 0.3

# Writes a generation to its end, in the caller's thread.
Write = Callable[[Generation, Lead], None]


class Meeting:
    """See the module. Thread-safe."""

    def __init__(
        self, exchange: Exchange, rows: Rows, broadcasts: Broadcasts, clock: Clock, write: Write
    ) -> None:
        """`write` is called in a thread of its own when a leader has died."""
        self._exchange = exchange
        self._rows = rows
        self._broadcasts = broadcasts
        self._clock = clock
        self._write = write
        self._running: dict[str, Generation] = {}
        # Held while it is decided who joins what; it may wait for Redis, so each key has its own.
        self._deciding = _Locks()

    @property
    def idle(self) -> bool:
        """Whether nothing is led or followed here."""
        return not self._running

    def join(self, prepared: Prepared, key: str) -> Generation | None:
        """The running generation of a key, where somebody is expected now."""
        with self._deciding(key):
            return self._join(prepared, key)

    def enter(self, prepared: Prepared, key: str) -> tuple[Generation, Lead | None]:
        """As `join`, or a new generation with the lead of it."""
        waiting = threading.Event()
        until = self._clock.monotonic() + _ENTER_SECONDS
        while True:
            last = self._clock.monotonic() > until
            with self._deciding(key):
                if joined := self._join(prepared, key):
                    return joined, None
                if lead := self._exchange.enter(key) or (Alone(key) if last else None):
                    made = Generation(lead.id, prepared)
                    made.expect()
                    self._running[key] = made
                    return made, lead
            waiting.wait(_ATTEMPT_SECONDS)

    def adopt(self, id_: str) -> Generation | None:
        """A generation for somebody who has lost their connection, by its id."""
        key = key_of(id_)
        with self._deciding(key):
            running = self._running.get(key)
            if running is not None and running.id == id_:
                running.expect()
                return running
            seat = self._exchange.seat(id_)
            return self._seated(seat, None) if seat else None

    def _join(self, prepared: Prepared, key: str) -> Generation | None:
        running = self._running.get(key)
        if running is not None:
            running.prepared = running.prepared or prepared
            running.expect()
            return running
        seat = self._exchange.join(key)
        return self._seated(seat, prepared) if seat else None

    def _seated(self, seat: Seat, prepared: Prepared | None) -> Generation:
        made = Generation(seat.id, prepared)
        made.expect()
        # What was shown is known before anybody goes on with it.
        while records := seat.read(0):
            for record in records:
                made.add(record)
        if made.log.end is None:
            self._running.setdefault(made.key, made)
            threading.Thread(target=lambda: self._follow(made, seat), daemon=True).start()
        else:
            seat.close()
        return made

    # -- the end ---------------------------------------------------------------------------------

    def end(self, generation: Generation, place: Lead | Seat) -> None:
        """It has its End: nobody can join any more, and its answers are finished."""
        with self._deciding(generation.key):
            self._forget(generation)
        place.close()
        self.settle(generation)

    def settle(self, generation: Generation) -> None:
        """Finish the answers of a generation that has its End."""
        assert generation.log.end is not None
        self._finish(generation, generation.log.end)

    def _finish(self, generation: Generation, end: End, *, left: bool = False) -> None:
        while askers := generation.take(left=left):
            self._rows.finish(askers, end, generation.until)
            for asker in askers:
                self._broadcasts.close(asker)

    def _forget(self, generation: Generation) -> None:
        if self._running.get(generation.key) is generation:
            del self._running[generation.key]

    # -- leading ---------------------------------------------------------------------------------

    def watch(self, generation: Generation, lead: Lead, done: threading.Event) -> None:
        """While a generation is written here, see to it that somebody wants it."""
        alone_since: float | None = None
        while not done.is_set():
            generation.changed.wait(POLL_SECONDS)
            generation.changed.clear()
            lead.renew()
            now = self._clock.monotonic()
            if generation.attended():
                alone_since = None
            else:
                alone_since = now if alone_since is None else alone_since
                patient = now - alone_since < GRACE_SECONDS
                with self._deciding(generation.key):
                    deserted = not generation.attended() and lead.close_if_deserted(patient=patient)
                    if deserted:
                        self._forget(generation)
                if deserted:
                    generation.stop.request()
                    return
            if not done.is_set():
                self._finish(generation, so_far(generation.log), left=True)

    # -- following -------------------------------------------------------------------------------

    def _follow(self, generation: Generation, seat: Seat) -> None:
        """Tell what its leader tells, to its end or until nobody here wants it."""
        try:
            lead = self._read(generation, seat)
        except Exception:  # outermost handler of this thread or greenlet
            logging.getLogger(__name__).exception("an answer could not be followed")
            lead = None
            generation.add(_interrupted(generation))
        if lead is not None:
            self._write(generation, lead)
            return
        if generation.log.end is not None:
            self.end(generation, seat)
        else:
            seat.close()

    def _read(self, generation: Generation, seat: Seat) -> Lead | None:
        """The lead, if it is to be taken over."""
        led_at = looked_at = self._clock.monotonic()
        while generation.log.end is None:
            records = seat.read(self._broadcasts.frame_seconds())
            for record in records:
                generation.add(record)
            if not generation.attended():
                with self._deciding(generation.key):
                    if not generation.attended():
                        self._forget(generation)
                        break
            self._finish(generation, so_far(generation.log), left=True)
            now = self._clock.monotonic()
            if records:
                led_at = looked_at = now
            elif now - looked_at >= _LOOK_SECONDS:
                looked_at = now
                if generation.prepared is not None and (lead := seat.take_over()):
                    return lead
                led_at = now if seat.is_led() else led_at
                if now - led_at > ORPHAN_SECONDS:
                    if generation.prepared is not None:
                        seat.close()
                        return Alone(generation.key)
                    generation.add(_interrupted(generation))
        if generation.log.end is None:
            self._finish(generation, so_far(generation.log))
        return None


class _Locks:
    """A lock for each key that somebody holds or waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, users = self._held.get(key) or (threading.Lock(), 0)
            self._held[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users = self._held[key][1] - 1
                if users:
                    self._held[key] = lock, users
                else:
                    del self._held[key]


def _interrupted(generation: Generation) -> End:
    error = ModelUnavailable("Writing this answer was interrupted. Ask again.", code="interrupted")
    return broken(generation.log, error)
