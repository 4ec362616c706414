"""Removing what nobody can see any more, in transactions of a few milliseconds."""

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import jobs
from likeopt.storage.tables import chunks, embeddings, pages, versions
from likeopt.storage.tables import jobs as jobs_table


def retired(c: sa.Connection, clock: Clock, applied: int) -> list[int]:
    """Versions that nobody needs: retired for 30 s, gone from the index whose revision is
    `applied`, and without a successor that may take over vectors; or begun by a job that is no
    more."""

    def active(kind: jobs.Kind) -> sa.ColumnElement[bool]:
        return sa.exists().where(
            jobs_table.c.document_id == versions.c.document_id,
            jobs_table.c.kind == kind,
            jobs_table.c.state.in_(jobs.ACTIVE),
        )

    old = sa.and_(
        versions.c.state == "retired",
        # Null: removed before; the row stays, for followers that were away.
        versions.c.sha256.is_not(None),
        versions.c.retired_at <= clock.now_ms() - jobs.CLEANUP_DELAY_MS,
        versions.c.retired_revision <= applied,
        ~active("embed"),
    )
    orphan = sa.and_(versions.c.state == "building", ~active("index"))
    return list(c.execute(sa.select(versions.c.id).where(sa.or_(old, orphan))).scalars())


def waiting(c: sa.Connection) -> bool:
    """Whether retired versions are still to be removed, now or later."""
    query = sa.select(versions.c.id).where(
        versions.c.state == "retired", versions.c.sha256.is_not(None)
    )
    return c.execute(query.limit(1)).first() is not None


def remove_some(c: sa.Connection, version_id: int, limit: int) -> bool:
    """Remove up to `limit` passages with their vectors, or as many pages; True if that was all.

    A version that was never published goes away with its row.
    """
    for table, key in ((chunks, chunks.c.id), (pages, pages.c.number)):
        some = sa.select(key).where(table.c.version_id == version_id).order_by(key).limit(limit)
        ids = list(c.execute(some).scalars())
        c.execute(sa.delete(table).where(table.c.version_id == version_id, key.in_(ids)))
        if len(ids) == limit:
            return False
    c.execute(
        sa.delete(versions).where(versions.c.id == version_id, versions.c.state == "building")
    )
    c.execute(
        sa.update(versions)
        .where(versions.c.id == version_id)
        .values(sha256=None, title=None, chunk_count=0, embedded_count=0)
    )
    return True


def remove_other_vectors(c: sa.Connection, model: str, limit: int) -> bool:
    """Remove up to `limit` vectors of models other than `model`; True if that was all."""
    some = sa.select(embeddings.c.model, embeddings.c.chunk_id).limit(limit)
    # Not `!=`, which would read the whole index to find nothing.
    rows = (
        c.execute(some.where(embeddings.c.model < model)).all()
        or c.execute(some.where(embeddings.c.model > model)).all()
    )
    for other in {row.model for row in rows}:
        ids = [row.chunk_id for row in rows if row.model == other]
        c.execute(
            sa.delete(embeddings).where(embeddings.c.model == other, embeddings.c.chunk_id.in_(ids))
        )
    return not rows
