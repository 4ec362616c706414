"""The answer of an OpenAI-compatible chat endpoint, as an iterator of text.

Over `http.client`: stopping a model that has not begun to answer means to shut the socket down
under a blocked read, and only a connection of one's own allows that. (llama.cpp sends not even
the response's status before the first token.) Each answer has its own connection: to a server on
this machine one costs 0.1 ms, to a hosted one some 50 ms of the seconds that an answer takes.
"""

import http.client
import json
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from likeopt.clock import Clock
from likeopt.errors import Busy, LikeOptError, ModelUnavailable
from likeopt.llm.sse import MAX_EVENT, EventParser

CONNECT_SECONDS = 5.0
# After a model said that it finished, how long to wait for the stream to end.
_END_SECONDS = 1.0
_BLOCK = 1 << 16
# A token has some four characters in English, fewer in Korean; what goes on past four times that,
# thoughts included, does not keep to `max_tokens`.
_TOKEN_CHARS = 16
# Bytes of a refusal that are read, and characters of its reason that are passed on.
_REFUSAL_BYTES = 8192
_REASON_CHARS = 200
_BROKE_OFF = "The model broke off in the middle of its answer."


# Does what it is given, perhaps in another thread.
Run = Callable[[Callable[[], Any]], Any]


def run_here(work: Callable[[], Any]) -> Any:
    """The `Run` that goes nowhere."""
    return work()


class Endpoint(msgspec.Struct, frozen=True):
    """Where a model answers: base URL (`http://host/v1`), and its key or ""."""

    url: str
    key: str = ""


