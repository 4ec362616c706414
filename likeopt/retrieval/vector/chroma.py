"""Vectors in a Chroma server, over its HTTP API (version 2), which 1.0 and newer speak.

Plain HTTP and not the `chromadb` package, whose import costs 80 MB and 3.4 s of CPU. Always a
server: two processes that write one embedded folder lose about 3 % of the rows without a word.

One collection holds the vectors of one database and model. A record's id is
"<version id>:<passage id>", so that a search needs no metadata to tell what it found; the
version is also a metadata field, for filters. How far the collection follows the database is
written into its own metadata: a lost collection is filled again from nothing.
"""

import base64
import hashlib
import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import numpy as np
import urllib3

from likeopt.errors import StorageUnavailable
from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.vector import Found, Vector, VectorBatch, merge, nothing

_BASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"
# A server accepts 5,461 records at once; 2,000 of 384 numbers are 4 MB of base64.
_BATCH = 2000
# Effort of a search: with 200 it found all of the ten nearest of 20,000 clustered vectors.
_EFFORT = 200
# Beyond so many results (20 ms) a filter in the query (60 ms with 50,000 records) is no dearer.
_MOST_RESULTS = 1000
# Versions in one filter; with 20,000 Chroma's own SQLite refuses the statement.
_FILTER = 5000


class ChromaState(msgspec.Struct, frozen=True):
    """How far a collection follows the counters `embeddings` and `library`."""

    embeddings: int
    library: int


class _Collection(msgspec.Struct, frozen=True):
    id: str
    metadata: dict[str, Any] | None = None


class _Results(msgspec.Struct, frozen=True):
    ids: list[list[str]]
    distances: list[list[float]]


class _Missing(Exception):
    """There is no such collection."""


