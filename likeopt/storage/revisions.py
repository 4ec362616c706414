"""Counters that order changes: `library` (documents) and `embeddings` (vectors)."""

import sqlalchemy as sa

from likeopt.storage.tables import counters


def raise_(c: sa.Connection, name: str) -> int:
    """Raise a counter by one and return it.

    The row stays locked until commit. Writers of the library do this first, which makes them one
    after the other on PostgreSQL as they are on SQLite, and gives all the same order of locks.
    """
    query = (
        sa.update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    return int(c.execute(query).scalar_one())


def lock(c: sa.Connection, name: str) -> None:
    """Take the counter's lock without raising it: for a writer that may find nothing to change."""
    c.execute(sa.select(counters.c.value).where(counters.c.name == name).with_for_update())


def current(c: sa.Connection, name: str) -> int:
    """The counter's value in this transaction's snapshot."""
    return int(c.execute(sa.select(counters.c.value).where(counters.c.name == name)).scalar_one())
