"""Measured values are kept for a while, and only so many."""

import pytest
import sqlalchemy as sa

from likeopt.storage import vitals
from likeopt.storage.db import Database
from likeopt.storage.tables import vitals as table
from likeopt.storage.vitals import Vital
from tests.fakes import FakeClock


def measured(value: float) -> Vital:
    return Vital(name="LCP", value=value, page="chat", screen="phone", way="load")


def add(db: Database, clock: FakeClock, *measured_values: float) -> None:
    db.write(lambda c: vitals.add(c, clock, map(measured, measured_values)))


def values(db: Database) -> list[float]:
    query = sa.select(table.c.value).order_by(table.c.id)
    return db.read(lambda c: list(c.execute(query).scalars()))


def test_what_is_too_old_is_forgotten(database: Database, clock: FakeClock) -> None:
    add(database, clock, 1, 2)
    clock.advance(vitals.KEEP_MS / 1000 - 1)
    add(database, clock, 3)
    assert values(database) == [1, 2, 3]
    clock.advance(1)
    add(database, clock, 4)
    assert values(database) == [3, 4]


def test_of_too_many_the_oldest_are_forgotten(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "KEEP_ROWS", 3)
    for value in range(6):
        add(database, clock, value)
    assert values(database) == [3, 4, 5]
