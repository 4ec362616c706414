"""The logs of generations that a process follows in Redis, all read by one connection.

A connection for each would wait nearly all the time, and Redis has 10,000 for everybody by default.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from likeopt.chat.frames import FRAME_SECONDS

# An entry as Redis gives it: its id, and its fields.
Entry = tuple[bytes, dict[bytes, bytes]]

# How long one reading waits for news, and so how long one that is followed from now on may wait to
# be read.
_BLOCK_MS = round(FRAME_SECONDS * 1000)
# After each reading, for each log: a reading costs 6 µs of CPU for each (1.2 ms for 200), so about
# a tenth of a core while all of them tell something. What comes meanwhile is read together.
_PAUSE_SECONDS = 0.000_05
# Without Redis, between two looks.
_AWAY_SECONDS = 0.1


class Log:
    """A log that somebody follows, and what was read of it and not taken yet."""

    def __init__(self, key: str) -> None:
        self.key = key
        # Of the last entry that was read.
        self.number = 0
        self._entries: deque[Entry] = deque()
        self._news = threading.Event()

    def add(self, entries: list[Entry]) -> None:
        """They were read."""
        self._entries.extend(entries)
        self._news.set()

    def take(self, seconds: float) -> list[Entry]:
        """What was read; waits for it up to `seconds`."""
        self._news.wait(seconds)
        self._news.clear()
        return [self._entries.popleft() for _ in range(len(self._entries))]


class Logs:
    """Those that this process follows, read by a thread that lives as long as there are any."""

    def __init__(self, xread: Callable[[dict[str, str], int], Any]) -> None:
        """`xread` gives what comes in streams after those ids, and waits for it up to so many
        milliseconds; None where Redis does not answer."""
        self._xread = xread
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._followed: set[Log] = set()
        self._reading = False

    def take(self, log: Log, after: int, seconds: float) -> list[Entry]:
        """What was read of a log, which is followed from now on, until `leave`; waits for it up to
        `seconds`. Among it may be what is not after number `after`."""
        if self._pid != os.getpid():
            # A forked child has none of its parent's threads, and no use for their locks.
            self._begin()
        with self._lock:
            log.number = max(log.number, after)
            self._followed.add(log)
            start, self._reading = not self._reading, True
        if start:
            threading.Thread(target=self._read, name="answers-elsewhere", daemon=True).start()
        return log.take(seconds)

    def leave(self, log: Log) -> None:
        """Nobody takes what is read of it any more."""
        with self._lock:
            self._followed.discard(log)

    def _read(self) -> None:
        pausing = threading.Event()
        while followed := self._now():
            try:
                self._read_once(followed, pausing)
            except Exception:  # outermost handler of this thread or greenlet, which has to go on
                logging.getLogger(__name__).exception("answers written elsewhere are not read")
                pausing.wait(_AWAY_SECONDS)

    def _read_once(self, followed: list[Log], pausing: threading.Event) -> None:
        after: dict[str, int] = {}
        for log in followed:
            after[log.key] = min(log.number, after.get(log.key, log.number))
        ids = {key: f"{number}-0" for key, number in after.items()}
        found = self._xread(ids, _BLOCK_MS)
        if found is None:
            pausing.wait(_AWAY_SECONDS)
            return
        entries = {key.decode(): read for key, read in found}
        with self._lock:
            for log in followed:
                if read := entries.get(log.key):
                    log.number = number_of(read[-1])
                    log.add(read)
        pausing.wait(len(followed) * _PAUSE_SECONDS)

    def _now(self) -> list[Log]:
        """What is followed; if nothing is, the thread has ended."""
        with self._lock:
            self._reading = bool(self._followed)
            return list(self._followed)


def number_of(entry: Entry) -> int:
    """The number of the record in an entry."""
    return int(entry[0].partition(b"-")[0])
