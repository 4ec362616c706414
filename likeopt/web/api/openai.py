"""OpenAI's chat API, so that its clients can ask the documents.

https://platform.openai.com/docs/api-reference/chat. The conversation is the client's: nothing is
stored. Answers carry their sources as markers in the text and as `citations` beside it.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from flask import Response

from likeopt.chat.broadcast import Broadcast
from likeopt.chat.events import Delta, Done, Failed, Numbered
from likeopt.chat.prompt import tokens
from likeopt.errors import BadInput, Busy, EngineUnavailable, LikeOptError, ModelUnavailable
from likeopt.storage.messages import Citation, Exchange
from likeopt.web import auth, errors, middleware, sse
from likeopt.web.auth import asking
from likeopt.web.context import services
from likeopt.web.endpoint import JSON, Endpoints
from likeopt.web.lease import Lease, permitted

openai = Endpoints("openai", tag="OpenAI-compatible", prefix="/v1")

DONE = b"[DONE]"


class TextPart(msgspec.Struct):
    """A part of a message; parts that are not text are refused."""

    type: str
    text: str | None = None


class ChatTurn(msgspec.Struct):
    """A message of the client's conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None


class StreamOptions(msgspec.Struct):
    """What else a stream holds."""

    include_usage: bool = False


class ChatCompletionRequest(msgspec.Struct):
    """What of OpenAI's request is looked at; the rest, such as `top_p`, `stop`, `seed`, `tools` and
    `response_format`, is accepted and ignored.

    The last message must be the user's: it is the question. System messages are not followed:
    what an answer is made of is this server's to say. There is one answer, so `n` can only be 1.
    """

    messages: list[ChatTurn]
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    n: int | None = None


class AnswerMessage(msgspec.Struct):
    """The answer."""

    content: str
    role: Literal["assistant"] = "assistant"


class Choice(msgspec.Struct):
    """The only one."""

    message: AnswerMessage
    finish_reason: str
    index: int = 0


class Usage(msgspec.Struct):
    """Estimates, of the messages sent and of the answer: models count in different ways, and the
    passages that a model was given are not counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(msgspec.Struct):
    """OpenAI's response, with the sources of the answer in `citations`."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    citations: list[Citation]
    usage: Usage
    object: Literal["chat.completion"] = "chat.completion"


class ModelEntry(msgspec.Struct):
    """Something that answers."""

    id: str
    created: int = 0
    object: Literal["model"] = "model"
    owned_by: str = "like-opt"


class ModelList(msgspec.Struct):
    """OpenAI's list of models."""

    data: list[ModelEntry]
    object: Literal["list"] = "list"


@openai.operation("GET", "/models", summary="List what answers", returns=ModelList, error_type=JSON)
def list_models() -> ModelList:
    return ModelList([ModelEntry(_model_name())])


@openai.operation(
    "POST",
    "/chat/completions",
    summary="Ask, as a client of OpenAI's API",
    scope="chat",
    limit="chat",
    detail="Set a client's base URL to this server's address followed by /v1, and its key to"
    " an API key with the scope `chat`.",
    body=ChatCompletionRequest,
    returns=ChatCompletion,
    media={sse.MEDIA_TYPE: {"type": "string", "description": "OpenAI's chunks, then [DONE]."}},
    errors=(BadInput, Busy, EngineUnavailable, ModelUnavailable),
    error_type=JSON,
    example='--json \'{"messages": [{"role": "user", "content": "Where are documents kept?"}]}\'',
)
def complete(body: ChatCompletionRequest) -> ChatCompletion | Response:
    _check_numbers(body)
    question, exchanges = _conversation(body.messages)
    found = services()
    read_at = auth.stamp_now()
    broadcast = found.chat.reply(
        asking(),
        question,
        exchanges,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature or 0.0,
        whole=not body.stream,
    )
    head = {
        "id": f"chatcmpl-{middleware.exchange().request_id}",
        "created": found.clock.now_ms() // 1000,
        "model": body.model or _model_name(),
    }
    lease = Lease(read_at=read_at)
    events = permitted(broadcast.events(telling=lease.telling), lease)
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        return sse.respond(_chunks(broadcast, events, head, body.messages if usage else None))
    for one in events:
        event = one.event if one else None
        if isinstance(event, Failed):
            raise errors.of_event(event)
        if isinstance(event, Done):
            counted = _usage(body.messages, event.message.content)
            choice = Choice(AnswerMessage(event.message.content), "stop")
            return msgspec.convert(
                head
                | {"choices": [choice], "citations": event.message.citations, "usage": counted},
                ChatCompletion,
                from_attributes=True,
            )
    raise LikeOptError("The answer ended without a result.")


def _chunks(
    broadcast: Broadcast,
    events: Iterator[Numbered | None],
    head: dict[str, Any],
    counted: list[ChatTurn] | None,
) -> Iterator[bytes | None]:
    """OpenAI's chunks of an answer, which stops when its only reader goes; at the end the usage,
    if there are messages to be `counted`."""

    def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        kind = {"object": "chat.completion.chunk"}
        return sse.frame(head | kind | {"choices": choices} | more)

    answer = ""
    try:
        yield chunk({"role": "assistant", "content": ""})
        for one in events:
            event = one.event if one else None
            if one is None:
                yield None
            elif isinstance(event, Delta):
                answer += event.text
                yield chunk({"content": event.text})
            elif isinstance(event, Done):
                yield chunk({}, "stop", citations=event.message.citations)
            elif isinstance(event, Failed):
                error = {"message": event.detail, "type": "server_error", "code": event.code}
                yield sse.frame({"error": error})
        if counted is not None:
            usage = _usage(counted, answer)
            empty = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
            yield sse.frame(head | empty)
        yield sse.frame(DONE)
    finally:
        broadcast.leave()


def _check_numbers(body: ChatCompletionRequest) -> None:
    """Refuse what OpenAI refuses, and what it would do and this server does not."""
    if body.n not in (None, 1):
        raise BadInput("`n` can only be 1: there is one answer.")
    if body.temperature is not None and not 0 <= body.temperature <= 2:
        raise BadInput("`temperature` must be between 0 and 2.")
    for name in ("max_tokens", "max_completion_tokens"):
        most = getattr(body, name)
        if most is not None and most < 1:
            raise BadInput(f"`{name}` must be at least 1.")


def _usage(turns: list[ChatTurn], answer: str) -> Usage:
    asked, answered = sum(tokens(_written(turn)) for turn in turns), tokens(answer)
    return Usage(asked, answered, asked + answered)


def _conversation(turns: list[ChatTurn]) -> tuple[str, list[Exchange]]:
    """The question, and the questions and answers before it."""
    if not turns or turns[-1].role != "user":
        raise BadInput("The last of `messages` must be the user's.")
    exchanges = []
    asked = None
    for turn in turns[:-1]:
        if turn.role == "user":
            asked = _text(turn)
        elif turn.role == "assistant" and asked is not None:
            exchanges.append(Exchange(asked, _text(turn), asked))
            asked = None
    return _text(turns[-1]), exchanges


def _text(turn: ChatTurn) -> str:
    if isinstance(turn.content, list) and any(part.type != "text" for part in turn.content):
        raise BadInput("Only text can be asked; a message has a part of another type.")
    return _written(turn)


def _written(turn: ChatTurn) -> str:
    if not isinstance(turn.content, list):
        return turn.content or ""
    return "\n".join(part.text or "" for part in turn.content)


def _model_name() -> str:
    config = services().config
    return config.llm_model if config.llm == "openai" else config.llm.rpartition("/")[2]
