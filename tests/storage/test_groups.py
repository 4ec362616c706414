"""Groups, and what they and named people may read."""

from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa

from likeopt.errors import BadInput, Conflict, Forbidden, NotFound
from likeopt.storage import access, collections, documents, groups, revisions
from likeopt.storage.collections import Readers
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from tests.fakes import FakeClock
from tests.storage import library


def readable(db: Database, user_id: str) -> frozenset[str]:
    """Ids of the collections that the person may read now, without that of everyone."""
    return db.read(lambda c: access.reader_for(c, user_id)).collections - {"default"}


def test_members_come_and_go(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    library.member(database, clock, "ann")
    library.member(database, clock, "bob")
    made = database.write(lambda c: groups.create(c, clock, " 연구소 "))
    with_both = database.write(lambda c: groups.set_members(c, made.id, ["bob", "ann", "bob"]))
    assert (with_both.name, with_both.members) == ("연구소", ["ann", "bob"])
    database.write(lambda c: groups.set_members(c, made.id, ["bob"]))
    renamed = database.write(lambda c: groups.rename(c, made.id, "Lab"))
    assert database.read(groups.list_) == [renamed]
    assert renamed.members == ["bob"]
    database.write(lambda c: groups.delete(c, made.id))
    assert database.read(groups.list_) == []


def test_what_is_refused(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    made = database.write(lambda c: groups.create(c, clock, "Lab"))
    other = database.write(lambda c: groups.create(c, clock, "Office"))
    with pytest.raises(Conflict):
        database.write(lambda c: groups.create(c, clock, "Lab"))
    with pytest.raises(Conflict):
        database.write(lambda c: groups.rename(c, other.id, "Lab"))
    with pytest.raises(BadInput):
        database.write(lambda c: groups.set_members(c, made.id, ["nobody"]))
    changes: list[Callable[[sa.Connection], object]] = [
        lambda c: groups.set_members(c, "none", []),
        lambda c: groups.rename(c, "none", "x"),
        lambda c: groups.delete(c, "none"),
    ]
    for change in changes:
        with pytest.raises(NotFound):
            database.write(change)


def test_readers_are_the_owner_the_named_and_members_of_named_groups(
    database: Database, clock: FakeClock
) -> None:
    admin = library.prepared(database, clock)
    owner = library.member(database, clock, "owner")
    for name in ("named", "grouped", "stranger"):
        library.member(database, clock, name)
    lab = database.write(lambda c: groups.create(c, clock, "Lab"))
    database.write(lambda c: groups.set_members(c, lab.id, ["grouped"]))
    made = database.write(lambda c: collections.create(c, owner, clock, "Plans"))
    owner = database.read(lambda c: access.reader_for(c, "owner"))
    library.add(database, owner, clock, "plan.txt", collection_id=made.id)
    everybody = ["owner", "named", "grouped", "stranger", admin.user_id]

    def who(wanted: Readers) -> list[str]:
        assert (
            database.write(lambda c: collections.set_readers(c, owner, made.id, wanted)) == wanted
        )
        found = []
        for user_id in everybody:
            reader = database.read(partial(access.reader_for, user_id=user_id))
            listed = database.read(partial(documents.list_, reader=reader, wanted=Wanted())).items
            assert (made.id in reader.collections) == bool(listed)
            found += [user_id] if listed else []
        return found

    assert who(Readers(False, [], [])) == ["owner"]
    assert who(Readers(False, ["named"], [])) == ["owner", "named"]
    assert who(Readers(False, ["named"], [lab.id])) == ["owner", "named", "grouped"]
    assert who(Readers(True, [], [])) == everybody
    assert who(Readers(False, [], [lab.id])) == ["owner", "grouped"]
    database.write(lambda c: groups.set_members(c, lab.id, []))
    assert readable(database, "grouped") == frozenset()
    database.write(lambda c: groups.set_members(c, lab.id, ["stranger"]))
    assert readable(database, "stranger") == {made.id}
    database.write(lambda c: groups.delete(c, lab.id))
    assert readable(database, "stranger") == frozenset()


def test_who_manages_readers(database: Database, clock: FakeClock) -> None:
    admin = library.prepared(database, clock)
    owner = library.member(database, clock, "owner")
    library.member(database, clock, "named")
    made = database.write(lambda c: collections.create(c, owner, clock, "Plans"))
    owner = database.read(lambda c: access.reader_for(c, "owner"))
    wanted = Readers(False, ["named"], [])
    # An administrator who may not read it does not learn that it exists.
    with pytest.raises(NotFound):
        database.write(lambda c: collections.set_readers(c, admin, made.id, wanted))
    database.write(lambda c: collections.set_readers(c, owner, made.id, wanted))
    named = database.read(lambda c: access.reader_for(c, "named"))
    with pytest.raises(Forbidden):
        database.write(lambda c: collections.set_readers(c, named, made.id, wanted))
    with pytest.raises(Forbidden):
        database.read(lambda c: collections.readers(c, named, made.id))
    both = Readers(False, sorted(["named", admin.user_id]), [])
    database.write(lambda c: collections.set_readers(c, owner, made.id, both))
    admin = database.read(access.local_reader)
    assert database.read(lambda c: collections.readers(c, admin, made.id)) == both
    for unknown in (Readers(False, ["nobody"], []), Readers(False, [], ["nothing"])):
        with pytest.raises(BadInput):
            database.write(
                partial(
                    collections.set_readers, reader=owner, collection_id=made.id, wanted=unknown
                )
            )
    assert database.read(lambda c: collections.readers(c, owner, made.id)) == both


def test_every_change_is_announced(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)

    def announced() -> int:
        return database.read(lambda c: revisions.current(c, "access"))

    before = announced()
    made = database.write(lambda c: groups.create(c, clock, "Lab"))
    database.write(lambda c: groups.set_members(c, made.id, [reader.user_id]))
    plans = database.write(lambda c: collections.create(c, reader, clock, "Plans"))
    reader = database.read(access.local_reader)
    wanted = Readers(True, [], [made.id])
    database.write(lambda c: collections.set_readers(c, reader, plans.id, wanted))
    database.write(lambda c: groups.delete(c, made.id))
    database.write(lambda c: collections.delete(c, reader, clock, plans.id))
    # A collection that was made is its owner's alone.
    own = revisions.of_person(reader.user_id)
    assert database.read(lambda c: revisions.values(c, [own])) == {own: 1}
    assert announced() == before + 5
