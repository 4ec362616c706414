"""The only door for queries: asks the machine's engine, over its Unix socket.

A message is its length (4 bytes, big endian) and a msgpack document, one of
`likeopt.retrieval.types`. Every web worker imports this, so nothing here imports numpy or an
index.
"""

import logging
import os
import socket
import struct
import threading
import time
import unicodedata
from pathlib import Path
from typing import TypeVar

import msgspec

from likeopt.clock import Clock
from likeopt.errors import (
    BadInput,
    Busy,
    ConfigError,
    EngineUnavailable,
    LikeOptError,
    ModelUnavailable,
    TooLarge,
)
from likeopt.retrieval.rerank import Reranker
from likeopt.retrieval.types import (
    FAILED,
    Degraded,
    EmbedRequest,
    EmbedResponse,
    EngineStatus,
    EngineUse,
    Failure,
    Filters,
    ForgetRequest,
    Forgotten,
    Mode,
    Request,
    Response,
    SearchRequest,
    SearchResponse,
    StatusRequest,
)
from likeopt.storage.reader import Reader
from likeopt.storage.text import is_seen

T = TypeVar("T", SearchResponse, EmbedResponse, EngineStatus, Forgotten)

MAX_QUERY = 2000
MAX_HITS = 100
# A question with all its filters is a few KB; 100 hits of 4,000 characters are 2 MB.
MAX_REQUEST = 1 << 20
MAX_RESPONSE = 64 << 20
# Connections that one process holds to the engine; beyond, calls wait for one to be free. The
# engine computes on a few threads, so more of them would only wait there.
CONNECTIONS = 32
# How long a failed connection is left alone: the engine takes about a second to start.
_PAUSE = 0.02
# The engine keeps deadlines itself; this is for its answer to arrive, in seconds.
_GRACE = 0.25

_log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_responses: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)


def search(  # noqa: PLR0913  (what a search is; callers name the few they need)
    client: "EngineClient",
    reranker: Reranker,
    reader: Reader,
    query: str,
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    filters: Filters | None = None,
    sentences: int = 0,
    deadline_ms: int = 5000,
) -> SearchResponse:
    """The `k` best passages for `query` among those that `reader` may read and `filters` admit.

    BadInput for an empty query, TooLarge for one over 2,000 characters; EngineUnavailable when the
    engine does not answer within `deadline_ms`, Busy when it has too much to do.
    """
    query = normalise(query)
    filters = filters or Filters()
    if not 1 <= k <= MAX_HITS:
        raise BadInput(f"k must be between 1 and {MAX_HITS}.")
    collections = reader.collections
    if filters.collections:
        collections &= frozenset(filters.collections)
    started = client.clock.monotonic()
    found = client.search(
        SearchRequest(
            query=query,
            collections=sorted(collections),
            k=reranker.candidates(k),
            mode=mode,
            filters=filters,
            sentences=sentences,
            deadline_ms=deadline_ms,
        )
    )
    searched = client.clock.monotonic()
    left = deadline_ms / 1000 - (searched - started)
    try:
        ranked = reranker.rank(query, found.hits, left)
    except ModelUnavailable as error:
        _log.warning("no reranking: %s", error.message)
        found.degraded.append(Degraded("rerank", FAILED))
    else:
        if ranked is not found.hits:
            found.stages["rerank"] = round((client.clock.monotonic() - searched) * 1000, 3)
            found.hits = ranked
    found.hits = found.hits[:k]
    return found


def normalise(query: str) -> str:
    """`query` as it is searched: NFC, one line, without what cannot be encoded.

    BadInput if nothing that can be seen is left of it, TooLarge if more than 2,000 characters are.
    """
    if len(query) > MAX_QUERY * 4:
        raise TooLarge(f"The question must have at most {MAX_QUERY:,} characters.")
    text = query.encode("utf-8", "replace").decode("utf-8")
    text = " ".join(unicodedata.normalize("NFC", text).replace("\0", " ").split())
    if not any(map(is_seen, text)):
        raise BadInput("The question is empty.")
    if len(text) > MAX_QUERY:
        raise TooLarge(f"The question must have at most {MAX_QUERY:,} characters.")
    return text


