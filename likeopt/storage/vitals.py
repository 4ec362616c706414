"""What browsers measured of the page: kept for four weeks, and no more than so many."""

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage.tables import vitals

KEEP_MS = 28 * 24 * 60 * 60 * 1000
# About 20 MB with its indexes.
KEEP_ROWS = 100_000


class Vital(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value; see the table."""

    name: str
    value: float
    page: str
    screen: str
    way: str
    operation: str | None = None
    status: int | None = None
    target: str | None = None
    parts: dict[str, float] | None = None


def add(c: sa.Connection, clock: Clock, measured: Iterable[Vital]) -> None:
    """Keep what was measured, and forget what is too old or too much."""
    now = clock.now_ms()
    rows = [_row(vital, now) for vital in measured]
    if not rows:
        return
    c.execute(sa.insert(vitals), rows)
    newest = c.execute(sa.select(sa.func.max(vitals.c.id))).scalar_one()
    c.execute(sa.delete(vitals).where(vitals.c.id <= newest - KEEP_ROWS))
    c.execute(sa.delete(vitals).where(vitals.c.at <= now - KEEP_MS))


def _row(vital: Vital, now: int) -> dict[str, object]:
    row = msgspec.structs.asdict(vital) | {"at": now}
    row["parts"] = None if vital.parts is None else msgspec.json.encode(vital.parts).decode()
    return row
