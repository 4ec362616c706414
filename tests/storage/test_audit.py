"""The audit log: it grows, is searched, and cannot be changed."""

import threading
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from likeopt.errors import BadInput
from likeopt.storage import audit
from likeopt.storage.audit import Entry, Filters
from likeopt.storage.db import Database
from likeopt.storage.tables import audit as table
from tests.fakes import FakeClock

ENTRIES = [
    Entry(
        action="session.create",
        via="session",
        actor_id="ann",
        actor_name="Ännchen",
        object_kind="session",
        object_id="s1",
        address="192.0.2.1",
        request_id="r1",
        detail={"how": "password", "n": [1, None]},
    ),
    Entry(action="session.refuse", via="session", object_kind="user", object_name="김철수"),
    Entry(action="document.delete", via="key", actor_id="bob", object_id="d1"),
    Entry(action="sessions.other", via="cli", actor_id="ann"),
]


def write(db: Database, clock: FakeClock, *entries: Entry) -> None:
    for entry in entries:
        db.write(partial(audit.write, clock=clock, entry=entry))
        clock.advance(1)


def actions(db: Database, filters: Filters) -> list[str]:
    return [event.action for event in db.read(lambda c: audit.list_(c, filters)).items]


def test_what_was_written_is_read(database: Database, clock: FakeClock) -> None:
    start = clock.now_ms()
    write(database, clock, *ENTRIES)
    page = database.read(lambda c: audit.list_(c, Filters()))
    assert page.next_cursor is None
    newest_first = [event.action for event in page.items]
    assert newest_first == [entry.action for entry in reversed(ENTRIES)]
    first = page.items[-1]
    assert first.at == start
    assert {name: getattr(first, name) for name in Entry.__struct_fields__} == {
        name: getattr(ENTRIES[0], name) for name in Entry.__struct_fields__
    }


def test_filters(database: Database, clock: FakeClock) -> None:
    start = clock.now_ms()
    write(database, clock, *ENTRIES)
    assert actions(database, Filters(actor_id="ann")) == ["sessions.other", "session.create"]
    assert actions(database, Filters(action="session.")) == ["session.refuse", "session.create"]
    assert actions(database, Filters(action="session.create")) == ["session.create"]
    assert actions(database, Filters(action="s%")) == []
    assert actions(database, Filters(object_kind="user")) == ["session.refuse"]
    assert actions(database, Filters(object_id="d1")) == ["document.delete"]
    assert actions(database, Filters(text="ännCHEN")) == ["session.create"]
    assert actions(database, Filters(text="철수")) == ["session.refuse"]
    middle = Filters(since=start + 1000, until=start + 3000)
    assert actions(database, middle) == ["document.delete", "session.refuse"]


def test_pages_and_export(database: Database, clock: FakeClock) -> None:
    entries = [Entry(action=f"a.{number}", via="system") for number in range(205)]
    write(database, clock, *entries)
    first = database.read(lambda c: audit.list_(c, Filters(), limit=200))
    rest = database.read(lambda c: audit.list_(c, Filters(), cursor=first.next_cursor))
    wanted = [entry.action for entry in reversed(entries)]
    assert [event.action for event in first.items + rest.items] == wanted
    assert [event.action for event in audit.export(database, Filters())] == wanted
    assert [event.action for event in audit.export(database, Filters(action="a.7"))] == ["a.7"]
    with pytest.raises(BadInput):
        database.read(lambda c: audit.list_(c, Filters(), cursor="nonsense"))


@pytest.mark.parametrize(
    "change",
    [
        sa.update(table).values(actor_name="somebody else"),
        sa.update(table).where(table.c.action == "session.refuse").values(at=0),
        sa.delete(table),
        sa.delete(table).where(table.c.action == "session.refuse"),
    ],
    ids=str,
)
def test_nobody_changes_the_past(
    database: Database, clock: FakeClock, change: sa.Executable
) -> None:
    write(database, clock, *ENTRIES)
    before = database.read(lambda c: audit.list_(c, Filters()))
    with pytest.raises(DatabaseError, match="append-only"):
        database.write(lambda c: c.execute(change))
    assert database.read(lambda c: audit.list_(c, Filters())) == before


def test_what_did_not_happen_is_not_in_it(database: Database, clock: FakeClock) -> None:
    def undone(c: sa.Connection) -> None:
        audit.write(c, clock, ENTRIES[0])
        raise BadInput("No.")

    with pytest.raises(BadInput):
        database.write(undone)
    assert actions(database, Filters()) == []


def test_refusals_are_bounded_and_counted(database: Database, clock: FakeClock) -> None:
    def refuse(address: str, action: str = "session.refuse") -> None:
        entry = Entry(action=action, via="session", address=address)
        database.write(partial(audit.refuse, clock=clock, entry=entry))

    def seen() -> list[tuple[str, int]]:
        """(the address, how many were left out before), oldest first"""
        items = database.read(lambda c: audit.list_(c, Filters(action="session.refuse"))).items
        return [(one.address, one.detail.get("left_out", 0)) for one in reversed(items)]

    # One household of IPv6 has more addresses than anybody counts.
    for number in range(50):
        refuse(f"2001:db8:1:2::{number}")
    assert len(seen()) == audit.BY_SENDER
    for number in range(50):
        refuse(f"192.0.2.{number}")
    assert len(seen()) == audit.IN_ALL
    assert seen()[audit.BY_SENDER] == ("192.0.2.0", 50 - audit.BY_SENDER)
    left_out = 100 - audit.IN_ALL - (50 - audit.BY_SENDER)
    # Those of another kind are there all the same.
    refuse("192.0.2.1", "password.refuse")
    assert actions(database, Filters(action="password.")) == ["password.refuse"]
    clock.advance(59)
    refuse("198.51.100.1")
    assert len(seen()) == audit.IN_ALL
    clock.advance(1)
    refuse("198.51.100.2")
    refuse("198.51.100.3")
    assert seen()[audit.IN_ALL :] == [("198.51.100.2", left_out + 1), ("198.51.100.3", 0)]


def test_refusals_at_the_same_time_all_count(database: Database, clock: FakeClock) -> None:
    entry = Entry(action="session.refuse", via="session", address="192.0.2.1")
    refuse = partial(audit.refuse, clock=clock, entry=entry)
    threads = [threading.Thread(target=database.write, args=(refuse,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.advance(60)
    database.write(refuse)
    newest, *before = database.read(lambda c: audit.list_(c, Filters())).items
    assert len(before) == audit.BY_SENDER
    assert newest.detail == {"left_out": 20 - audit.BY_SENDER}
