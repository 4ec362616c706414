"""What the engine reads: the counters at every search, then only what changed since."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from likeopt.errors import StorageUnavailable
from likeopt.storage import facts as facts_
from likeopt.storage.indexing import TARGET_MODEL
from likeopt.storage.revisions import of_cache
from likeopt.storage.tables import (
    chunks,
    counters,
    document_tags,
    documents,
    embeddings,
    facts,
    versions,
)


class Revisions(msgspec.Struct, frozen=True):
    """The counters, and which database and models they are of (None before the first start is
    complete). `embedding_model` serves, `target_model` is what passages are embedded with.
    `searches` and `queries` count how often the engines' memories of these were to be cleared."""

    library: int
    embeddings: int
    searches: int
    queries: int
    database_id: str | None
    embedding_model: str | None
    target_model: str | None


class VersionRow(msgspec.Struct, frozen=True):
    """A version with what filters need to know of its document."""

    version_id: int
    document_id: str
    collection_id: str
    media_type: str
    updated_at: int
    deleted: int
    published_revision: int
    retired_revision: int | None
    chunk_count: int
    embedded_count: int


class PassageRow(msgspec.Struct, frozen=True):
    """A passage with its document."""

    chunk_id: int
    version_id: int
    document_id: str
    collection_id: str
    document_name: str
    media_type: str
    ordinal: int
    text: str
    context: str
    start: int
    end: int
    page: int | None


class EmbeddingRow(msgspec.Struct, frozen=True):
    """A passage's vector: float16, little endian, L2-normalised."""

    chunk_id: int
    version_id: int
    revision: int
    vector: bytes


# Raised by whoever has engines forget results of searches, or vectors of questions.
SEARCHES = of_cache("searches", "engine")
QUERIES = of_cache("queries", "engine")

# Statements of every search are made once: SQLAlchemy takes 0.3 ms to make one. The first is all
# that a remembered search costs; as `IN` its lists would be written anew each time (45 µs of 216).
_REVISIONS = (
    sa.select(counters.c.name, counters.c.value, sa.null().label("text"))
    .where(
        sa.or_(*(counters.c.name == name for name in ("library", "embeddings", SEARCHES, QUERIES)))
    )
    .union_all(
        sa.select(facts.c.name, sa.null(), facts.c.value).where(
            sa.or_(
                *(
                    facts.c.name == name
                    for name in (facts_.DATABASE_ID, facts_.EMBEDDING_MODEL, TARGET_MODEL)
                )
            )
        )
    )
)

_PASSAGES = (
    sa.select(
        chunks.c.id,
        chunks.c.version_id,
        documents.c.id,
        documents.c.collection_id,
        documents.c.name,
        documents.c.media_type,
        chunks.c.ordinal,
        chunks.c.text,
        chunks.c.context,
        chunks.c.start,
        chunks.c.end,
        chunks.c.page,
    )
    .join_from(chunks, versions, chunks.c.version_id == versions.c.id)
    .join(documents, versions.c.document_id == documents.c.id)
    .where(chunks.c.id.in_(sa.bindparam("chunk_ids", expanding=True)), documents.c.deleted == 0)
)

_VECTORS = sa.select(embeddings.c.chunk_id, embeddings.c.vector).where(
    embeddings.c.model == sa.bindparam("model"),
    embeddings.c.chunk_id.in_(sa.bindparam("chunk_ids", expanding=True)),
)


def revisions(c: sa.Connection) -> Revisions:
    """Where the database is. StorageUnavailable before its tables are made."""
    try:
        rows = {name: (value, text) for name, value, text in c.execute(_REVISIONS)}
    except ProgrammingError:
        # PostgreSQL's UndefinedTable; SQLite's is an OperationalError, as a locked file is.
        raise StorageUnavailable("The database is being prepared.", retry_after=1.0) from None
    return Revisions(
        library=rows["library"][0],
        embeddings=rows["embeddings"][0],
        searches=rows.get(SEARCHES, (0, None))[0],
        queries=rows.get(QUERIES, (0, None))[0],
        database_id=rows.get(facts_.DATABASE_ID, (0, None))[1],
        embedding_model=rows.get(facts_.EMBEDDING_MODEL, (0, None))[1],
        target_model=rows.get(TARGET_MODEL, (0, None))[1],
    )


