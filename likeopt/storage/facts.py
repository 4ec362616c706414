"""Small facts about this database."""

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import revisions
from likeopt.storage.tables import facts

# 32 hex digits that tell this database from every other: derived indexes carry it.
DATABASE_ID = "database_id"
# The model whose vectors are searched. While a new model's vectors are still being made, this
# stays the old one.
EMBEDDING_MODEL = "embedding_model"

# Not an update first: two machines that start with a new database would both insert.
_PUT = sa.text(
    "INSERT INTO facts (name, value) VALUES (:name, :value)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def get(c: sa.Connection, name: str) -> str | None:
    """The fact's value, or None if it was never put."""
    value: str | None = c.execute(
        sa.select(facts.c.value).where(facts.c.name == name)
    ).scalar_one_or_none()
    return value


def put(c: sa.Connection, name: str, value: str) -> None:
    """Set the fact."""
    c.execute(_PUT, {"name": name, "value": value})


def lease(c: sa.Connection, clock: Clock, name: str, owner: str, ms: int) -> bool:
    """Whether `owner` is, for the next `ms`, the only one who does what `name` says."""
    # A row that does not exist yet cannot be locked, a counter can.
    revisions.lock(c, "embeddings")
    now = clock.now_ms()
    holder, _, until = (get(c, name) or "").rpartition(" ")
    if holder not in ("", owner) and int(until) > now:
        return False
    put(c, name, f"{owner} {now + ms}")
    return True
