"""The messages of a conversation: questions, the answers to them, and what the answers cite.

The life of an answer: `start_answer` writes it as streaming; what happens to it from then on, often
with many others at once, is in `answers`. An answer whose process died is kept alive by nobody, and
`Deserted` finds it and fails it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import NotFound
from likeopt.storage import revisions
from likeopt.storage.ids import new_id
from likeopt.storage.reader import Reader
from likeopt.storage.tables import citations, conversations, documents, messages

# An answer that nobody saved for this long has lost its process, which saves every two seconds.
STALE_SECONDS = 15.0
# Of a statement with a parameter for each.
_AT_ONCE = 500
INTERRUPTED = "interrupted"

State = Literal["streaming", "complete", "stopped", "failed"]
Kind = Literal["generated", "extractive", "not_found"]
Feedback = Literal["up", "down"]


class Citation(msgspec.Struct, frozen=True):
    """A marker [number] in an answer, bound to characters `start` to `end` of a version's text.

    `quote` is exactly that text. When the document is gone or the reader may no longer read it,
    `available` is false and `quote` and `document_name` are empty.
    """

    number: int
    document_id: str
    document_name: str
    version_id: int
    chunk_id: int
    page: int | None
    start: int
    end: int
    quote: str
    available: bool = True


class Message(msgspec.Struct, frozen=True):
    """A question (role user) or an answer (role assistant).

    `parent_id` is the question that an answer answers. `kind`, `model`, `query` (what was
    searched, if it differs from the question), `stages` (milliseconds) and `error_code` belong to
    answers. `cached_at` is when its text was written, if that was for an earlier question;
    `cached_question` is that one, if it had other words. `feedback` is what its reader thought of
    it. Times are ms since the epoch.

    An answer that cites what its reader may no longer read is shown as failed with the code
    `access_revoked` and without its text, which may repeat it word for word. Nothing of that is
    stored before the collection is deleted: who may read it again has the answer back. While it is
    written, it cites whatever it may be made of.
    """

    id: str
    conversation_id: str
    role: Literal["user", "assistant"]
    content: str
    state: State
    created_at: int
    updated_at: int
    parent_id: str | None = None
    kind: Kind | None = None
    model: str | None = None
    query: str | None = None
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    error_code: str | None = None
    cached_at: int | None = None
    cached_question: str | None = None
    feedback: Feedback | None = None
    citations: list[Citation] = msgspec.field(default_factory=list)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an answer, as `answers.finish` writes it."""

    content: str
    state: State
    kind: Kind | None
    model: str | None = None
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    citations: list[Citation] = msgspec.field(default_factory=list)
    error_code: str | None = None
    cached_at: int | None = None
    cached_question: str | None = None


class Exchange(msgspec.Struct, frozen=True):
    """A question, the newest answer to it that has any text, and what was searched for it."""

    question: str
    answer: str
    query: str


# -- reading -------------------------------------------------------------------------------------


