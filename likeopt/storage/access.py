"""Who may read and write what. Everything that a `Reader` may not read does not exist for them."""

from collections.abc import Collection

import sqlalchemy as sa

from likeopt.errors import Forbidden, NotFound
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.storage.tables import collections, documents, users


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


def require_readable(
    c: sa.Connection, reader: Reader, document_ids: Collection[str], collection_ids: Collection[str]
) -> None:
    """Raise NotFound for the first document or collection that the reader may not read."""
    for collection_id in collection_ids:
        if collection_id not in reader.collections:
            raise NotFound(f"There is no collection {collection_id[:64]}.")
    wanted = set(document_ids)
    if not wanted:
        return
    rows = c.execute(
        sa.select(documents.c.id, documents.c.collection_id).where(
            documents.c.id.in_(wanted), documents.c.deleted == 0
        )
    )
    readable = {row.id for row in rows if row.collection_id in reader.collections}
    for document_id in document_ids:
        if document_id not in readable:
            raise NotFound(f"There is no document {document_id[:64]}.")
