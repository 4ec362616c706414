"""Answers that a model has given, for the next one who asks the same of the same passages.

Their key says all that they depend on (see `key`), so they never grow stale, in a worker that was
idle neither: whoever asks has searched just now, with the rights of just now, and a changed passage
or another right is another key. What is kept is the text alone; sources and doubts are always
today's.

An answer that was begun before an administrator had answers cleared is one of those to be
forgotten, whenever its end comes, on whichever machine: each carries how often they were cleared by
then.
"""

from collections.abc import Callable, Mapping

import msgspec

from likeopt.cache.layered import Cache
from likeopt.chat.events import End
from likeopt.clock import Clock
from likeopt.storage import revisions
from likeopt.storage.messages import Kind

# The name of this use of the cache. What nobody asked for in a week makes room.
USE = "answers"
KEEP_SECONDS = 7 * 86_400.0
# Raised when answers, or all that is cached, were cleared in all layers.
_CLEARED = (revisions.of_cache(USE), revisions.of_cache(None))


class Kept(msgspec.Struct, frozen=True):
    """An answer. `used` are the numbers of the sources that `text` cites; `at` is when it was
    written, in ms since the epoch; `question` is what was asked then, if it had other words."""

    text: str
    kind: Kind
    model: str
    used: list[int]
    at: int
    question: str | None = None


class KeptAnswers:
    """See the module. Without a cache, nothing is kept."""

    def __init__(
        self, cache: Cache | None, clock: Clock, hear: Callable[[], object] = lambda: None
    ) -> None:
        """`hear` is called before each look, so that what an administrator has had cleared, through
        any worker, is gone from the memory of this one."""
        self._cache = cache
        self._clock = clock
        self._hear = hear

    def get(self, key: str) -> Kept | None:
        """What a model has answered under this key."""
        if self._cache is None:
            return None
        self._hear()
        kept = self._cache.get(self._cache.key(USE, key), Kept)
        return kept if isinstance(kept, Kept) else None

    def era(self) -> Mapping[str, int] | None:
        """When an answer is begun that begins now, as `put` wants it."""
        return self._cache.versions(_CLEARED) if self._cache else None

    def put(self, key: str, end: End, begun: Mapping[str, int] | None) -> bool:
        """Keep an answer, if a model wrote it to its end just now, and none had to be forgotten
        since it was `begun`; says whether it did."""
        outcome = end.outcome
        whole = outcome.state == "complete" and outcome.cached_at is None
        if self._cache is None or not whole or outcome.model is None or outcome.kind is None:
            return False
        if begun is None or begun != self.era():
            return False
        used = [one.number for one in outcome.citations]
        kept = Kept(outcome.content, outcome.kind, outcome.model, used, self._clock.now_ms())
        self._cache.set(self._cache.key(USE, key), kept, ttl=KEEP_SECONDS, tags=begun)
        return True
