"""Which machines search this library, and how far the index of words of each has followed it.

A document counts as found by words when every machine finds it: whoever is told so may ask any. Not
waited for is a machine that has said nothing for a while, and one that has not caught up yet.
"""

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import revisions
from likeopt.storage.tables import machines

# How often a machine reports, and after how long without a report it is not waited for.
REPORT_SECONDS = 10.0
GONE_SECONDS = 30.0

# The library revision up to which what is published can be found by words.
words_applied: sa.ScalarSelect[int] = sa.select(
    sa.func.coalesce(sa.func.min(machines.c.words_applied), 0)
).scalar_subquery()


def report(c: sa.Connection, clock: Clock, name: str, revision: int) -> None:
    """The index of words of the machine `name` holds the library up to `revision`.

    A machine that is new, or was gone, counts from when it has caught up with the others.
    """
    # One machine after the other: else each misses what the other one does, so that nobody is told,
    # and two may wait for each other's rows.
    c.execute(sa.select(machines.c.name).order_by(machines.c.name).with_for_update())
    before = _least(c)
    now = clock.now_ms()
    values = {"words_applied": revision, "seen_at": now}
    known = c.execute(sa.update(machines).where(machines.c.name == name).values(values)).rowcount
    if not known:
        if revision < before:
            return
        c.execute(sa.insert(machines).values(name=name, **values))
    gone = machines.c.seen_at < now - GONE_SECONDS * 1000
    if c.dialect.name == "sqlite":
        # Of which there is one machine, under whatever name.
        gone = machines.c.name != name
    c.execute(sa.delete(machines).where(gone))
    if _least(c) != before:
        revisions.announce(c, "jobs")


def _least(c: sa.Connection) -> int:
    return c.execute(sa.select(words_applied)).scalar_one()
