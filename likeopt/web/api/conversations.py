"""Conversations: the history of one person's questions and answers."""

from typing import Annotated, Any, Literal

import msgspec
from flask import Response
from msgspec import Meta

from likeopt.chat import history
from likeopt.errors import NotFound
from likeopt.shapes import Conversation, ConversationList, Transcript
from likeopt.storage import conversations as stored
from likeopt.storage import revisions
from likeopt.web import language, originals
from likeopt.web.context import note, reader, services
from likeopt.web.endpoint import Endpoints
from likeopt.web.remembered import ACCESS, Remembered

conversations = Endpoints("conversations", tag="Chat", prefix="/api/v1/conversations")


# The counters of a person's conversations.
_OWN = (revisions.of_conversations("{user}"),)


def _is_growing(transcript: Transcript) -> bool:
    return any(message.state == "streaming" for message in transcript.messages)


class ConversationQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which conversations to list."""

    q: Annotated[str | None, Meta(description="Only with this in a title or message.")] = None
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the page before.")] = None
    limit: Annotated[int, Meta(description="Conversations a page, 1 to 200.")] = 50


class ConversationTitle(msgspec.Struct, forbid_unknown_fields=True):
    """What a conversation is called."""

    title: str


class ExportQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How to write a conversation down."""

    format: Annotated[Literal["markdown", "json"], Meta(description="The file's format.")] = (
        "markdown"
    )


@conversations.operation(
    "GET",
    "",
    summary="List conversations",
    query=ConversationQuery,
    returns=ConversationList,
    scope="chat",
    # What a search finds depends on what may be read.
    remembered=Remembered(until=(*_OWN, "library", *ACCESS), seconds=60),
)
def list_conversations(query: ConversationQuery) -> ConversationList:
    page = services().db.read(
        lambda c: stored.list_(c, reader(c), query=query.q, cursor=query.cursor, limit=query.limit)
    )
    return ConversationList([Conversation.of(one) for one in page.items], page.next_cursor)


@conversations.operation(
    "GET",
    "/<id:conversation_id>",
    summary="Read a conversation",
    scope="chat",
    returns=Transcript,
    errors=(NotFound,),
    remembered=Remembered(until=(*_OWN, "library", *ACCESS), seconds=60, unless=_is_growing),
)
def get_conversation(conversation_id: str) -> Transcript:
    return Transcript.of(services().db.read(lambda c: stored.get(c, reader(c), conversation_id)))


@conversations.operation(
    "PATCH",
    "/<id:conversation_id>",
    summary="Rename a conversation",
    scope="chat",
    body=ConversationTitle,
    returns=Conversation,
    errors=(NotFound,),
    example='--json \'{"title": "Travel costs"}\'',
)
def rename_conversation(conversation_id: str, body: ConversationTitle) -> Conversation:
    renamed = services().db.write(
        lambda c: stored.rename(c, reader(c), conversation_id, body.title)
    )
    return Conversation.of(renamed)


@conversations.operation(
    "DELETE",
    "/<id:conversation_id>",
    summary="Delete a conversation",
    scope="chat",
    status=204,
    errors=(NotFound,),
)
def delete_conversation(conversation_id: str) -> None:
    services().db.write(lambda c: stored.delete(c, reader(c), conversation_id))


@conversations.operation(
    "GET",
    "/<id:conversation_id>/export",
    summary="Write a conversation down",
    scope="chat",
    detail="As Markdown with its citations as footnotes, or as JSON.",
    query=ExportQuery,
    media={
        "text/markdown": {"type": "string"},
        "application/json": {"type": "object"},
    },
    errors=(NotFound,),
    example="-OJ",
)
def export_conversation(conversation_id: str, query: ExportQuery) -> Response:
    def export(c: Any) -> stored.Transcript:
        found = stored.get(c, reader(c), conversation_id)
        note(c, "conversation.export", kind="conversation", id_=conversation_id)
        return found

    held = services().db.write(export)
    if query.format == "json":
        response = Response(history.to_json(held), content_type=history.JSON)
        suffix = "json"
    else:
        markdown = history.to_markdown(held, language.of_request())
        response = Response(markdown, content_type=history.MARKDOWN)
        response.headers["Vary"] = language.VARY
        suffix = "md"
    name = history.file_name(held.conversation.title, suffix)
    response.headers["Content-Disposition"] = originals.disposition(name, attachment=True)
    return response
