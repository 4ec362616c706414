"""Noticing what was changed, in every process, whoever changed it: what caches stand on.

Of a change by a process of this machine, the `Board` tells before it is acknowledged; of any
other, the database, which is looked at 20 times a second. So what somebody remembers with a stamp
is never older than 100 ms, and never older than a change that this machine has acknowledged.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from likeopt.clock import Clock
from likeopt.errors import LikeOptError
from likeopt.storage import revisions
from likeopt.storage.board import FRESH_SECONDS, Board
from likeopt.storage.db import Database

# Half of what a change may take to be noticed. A look costs 0.3 ms of CPU.
POLL_SECONDS = 0.05
# Without anybody who asks, the watch ends after this long.
IDLE_SECONDS = 10.0
# Who needs to be sure waits for a look of somebody else for this long.
PATIENCE_SECONDS = 1.0
# Names remembered as changed; with more, everything counts as changed once.
MOST_NAMES = 20_000

# Equal to an earlier one as long as nothing has changed between the two.
Stamp = tuple[object, ...]


class Watch:
    """Looks for changes in a thread of its own while somebody cares. Thread-safe."""

    def __init__(self, db: Database, clock: Clock, board: Board) -> None:
        self._db = db
        self._clock = clock
        self._board = board
        self._lock = threading.Lock()
        # Held during a look. Who is told of a change may want to be sure of it at once.
        self._looking = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._edge: int | None = None
        # When the last look began; None before the first.
        self._seen_at: float | None = None
        # When the last look that failed began.
        self._failed_at = float("-inf")
        # Raised when it is not known what changed, and so everything may have.
        self._epoch = 0
        # The last values seen of counters that were raised; 0 stands for one that was not.
        self._changed: dict[str, int] = {}
        self._asked = 0.0
        self._listeners: list[tuple[frozenset[str], Callable[[], None]]] = []
        self._hearers: list[Callable[[list[str]], None]] = []

    def hear(self, hearer: Callable[[list[str]], None]) -> None:
        """From now on, call `hearer` with the names of counters that were raised, within 100 ms
        while somebody asks for stamps; what is raised at other times, it hears before the next
        stamp is given."""
        self._hearers.append(hearer)

    def stamp(self, *names: str) -> Stamp | None:
        """What stands for the counters of these names at this moment; None if that is not sure.

        What is read from the database afterwards is as it was read for as long as the stamp of
        the same names stays equal. With None, ask the database each time.
        """
        now = self._clock.monotonic()
        self._asked = now
        seen_at = self._seen_at
        if seen_at is None or now - seen_at > FRESH_SECONDS:
            self._begin()
            return None
        return self._of(names)

    def _of(self, names: tuple[str, ...]) -> Stamp:
        return (
            self._epoch,
            *(self._changed.get(name, 0) for name in names),
            *(self._board.read(name) for name in names),
        )

    def confirmed(self, *names: str) -> Stamp | None:
        """As `stamp`, but looks at the database if the last look is too old, once for all who ask
        at the same time, and tells what was so after they asked. None if the database is away or
        takes over a second."""
        stamp = self.stamp(*names)
        if stamp is not None:
            return stamp
        asked = self._clock.monotonic()
        if not self._looking.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            if max(self._began(), self._failed_at) < asked:
                self._look()
            return self._of(names) if self._began() >= asked else None
        finally:
            self._looking.release()

    def _began(self) -> float:
        return float("-inf") if self._seen_at is None else self._seen_at

    @contextmanager
    def telling(self, changed: Callable[[], None], *names: str) -> Iterator[None]:
        """While the block runs, call `changed` after each change of counters of these names, and
        now and then without one."""
        listener = frozenset(names), changed
        with self._lock:
            self._listeners.append(listener)
        try:
            self._begin()
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def close(self) -> None:
        """End the watch."""
        self._stop.set()
        if (thread := self._thread) is not None:
            thread.join()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        try:
            while self._is_wanted():
                with self._looking:
                    self._look()
                if self._stop.wait(POLL_SECONDS):
                    return
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _is_wanted(self) -> bool:
        with self._lock:
            idle = self._clock.monotonic() - self._asked
            if self._listeners or idle <= IDLE_SECONDS:
                return True
            # In the same step: whoever comes now begins another.
            self._thread = None
            return False

    def _look(self) -> None:
        edge, started = self._edge, self._clock.monotonic()
        try:
            news = self._db.read(lambda c: revisions.news(c, edge))
        except LikeOptError:
            # What was seen grows old, and everybody asks the database themselves.
            self._failed_at = started
            return
        if edge is None or len(self._changed) > MOST_NAMES:
            self._changed = {}
            self._epoch += 1
        # On PostgreSQL a counter comes again with each look while some transaction lasts.
        raised = [name for name, value in news.raised.items() if self._changed.get(name) != value]
        self._changed.update(news.raised)
        for hearer in self._hearers:
            hearer(raised)
        self._edge, self._seen_at = news.edge, started
        if edge is None or raised:
            with self._lock:
                listeners = list(self._listeners)
            for names, changed in listeners:
                if edge is None or not names.isdisjoint(raised):
                    changed()
