"""Counters that order changes and announce them.

`library` (documents), `embeddings` (vectors) and `access` (who may do what) are there from the
start; `jobs` (indexing), `collections` (their names), one for each person's conversations and one
for what concerns each person's access alone begin when they are first raised. A counter is raised
in the transaction of the change it announces, so whoever has read its value has read everything
before it.
"""

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from likeopt.storage.tables import counters

# Where a connection keeps the names that its transaction has raised, and those that it will raise
# at its end, for `Database`.
RAISED = "likeopt.raised"
ANNOUNCED = "likeopt.announced"
CACHE = "cache:"

# A transaction's place in the order in which they began: PostgreSQL numbers them; on SQLite, where
# one writes at a time, a serial number does.
_PLACE_POSTGRES = "pg_current_xact_id()::text::bigint"
_PLACE_SQLITE = "(SELECT max(changed) + 1 FROM counters)"
_RAISE = (
    "INSERT INTO counters (name, value, changed) VALUES (:name, 1, {place})"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1, changed = excluded.changed"
    " RETURNING value"
)
_RAISES = {
    "postgresql": sa.text(_RAISE.format(place=_PLACE_POSTGRES)),
    "sqlite": sa.text(_RAISE.format(place=_PLACE_SQLITE)),
}
# From where on the next look has to begin, so that it sees each change that this one does not:
# on PostgreSQL, that of a transaction that began earlier and commits later, too.
_EDGES = {
    "postgresql": sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
    "sqlite": sa.text("SELECT max(changed) + 1 FROM counters"),
}


class News(msgspec.Struct, frozen=True):
    """The values of counters raised since the last look, a few of them perhaps before it, and
    where the next look begins."""

    raised: dict[str, int]
    edge: int


def raise_(c: sa.Connection, name: str) -> int:
    """Raise a counter by one and return it.

    The row stays locked until commit. Writers of the library do this first, which makes them one
    after the other on PostgreSQL as they are on SQLite, and gives all the same order of locks.
    """
    c.info.setdefault(RAISED, set()).add(name)
    return int(c.execute(_RAISES[c.dialect.name], {"name": name}).scalar_one())


def announce(c: sa.Connection, name: str) -> None:
    """Have a counter raised at the end of the transaction, whose change nobody has to follow in
    order: so its row is locked for the commit only, and no two writers wait for each other."""
    c.info.setdefault(ANNOUNCED, set()).add(name)


def of_cache(use: str | None, layer: str | None = None) -> str:
    """The counter of when what is cached for a use, or for any, was last to be forgotten, in one
    layer or in all."""
    return f"{CACHE}{layer or '*'}:{use or '*'}"


def of_conversations(user_id: str) -> str:
    """The counter of a person's conversations and what is in them."""
    return f"conversations:{user_id}"


def of_person(user_id: str) -> str:
    """The counter of what concerns one person's access alone: their sessions, keys and account,
    and their making of collections. Had `access` been raised for it, as for groups and collections'
    readers, one who signs out would have all others looked up."""
    return f"access:{user_id}"


def of_access(user_id: str) -> tuple[str, str]:
    """The counters of everything that a person's access depends on: whatever ends a session or
    key, or takes a right to read away, raises one of the two."""
    return ("access", of_person(user_id))


def raise_account(c: sa.Connection, user_id: str) -> None:
    """Announce a change of somebody's account. Under the lock of `access`, so that accounts change
    one after the other: two administrators cannot each make the other one a member."""
    lock(c, "access")
    raise_(c, of_person(user_id))


def lock(c: sa.Connection, name: str) -> None:
    """Take the counter's lock without raising it: for a writer that may find nothing to change."""
    c.execute(sa.select(counters.c.value).where(counters.c.name == name).with_for_update())


def current(c: sa.Connection, name: str) -> int:
    """The counter's value in this transaction's snapshot."""
    return int(c.execute(sa.select(counters.c.value).where(counters.c.name == name)).scalar_one())


def is_there(c: sa.Connection, name: str) -> bool:
    """Whether the counter was there from the start, or was raised."""
    found = c.execute(sa.select(counters.c.name).where(counters.c.name == name))
    return found.scalar() is not None


def values(c: sa.Connection, names: Collection[str]) -> dict[str, int]:
    """The counters of these names in this transaction's snapshot; 0 for one never raised."""
    rows = c.execute(sa.select(counters.c.name, counters.c.value).where(counters.c.name.in_(names)))
    return dict.fromkeys(names, 0) | dict(rows.all())


def news(c: sa.Connection, edge: int | None) -> News:
    """What was raised from `edge` on, which is a former look's; without one, only an edge."""
    raised: dict[str, int] = {}
    if edge is not None:
        query = sa.select(counters.c.name, counters.c.value).where(counters.c.changed >= edge)
        raised = dict(c.execute(query).all())
    return News(raised, int(c.execute(_EDGES[c.dialect.name]).scalar_one()))
