"""Requests that were sent twice: by its idempotency key, which answer a question has already.

The primary key of the table decides, so it holds for requests at the same time in any processes.
"""

from hashlib import sha256

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from likeopt.errors import KeyReused
from likeopt.storage.reader import Reader
from likeopt.storage.tables import idempotency_keys as keys
from likeopt.storage.tables import messages

_FAILED = keys.c.answer_id.in_(sa.select(messages.c.id).where(messages.c.state == "failed"))


class IdempotencyKey(msgspec.Struct, frozen=True):
    """What a client calls one request of its own, with a hash of what it asks for."""

    key: str
    fingerprint: str


class Repeated(Exception):
    """This was asked before."""

    def __init__(self, answer_id: str) -> None:
        super().__init__(answer_id)
        self.answer_id = answer_id


def fingerprint(asked: bytes) -> str:
    """What tells one request from another."""
    return sha256(asked).hexdigest()


def check(c: sa.Connection, reader: Reader, given: IdempotencyKey) -> None:
    """Raises Repeated if the reader has sent the request before, KeyReused if another one.

    One whose answer has failed can be sent again.
    """
    row = c.execute(
        sa.select(keys.c.answer_id, keys.c.fingerprint).where(_is_sent(reader, given), ~_FAILED)
    ).one_or_none()
    if row is None:
        return
    if row.fingerprint != given.fingerprint:
        raise KeyReused(
            "This Idempotency-Key was sent with another question. Send a new key with each."
        )
    raise Repeated(row.answer_id)


def keep(c: sa.Connection, reader: Reader, given: IdempotencyKey, answer_id: str) -> None:
    """Keep which answer a request has, for as long as there is that answer. Raises as `check`: a
    transaction that does not come first is to be undone."""
    dialect = sqlite if c.dialect.name == "sqlite" else postgresql
    row = {"user_id": reader.user_id, "key": given.key, "answer_id": answer_id}
    values = row | {"fingerprint": given.fingerprint}
    # PostgreSQL waits here for whoever inserts the same just now.
    insert = dialect.insert(keys).values(**values).on_conflict_do_nothing()
    if c.execute(insert.returning(keys.c.key)).one_or_none() is None:
        check(c, reader, given)
        again = keys.update().where(_is_sent(reader, given), _FAILED).values(**values)
        if c.execute(again.returning(keys.c.key)).one_or_none() is None:
            # Somebody else was faster, and sends it again just now.
            check(c, reader, given)


def _is_sent(reader: Reader, given: IdempotencyKey) -> sa.ColumnElement[bool]:
    return sa.and_(keys.c.user_id == reader.user_id, keys.c.key == given.key)
