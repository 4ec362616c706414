"""What followers of the library read to keep derived indexes up with it."""

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from likeopt.storage import revisions
from likeopt.storage.tables import chunks, embeddings, versions


class Changes(msgspec.Struct, frozen=True):
    """Versions that came and went after one library revision, up to and with `upto`.

    What has the same revision changed in one transaction and must become visible together.
    """

    upto: int
    published: list[int]
    retired: list[int]


class Passage(msgspec.Struct, frozen=True):
    """A passage to index."""

    id: int
    version_id: int
    ordinal: int
    text: str
    context: str


class Vector(msgspec.Struct, frozen=True):
    """A passage's vector: float16, little endian, L2-normalised."""

    chunk_id: int
    version_id: int
    vector: bytes
    revision: int


def since(c: sa.Connection, after: int, limit: int) -> Changes:
    """Changes after revision `after`: about `limit` versions, never part of one revision.

    Versions that were published and retired inside the range are left out.
    """
    upto = revisions.current(c, "library")
    published = (
        sa.select(versions.c.published_revision)
        .where(versions.c.published_revision > after)
        .order_by(versions.c.published_revision)
        .offset(limit)
        .limit(1)
    )
    # The first revision that is over the limit; everything before it fits, unless it is the first.
    over = c.execute(published).scalar_one_or_none()
    if over is not None:
        upto = max(over - 1, _first(c, after))
    new = sa.select(versions.c.id).where(
        versions.c.published_revision > after,
        versions.c.published_revision <= upto,
        sa.or_(versions.c.retired_revision.is_(None), versions.c.retired_revision > upto),
    )
    old = sa.select(versions.c.id).where(
        versions.c.retired_revision > after,
        versions.c.retired_revision <= upto,
        versions.c.published_revision <= after,
    )
    return Changes(
        upto=upto,
        published=list(c.execute(new.order_by(versions.c.id)).scalars()),
        retired=list(c.execute(old.order_by(versions.c.id)).scalars()),
    )


def retired(c: sa.Connection, after: int, upto: int) -> list[int]:
    """All versions that went after one library revision, up to and with another."""
    query = sa.select(versions.c.id).where(
        versions.c.retired_revision > after, versions.c.retired_revision <= upto
    )
    return list(c.execute(query.order_by(versions.c.id)).scalars())


def _first(c: sa.Connection, after: int) -> int:
    first = sa.select(sa.func.min(versions.c.published_revision)).where(
        versions.c.published_revision > after
    )
    return int(c.execute(first).scalar_one())


def passages(
    c: sa.Connection, version_ids: Collection[int], after: int, limit: int
) -> list[Passage]:
    """Passages of versions in order of id, from ids over `after`."""
    query = (
        sa.select(
            chunks.c.id, chunks.c.version_id, chunks.c.ordinal, chunks.c.text, chunks.c.context
        )
        .where(chunks.c.version_id.in_(version_ids), chunks.c.id > after)
        .order_by(chunks.c.id)
        .limit(limit)
    )
    return [Passage(**row) for row in c.execute(query).mappings()]


def visible(c: sa.Connection) -> tuple[int, list[int]]:
    """The library revision, and all published versions in order of id: for a new index."""
    query = sa.select(versions.c.id).where(versions.c.state == "published")
    ids = list(c.execute(query.order_by(versions.c.id)).scalars())
    return revisions.current(c, "library"), ids


def newer_vectors(c: sa.Connection, model: str, revision: int) -> int:
    """How many vectors of `model` were written after `revision` of the counter `embeddings`."""
    query = sa.select(sa.func.count()).where(
        embeddings.c.model == model, embeddings.c.revision > revision
    )
    return int(c.execute(query).scalar_one())


def vectors(c: sa.Connection, model: str, revision: int, chunk_id: int, limit: int) -> list[Vector]:
    """Vectors of visible passages in order of (revision, chunk id), after those two."""
    query = (
        sa.select(
            embeddings.c.chunk_id, chunks.c.version_id, embeddings.c.vector, embeddings.c.revision
        )
        .join_from(embeddings, chunks, chunks.c.id == embeddings.c.chunk_id)
        .join(versions, versions.c.id == chunks.c.version_id)
        .where(
            embeddings.c.model == model,
            sa.tuple_(embeddings.c.revision, embeddings.c.chunk_id) > sa.tuple_(revision, chunk_id),
            versions.c.state == "published",
        )
        .order_by(embeddings.c.revision, embeddings.c.chunk_id)
        .limit(limit)
    )
    return [Vector(**row) for row in c.execute(query).mappings()]
