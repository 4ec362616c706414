"""A queue in front of a model, shared by all processes of a machine.

Each waiter holds a locked file whose name is its place; the kernel releases the lock of a process
that dies. So the queue needs no server, survives `kill -9` of anybody, and is first come, first
served across web workers. Each waiter watches only the one before it (as in
https://zookeeper.apache.org/doc/current/recipes.html#sc_recipes_Locks): a poll costs 30 µs, and
with 64 waiting all polls together 1 % of a core.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

from likeopt.errors import Busy

# Polls are this far apart for whoever is next, and up to ten times further behind.
_NEXT_SECONDS = 0.05
# A guess at one answer's time; asking again costs little.
_ANSWER_SECONDS = 5.0


class Queue:
    """At most `running` at a time, at most `waiting` behind them."""

    def __init__(self, folder: Path, *, running: int, waiting: int) -> None:
        """`folder` is made when first used; it holds nothing else."""
        self.running = running
        self._waiting = waiting
        self._folder = folder

    def enter(self, *, beyond: bool = False) -> "Ticket":
        """Take the last place. Raises Busy when all are taken; not for who goes `beyond` them in
        the stead of somebody who was let in, perhaps on another machine, and died."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "door").open("w") as door:
            # Held for 0.1 ms, while numbers are given out.
            fcntl.flock(door, fcntl.LOCK_EX)
            places, room = self.places(), self.running + self._waiting
            if len(places) >= room:
                places = [name for name in places if not self.reap(name)]
            if len(places) >= room and not beyond:
                wait = _ANSWER_SECONDS * max(1, self._waiting / self.running)
                raise Busy(
                    "Too many questions are waiting for the model. Try again in a moment.",
                    retry_after=min(60.0, wait),
                )
            name = f"{int(places[-1]) + 1 if places else 1:012d}"
            return Ticket(self, self._folder, name)

    def places(self) -> list[str]:
        """The names of all places, first come first."""
        try:
            names = os.listdir(self._folder)  # noqa: PTH208
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.isdecimal())

    def reap(self, name: str) -> bool:
        """Remove a place whose process died; whether it is gone."""
        path = self._folder / name
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    # Who had it left between the two calls, and its number was given out again.
                    return False
                path.unlink()
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True


class Ticket:
    """A place in a queue, kept until `leave`."""

    def __init__(self, queue: Queue, folder: Path, name: str) -> None:
        self._queue = queue
        self._name = name
        self._path = folder / name
        # Locked before it has its name: nobody can take it for a dead one.
        new = folder / f"new-{name}"
        self._file = new.open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        new.rename(self._path)

    def wait(self, stopping: Event, moved: Callable[[int], None]) -> bool:
        """Wait for one's turn; false if `stopping` was set first.

        `moved` is told the position, 1 being next, whenever it changes, and 0 once a turn that was
        waited for has come: until the first word, the model then works for this one.
        """
        told = 0
        while not stopping.is_set():
            position = self._position()
            if position <= 0:
                if told:
                    moved(0)
                return True
            if position != told:
                moved(position)
                told = position
            stopping.wait(_NEXT_SECONDS * min(10, position))
        return False

    def leave(self) -> None:
        """Give the place up. May be called again."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _position(self) -> int:
        """How many must leave before it is one's turn. It is, once somebody cleared the folder of
        run-time files away: an answer in front of a busy model is better than none."""
        places = self._queue.places()
        if self._name not in places:
            return 0
        ahead = places.index(self._name)
        position = ahead - self._queue.running + 1
        watched = places[:ahead] if position == 1 else places[max(0, ahead - 1) : ahead]
        if position > 0:
            for name in watched:
                self._queue.reap(name)
        return position
