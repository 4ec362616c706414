"""Collections: what documents are grouped and shared by."""

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import BadInput, Conflict, NotFound
from likeopt.storage import access, messages, revisions
from likeopt.storage import documents as library
from likeopt.storage.ids import new_id
from likeopt.storage.reader import DEFAULT_COLLECTION, Reader
from likeopt.storage.tables import (
    collection_groups,
    collection_users,
    collections,
    documents,
    groups,
    users,
)
from likeopt.storage.text import clean_line

NAME_LIMIT = 120


class Collection(msgspec.Struct, frozen=True):
    """A collection as its reader sees it. `documents` counts those that are not deleted."""

    id: str
    name: str
    owner_id: str
    everyone: bool
    writable: bool
    documents: int
    created_at: int


class Readers(msgspec.Struct, frozen=True):
    """Who may read a collection besides its owner; `users` and `groups` are sorted ids."""

    everyone: bool
    users: list[str]
    groups: list[str]


def list_(c: sa.Connection, reader: Reader) -> list[Collection]:
    """Every collection that the reader may read, by name."""
    return _read(c, reader, collections.c.id.in_(reader.collections))


def get(c: sa.Connection, reader: Reader, collection_id: str) -> Collection:
    """One collection; NotFound if the reader may not read it."""
    found = []
    if collection_id in reader.collections:
        found = _read(c, reader, collections.c.id == collection_id)
    if not found:
        raise NotFound("No such collection.")
    return found[0]


def create(c: sa.Connection, reader: Reader, clock: Clock, name: str) -> Collection:
    """A new, private collection of the reader's. Their `Reader` must be read again to use it."""
    made = Collection(
        id=new_id(clock),
        name=clean_line(name, what="The collection's name", limit=NAME_LIMIT),
        owner_id=reader.user_id,
        everyone=False,
        writable=True,
        documents=0,
        created_at=clock.now_ms(),
    )
    # Nobody else may read it yet.
    revisions.raise_(c, revisions.of_person(reader.user_id))
    row = {
        "id": made.id,
        "owner_id": made.owner_id,
        "name": made.name,
        "everyone": 0,
        "created_at": made.created_at,
    }
    c.execute(sa.insert(collections).values(**row))
    return made


def rename(c: sa.Connection, reader: Reader, collection_id: str, name: str) -> Collection:
    """Give the collection another name."""
    access.require_writable(c, reader, collection_id)
    name = clean_line(name, what="The collection's name", limit=NAME_LIMIT)
    c.execute(sa.update(collections).where(collections.c.id == collection_id).values(name=name))
    revisions.announce(c, "collections")
    return get(c, reader, collection_id)


def delete(c: sa.Connection, reader: Reader, clock: Clock, collection_id: str) -> None:
    """Delete the collection with all its documents; Conflict for the default one.

    The documents' tombstones move to the default collection: followers of changes still need
    them, and a tombstone holds nothing that could be read there. Answers made of them stay with
    those who could read the collection to its end, as with any deleted document; others lose them.
    """
    revision = revisions.raise_(c, "library")
    revisions.raise_(c, "access")
    access.require_writable(c, reader, collection_id)
    if collection_id == DEFAULT_COLLECTION:
        raise Conflict("The default collection cannot be deleted; delete its documents instead.")
    inside = sa.select(documents.c.id).where(documents.c.collection_id == collection_id)
    # So that nobody stores more of it from here on without seeing that it is gone.
    c.execute(
        sa.select(collections.c.id).where(collections.c.id == collection_id).with_for_update()
    )
    messages.withhold_for_good(c, inside, access.people_reading(collection_id))
    library.bury(c, clock, inside, revision)
    c.execute(
        sa.update(documents)
        .where(documents.c.collection_id == collection_id)
        .values(collection_id=DEFAULT_COLLECTION)
    )
    c.execute(sa.delete(collections).where(collections.c.id == collection_id))


def readers(c: sa.Connection, reader: Reader, collection_id: str) -> Readers:
    """Who may read the collection; for its owner, and administrators who may read it."""
    access.require_writable(c, reader, collection_id)
    everyone = sa.select(collections.c.everyone).where(collections.c.id == collection_id)
    people = collection_users.c
    teams = collection_groups.c
    named = sa.select(people.user_id).where(people.collection_id == collection_id)
    in_groups = sa.select(teams.group_id).where(teams.collection_id == collection_id)
    return Readers(
        everyone=bool(c.execute(everyone).scalar_one()),
        users=sorted(c.execute(named).scalars()),
        groups=sorted(c.execute(in_groups).scalars()),
    )


def set_readers(c: sa.Connection, reader: Reader, collection_id: str, wanted: Readers) -> Readers:
    """Replace who may read the collection; as `readers`, and BadInput for an unknown id."""
    revisions.raise_(c, "access")
    access.require_writable(c, reader, collection_id)
    everyone = int(wanted.everyone)
    c.execute(
        sa.update(collections).where(collections.c.id == collection_id).values(everyone=everyone)
    )
    for link, of, column, ids in (
        (collection_users, users, "user_id", set(wanted.users)),
        (collection_groups, groups, "group_id", set(wanted.groups)),
    ):
        known = c.execute(sa.select(of.c.id).where(of.c.id.in_(ids))).scalars()
        if unknown := ids.difference(known):
            raise BadInput(f"There is no {column.removesuffix('_id')} {min(unknown)!r}.")
        c.execute(sa.delete(link).where(link.c.collection_id == collection_id))
        if ids:
            rows = [{"collection_id": collection_id, column: id_} for id_ in sorted(ids)]
            c.execute(sa.insert(link), rows)
    return readers(c, reader, collection_id)


def _read(c: sa.Connection, reader: Reader, which: sa.ColumnElement[bool]) -> list[Collection]:
    count = (
        sa.select(sa.func.count())
        .where(documents.c.collection_id == collections.c.id, documents.c.deleted == 0)
        .scalar_subquery()
    )
    query = sa.select(collections, count.label("documents")).where(which)
    return [
        Collection(
            id=row["id"],
            name=row["name"],
            owner_id=row["owner_id"],
            everyone=bool(row["everyone"]),
            writable=reader.is_admin or row["owner_id"] == reader.user_id,
            documents=row["documents"],
            created_at=row["created_at"],
        )
        for row in c.execute(query.order_by(collections.c.name, collections.c.id)).mappings()
    ]
