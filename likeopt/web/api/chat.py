"""Questions and answers, as one JSON object or as a stream of events."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from flask import Response, request
from msgspec import Meta

from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Done, Event, Failed, Numbered, Start, name_of
from likeopt.errors import (
    BadInput,
    Busy,
    EngineUnavailable,
    KeyReused,
    LikeOptError,
    ModelUnavailable,
    NotFound,
)
from likeopt.retrieval.types import Filters
from likeopt.shapes import Message
from likeopt.storage.idempotency import IdempotencyKey, Repeated, fingerprint
from likeopt.web import auth, errors, inputs, middleware, sse
from likeopt.web.auth import asking
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints
from likeopt.web.lease import Lease, permitted

chat = Endpoints("chat", tag="Chat", prefix="/api/v1/chat")

_EVENTS = (
    "Events, each with its number as `id`: `start` (ids and title), `queue` (position before a busy"
    " model), `sources` (what was searched, and the passages), `delta` (more text), then `done`"
    " (the message) or `error` (a problem). A comment every 15 s keeps the connection open. After a"
    " lost connection, GET /api/v1/chat/{message_id}/stream with Last-Event-ID goes on, on any"
    " server; a second `start` means that what was sent before does not count."
)
# As many characters as the column has.
_LONGEST_KEY = 255
_STREAM = {sse.MEDIA_TYPE: {"type": "string", "description": _EVENTS}}


class ChatFilters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which documents to answer from; what is empty does not narrow."""

    documents: inputs.Names = []
    collections: inputs.Names = []
    tags: inputs.Names = []
    media_types: inputs.Names = []


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """A question, or with `regenerate` the wish for another answer.

    Without `conversation_id` a new conversation begins. `language` is the answer's; it is the
    question's own if left out. With `regenerate`, `filters` and `language` are those that the
    question was asked with, each unless it is given.
    """

    question: Annotated[str | None, Meta(description="At most 8,000 characters.")] = None
    conversation_id: str | None = None
    filters: ChatFilters | None = None
    stream: Annotated[
        bool | None, Meta(description="Events or one object; if left out, as Accept says.")
    ] = None
    regenerate: Annotated[
        str | None, Meta(description="Id of a question, or of an answer to it.")
    ] = None
    language: Literal["ko", "en"] | None = None


class Answer(msgspec.Struct):
    """An answer and where it belongs."""

    conversation_id: str
    question_id: str
    message: Message


@chat.operation(
    "POST",
    "",
    summary="Ask",
    scope="chat",
    limit="chat",
    detail="The answer cites passages as [1], [2]; `citations` says where each stands. " + _EVENTS,
    body=Question,
    returns=Answer,
    media=_STREAM,
    headers={
        "Idempotency-Key": "A text of your own, new for each question, of at most 255 characters."
        " With the same key the same question is not asked again: its first answer is told."
    },
    errors=(BadInput, NotFound, KeyReused, Busy, EngineUnavailable, ModelUnavailable),
    example='-N --json \'{"question": "How are travel costs settled?", "stream": true}\'',
)
def ask(body: Question) -> Answer | Response:
    streamed = sse.wanted() if body.stream is None else body.stream
    read_at = auth.stamp_now()
    try:
        broadcast = _begin(body, whole=not streamed)
    except Repeated as before:
        events = _followed(before.answer_id, 0)
    else:
        lease = Lease(read_at=read_at)
        events = permitted(broadcast.events(telling=lease.telling), lease)
    return sse.respond(_frames(events)) if streamed else _whole(events)


@chat.operation(
    "GET",
    "/<id:message_id>/stream",
    summary="Follow an answer",
    scope="chat",
    detail="One that is being written, or the events of a finished one. " + _EVENTS,
    media=_STREAM,
    errors=(BadInput, NotFound),
    example="-N -H 'Last-Event-ID: 3'",
)
def follow(message_id: str) -> Response:
    return sse.respond(_frames(_followed(message_id, sse.last_event_id())))


@chat.operation(
    "POST",
    "/<id:message_id>/stop",
    summary="Stop an answer",
    scope="chat",
    detail="What is written stays. Stopping a finished answer does nothing, and others who are told"
    " the same answer are told on.",
    status=202,
    errors=(NotFound,),
)
def stop(message_id: str) -> Response:
    services().chat.stop(asking(), message_id)
    return Response(status=202)


def _followed(message_id: str, after: int) -> Iterator[Numbered | None]:
    lease = Lease()
    events = services().chat.resume(asking(), message_id, after, telling=lease.telling)
    shown = partial(services().chat.shown, message_id)
    lease.show(shown())
    return permitted(events, lease, shown)


def _idempotency_key(body: Question) -> IdempotencyKey | None:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header, with or without
    its quotes."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given.strip().removeprefix('"').removesuffix('"')
    if not 0 < len(key) <= _LONGEST_KEY:
        raise BadInput(f"Idempotency-Key must have 1 to {_LONGEST_KEY} characters.")
    # However the answer is to be told, it is the same.
    asked = msgspec.structs.replace(body, stream=None)
    return IdempotencyKey(key, fingerprint(msgspec.json.encode(asked)))


def _begin(body: Question, *, whole: bool) -> Broadcast:
    found = services()
    given = body.filters or ChatFilters()
    reader = asking(given.documents, given.collections)
    how: dict[str, Any] = {
        "filters": body.filters and msgspec.convert(given, Filters, from_attributes=True),
        "language": body.language,
        "whole": whole,
        "key": _idempotency_key(body),
    }
    if body.regenerate is not None:
        if body.question is not None or body.conversation_id is not None:
            raise BadInput("`regenerate` goes without `question` and `conversation_id`.")
        return found.chat.regenerate(reader, body.regenerate, **how)
    if body.question is None:
        raise BadInput("`question` is missing.")
    return found.chat.ask(reader, body.question, body.conversation_id, **how)


def _whole(events: Iterator[Numbered | None]) -> Answer:
    """Wait for the end of an answer."""
    start = Start("", "", "", "")
    for one in events:
        event = one.event if one else None
        if isinstance(event, Start):
            start = event
        elif isinstance(event, Failed):
            error = errors.of_event(event)
            # The question is stored all the same, and can be asked again.
            error.details |= {
                "conversation_id": start.conversation_id,
                "question_id": start.question_id,
                "message_id": start.message_id,
            }
            raise error
        elif isinstance(event, Done):
            stages = middleware.exchange().stages
            for name, millis in event.message.stages.items():
                stages.add(name, millis)
            return Answer(start.conversation_id, start.question_id, Message.of(event.message))
    raise LikeOptError("The answer ended without a result.")


def _frames(events: Iterator[Numbered | None]) -> Iterator[bytes | None]:
    # Taken here: the request is no longer at hand while the body is being sent.
    request_id = middleware.exchange().request_id

    def frames() -> Iterator[bytes | None]:
        for one in events:
            if one is None:
                yield None
            else:
                # What all readers are told is written down once.
                if one.frame is None:
                    data = _data(one.event, request_id)
                    one.frame = sse.frame(data, event=name_of(one.event), number=one.sequence)
                yield one.frame

    return frames()


def _data(event: Event, request_id: str) -> Any:
    """The data of an event, as the API shows it."""
    if isinstance(event, Done):
        return {"message": Message.of(event.message)}
    if isinstance(event, Failed):
        problem: dict[str, Any] = {"problem": errors.details(errors.of_event(event), request_id)}
        if event.message is not None:
            problem["message"] = Message.of(event.message)
        return problem
    data: dict[str, Any] = msgspec.to_builtins(event)
    del data["event"]
    return data