def get(c: sa.Connection, reader: Reader, message_id: str) -> Message:
    """One message with its citations. NotFound unless it is in the reader's conversation."""
    row = c.execute(
        sa.select(*columns())
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(messages.c.id == message_id, conversations.c.owner_id == reader.user_id)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such message.")
    cited, withheld = _citations(c, reader, citations.c.message_id == message_id)
    return _shown(message_of(row, cited.get(message_id, [])), withheld)


def asked_with(c: sa.Connection, question_id: str) -> str | None:
    """How a question was asked beside its words, as it was stored; the caller has checked that it
    is the reader's."""
    stored: str | None = c.execute(
        sa.select(messages.c.asked_with).where(messages.c.id == question_id)
    ).scalar_one()
    return stored


def of_conversation(
    c: sa.Connection, reader: Reader, conversation_id: str, *, last: int | None = None
) -> list[Message]:
    """All messages, or those of the `last` questions: each question, then its answers in the order
    written.

    The caller has checked that the conversation is the reader's.
    """
    wanted = messages.c.conversation_id == conversation_id
    if last is not None:
        newest = (
            sa.select(messages.c.id)
            .where(wanted, messages.c.role == "user")
            .order_by(messages.c.created_at.desc())
            .limit(last)
        )
        wanted &= messages.c.id.in_(newest) | messages.c.parent_id.in_(newest)
    rows = c.execute(sa.select(*columns()).where(wanted).order_by(messages.c.created_at)).all()
    here = sa.select(messages.c.id).where(wanted)
    cited, withheld = _citations(c, reader, citations.c.message_id.in_(here))
    found = [_shown(message_of(row, cited.get(row.id, [])), withheld) for row in rows]
    answers: dict[str | None, list[Message]] = {}
    for message in found:
        if message.role == "assistant":
            answers.setdefault(message.parent_id, []).append(message)
    ordered: list[Message] = []
    for message in found:
        if message.role == "user":
            ordered += [message, *answers.get(message.id, [])]
    return ordered


def out_of_reach(reader: Reader, message_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether the message cites a document of a collection that the reader may not read."""
    return sa.exists().where(
        citations.c.message_id == message_id,
        documents.c.id == citations.c.document_id,
        documents.c.collection_id.not_in(reader.collections),
    )


def recent(
    c: sa.Connection,
    reader: Reader,
    conversation_id: str,
    *,
    before: int | None = None,
    limit: int = 3,
) -> list[Exchange]:
    """The last `limit` exchanges of a conversation, oldest first; with `before`, those before a
    question of that time.

    Of several answers to one question the newest counts; questions without one that the reader may
    read are left out.
    """
    asked = messages.alias("asked")
    answered = messages.alias("answered")
    rows = c.execute(
        sa.select(asked.c.id, asked.c.content, answered.c.content, answered.c.query)
        .join(answered, answered.c.parent_id == asked.c.id)
        .where(
            asked.c.conversation_id == conversation_id,
            asked.c.role == "user",
            sa.true() if before is None else asked.c.created_at < before,
            answered.c.content != "",
            answered.c.state != "streaming",
            ~out_of_reach(reader, answered.c.id),
        )
        .order_by(asked.c.created_at.desc(), answered.c.created_at.desc())
        # A question rarely has more than a few answers.
        .limit(limit * 8)
    )
    newest: dict[str, Exchange] = {}
    for question_id, text, answer, query in rows:
        newest.setdefault(question_id, Exchange(text, answer, query or text))
    return list(newest.values())[:limit][::-1]


# -- writing -------------------------------------------------------------------------------------


# Columns of a message that no reader sees, or that `append` takes in another form.
_UNSEEN = {"generation", "stages", "asked_with"}


def append(
    c: sa.Connection, clock: Clock, conversation_id: str, *, last: int | None = None, **values: Any
) -> Message:
    """Write a message after all others, even within one millisecond or after a clock jump.

    `last` is the time of the last one if that was written in this transaction, or 0 if the
    conversation was: then nobody else can have come between. Raises NotFound if the conversation
    was deleted.
    """
    now = clock.now_ms()
    if last is None:
        # First, because it locks the conversation: two writers cannot get the same place.
        if not touch(c, conversations.c.id == conversation_id, now):
            raise NotFound("The conversation no longer exists.")
        here = messages.c.conversation_id == conversation_id
        last = c.execute(sa.select(sa.func.max(messages.c.created_at)).where(here)).scalar()
    row: dict[str, Any] = {
        "id": new_id(clock),
        "conversation_id": conversation_id,
        "state": "complete",
        "created_at": max(now, (last or 0) + 1),
        "updated_at": now,
    } | values
    # Not `values`: so the statement is compiled once.
    c.execute(messages.insert(), row)
    return Message(**{name: row[name] for name in row if name not in _UNSEEN})


def start_answer(
    c: sa.Connection,
    clock: Clock,
    question: Message,
    *,
    last: int | None = None,
    generation: str | None = None,
    query: str | None = None,
) -> Message:
    """An empty answer to `question` in state streaming; of a generation and with what was
    searched, if that is known and differs. `last` as for `append`.

    Raises NotFound if the conversation was deleted meanwhile.
    """
    return append(
        c,
        clock,
        question.conversation_id,
        last=last,
        role="assistant",
        content="",
        state="streaming",
        parent_id=question.id,
        generation=generation,
        query=query,
    )


def request_stop(c: sa.Connection, reader: Reader, message_id: str) -> Message:
    """Ask whoever writes an answer to stop; does nothing to a finished one.

    Raises NotFound unless it is an answer in the reader's conversation.
    """
    found = get(c, reader, message_id)
    if found.role != "assistant":
        raise NotFound("There is no such answer.")
    # Not by what is found: an answer that is withheld is shown as failed, and may still be written.
    running = sa.and_(messages.c.id == message_id, messages.c.state == "streaming")
    c.execute(messages.update().where(running).values(stop_requested=1))
    return found


def rate(c: sa.Connection, reader: Reader, message_id: str, feedback: Feedback | None) -> None:
    """Keep what the reader thinks of an answer; None takes it back.

    Raises NotFound unless it is an answer in the reader's conversation.
    """
    found = get(c, reader, message_id)
    if found.role != "assistant":
        raise NotFound("There is no such answer.")
    c.execute(messages.update().where(messages.c.id == message_id).values(feedback=feedback))
    revisions.announce(c, revisions.of_conversations(reader.user_id))


def take_back(c: sa.Connection, reader: Reader, message_id: str) -> None:
    """Remove a question, its answers, and what was asked after it, so that it can be asked
    differently. The conversation stays, even an empty one.

    An answer being written to any of them stops by itself: `answers.wanted` tells its writer.
    Raises NotFound unless it is a question in the reader's conversation.
    """
    found = get(c, reader, message_id)
    if found.role != "user":
        raise NotFound("There is no such question.")
    # Answers go with their questions; a later one to an earlier question stays.
    later = sa.and_(
        messages.c.conversation_id == found.conversation_id,
        messages.c.role == "user",
        messages.c.created_at >= found.created_at,
    )
    c.execute(messages.delete().where(later))
    revisions.announce(c, revisions.of_conversations(reader.user_id))


def give_up(c: sa.Connection, clock: Clock, unsaved: Mapping[str, int]) -> int:
    """Fail those of these answers that are still being written, and were not saved since the time
    beside their id; returns how many. Their text so far stays, and can be asked for again."""
    now, places = clock.now_ms(), sa.tuple_(messages.c.id, messages.c.updated_at)
    given = sorted(unsaved.items())
    ids: set[str] = set()
    for start in range(0, len(given), _AT_ONCE):
        given_up = c.execute(
            messages.update()
            .where(messages.c.state == "streaming", places.in_(given[start : start + _AT_ONCE]))
            .values(state="failed", error_code=INTERRUPTED, updated_at=now)
            .returning(messages.c.id, messages.c.conversation_id)
        ).all()
        ids.update(row.id for row in given_up)
        announce(c, {row.conversation_id for row in given_up})
    return len(ids)


def announce(c: sa.Connection, conversation_ids: Collection[str]) -> None:
    """Tell the owners of these conversations that something in them has changed."""
    owners = sa.select(conversations.c.owner_id).distinct()
    owners = owners.where(conversations.c.id.in_(conversation_ids))
    for owner in c.execute(owners).scalars() if conversation_ids else ():
        revisions.announce(c, revisions.of_conversations(owner))


class Deserted:
    """Finds answers that nobody saves any more, for a process that looks again and again.

    What counts is for how long they were seen unchanged, and not the time that they carry: that is
    of the clock of whoever saves them, which may be another machine's, or be set.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By id, when it was last saved, and since when that is known here.
        self._seen: dict[str, tuple[int, float]] = {}

    def give_up(self, c: sa.Connection) -> int:
        """Fail those that were seen unchanged for STALE_SECONDS; returns how many."""
        now = self._clock.monotonic()
        running = sa.select(messages.c.id, messages.c.updated_at)
        seen: dict[str, tuple[int, float]] = {}
        for id_, saved in c.execute(running.where(messages.c.state == "streaming")):
            before = self._seen.get(id_)
            seen[id_] = before if before and before[0] == saved else (saved, now)
        self._seen = seen
        dead = {id_: saved for id_, (saved, at) in seen.items() if now - at >= STALE_SECONDS}
        return give_up(c, self._clock, dead) if dead else 0


def withhold_for_good(
    c: sa.Connection, cited: sa.Select[tuple[str]], readers: sa.Select[tuple[str]]
) -> None:
    """Empty what cites the documents `cited` in conversations of everyone but `readers`.

    For documents whose collection goes: with it goes the only way to tell who may not see what was
    made of them, and any way to get the right to it back.
    """
    theirs = (
        sa.select(messages.c.id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .join(citations, citations.c.message_id == messages.c.id)
        .where(citations.c.document_id.in_(cited), conversations.c.owner_id.not_in(readers))
    )
    empty(c, theirs)


def empty(c: sa.Connection, message_ids: sa.Select[tuple[str]]) -> None:
    """Take from these answers what they say and cite, as if who reads them had no right to it."""
    c.execute(
        messages.update()
        .where(messages.c.id.in_(message_ids), messages.c.kind.is_distinct_from("not_found"))
        .values(content="", query=None, state="failed", error_code="access_revoked")
    )
    c.execute(
        citations.update()
        .where(citations.c.message_id.in_(message_ids))
        .values(document_name="", quote="")
    )


def touch(c: sa.Connection, which: sa.ColumnElement[bool], now: int) -> int:
    """Something was written in these conversations: they come first in the list. How many."""
    owners = c.execute(
        conversations.update()
        .where(which)
        .values(updated_at=now)
        .returning(conversations.c.owner_id)
    ).scalars()
    found = list(owners)
    for owner in set(found):
        revisions.announce(c, revisions.of_conversations(owner))
    return len(found)


# -- rows ----------------------------------------------------------------------------------------


def columns() -> list[sa.Column[Any]]:
    """What `message_of` needs of a row."""
    return [messages.c[name] for name in Message.__struct_fields__ if name != "citations"]


def message_of(row: sa.Row[Any], cited: list[Citation]) -> Message:
    """A stored message with its citations."""
    fields = dict(zip((column.name for column in columns()), row, strict=True))
    fields["stages"] = msgspec.json.decode(row.stages or "{}", type=dict[str, float])
    return Message(**fields, citations=cited)


def _shown(message: Message, withheld: set[str]) -> Message:
    # What was not found is not in the text either.
    if message.id not in withheld or message.kind == "not_found":
        return message
    return msgspec.structs.replace(
        message, content="", query=None, state="failed", error_code="access_revoked"
    )


def _citations(
    c: sa.Connection, reader: Reader, which: sa.ColumnElement[bool]
) -> tuple[dict[str, list[Citation]], set[str]]:
    """Citations by message, and the ids of messages that cite what is out of the reader's reach;
    what they cite is only shown as far as the reader may read it now."""
    rows = c.execute(
        sa.select(
            citations,
            documents.c.name.label("name_now"),
            documents.c.deleted,
            documents.c.collection_id,
        )
        .outerjoin(documents, documents.c.id == citations.c.document_id)
        .where(which)
        .order_by(citations.c.message_id, citations.c.number)
    )
    found: dict[str, list[Citation]] = {}
    withheld: set[str] = set()
    for row in rows:
        readable = row.collection_id in reader.collections
        available = row.deleted == 0 and readable
        if row.collection_id is not None and not readable:
            withheld.add(row.message_id)
        found.setdefault(row.message_id, []).append(
            Citation(
                number=row.number,
                document_id=row.document_id,
                document_name=row.name_now if available else "",
                version_id=row.version_id,
                chunk_id=row.chunk_id,
                page=row.page,
                start=row.start,
                end=row.end,
                quote=row.quote if available else "",
                available=available,
            )
        )
    return found, withheld
