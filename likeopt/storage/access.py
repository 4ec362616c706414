"""Who may read and write what. Everything that a `Reader` may not read does not exist for them."""

import sqlalchemy as sa

from likeopt.errors import Forbidden, NotFound
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.storage.tables import collections, users


def reader_for(c: sa.Connection, user_id: str) -> Reader:
    """The person with what they may read now: their own collections and those of everyone.

    Raises NotFound for an unknown user.
    """
    role = c.execute(sa.select(users.c.role).where(users.c.id == user_id)).scalar_one_or_none()
    if role is None:
        raise NotFound("No such user.")
    readable = sa.select(collections.c.id).where(
        sa.or_(collections.c.owner_id == user_id, collections.c.everyone == 1)
    )
    return Reader(
        user_id=user_id,
        is_admin=role == "admin",
        collections=frozenset(c.execute(readable).scalars()),
    )


def local_reader(c: sa.Connection) -> Reader:
    """The one user of an installation without sign-in."""
    return reader_for(c, LOCAL_USER)


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
