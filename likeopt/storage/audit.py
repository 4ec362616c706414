"""Who did what, when and from where. Append-only: the database refuses to change or delete it."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import cursors, facts, revisions
from likeopt.storage.db import Database
from likeopt.storage.tables import audit
from likeopt.storage.text import contains
from likeopt.storage.throttle import network_of

# Refusals of a kind that are written in a minute: of one sender, and in all. At 300 bytes an entry,
# whoever keeps trying for a day from any number of addresses writes 9 MB.
BY_SENDER = 6
IN_ALL = 20
MINUTE_MS = 60 * 1000

Via = Literal["session", "key", "guest", "cli", "system", "link"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. Names are kept beside ids: the log outlives what it names.

    `action` is `<object>.<verb>`, such as `session.create`. No secret may be in `detail`.
    """

    action: str
    via: Via
    actor_id: str | None = None
    actor_name: str = ""
    object_kind: str = ""
    object_id: str | None = None
    object_name: str | None = None
    address: str = ""
    request_id: str = ""
    detail: dict[str, Any] = {}


class Event(Entry, frozen=True, kw_only=True):
    """An entry as it stands in the log; `at` is ms since the epoch."""

    id: int
    at: int


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed: all of these hold. `action` ending with a dot takes all that begin so."""

    actor_id: str | None = None
    action: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    # Part of the actor's or object's name, whatever the case.
    text: str | None = None
    since: int | None = None
    until: int | None = None


class EventPage(msgspec.Struct, frozen=True):
    """Some events, newest first; `next_cursor` continues the list, null ends it."""

    items: list[Event]
    next_cursor: str | None


def write(c: sa.Connection, clock: Clock, entry: Entry) -> None:
    """Append; it counts if the caller's transaction does."""
    row = msgspec.structs.asdict(entry) | {"detail": msgspec.json.encode(entry.detail).decode()}
    c.execute(sa.insert(audit).values(**row, at=clock.now_ms()))


def refuse(c: sa.Connection, clock: Clock, entry: Entry) -> None:
    """Append a refusal, unless there were many of its action in the last minute: then it is
    counted, and the next that is written tells of how many (`left_out`)."""
    # What is counted may not exist yet, and so cannot be locked itself.
    revisions.lock(c, "access")
    since = clock.now_ms() - MINUTE_MS
    # The newest by `id`, which the index of actions has in order, and no more than one minute can
    # have: by time, SQLite would walk every refusal there ever was (7.7 ms for 100,000).
    newest = (
        sa.select(audit.c.address, audit.c.at)
        .where(audit.c.action == entry.action)
        .order_by(audit.c.id.desc())
        .limit(IN_ALL)
    )
    senders = [network_of(address) for address, at in c.execute(newest) if at > since]
    fact = f"{entry.action} left_out"
    left_out = int(facts.get(c, fact) or 0)
    if len(senders) >= IN_ALL or senders.count(network_of(entry.address)) >= BY_SENDER:
        facts.put(c, fact, str(left_out + 1))
        return
    if left_out:
        facts.put(c, fact, "0")
        detail = entry.detail | {"left_out": left_out}
        entry = msgspec.structs.replace(entry, detail=detail)
    write(c, clock, entry)


def list_(
    c: sa.Connection, filters: Filters, *, limit: int = 100, cursor: str | None = None
) -> EventPage:
    """One page, newest first; BadInput for a bad limit or cursor."""
    cursors.check_limit(limit)
    before = None if cursor is None else cursors.decode(cursor, tuple[cursors.Number])[0]
    rows = _rows(c, filters, limit + 1, before)
    return EventPage([_event(row) for row in rows[:limit]], cursors.next_cursor(rows, limit, "id"))


def export(db: Database, filters: Filters) -> Iterator[Event]:
    """Every event that the filters let through, newest first, in a transaction for every
    200, so that a slow client holds none open."""
    cursor: str | None = None
    while True:
        page = db.read(partial(list_, filters=filters, limit=cursors.MAX_LIMIT, cursor=cursor))
        yield from page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _rows(
    c: sa.Connection, filters: Filters, limit: int, before: int | None
) -> list[sa.RowMapping]:
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    for name in ("actor_id", "object_kind", "object_id"):
        if (value := getattr(filters, name)) is not None:
            query = query.where(audit.c[name] == value)
    if filters.action is not None:
        prefix = filters.action.endswith(".")
        column = audit.c.action
        query = query.where(
            column.startswith(filters.action, autoescape=True)
            if prefix
            else column == filters.action
        )
    if filters.text is not None:
        query = query.where(
            sa.or_(
                contains(c, audit.c.actor_name, filters.text),
                contains(c, audit.c.object_name, filters.text),
            )
        )
    if filters.since is not None:
        query = query.where(audit.c.at >= filters.since)
    if filters.until is not None:
        query = query.where(audit.c.at < filters.until)
    if before is not None:
        query = query.where(audit.c.id < before)
    return list(c.execute(query).mappings())


def _event(row: sa.RowMapping) -> Event:
    return Event(**{**row, "detail": msgspec.json.decode(row["detail"])})
