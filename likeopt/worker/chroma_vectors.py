"""Keeps a Chroma server up with the table of embeddings."""

from collections.abc import Callable, Iterator

from likeopt.clock import Clock
from likeopt.retrieval.vector import VectorBatch
from likeopt.retrieval.vector.chroma import ChromaPusher, ChromaState
from likeopt.storage import changes, facts
from likeopt.storage.db import Database
from likeopt.worker.vectors import Table

PUSH_SECONDS = 1.0
LEASE_MS = 60_000
# How often the server is asked what it has though nothing has changed here.
LOOK_SECONDS = 60.0


class ChromaVectors:
    """Sends new vectors to a Chroma server, and tells it which versions are gone."""

    def __init__(self, db: Database, clock: Clock, url: str, owner: str) -> None:
        self._table = Table(db)
        self._clock = clock
        self._url = url
        self._owner = owner
        self._pusher: tuple[str, ChromaPusher] | None = None
        self._next = 0.0
        self._sent: tuple[str, int, int] | None = None
        self._look_again = 0.0

    def follow(self, interrupted: Callable[[], bool]) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + PUSH_SECONDS
        model = self._table.model()
        if model is None:
            return
        upto = ChromaState(
            embeddings=self._table.revision("embeddings"), library=self._table.revision("library")
        )
        if self._sent == (model, upto.embeddings, upto.library) and now < self._look_again:
            return
        if not self._lease():
            return
        pusher = self._open(model)
        # Of nothing, where the server has lost its data: then all is sent.
        at = pusher.state()
        removed = self._table.db.read(lambda c: changes.retired(c, at.library, upto.library))
        try:
            pusher.push(upto, self._batches(model, at.embeddings, interrupted), removed)
        except _InterruptedPush:
            return
        self._sent = (model, upto.embeddings, upto.library)
        self._look_again = now + LOOK_SECONDS

    def _batches(
        self, model: str, after: int, interrupted: Callable[[], bool]
    ) -> Iterator[VectorBatch]:
        for batch in self._table.batches(model, after):
            # Ending here would say that everything was sent.
            if interrupted() or not self._lease():
                raise _InterruptedPush
            yield batch

    def _lease(self) -> bool:
        return self._table.db.write(
            lambda c: facts.lease(c, self._clock, "chroma_pusher", self._owner, LEASE_MS)
        )

    def _open(self, model: str) -> ChromaPusher:
        if self._pusher is None or self._pusher[0] != model:
            pusher = ChromaPusher(self._url, database_id=self._table.database_id(), model=model)
            self._pusher = (model, pusher)
        return self._pusher[1]


class _InterruptedPush(Exception):
    """The worker stops, or somebody else holds the lease."""