class EngineClient:
    """The engine of this machine, from any process of it.

    Connections are opened when first needed and kept. Works in plain threads, in gevent's
    greenlets when sockets are patched, and after a fork, which starts with none.
    """

    def __init__(self, socket_path: Path, clock: Clock) -> None:
        self.clock = clock
        self._path = address(socket_path)
        self._start()

    def search(self, request: SearchRequest) -> SearchResponse:
        """See `search` above, which prepares the request."""
        return self._call(request, SearchResponse, request.deadline_ms / 1000)

    def embed(self, queries: list[str], *, deadline_ms: int = 5000) -> EmbedResponse:
        """The engine's vectors of queries. ModelUnavailable when its model does not answer."""
        request = EmbedRequest(queries, deadline_ms)
        return self._call(request, EmbedResponse, deadline_ms / 1000)

    def status(self, *, deadline_ms: int = 500) -> EngineStatus:
        """How the engine is; EngineUnavailable if it is not there."""
        return self._call(StatusRequest(), EngineStatus, deadline_ms / 1000)

    def forget(self, uses: list[EngineUse]) -> Forgotten:
        """Have the engine forget what it remembers of these uses; says what that was."""
        request = ForgetRequest(uses)
        return self._call(request, Forgotten, request.deadline_ms / 1000)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: list[socket.socket] = []
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def _call(self, request: Request, kind: type[T], seconds: float) -> T:
        if self._pid != os.getpid():
            # A child shares its parent's connections, and would read its answers.
            self.close()
            self._start()
        deadline = self.clock.monotonic() + seconds
        if not self._free.acquire(timeout=seconds):
            raise Busy("Too many searches are waiting. Try again in a moment.", retry_after=1.0)
        try:
            answer = self._exchange(frame(request), deadline)
        finally:
            self._free.release()
        if isinstance(answer, Failure):
            raise _error(answer)
        if not isinstance(answer, kind):
            raise EngineUnavailable("The engine gave an answer to another question.")
        return answer

    def _exchange(self, message: bytes, deadline: float) -> Response:
        """Send and receive; again on a new connection where the engine has gone."""
        broken = 0
        while True:
            fresh = not self._idle
            connection = self._connect(deadline) if fresh else self._idle.pop()
            connection.settimeout(max(deadline - self.clock.monotonic(), 0.0) + _GRACE)
            try:
                connection.sendall(message)
                answer = _responses.decode(receive(connection, MAX_RESPONSE))
            except TimeoutError:
                connection.close()
                raise EngineUnavailable(
                    "The search engine did not answer in time.", retry_after=1.0
                ) from None
            except (OSError, EOFError, ValueError):
                connection.close()
                # The other idle ones led to the same engine.
                self.close()
                # A request that takes the engine with it must not do so for ever.
                broken += fresh
                if broken > 1 or self.clock.monotonic() >= deadline:
                    raise EngineUnavailable(
                        "The search engine stopped; it is being restarted.", retry_after=1.0
                    ) from None
            else:
                self._idle.append(connection)
                return answer

    def _connect(self, deadline: float) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(max(deadline - self.clock.monotonic(), 0.001))
                connection.connect(self._path)
            except OSError:
                connection.close()
            else:
                return connection
            if self.clock.monotonic() + _PAUSE >= deadline:
                raise EngineUnavailable(
                    "The search engine is not running; it is being started.", retry_after=1.0
                )
            time.sleep(_PAUSE)


# -- messages, for both sides --------------------------------------------------------------------


def address(path: Path) -> str:
    """`path` as the address of a Unix socket, which may have 107 bytes (unix(7)): relative to
    the current folder where that is shorter. ConfigError if it is too long all the same."""
    candidates = (str(path), os.path.relpath(path))
    for candidate in candidates:
        if len(os.fsencode(candidate)) <= 107:
            return candidate
    raise ConfigError(f"LIKEOPT_DATA_DIR is too long a path for a socket in it: {path}")


def frame(message: Request | Response) -> bytes:
    """A message as it goes over the socket."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket, limit: int) -> bytes:
    """The next message's body. EOFError when the other side has closed, ValueError when the
    message is longer than `limit`."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > limit:
        raise ValueError(f"a message of {length} bytes")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    pieces: list[bytes] = []
    while count:
        piece = connection.recv(min(count, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _error(failure: Failure) -> LikeOptError:
    """The exception that a refusal stands for."""
    kinds: list[type[LikeOptError]] = [LikeOptError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    kind = next((kind for kind in kinds if kind.code == failure.code), EngineUnavailable)
    return kind(failure.message, retry_after=failure.retry_after)
