"""Lets so many in at a time, and the others in the order in which they came.

A semaphore does not: whoever comes when a place is freed may take it before the one who was woken
for it, who then waits behind all others again.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from likeopt.errors import Busy

# Questions of a process that are looked up and stored at a time. The others wait here, once and in
# turn, and not for a connection at each of their transactions, where those that came first were the
# last to be answered: of 1,000 at once on a busy machine, 353 waited in vain for the database and
# the first words came after 104 s (median); with eight at a time (a semaphore, then), all were
# answered, after 32 s.
BEGIN_AT_ONCE = 8
# Below the 60 s that nginx waits for an answer's first byte.
PATIENCE_SECONDS = 50.0
# What is told to whoever waited in vain, in seconds.
_RETRY_AFTER = 5.0


class Entrance:
    """Thread-safe."""

    def __init__(self, places: int = BEGIN_AT_ONCE, patience: float = PATIENCE_SECONDS) -> None:
        """`patience` is how many seconds somebody waits for a place at most."""
        self._free = places
        self._patience = patience
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Be one of those inside. Raises Busy if no turn comes in time."""
        with self._lock:
            turn = None if self._free else threading.Event()
            if turn is None:
                self._free -= 1
            else:
                self._waiting.append(turn)
        if turn is not None:
            self._wait(turn)
        try:
            yield
        finally:
            self._leave()

    def _wait(self, turn: threading.Event) -> None:
        came = False
        try:
            came = turn.wait(self._patience)
        finally:
            if not came:
                with self._lock:
                    given = turn.is_set()
                    if not given:
                        self._waiting.remove(turn)
                if given:
                    self._leave()
        if not came:
            raise Busy(
                "Too many questions are being asked. Ask again in a moment.",
                retry_after=_RETRY_AFTER,
            )

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
