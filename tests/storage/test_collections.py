"""Collections."""

import pytest

from likeopt.errors import BadInput, Conflict, NotFound
from likeopt.storage import access, bootstrap, changes, collections, documents, facts, revisions
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from tests.fakes import FakeClock
from tests.storage import library


def test_preparing_twice_changes_nothing(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    identity = database.read(lambda c: facts.get(c, facts.DATABASE_ID))
    database.write(lambda c: bootstrap.prepare(c, clock))
    assert identity is not None
    assert database.read(lambda c: facts.get(c, facts.DATABASE_ID)) == identity
    reader = database.read(access.local_reader)
    assert [c.name for c in database.read(lambda c: collections.list_(c, reader))] == ["Library"]


def test_create_rename_and_count(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    made = database.write(lambda c: collections.create(c, reader, clock, "  Cafe\u0301 "))
    assert made.name == "Café"
    reader = database.read(access.local_reader)
    library.add(database, reader, clock, "a.txt", collection_id=made.id)
    renamed = database.write(lambda c: collections.rename(c, reader, made.id, "자료"))
    assert (renamed.name, renamed.documents) == ("자료", 1)


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "\udc80", "x" * 121])
def test_bad_names_are_refused(sqlite_database: Database, clock: FakeClock, name: str) -> None:
    reader = library.prepared(sqlite_database, clock)
    with pytest.raises(BadInput):
        sqlite_database.write(lambda c: collections.create(c, reader, clock, name))


def test_deleting_takes_the_documents_along(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    made = database.write(lambda c: collections.create(c, reader, clock, "Old"))
    reader = database.read(access.local_reader)
    inside = library.add(database, reader, clock, "in.txt", "1", collection_id=made.id)
    library.index(database, clock, ["words"])
    library.add(database, reader, clock, "out.txt", "2")
    before = database.read(lambda c: revisions.current(c, "library"))
    database.write(lambda c: collections.delete(c, reader, clock, made.id))

    reader = database.read(access.local_reader)
    listed = database.read(lambda c: documents.list_(c, reader, Wanted())).items
    assert [document.name for document in listed] == ["out.txt"]
    with pytest.raises(NotFound):
        database.read(lambda c: documents.get(c, reader, inside.id))
    with pytest.raises(NotFound):
        database.read(lambda c: collections.get(c, reader, made.id))
    assert len(database.read(lambda c: changes.since(c, before, 100)).retired) == 1


def test_the_default_collection_stays(sqlite_database: Database, clock: FakeClock) -> None:
    reader = library.prepared(sqlite_database, clock)
    with pytest.raises(Conflict):
        sqlite_database.write(lambda c: collections.delete(c, reader, clock, "default"))
