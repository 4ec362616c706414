"""Conversations of one person. For everyone else they do not exist.

Every function takes a connection and runs inside the caller's transaction.
"""

import unicodedata
from typing import Any

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import NotFound
from likeopt.storage import cursors, revisions
from likeopt.storage import messages as messages_
from likeopt.storage.ids import new_id
from likeopt.storage.messages import Citation, Exchange, Message
from likeopt.storage.reader import Reader
from likeopt.storage.tables import conversations, messages
from likeopt.storage.text import clean_line, contains

__all__ = [
    "Citation",
    "Conversation",
    "ConversationPage",
    "Message",
    "Transcript",
    "add_question",
    "create",
    "delete",
    "derive_title",
    "get",
    "list_",
    "question_of",
    "recent",
    "rename",
]

TITLE_CHARS = 200
# What a side bar shows in one line.
DERIVED_TITLE_CHARS = 60


class Conversation(msgspec.Struct, frozen=True):
    """A conversation without its messages. Times are ms since the epoch."""

    id: str
    title: str
    created_at: int
    updated_at: int


class ConversationPage(msgspec.Struct, frozen=True):
    """Some conversations, last used first; `next_cursor` continues the list, null ends it."""

    items: list[Conversation]
    next_cursor: str | None


class Transcript(msgspec.Struct, frozen=True):
    """A conversation with its messages: each question, then its answers in the order written."""

    conversation: Conversation
    messages: list[Message]


def create(c: sa.Connection, reader: Reader, clock: Clock, title: str) -> Conversation:
    """A new, empty conversation of the reader. Raises BadInput for an unusable title."""
    now = clock.now_ms()
    made = Conversation(
        new_id(clock), clean_line(title, what="The title", limit=TITLE_CHARS), now, now
    )
    c.execute(
        conversations.insert(),
        {
            "id": made.id,
            "owner_id": reader.user_id,
            "title": made.title,
            "created_at": now,
            "updated_at": now,
        },
    )
    _announce(c, reader)
    return made


def list_(
    c: sa.Connection,
    reader: Reader,
    *,
    query: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> ConversationPage:
    """The reader's conversations, last used first.

    `query` keeps those whose title or any message contains it, whatever its case. Raises
    BadInput for a limit outside 1 to 200 or a cursor that this function did not make.
    """
    cursors.check_limit(limit)
    statement = (
        sa.select(*_columns())
        .where(conversations.c.owner_id == reader.user_id)
        .order_by(conversations.c.updated_at.desc(), conversations.c.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        last = cursors.decode(cursor, tuple[cursors.Number, cursors.Id])
        before = sa.tuple_(*(sa.literal(value) for value in last))
        here = sa.tuple_(conversations.c.updated_at, conversations.c.id)
        statement = statement.where(here < before)
    needle = (query or "").strip()
    if needle:
        said = sa.exists().where(
            messages.c.conversation_id == conversations.c.id,
            contains(c, messages.c.content, needle),
            ~messages_.out_of_reach(reader, messages.c.id),
        )
        statement = statement.where(contains(c, conversations.c.title, needle) | said)
    rows = c.execute(statement).mappings().all()
    items = [Conversation(**row) for row in rows[:limit]]
    return ConversationPage(items, cursors.next_cursor(rows, limit, "updated_at", "id"))


def get(
    c: sa.Connection, reader: Reader, conversation_id: str, *, last: int | None = None
) -> Transcript:
    """One conversation with everything in it, or with its `last` questions and their answers.

    NotFound unless it is the reader's.
    """
    conversation = _own(c, reader, conversation_id)
    found = messages_.of_conversation(c, reader, conversation_id, last=last)
    return Transcript(conversation, found)


def rename(c: sa.Connection, reader: Reader, conversation_id: str, title: str) -> Conversation:
    """Give a conversation another title; its place in the list stays.

    Raises NotFound, or BadInput for an unusable title.
    """
    before = _own(c, reader, conversation_id)
    after = msgspec.structs.replace(
        before, title=clean_line(title, what="The title", limit=TITLE_CHARS)
    )
    c.execute(
        conversations.update()
        .where(conversations.c.id == conversation_id)
        .values(title=after.title)
    )
    _announce(c, reader)
    return after


def delete(c: sa.Connection, reader: Reader, conversation_id: str) -> None:
    """Remove a conversation with its messages and citations; NotFound if it is not the reader's.

    An answer being written in it stops by itself: `answers.wanted` tells its writer.
    """
    _own(c, reader, conversation_id)
    c.execute(conversations.delete().where(conversations.c.id == conversation_id))
    _announce(c, reader)


def add_question(
    c: sa.Connection,
    reader: Reader,
    clock: Clock,
    conversation_id: str | None,
    text: str,
    *,
    asked_with: str | None = None,
) -> tuple[Conversation, Message]:
    """Append a question, to a new conversation named after it if `conversation_id` is None.

    Raises NotFound for a conversation that is not the reader's.
    """
    if conversation_id is None:
        conversation, last = create(c, reader, clock, derive_title(text)), 0
    else:
        conversation, last = _own(c, reader, conversation_id), None
    values = {"role": "user", "content": text, "asked_with": asked_with}
    return conversation, messages_.append(c, clock, conversation.id, last=last, **values)


def recent(c: sa.Connection, reader: Reader, conversation_id: str) -> list[Exchange]:
    """Its last exchanges, which the next question may refer to; NotFound if not the reader's."""
    _own(c, reader, conversation_id)
    return messages_.recent(c, reader, conversation_id)


def question_of(c: sa.Connection, reader: Reader, message_id: str) -> tuple[Conversation, Message]:
    """The question to answer again, given it or any answer to it. NotFound if not the reader's."""
    given = messages_.get(c, reader, message_id)
    if given.parent_id is not None:
        given = messages_.get(c, reader, given.parent_id)
    return _own(c, reader, given.conversation_id), given


def derive_title(text: str) -> str:
    """A conversation's first title: the beginning of its first question, whole words."""
    line = " ".join(text.split())
    if len(line) <= DERIVED_TITLE_CHARS:
        return line
    end = DERIVED_TITLE_CHARS
    # A combining mark, joiner or variation selector belongs to the character before it, and what
    # follows a joiner to that.
    while end > 1 and (
        unicodedata.category(line[end]) in ("Mn", "Mc", "Me", "Cf") or line[end - 1] == "\u200d"
    ):
        end -= 1
    cut = line[:end]
    whole, space, _ = cut.rpartition(" ")
    return (whole if space and len(whole) > DERIVED_TITLE_CHARS // 2 else cut).rstrip() + "…"


def _columns() -> list[sa.Column[Any]]:
    return [conversations.c[name] for name in Conversation.__struct_fields__]


def _announce(c: sa.Connection, reader: Reader) -> None:
    revisions.announce(c, revisions.of_conversations(reader.user_id))


def _own(c: sa.Connection, reader: Reader, conversation_id: str) -> Conversation:
    row = c.execute(
        sa.select(*_columns()).where(
            conversations.c.id == conversation_id, conversations.c.owner_id == reader.user_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such conversation.")
    return Conversation(*row)
