"""Embedding of queries: remembered, shared while one is being made, and bounded.

A new query costs 20 ms of a core with the built-in model, twenty times the rest of a search, so
that is what queues under load. Of everyone who asks the same thing at once, one makes the vector.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

from likeopt.clock import Clock
from likeopt.errors import Busy
from likeopt.retrieval.embed import Embedder
from likeopt.retrieval.vector import Vector

# 1.5 KB each with 384 dimensions.
REMEMBERED = 2048
# Queries that may wait: at 20 ms each on two cores the last one waits 0.6 s.
QUEUE = 64


class _Pending:
    """A query that is being embedded, and until when somebody waits for it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.future: Future[Vector] = Future()


class QueryEmbeddings:
    """Vectors of queries from one embedder. Thread-safe."""

    def __init__(self, embedder: Embedder, clock: Clock, *, threads: int) -> None:
        """`threads` queries are embedded at the same time."""
        self.model = embedder.model
        self.embedder = embedder
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "embed")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._pending: dict[str, _Pending] = {}

    def vector(self, query: str, deadline: float) -> "Future[Vector]":
        """The vector of `query`, [dim], as soon as it is there.

        `deadline` is on the clock's monotonic side: a query that nobody waits for any more is
        not embedded. Raises Busy when too many are waiting. The future fails with
        ModelUnavailable or Busy.
        """
        with self._lock:
            if (vector := self._known.get(query)) is not None:
                self._known.move_to_end(query)
                done: Future[Vector] = Future()
                done.set_result(vector)
                return done
            if pending := self._pending.get(query):
                pending.deadline = max(pending.deadline, deadline)
                return pending.future
            if len(self._pending) >= QUEUE:
                raise Busy("Too many new questions are waiting for the model.", retry_after=1.0)
            pending = self._pending[query] = _Pending(deadline)
            pending.future = self._pool.submit(self._embed, query, pending)
            return pending.future

    def close(self) -> None:
        """Give up the queries that wait; those that are being embedded finish on their own."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _embed(self, query: str, pending: _Pending) -> Vector:
        try:
            vector = self._in_time(query, pending)
            with self._lock:
                self._known[query] = vector
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return vector
        finally:
            with self._lock:
                del self._pending[query]

    def _in_time(self, query: str, pending: _Pending) -> Vector:
        if self._clock.monotonic() > pending.deadline:
            raise Busy("The question waited too long for the model.", retry_after=1.0)
        vector: Vector = self.embedder.queries([query])[0]
        return vector
