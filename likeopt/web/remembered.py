"""Answers of views that are remembered in the worker, and conditional requests for them.

The key of an answer holds the stamp of every counter it depends on (see `likeopt.storage.watch`),
taken before the view read anything, and whose it is. So a write that changes it, by whomever,
makes it another key: it is never looked for, not found too late. While the watch is not sure,
nothing is remembered. A second layer would not pay: the database is as quick.

Browsers are told to store nothing of it on disk; a page that keeps an answer in its memory sends
the ETag itself.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from flask import Response, request

from likeopt.storage import revisions
from likeopt.web import cache_control
from likeopt.web.context import identity, services

# The counters of the access of whoever asks.
ACCESS = revisions.of_access("{user}")
# Everything that is shown of documents while they are indexed.
INDEXING = ("library", "embeddings", "jobs", *ACCESS)
USE = "responses"
LAYERS = ("memory",)
JSON = "application/json"
# The same address has another answer for another person.
VARY = "Cookie, Authorization"

_encode = msgspec.json.Encoder().encode


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation's answer may be remembered: for `seconds` at most, and while none of the
    counters `until` is raised, of which `{user}` stands for whoever asks. `unless` names answers
    that change by themselves."""

    until: tuple[str, ...]
    seconds: float
    unless: Callable[[Any], bool] | None = None


class _Body(msgspec.Struct, frozen=True, array_like=True):
    etag: str
    data: bytes


def respond(
    name: str, remembered: Remembered, arguments: dict[str, Any], view: Callable[..., Any]
) -> Response:
    """The answer of `view`, or what is remembered of it; 304 if the client has it already."""
    found = services()
    user = identity().user.id
    stamp = found.watch.stamp(*(counter.format(user=user) for counter in remembered.until))
    if stamp is None:
        return _response(_body(view(**arguments)))
    # As JSON, for msgpack has no number beyond 64 bits, and anybody may ask for a page of as many.
    wanted = found.cache.key(USE, name, user, _encode(arguments), stamp)
    kept = found.cache.get(wanted, _Body, layers=LAYERS)
    if kept:
        return _response(kept)
    answer = view(**arguments)
    body = _body(answer)
    if remembered.unless is None or not remembered.unless(answer):
        found.cache.set(wanted, body, ttl=remembered.seconds, layers=LAYERS)
    return _response(body)


def _body(answer: Any) -> _Body:
    data = _encode(answer)
    return _Body(hashlib.blake2b(data, digest_size=16).hexdigest(), data)


def _response(body: _Body) -> Response:
    response = Response(body.data, content_type=JSON)
    response.set_etag(body.etag)
    response.headers["Cache-Control"] = cache_control.PERSONAL
    response.headers["Vary"] = VARY
    response.make_conditional(request)
    return response