class _Part(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Part | None = None
    # Instead of delta, from an endpoint that does not stream.
    message: _Part | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    # llama.cpp's own measurements.
    timings: dict[str, float] | None = None


class TextStream:
    """Pieces of a model's text. `close` may be called from any thread and stops the model.

    Raises ModelUnavailable when the endpoint does not answer, refuses, breaks off, or sends
    nothing for `timeout` seconds (keep-alive comments do not count), Busy when it has no room.
    A model that does not stop at `max_tokens` by itself is stopped, as complete, some way past it.
    After `close` the iteration just ends.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        body: bytes,
        max_tokens: int,
        clock: Clock,
        timeout: float,
        run: Run = run_here,
    ) -> None:
        """`run` is where work that blocks belongs; waiting for the network does not."""
        self._run = run
        self._endpoint = endpoint
        self._body = body
        self._clock = clock
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        # Kept, because http.client lets go of it as soon as the server announces the end.
        self._socket: socket.socket | None = None
        self._response: http.client.HTTPResponse | None = None
        self._events = EventParser()
        self._text = _Text()
        # Characters that the model may still send.
        self._room = max_tokens * _TOKEN_CHARS
        self._ready: deque[str] = deque()
        self._heard = 0.0
        self._complete = False
        self._ended = False
        self._closed = False
        self._reading = False
        # From llama.cpp, once the answer is complete: prompt_n, prompt_per_second, ...
        self.timings: dict[str, float] = {}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self._reading = True
        try:
            while not self._ready and not self._ended and not self._closed:
                self._advance()
        except (OSError, http.client.HTTPException) as error:
            self._end()
            if not self._closed and not self._complete:
                raise self._unavailable(error) from error
        except LikeOptError:
            self._end()
            raise
        finally:
            self._reading = False
        if self._closed or not self._ready:
            self._end()
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Stop: the connection is cut, which servers take as the end of the wish."""
        self._closed = True
        if self._socket is not None:
            # Wakes a read that is blocked in another thread, which then closes the connection.
            # Not SSLSocket's own method, which takes TLS away from under that read.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        if not self._reading:
            self._end()

    def _advance(self) -> None:
        if self._response is None:
            self._response = self._request()
            self._heard = self._clock.monotonic()
        if self._response.headers.get_content_type() == "application/json":
            # From an endpoint that does not stream.
            whole = self._response.read(MAX_EVENT + 1)
            if len(whole) > MAX_EVENT:
                raise ModelUnavailable("The model's answer is too long.")
            self._take(whole.decode("utf-8", "replace"))
            self._end()
            return
        block = self._response.read1(_BLOCK)
        for data in self._events.feed(block) if block else self._events.end():
            self._heard = self._clock.monotonic()
            if data == "[DONE]":
                self._complete = True
                self._end()
            else:
                self._take(data)
            if self._ended:
                return
        if not block:
            if not self._complete and not self._closed:
                raise ModelUnavailable(_BROKE_OFF)
            self._end()
        elif self._clock.monotonic() - self._heard > self._timeout:
            raise TimeoutError

    def _request(self) -> http.client.HTTPResponse:
        url = urlsplit(self._endpoint.url)
        host = url.hostname or ""
        if url.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                host, url.port, timeout=CONNECT_SECONDS, context=self._run(_trusted)
            )
        else:
            self._connection = http.client.HTTPConnection(host, url.port, timeout=CONNECT_SECONDS)
        self._connection.connect()
        self._socket = self._connection.sock
        self._socket.settimeout(self._timeout)
        if self._closed:
            raise ConnectionAbortedError
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Connection": "close",
        }
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        path = f"{url.path.rstrip('/')}/chat/completions"
        self._connection.request("POST", path, self._body, headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise _refusal(response, self._endpoint.key)
        return response

    def _take(self, data: str) -> None:
        try:
            # json and not msgspec, which refuses half of a surrogate pair: some servers cut there.
            chunk = msgspec.convert(json.loads(data), _Chunk)
        except (ValueError, msgspec.ValidationError):
            raise ModelUnavailable("The model endpoint sent something that is no answer.") from None
        if chunk.error is not None:
            reason = _reason(chunk.error, self._endpoint.key)
            raise ModelUnavailable(f"The model endpoint reported an error: {reason}")
        self.timings = chunk.timings or self.timings
        choice = chunk.choices[0] if chunk.choices else _Choice()
        part = choice.delta or choice.message
        text = ((part and part.content) or "")[: self._room]
        # An event without text takes room, too: it may be thoughts, in a field of their own.
        self._room -= len(text) or 1
        self._put(self._text.add(text))
        if choice.finish_reason and not self._complete:
            self._complete = True
            if self._socket is not None:
                self._socket.settimeout(_END_SECONDS)
        if not self._room:
            self._complete = True
            self._end()

    def _put(self, piece: str) -> None:
        if piece:
            self._ready.append(piece)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._put(self._text.end())
        for closable in (self._response, self._connection, self._socket):
            if closable is not None:
                closable.close()

    def _unavailable(self, error: Exception) -> ModelUnavailable:
        if isinstance(error, TimeoutError):
            return ModelUnavailable("The model sent nothing for too long.", code="model_timeout")
        if self._response is not None:
            return ModelUnavailable(_BROKE_OFF)
        return ModelUnavailable(f"The model endpoint does not answer ({type(error).__name__}).")


class _Text:
    """Joins what servers cut apart and drops what is not the answer.

    Halves of a surrogate pair wait for each other; white space at the beginning, and the `<think>`
    block with which reasoning models may begin, are left out.
    """

    _BEGIN, _END = "<think>", "</think>"

    def __init__(self) -> None:
        self._held = ""
        self._thinking: bool | None = None

    def add(self, piece: str) -> str:
        """What of the text so far can be shown."""
        self._held += piece
        if self._thinking is None:
            self._held = self._held.lstrip()
            if len(self._held) < len(self._BEGIN) and self._BEGIN.startswith(self._held):
                return ""
            self._thinking = self._held.startswith(self._BEGIN)
        if self._thinking:
            _, end, rest = self._held.partition(self._END)
            if not end:
                # No more than what may be the beginning of the end.
                self._held = self._held[1 - len(self._END) :]
                return ""
            self._thinking, self._held = False, rest.lstrip()
        cut = len(self._held)
        if self._held and "\ud800" <= self._held[-1] <= "\udbff":
            cut -= 1
        shown, self._held = self._held[:cut], self._held[cut:]
        return _join_surrogates(shown)

    def end(self) -> str:
        """What was still held; a block of thoughts without end is not shown."""
        return "" if self._thinking else _join_surrogates(self._held)


def _join_surrogates(text: str) -> str:
    """Pairs become their character; half a pair and NUL, which no database stores, U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined.replace("\0", "\ufffd")


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the system's certificates takes 20 ms, in which no other answer would go on.
    return ssl.create_default_context()


def _refusal(response: http.client.HTTPResponse, key: str) -> LikeOptError:
    """The error for a response that is not 200."""
    status = response.status
    body = response.read(_REFUSAL_BYTES)
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    reason = _reason(said, key)
    if status in (401, 403):
        return ModelUnavailable(
            f"The model endpoint refused the key ({status}): check LIKEOPT_LLM_KEY.",
            code="model_key_refused",
        )
    if status == 404:
        return ModelUnavailable(
            "The model endpoint does not know this model or address (404): check LIKEOPT_LLM_MODEL"
            f" and LIKEOPT_LLM_URL. {reason}".rstrip(),
            code="model_not_found",
        )
    if status in (429, 503):
        wait = _seconds(response.headers.get("Retry-After"))
        return Busy(f"The model has no room at the moment ({status}).", retry_after=wait)
    return ModelUnavailable(f"The model endpoint answered {status}. {reason}".rstrip())


def _reason(said: Any, key: str) -> str:
    """The message of an error in any of the shapes that servers use, without the key."""
    for name in ("error", "message", "detail"):
        if isinstance(said, dict):
            said = said.get(name, said)
    text = said if isinstance(said, str) else ""
    if key:
        text = text.replace(key, "…")
    return " ".join(text.split())[:_REASON_CHARS]


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header in seconds; its other form, a date, is not used by model servers."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