class _Server:
    """A collection of a Chroma server. Thread-safe."""

    def __init__(self, url: str, *, database_id: str, model: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._about = {"database": database_id, "model": model}
        digest = hashlib.sha256(f"{database_id} {model}".encode()).hexdigest()
        self._name = f"likeopt-{digest[:32]}"
        self._http = urllib3.PoolManager(
            headers={"content-type": "application/json"},
            timeout=urllib3.Timeout(connect=2.0, read=timeout),
            retries=False,
            maxsize=8,
        )

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The answer's body; StorageUnavailable when there is none or it is an error."""
        try:
            response = self._http.request(
                method,
                f"{self._url}{_BASE}{path}",
                body=None if body is None else msgspec.json.encode(body),
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise StorageUnavailable(f"Chroma does not answer: {type(error).__name__}") from error
        if response.status == 404:
            raise _Missing
        if response.status >= 300:
            text = " ".join(response.data[:200].decode("utf-8", "replace").split())
            raise StorageUnavailable(f"Chroma answered {response.status}: {text}")
        return response.data

    def find(self) -> _Collection | None:
        try:
            return _decode(self.ask("GET", f"/{self._name}"), _Collection)
        except _Missing:
            return None

    def create(self) -> _Collection:
        body = {
            "name": self._name,
            "get_or_create": True,
            "metadata": {**self._about, "embeddings": 0, "library": 0},
            "configuration": {"hnsw": {"space": "ip", "ef_search": _EFFORT, "max_neighbors": 16}},
        }
        return _decode(self.ask("POST", "", body), _Collection)

    def describe(self, collection: str, state: ChromaState) -> None:
        metadata = {**self._about, **msgspec.structs.asdict(state)}
        self.ask("PUT", f"/{collection}", {"new_metadata": metadata})

    def close(self) -> None:
        self._http.clear()


class ChromaPusher:
    """Fills the collection, from the indexing worker that holds the lease for it."""

    def __init__(self, url: str, *, database_id: str, model: str) -> None:
        self._server = _Server(url, database_id=database_id, model=model, timeout=60.0)

    def state(self) -> ChromaState:
        """How far the collection follows the database; zeros if there is none yet.

        Raises StorageUnavailable when Chroma does not answer.
        """
        return _state(self._server.find())

    def push(
        self, state: ChromaState, batches: Iterable[VectorBatch], removed: Iterable[int]
    ) -> None:
        """Add embeddings, remove versions, then write down the `state` that this reaches.

        Pushing the same twice is the same as once. Raises StorageUnavailable.
        """
        collection = (self._server.find() or self._server.create()).id
        for batch in batches:
            for start in range(0, len(batch.chunk_ids), _BATCH):
                self._upsert(collection, batch, slice(start, start + _BATCH))
        gone = list(removed)
        for start in range(0, len(gone), _BATCH):
            where = {"version": {"$in": gone[start : start + _BATCH]}}
            self._server.ask("POST", f"/{collection}/delete", {"where": where})
        self._server.describe(collection, state)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _upsert(self, collection: str, batch: VectorBatch, rows: slice) -> None:
        versions = batch.version_ids[rows].tolist()
        chunks = batch.chunk_ids[rows].tolist()
        # The server takes base64 of float32, which is half the bytes and a tenth of the CPU of
        # numbers in JSON.
        vectors = batch.vectors[rows].astype("<f4")
        body = {
            "ids": [f"{version}:{chunk}" for version, chunk in zip(versions, chunks, strict=True)],
            "embeddings": [base64.b64encode(row.tobytes()).decode() for row in vectors],
            "metadatas": [{"version": version} for version in versions],
        }
        self._server.ask("POST", f"/{collection}/upsert", body)


# Passage ids -> float16 vectors, little endian, of those that have one.
ReadVectors = Callable[[list[int]], dict[int, bytes]]


class ChromaVectors:
    """A Chroma server as a `VectorIndex`."""

    def __init__(
        self,
        url: str,
        *,
        database_id: str,
        model: str,
        read_vectors: ReadVectors,
        timeout: float = 2.0,
    ) -> None:
        """`timeout` is in seconds, per request."""
        self._read_vectors = read_vectors
        self._server = _Server(url, database_id=database_id, model=model, timeout=timeout)
        self._lock = threading.Lock()
        self._collection: str | None = None
        self._refreshing = False
        self._revision = -1
        # How far the collection follows the counter `embeddings`.
        self._follows = -1
        self._count = 0

    def refresh(self, revision: int) -> None:
        with self._lock:
            complete = self._collection and min(self._follows, self._revision) >= revision
            if complete or self._refreshing:
                return
            self._refreshing = True
        try:
            collection = self._server.find()
            state = _state(collection)
            with self._lock:
                count = self._count
                same = collection and (collection.id, state.embeddings, revision) == (
                    self._collection,
                    self._follows,
                    self._revision,
                )
            if not same:
                count = 0
                if collection:
                    count = _decode(self._server.ask("GET", f"/{collection.id}/count"), int)
            with self._lock:
                self._collection = collection.id if collection else None
                self._revision, self._count = revision, count
                self._follows = state.embeddings
        finally:
            self._refreshing = False

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        with self._lock:
            collection = self._collection
        if collection is None or not scope.passages:
            return nothing()
        results = max(k, math.ceil(k * 1.2 / scope.share))
        while results <= _MOST_RESULTS:
            found = self._query(collection, query, results, None)
            permitted = scope.permits(found.version_ids)
            if np.count_nonzero(permitted) >= k or len(permitted) < results:
                return Found(
                    found.chunk_ids[permitted][:k],
                    found.version_ids[permitted][:k],
                    found.similarities[permitted][:k],
                )
            results *= 4
        versions = np.flatnonzero(scope.allowed)
        found = nothing()
        for start in range(0, len(versions), _FILTER):
            only = versions[start : start + _FILTER].tolist()
            # The effort is at least the number of results, and a filter that leaves what is far
            # from the question needs more of it: with 10 results 8 of the ten nearest came back.
            found = merge(found, self._query(collection, query, max(k, _MOST_RESULTS), only), k)
        return found

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        # Vectors of ids come as JSON from the server, 4 ms for fifty; the database has them too.
        stored = self._read_vectors(chunk_ids.tolist()) if len(chunk_ids) else {}
        rows = np.frombuffer(b"".join(stored.values()), dtype="<f2").reshape(-1, query.size)
        cosines = rows.astype(np.float32) @ query
        return dict(zip(stored, cosines.tolist(), strict=True))

    def state(self, revision: int) -> str | None:
        with self._lock:
            return self._collection if self._follows >= revision else None

    def sizes(self) -> tuple[int, int]:
        with self._lock:
            return self._count, 0

    def close(self) -> None:
        self._server.close()

    def _query(
        self, collection: str, query: Vector, results: int, versions: list[int] | None
    ) -> Found:
        body: dict[str, Any] = {
            "query_embeddings": [query.tolist()],
            "n_results": results,
            "include": ["distances"],
        }
        if versions is not None:
            body["where"] = {"version": {"$in": versions}}
        try:
            answer = self._server.ask("POST", f"/{collection}/query", body)
        except _Missing:
            with self._lock:
                self._collection = None
            raise StorageUnavailable("Chroma lost the collection; it is filled again.") from None
        found = _decode(answer, _Results)
        ids = np.array([name.split(":") for name in found.ids[0]], dtype=np.int64).reshape(-1, 2)
        # Of the space `ip`: one minus the inner product.
        similarities = 1 - np.array(found.distances[0], dtype=np.float32)
        return Found(ids[:, 1], ids[:, 0], similarities)


def _state(collection: _Collection | None) -> ChromaState:
    metadata = (collection.metadata if collection else None) or {}
    return ChromaState(int(metadata.get("embeddings", 0)), int(metadata.get("library", 0)))


T = TypeVar("T")


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StorageUnavailable(f"Not an answer of Chroma: {error}") from None