def changed_versions(
    c: sa.Connection, after: int, retired_after: int, batch: int = 5000
) -> Iterator[list[VersionRow]]:
    """Versions of the documents that changed after revision `after`: published ones, and those
    retired after `retired_after`. In order of id, `batch` at a time."""
    query = (
        sa.select(
            versions.c.id.label("version_id"),
            documents.c.id.label("document_id"),
            documents.c.collection_id,
            documents.c.media_type,
            documents.c.updated_at,
            documents.c.deleted,
            versions.c.published_revision,
            versions.c.retired_revision,
            versions.c.chunk_count,
            versions.c.embedded_count,
        )
        .join_from(versions, documents, versions.c.document_id == documents.c.id)
        .where(
            documents.c.revision > after,
            versions.c.published_revision.is_not(None),
            sa.or_(
                versions.c.retired_revision.is_(None), versions.c.retired_revision > retired_after
            ),
        )
        .order_by(versions.c.id)
        .limit(batch)
    )
    last = 0
    while True:
        rows: Sequence[Any] = c.execute(query.where(versions.c.id > last)).all()
        if not rows:
            return
        last = rows[-1].version_id
        yield [VersionRow(*row) for row in rows]


def embedded_counts(c: sa.Connection, models: Collection[str], after: int) -> list[tuple[int, int]]:
    """(version id, passages with a vector) of versions that got vectors after revision `after`."""
    touched = (
        sa.select(chunks.c.version_id)
        .join_from(embeddings, chunks, chunks.c.id == embeddings.c.chunk_id)
        .where(embeddings.c.model.in_(models), embeddings.c.revision > after)
        .distinct()
    )
    query = sa.select(versions.c.id, versions.c.embedded_count).where(versions.c.id.in_(touched))
    return [(row[0], row[1]) for row in c.execute(query)]


def documents_with_tags(c: sa.Connection, tags: Collection[str]) -> list[str]:
    """Ids of the documents that carry any of the tags."""
    query = sa.select(document_tags.c.document_id).where(document_tags.c.tag.in_(tags)).distinct()
    return list(c.execute(query).scalars())


def embeddings_after(c: sa.Connection, model: str, after: int, limit: int) -> list[EmbeddingRow]:
    """Vectors newer than revision `after`, in order of revision: about `limit` of them, and
    never part of one revision."""
    newer = (
        sa.select(embeddings.c.revision)
        .where(embeddings.c.model == model, embeddings.c.revision > after)
        .order_by(embeddings.c.revision)
        .limit(limit)
        .subquery()
    )
    last = c.execute(sa.select(sa.func.max(newer.c.revision))).scalar_one()
    if last is None:
        return []
    query = (
        sa.select(
            embeddings.c.chunk_id, chunks.c.version_id, embeddings.c.revision, embeddings.c.vector
        )
        .join_from(embeddings, chunks, chunks.c.id == embeddings.c.chunk_id)
        .where(
            embeddings.c.model == model,
            embeddings.c.revision > after,
            embeddings.c.revision <= last,
        )
        .order_by(embeddings.c.revision, embeddings.c.chunk_id)
    )
    return [EmbeddingRow(*row) for row in c.execute(query)]


def some_vectors(c: sa.Connection, model: str, count: int) -> list[bytes]:
    """Up to `count` vectors of passages from all over the library."""
    of_model = embeddings.c.model == model
    least, most = c.execute(
        sa.select(sa.func.min(embeddings.c.chunk_id), sa.func.max(embeddings.c.chunk_id)).where(
            of_model
        )
    ).one()
    if least is None:
        return []
    spread = {least + (most - least) * i // count for i in range(count + 1)}
    query = sa.select(embeddings.c.vector).where(of_model)
    found = list(c.execute(query.where(embeddings.c.chunk_id.in_(spread))).scalars())
    # Where passages were removed there are gaps in the ids.
    return found if len(found) >= count // 4 else list(c.execute(query.limit(count)).scalars())


def vectors_of(c: sa.Connection, model: str, chunk_ids: Collection[int]) -> dict[int, bytes]:
    """The vectors of these passages, by passage id; those without one are left out."""
    rows = c.execute(_VECTORS, {"model": model, "chunk_ids": list(chunk_ids)})
    return {row[0]: row[1] for row in rows}


def passages(c: sa.Connection, chunk_ids: Collection[int]) -> dict[int, PassageRow]:
    """These passages, by id; those of deleted documents, and purged ones, are left out."""
    rows: Sequence[Any] = c.execute(_PASSAGES, {"chunk_ids": list(chunk_ids)}).all()
    return {row[0]: PassageRow(*row) for row in rows}
