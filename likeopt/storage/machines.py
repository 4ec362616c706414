"""Which machines search this library, and how far the index of words of each has followed it.

A document counts as found by words when every machine finds it: whoever is told so may ask any. Not
waited for is a machine that has said nothing for a minute, and one that has not caught up yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import revisions
from likeopt.storage.tables import machines

# How often a machine reports, and after how long without a report it is not waited for.
REPORT_SECONDS = 20.0
GONE_SECONDS = 60.0

# The library revision up to which what is published can be found by words.
words_applied: sa.ScalarSelect[int] = sa.select(
    sa.func.coalesce(sa.func.min(machines.c.words_applied), 0)
).scalar_subquery()


def report(c: sa.Connection, clock: Clock, name: str, revision: int) -> None:
    """The index of words of the machine `name` holds the library up to `revision`.

    A machine that is new, or was gone, counts from when it has caught up with the others.
    """
    now, gone = clock.now_ms(), int(GONE_SECONDS * 1000)
    values = {"words_applied": revision, "seen_at": now}
    with _changing(c) as before:
        update = sa.update(machines).where(machines.c.name == name).values(values)
        if not c.execute(update).rowcount and revision >= before:
            c.execute(sa.insert(machines).values(name=name, **values))
        c.execute(sa.delete(machines).where(~machines.c.seen_at.between(now - gone, now + gone)))


def leave(c: sa.Connection, name: str) -> None:
    """The machine `name` stops. The last one still counts: what it found, it will find."""
    others = sa.exists().where(machines.alias().c.name != name)
    with _changing(c):
        c.execute(sa.delete(machines).where(machines.c.name == name, others))


@contextmanager
def _changing(c: sa.Connection) -> Iterator[int]:
    """Gives how far all are, and announces if that changes. One machine after the other: else each
    misses what the other one does, and two may wait for each other's rows."""
    c.execute(sa.select(machines.c.name).order_by(machines.c.name).with_for_update())
    before = _least(c)
    yield before
    if _least(c) != before:
        revisions.announce(c, "jobs")


def _least(c: sa.Connection) -> int:
    return c.execute(sa.select(words_applied)).scalar_one()
