"""Embedding of queries: remembered, shared while one is being made, and bounded.

A new query costs 20 ms of a core with the built-in model, twenty times the rest of a search, so
that is what queues under load. Of everyone who asks the same thing at once, one makes the vector.

The latest are in this process; behind them, the layers of the cache that outlive it (0.1 ms) have
those of a month, and Redis has those of other machines.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from likeopt.cache.layered import Cache
from likeopt.clock import Clock
from likeopt.errors import Busy
from likeopt.retrieval.embed import Embedder
from likeopt.retrieval.types import Remembered
from likeopt.retrieval.vector import Vector

# 1.5 KB each with 384 dimensions.
REMEMBERED = 2048
# Queries that may wait: at 20 ms each on two cores the last one waits 0.6 s.
QUEUE = 64
# A model's vector of a question never changes; this bounds how long traces of questions stay.
KEPT_SECONDS = 7 * 86_400.0


class _Pending:
    """A query that is being embedded, and until when somebody waits for it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.future: Future[Vector]


class QueryEmbeddings:
    """Vectors of queries from one embedder. Thread-safe."""

    def __init__(self, embedder: Embedder, clock: Clock, cache: Cache, *, threads: int) -> None:
        """`threads` queries are embedded at the same time. `cache` is closed with
        this; if it has no layers, nothing is remembered here either."""
        self.model = embedder.model
        self.embedder = embedder
        self._clock = clock
        self._cache = cache
        # Vectors are in this process's memory already.
        self._layers = [name for name in cache.layers if name != "memory"]
        self._pool = ThreadPoolExecutor(threads, "embed")
        self._lock = threading.Lock()
        # What is still being embedded then must not open the cache again.
        self._closed = False
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._pending: dict[str, _Pending] = {}
        self._hits = self._misses = self._shared = self._evictions = 0
        self._cleared = 0

    def vector(self, query: str, deadline: float) -> "Future[Vector]":
        """The vector of `query`, [dim], as soon as it is there.

        `deadline` is on the clock's monotonic side: a query that nobody waits for any more is
        not embedded. Raises Busy when too many are waiting. The future fails with
        ModelUnavailable or Busy.
        """
        with self._lock:
            if (vector := self._known.get(query)) is not None:
                self._known.move_to_end(query)
                self._hits += 1
                done: Future[Vector] = Future()
                done.set_result(vector)
                return done
            if pending := self._pending.get(query):
                self._shared += 1
                pending.deadline = max(pending.deadline, deadline)
                return pending.future
            if len(self._pending) >= QUEUE:
                raise Busy("Too many new questions are waiting for the model.", retry_after=1.0)
            pending = _Pending(deadline)
            # What raises here, where no thread can be started, must hold no place; and our lock
            # keeps `_embed` from taking the query out before it is in.
            pending.future = self._pool.submit(self._embed, query, pending)
            self._pending[query] = pending
            self._misses += 1
            return pending.future

    def close(self) -> None:
        """Give up the queries that wait; those that are being embedded finish on their own."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._cache.close()

    def counts(self) -> Remembered:
        """What this process's memory spared; what lies behind it, the cache counts itself."""
        with self._lock:
            return Remembered(
                hits=self._hits,
                misses=self._misses,
                shared=self._shared,
                evictions=self._evictions,
                entries=len(self._known),
                bytes=sum(vector.nbytes for vector in self._known.values()),
            )

    def follow(self, cleared: int) -> None:
        """Forget what this process's memory holds if all engines' was cleared again since the last
        call; `cleared` is how often by now."""
        if cleared > self._cleared:
            self._cleared = cleared
            self.clear()

    def clear(self) -> None:
        """Forget what this process's memory holds."""
        with self._lock:
            self._known.clear()

    def _embed(self, query: str, pending: _Pending) -> Vector:
        try:
            vector = self._in_time(query, pending)
            if self._cache.layers:
                self._remember(query, vector)
            return vector
        finally:
            with self._lock:
                # The pool keeps what it had no thread for, and may run it later.
                if self._pending.get(query) is pending:
                    del self._pending[query]

    def _remember(self, query: str, vector: Vector) -> None:
        with self._lock:
            self._known[query] = vector
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
                self._evictions += 1

    def _in_time(self, query: str, pending: _Pending) -> Vector:
        if self._clock.monotonic() > pending.deadline:
            raise Busy("The question waited too long for the model.", retry_after=1.0)
        embedder = self.embedder
        key = self._cache.key("embeddings", embedder.identity, embedder.dim, query)
        kept = self._cache.get(key, bytes, layers=self._layers)
        if isinstance(kept, bytes) and len(kept) == 4 * embedder.dim:
            return np.frombuffer(kept, dtype="<f4").copy()
        vector: Vector = embedder.queries([query])[0]
        body = vector.astype("<f4").tobytes()
        if not self._closed:
            self._cache.set(key, body, ttl=KEPT_SECONDS, layers=self._layers)
        return vector
