"""What a new database holds before anybody uses it."""

import secrets

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import facts, revisions
from likeopt.storage.reader import DEFAULT_COLLECTION, LOCAL_USER
from likeopt.storage.tables import collections, users


def prepare(c: sa.Connection, clock: Clock) -> None:
    """Add the local user, the default collection and the database's identity where missing.

    Safe to call at every start and from several processes at once.
    """
    revisions.lock(c, "library")
    now = clock.now_ms()
    if c.execute(sa.select(users.c.id).where(users.c.id == LOCAL_USER)).first() is None:
        c.execute(
            sa.insert(users).values(id=LOCAL_USER, name="local", role="admin", created_at=now)
        )
    found = sa.select(collections.c.id).where(collections.c.id == DEFAULT_COLLECTION)
    if c.execute(found).first() is None:
        c.execute(
            sa.insert(collections).values(
                id=DEFAULT_COLLECTION,
                owner_id=LOCAL_USER,
                name="Library",
                everyone=1,
                created_at=now,
            )
        )
    if facts.get(c, facts.DATABASE_ID) is None:
        facts.put(c, facts.DATABASE_ID, secrets.token_hex(16))
