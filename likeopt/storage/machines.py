"""Which machines search this library, and how far the index of words of each has followed it.

A document counts as found by words when every machine finds it: whoever is told so may ask any.
"""

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
    """A machine's index of words holds the library up to `revision`.

    A machine that is new, or was gone, counts once it has caught up with the others. Those that
    have not reported lately are forgotten, but for the one that reports.
    """
    before = _least(c)
    now = clock.now_ms()
    values = {"words_applied": revision, "seen_at": now}
    known = c.execute(sa.update(machines).where(machines.c.name == name).values(values)).rowcount
    if not known and revision >= before:
        c.execute(sa.insert(machines).values(name=name, **values))
    c.execute(sa.delete(machines).where(machines.c.seen_at < now - GONE_SECONDS * 1000))
    if _least(c) != before:
        revisions.announce(c, "jobs")


def _least(c: sa.Connection) -> int:
    return c.execute(sa.select(words_applied)).scalar_one()
