"""Follow-up questions as a model rewrote them, for whoever asks the same after the same was said.

A rewriting depends on what the model is told, and on nothing else: that is its key. Not on rights:
who has the key has every word that it is made of. Of all who wait for one, in any process, one has
the model asked; those of one process wait at one place of its queue.
"""

import secrets
import threading
from collections.abc import Callable

from likeopt.cache.layered import Cache
from likeopt.cache.serialize import ABSENT
from likeopt.chat import followup
from likeopt.chat.kept import KEEP_SECONDS
from likeopt.chat.key import normal
from likeopt.chat.writer import Task, Writer
from likeopt.llm.queue import Ticket

USE = "rewrites"
# A model that failed, or was late, is left alone with the same question for so long.
FAILED_SECONDS = 10.0

# Takes a place in the model's queue, if there is one; raises Busy when it is full.
Enter = Callable[[], Ticket | None]


class Rewrites:
    """Of one process. Thread-safe. Without a cache, nothing is kept or shared."""

    def __init__(
        self, writer: Writer, enter: Enter, cache: Cache | None, hear: Callable[[], object]
    ) -> None:
        """`hear` as for `KeptAnswers`."""
        self._writer = writer
        self._enter = enter
        self._cache = cache
        self._hear = hear
        self._lock = threading.Lock()
        # By key, while somebody waits for one and nobody has taken its place.
        self._waiting: dict[str, Rewriting] = {}

    def begin(self, task: Task) -> "str | Rewriting":
        """The question as a model has rewritten it, "" if none does, or else a rewriting to be
        waited for, and left. Raises Busy when the model's queue is full, unless somebody here
        waits for the same."""
        if not self._writer.rewrites(task):
            return ""
        key = self._key(task)
        if self._cache is not None:
            self._hear()
            known = self._cache.get(key, str)
            if known is ABSENT:
                return ""
            if isinstance(known, str):
                return known
        with self._lock:
            rewriting = self._waiting.get(key)
            if rewriting is None:
                rewriting = self._waiting[key] = Rewriting(key, task, self._enter())
            rewriting.readers += 1
            return rewriting

    def wait(
        self, rewriting: "Rewriting", left: threading.Event, moved: Callable[[int], None]
    ) -> str:
        """The question as rewritten; "" if the model failed or `left` was set. `moved` as for
        `Ticket.wait`."""
        if rewriting.ticket is not None and not rewriting.ticket.wait(left, moved):
            return ""
        return self._make(rewriting.key, rewriting.task)

    def _make(self, key: str, task: Task) -> str:
        """Have the model asked, unless somebody else does or did; "" if it failed."""
        model = self._writer.model
        assert model is not None
        if self._cache is None:
            return followup.rewritten(task.question, task.exchanges, model)
        made = self._cache.get_or_compute(
            key,
            lambda: followup.rewritten(task.question, task.exchanges, model) or ABSENT,
            ttl=KEEP_SECONDS,
            kind=str,
            negative=FAILED_SECONDS,
        )
        return "" if made is ABSENT else made

    def enter(self, rewriting: "Rewriting") -> Ticket | None:
        """The place in the queue, for the first who needs one for the answer, or a new one. Raises
        Busy."""
        with self._lock:
            if self._waiting.get(rewriting.key) is rewriting:
                del self._waiting[rewriting.key]
                return rewriting.ticket
        return self._enter()

    def leave(self, rewriting: "Rewriting") -> None:
        """Need it no more; each who began it does this once."""
        with self._lock:
            rewriting.readers -= 1
            if rewriting.readers or self._waiting.get(rewriting.key) is not rewriting:
                return
            del self._waiting[rewriting.key]
        if rewriting.ticket:
            rewriting.ticket.leave()

    def _key(self, task: Task) -> str:
        model = self._writer.model
        if self._cache is None or model is None:
            return secrets.token_hex(16)
        told = followup.request(normal(task.question), task.exchanges)
        return self._cache.key(USE, model.identity, told)


class Rewriting:
    """A question that is being rewritten, and how many wait for it here at one place. Who came
    first asked in `task`; the others may read other things."""

    def __init__(self, key: str, task: Task, ticket: Ticket | None) -> None:
        self.key = key
        self.task = task
        self.ticket = ticket
        self.readers = 0
