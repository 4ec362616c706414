"""Answers while they are written: many at once, since many may have asked the same.

Each function takes one transaction for all the answers it is given, in a number of statements
that does not depend on how many there are; ROWS at a time keep a transaction short. Lists of ids
travel as one JSON parameter, so that a statement is compiled once, whatever their number.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import messages as messages_
from likeopt.storage.messages import Citation, Message, Outcome, append, columns, message_of, touch
from likeopt.storage.reader import DEFAULT_COLLECTION
from likeopt.storage.tables import (
    citations,
    collections,
    conversations,
    documents,
    messages,
)

# Answers that one transaction should write at most: 100 take 15 ms with their citations.
ROWS = 100

# What an outcome says of a message, and a citation of what it cites.
_FIELDS = ("content", "state", "kind", "model", "error_code", "cached_at", "cached_question")
# Not finished by the process that writes it. Another one gives up an answer whose writer it has not
# heard of for a while (`messages.give_up`); a writer that was only slow has the last word.
_UNFINISHED = sa.or_(
    messages.c.state == "streaming",
    sa.and_(messages.c.state == "failed", messages.c.error_code == messages_.INTERRUPTED),
)
_CITED = [name for name in Citation.__struct_fields__ if name != "available"]


def add(
    c: sa.Connection,
    clock: Clock,
    question: Message,
    outcome: Outcome,
    *,
    last: int | None,
    query: str | None,
) -> Message:
    """Store an answer that is known already; `last` as for `messages.append`.

    Raises NotFound if the conversation was deleted meanwhile.
    """
    made = append(
        c,
        clock,
        question.conversation_id,
        last=last,
        role="assistant",
        parent_id=question.id,
        query=query,
        stages=msgspec.json.encode(outcome.stages).decode(),
        **{name: getattr(outcome, name) for name in _FIELDS},
    )
    cited = sorted(outcome.citations, key=lambda item: item.number)
    if cited:
        rows = [
            {"message_id": made.id} | {name: getattr(one, name) for name in _CITED} for one in cited
        ]
        c.execute(citations.insert(), rows)
    return msgspec.structs.replace(made, stages=outcome.stages, citations=cited)


def generation_of(c: sa.Connection, message_id: str) -> str | None:
    """The generation whose text an answer gets, once that is known."""
    return c.execute(
        sa.select(messages.c.generation).where(messages.c.id == message_id)
    ).scalar_one_or_none()


def set_generation(
    c: sa.Connection, message_id: str, generation: str | None, query: str | None
) -> None:
    """Say which generation an answer gets its text of, and what was searched for it."""
    here = messages.c.id == message_id
    c.execute(messages.update().where(here).values(generation=generation, query=query))


def wanted(c: sa.Connection, message_ids: Collection[str]) -> set[str]:
    """Those that should be written further: nobody asked to stop, and they were neither deleted
    nor finished."""
    found = sa.select(messages.c.id).where(
        messages.c.id.in_(_list(c, message_ids)),
        _UNFINISHED,
        messages.c.stop_requested == 0,
    )
    return set(c.execute(found).scalars())


def keep_alive(
    c: sa.Connection,
    clock: Clock,
    message_ids: Collection[str],
    content: str,
    sources: Collection[Citation] = (),
) -> None:
    """Save what is written so far of those that are not finished, so that a killed process loses
    little.

    `sources`, what it may be made of, come with the first text; later ones leave them as they are.
    """
    lost = _lost(c, sources)
    change = messages.update().values(
        content=content, state="streaming", error_code=None, updated_at=clock.now_ms()
    )
    here = messages.c.id.in_(_list(c, message_ids))
    running = change.where(here, messages.c.state == "streaming")
    saved = list(c.execute(running.returning(messages.c.id)).scalars())
    if len(saved) < len(message_ids):
        # Some were given up, which their owners were told; or are finished, or gone.
        revived = change.where(here, _UNFINISHED, messages.c.id.not_in(_list(c, saved)))
        rows = c.execute(revived.returning(messages.c.id, messages.c.conversation_id)).all()
        messages_.announce(c, {row.conversation_id for row in rows})
        saved += [row.id for row in rows]
    if saved and sources:
        _cite(c, saved, sources, lost)


def finish(
    c: sa.Connection, clock: Clock, stages: Mapping[str, dict[str, float]], outcome: Outcome
) -> dict[str, Message]:
    """Write the end of answers with its citations; returns them by id.

    `stages` has the times of each answer by its id, to which those of the outcome are added. An
    answer that was deleted or is finished already stays as it is, and is not returned; nor is one
    that is withheld (see `_cite`).
    """
    now = clock.now_ms()
    lost = _lost(c, outcome.citations)
    ending = sa.select(messages.c.conversation_id).where(
        messages.c.id.in_(_list(c, stages)), _UNFINISHED
    )
    # Before the messages, as `append` and a deletion do, and in one order: so none wait in a ring.
    held = sa.select(conversations.c.id).where(conversations.c.id.in_(ending))
    held = held.order_by(conversations.c.id).with_for_update()
    touch(c, conversations.c.id.in_(held), now)
    values: dict[str, Any] = {name: getattr(outcome, name) for name in _FIELDS}
    times = {id_: msgspec.json.encode(outcome.stages | own).decode() for id_, own in stages.items()}
    given = _map(c, times)
    rows = c.execute(
        messages.update()
        .where(messages.c.id == given.c.key, _UNFINISHED)
        .values(values | {"stages": given.c.value, "updated_at": now})
        .returning(*columns())
    ).all()
    if not rows:
        return {}
    withheld = _cite(c, [row.id for row in rows], outcome.citations, lost)
    cited = sorted(outcome.citations, key=lambda item: item.number)
    return {row.id: message_of(row, cited) for row in rows if row.id not in withheld}


def _lost(c: sa.Connection, cited: Collection[Citation]) -> bool:
    """Whether something of this lies where the documents of a deleted collection do.

    Until the end of the transaction no collection of these is deleted: that waits, and then finds
    what cites it. Locked before any message, as there.
    """
    if not cited:
        return False
    here = documents.c.id.in_(_list(c, {one.document_id for one in cited}))
    held = sa.select(collections.c.id).order_by(collections.c.id)
    held = held.where(collections.c.id.in_(sa.select(documents.c.collection_id).where(here)))
    c.execute(held.with_for_update(read=True, key_share=True))
    gone = sa.and_(documents.c.deleted == 1, documents.c.collection_id == DEFAULT_COLLECTION)
    return c.execute(sa.select(documents.c.id).where(here, gone).limit(1)).first() is not None


def _cite(
    c: sa.Connection, message_ids: Collection[str], cited: Collection[Citation], lost: bool
) -> set[str]:
    """Make these the citations of each of the messages.

    If some of it is `lost`, nobody can tell any more who might read it: those that cited nothing
    when it was deleted are withheld, and returned.
    """
    withheld: set[str] = set()
    if lost:
        here = citations.c.message_id.in_(_list(c, message_ids))
        bound = c.execute(sa.select(citations.c.message_id).where(here)).scalars()
        withheld = set(message_ids).difference(bound)
    c.execute(citations.delete().where(citations.c.message_id.in_(_list(c, message_ids))))
    for one in cited:
        each = _elements(c, message_ids)
        values = [sa.literal(getattr(one, name), citations.c[name].type) for name in _CITED]
        c.execute(
            citations.insert().from_select(
                ["message_id", *_CITED], sa.select(each.c.value, *values).select_from(each)
            )
        )
    if withheld:
        messages_.empty(c, _list(c, withheld))
    return withheld


def _list(c: sa.Connection, ids: Collection[str]) -> Any:
    """A subquery of the given ids."""
    return sa.select(_elements(c, ids).c.value)


def _elements(c: sa.Connection, ids: Collection[str]) -> Any:
    # In one order everywhere: of two transactions over the same rows one waits, and none fails.
    given = msgspec.json.encode(sorted(ids)).decode()
    if c.dialect.name == "sqlite":
        return sa.func.json_each(given).table_valued(sa.column("value", sa.Text))
    function = sa.func.json_array_elements_text(sa.cast(sa.literal(given, sa.Text), sa.JSON))
    return function.table_valued(sa.column("value", sa.Text))


def _map(c: sa.Connection, values: Mapping[str, str]) -> Any:
    """A table of keys and values."""
    given = msgspec.json.encode(dict(sorted(values.items()))).decode()
    columns_ = (sa.column("key", sa.Text), sa.column("value", sa.Text))
    if c.dialect.name == "sqlite":
        return sa.func.json_each(given).table_valued(*columns_)
    return sa.func.json_each_text(sa.cast(sa.literal(given, sa.Text), sa.JSON)).table_valued(
        *columns_
    )
