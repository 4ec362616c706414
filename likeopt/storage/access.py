"""Who may read and write what. Everything that a `Reader` may not read does not exist for them."""

import sqlalchemy as sa

from likeopt.errors import Forbidden, NotFound, Unauthorized
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.storage.tables import (
    collection_groups,
    collection_users,
    collections,
    group_members,
    users,
)


def reader_for(c: sa.Connection, user_id: str) -> Reader:
    """The person with what they may read now: their own collections, those of everyone, and those
    that name them or a group of theirs.

    Raises Unauthorized for an unknown or disabled user.
    """
    query = sa.select(users.c.role).where(users.c.id == user_id, users.c.disabled == 0)
    role = c.execute(query).scalar_one_or_none()
    if role is None:
        raise Unauthorized("This account does not exist or is disabled.")
    return _reader(c, user_id, role)


def local_reader(c: sa.Connection) -> Reader:
    """Who the command line acts as: whoever may run it can read the database anyway, so nobody
    can disable this."""
    role = c.execute(sa.select(users.c.role).where(users.c.id == LOCAL_USER)).scalar_one()
    return _reader(c, LOCAL_USER, role)


def _reader(c: sa.Connection, user_id: str, role: str) -> Reader:
    named = sa.select(collection_users.c.collection_id).where(collection_users.c.user_id == user_id)
    through_group = (
        sa.select(collection_groups.c.collection_id)
        .join(group_members, group_members.c.group_id == collection_groups.c.group_id)
        .where(group_members.c.user_id == user_id)
    )
    own = sa.select(collections.c.id).where(
        sa.or_(collections.c.owner_id == user_id, collections.c.everyone == 1)
    )
    readable = sa.union(own, named, through_group)
    return Reader(
        user_id=user_id,
        is_admin=role == "admin",
        collections=frozenset(c.execute(readable).scalars()),
    )


def require_writable(c: sa.Connection, reader: Reader, collection_id: str) -> None:
    """Raise NotFound if the reader may not read the collection, Forbidden if only that."""
    owner = None
    if collection_id in reader.collections:
        owner = c.execute(
            sa.select(collections.c.owner_id).where(collections.c.id == collection_id)
        ).scalar_one_or_none()
    if owner is None:
        raise NotFound("No such collection.")
    if owner != reader.user_id and not reader.is_admin:
        raise Forbidden("Only the collection's owner can change it.")
