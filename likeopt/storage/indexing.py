"""Documents as the indexing worker sees them: from an original to published, embedded passages.

Nothing of a version can be seen before `publish`, which makes it visible and the version before it
invisible in one transaction. Every function that writes for a job asks `jobs.held` first, and so
does nothing for a job that was cancelled or taken over.

Counters are locked before jobs, everywhere, so that no two transactions wait for each other.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import facts, jobs, revisions
from likeopt.storage.tables import chunks, documents, embeddings, pages, versions
from likeopt.storage.tables import jobs as jobs_table

GAVE_UP = (
    f"The indexer was stopped {jobs.MAX_ATTEMPTS} times while it worked on this file."
    " It can be tried again."
)


class Target(msgspec.Struct, frozen=True):
    """An original to read, for a claimed index job."""

    job: jobs.Job
    document_id: str
    name: str
    media_type: str
    sha256: str
    size: int


class Reading(msgspec.Struct):
    """What was read for a target: rows of `pages` and `chunks` without their version.

    `version_id` is null, or a version begun with `begin` that already holds `written` passages.
    """

    target: Target
    title: str | None
    page_count: int | None
    pages: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    version_id: int | None = None
    written: int = 0


class Unembedded(msgspec.Struct, frozen=True):
    """A passage that has no vector yet."""

    chunk_id: int
    version_id: int
    document_id: str
    text: str
    context: str


# -- from an original to a published version -------------------------------------------------------


def targets(c: sa.Connection, claimed: Sequence[jobs.Job]) -> list[Target]:
    """The originals that claimed index jobs are about, in the jobs' order."""
    rows = {
        row.id: row
        for row in c.execute(
            sa.select(
                documents.c.id,
                documents.c.name,
                documents.c.media_type,
                documents.c.sha256,
                documents.c.size,
            ).where(
                documents.c.id.in_([job.document_id for job in claimed]),
                documents.c.sha256.is_not(None),
            )
        )
    }
    return [
        Target(job, row.id, row.name, row.media_type, row.sha256, row.size)
        for job in claimed
        if (row := rows.get(job.document_id)) is not None
    ]


def unfinished(c: sa.Connection, document_ids: Collection[str]) -> list[int]:
    """Versions of these documents that a dead worker began and did not publish."""
    query = sa.select(versions.c.id).where(
        versions.c.document_id.in_(document_ids), versions.c.state == "building"
    )
    return list(c.execute(query).scalars())


def begin(c: sa.Connection, clock: Clock, owner: str, target: Target) -> int | None:
    """Begin a version whose passages come in several transactions; None if the job is not held."""
    if not jobs.held(c, owner, [target.job.id]):
        return None
    return _insert_versions(c, clock, [target])[0]


def add(c: sa.Connection, clock: Clock, owner: str, reading: Reading, total: int) -> bool:
    """Add the reading's pages and passages to its begun version; False if the job is not held.

    `total` counts the document's passages, for progress.
    """
    job_id = reading.target.job.id
    if reading.version_id is None or not jobs.held(c, owner, [job_id]):
        return False
    _insert_texts(c, [(reading.version_id, reading)])
    jobs.progress(c, clock, job_id, "write", reading.written + len(reading.chunks), total)
    return True


def publish(c: sa.Connection, clock: Clock, owner: str, readings: Sequence[Reading]) -> int:
    """Make readings what people see, in place of the versions before; returns how many.

    Readings whose job is not held any more are left out. Their embed jobs are queued.
    """
    revision = revisions.raise_(c, "library")
    held = jobs.held(c, owner, [reading.target.job.id for reading in readings])
    readings = [reading for reading in readings if reading.target.job.id in held]
    if not readings:
        return 0
    now = clock.now_ms()
    fresh = [reading for reading in readings if reading.version_id is None]
    new_ids = _insert_versions(c, clock, [reading.target for reading in fresh])
    for reading, version_id in zip(fresh, new_ids, strict=True):
        reading.version_id = version_id
    _insert_texts(c, [(reading.version_id, reading) for reading in readings])
    ids = [reading.target.document_id for reading in readings]
    retired = c.execute(
        sa.update(versions)
        .where(versions.c.document_id.in_(ids), versions.c.state == "published")
        .values(state="retired", retired_revision=revision, retired_at=now)
    )
    c.execute(
        sa.update(versions)
        .where(versions.c.id == sa.bindparam("version"))
        .values(
            state="published",
            published_revision=revision,
            title=sa.bindparam("new_title"),
            page_count=sa.bindparam("new_pages"),
            chunk_count=sa.bindparam("new_chunks"),
        ),
        [
            {
                "version": reading.version_id,
                "new_title": reading.title,
                "new_pages": reading.page_count,
                "new_chunks": reading.written + len(reading.chunks),
            }
            for reading in readings
        ],
    )
    c.execute(
        sa.update(documents)
        .where(documents.c.id == sa.bindparam("document"))
        .values(
            version_id=sa.bindparam("version"),
            error_code=None,
            error_message=None,
            revision=revision,
            updated_at=now,
        ),
        [{"document": r.target.document_id, "version": r.version_id} for r in readings],
    )
    jobs.finish(c, clock, held)
    jobs.enqueue(c, clock, "embed", ids)
    if retired.rowcount:
        jobs.enqueue_cleanup(c, clock)
    return len(readings)


def fail(
    c: sa.Connection,
    clock: Clock,
    owner: str,
    job: jobs.Job,
    *,
    error: tuple[str, str],
    final: bool,
) -> None:
    """Record why (code, message) an attempt failed; if for good, on the document too."""
    revisions.lock(c, "library")
    if jobs.held(c, owner, [job.id]):
        _fail(c, clock, job, error, final=final)


def give_up(c: sa.Connection, clock: Clock) -> int:
    """Fail the jobs that too many workers died with; returns how many."""
    revisions.lock(c, "library")
    exhausted = jobs.exhausted(c, clock)
    for job in exhausted:
        _fail(c, clock, job, ("gave_up", GAVE_UP), final=True)
    return len(exhausted)


def _fail(
    c: sa.Connection, clock: Clock, job: jobs.Job, error: tuple[str, str], *, final: bool
) -> None:
    code, message = error
    if jobs.fail(c, clock, job, code, message, final=final) and job.kind == "index":
        c.execute(
            sa.update(documents)
            .where(documents.c.id == job.document_id, documents.c.deleted == 0)
            .values(
                error_code=code,
                error_message=message,
                revision=revisions.raise_(c, "library"),
                updated_at=clock.now_ms(),
            )
        )


def _insert_versions(c: sa.Connection, clock: Clock, made: Sequence[Target]) -> list[int]:
    if not made:
        return []
    now = clock.now_ms()
    rows = [
        {
            "document_id": target.document_id,
            "sha256": target.sha256,
            "state": "building",
            "created_at": now,
        }
        for target in made
    ]
    insert = sa.insert(versions).returning(versions.c.id, sort_by_parameter_order=True)
    return list(c.execute(insert, rows).scalars())


def _insert_texts(c: sa.Connection, readings: Sequence[tuple[int | None, Reading]]) -> None:
    for table, rows in (
        (pages, [{"version_id": v, **row} for v, reading in readings for row in reading.pages]),
        (chunks, [{"version_id": v, **row} for v, reading in readings for row in reading.chunks]),
    ):
        if rows:
            c.execute(sa.insert(table), rows)


# -- vectors ---------------------------------------------------------------------------------------


def unembedded(
    c: sa.Connection, model: str, document_ids: Collection[str], limit: int
) -> list[Unembedded]:
    """Passages of these documents' visible versions that have no vector of `model`, beginnings
    first, so that a note gets its turn beside a book."""
    query = (
        sa.select(
            chunks.c.id.label("chunk_id"),
            chunks.c.version_id,
            documents.c.id.label("document_id"),
            chunks.c.text,
            chunks.c.context,
        )
        .join_from(documents, chunks, chunks.c.version_id == documents.c.version_id)
        .outerjoin(
            embeddings,
            sa.and_(embeddings.c.chunk_id == chunks.c.id, embeddings.c.model == model),
        )
        .where(documents.c.id.in_(document_ids), embeddings.c.chunk_id.is_(None))
        .order_by(chunks.c.ordinal, chunks.c.id)
        .limit(limit)
    )
    return [Unembedded(**row) for row in c.execute(query).mappings()]


def reusable(c: sa.Connection, model: str, passages: Sequence[Unembedded]) -> dict[int, bytes]:
    """Vectors, by chunk id, that the same words had in an older version of the same document.

    A passage costs 60 ms of CPU and more to embed, and most of a changed document is unchanged.
    """
    old = chunks.alias("old")
    new = chunks.alias("new")
    this = versions.alias("this")
    other = versions.alias("other")
    query = (
        sa.select(new.c.id, embeddings.c.vector)
        .join_from(new, this, this.c.id == new.c.version_id)
        .join(other, other.c.document_id == this.c.document_id)
        .join(
            old,
            sa.and_(
                old.c.version_id == other.c.id,
                old.c.text == new.c.text,
                old.c.context == new.c.context,
            ),
        )
        .join(embeddings, sa.and_(embeddings.c.chunk_id == old.c.id, embeddings.c.model == model))
        .where(
            new.c.id.in_([passage.chunk_id for passage in passages]),
            other.c.state == "retired",
            other.c.sha256.is_not(None),
        )
    )
    return {row.id: row.vector for row in c.execute(query)}


def add_embeddings(
    c: sa.Connection,
    clock: Clock,
    owner: str,
    claimed: Sequence[jobs.Job],
    model: str,
    vectors: Sequence[tuple[Unembedded, bytes]],
) -> set[int]:
    """Store vectors (float16, little endian) of passages of the claimed jobs' documents.

    Vectors for jobs that are not held, or for versions that are gone, are left out. Jobs whose
    document is complete with them are finished; the ids of those still held are returned.
    """
    revision = revisions.raise_(c, "embeddings")
    held = jobs.held(c, owner, [job.id for job in claimed])
    of_document = {job.document_id: job.id for job in claimed if job.id in held}
    visible = set(
        c.execute(
            sa.select(documents.c.version_id).where(documents.c.id.in_(list(of_document)))
        ).scalars()
    )
    kept = [
        (passage, vector)
        for passage, vector in vectors
        if passage.document_id in of_document and passage.version_id in visible
    ]
    if not kept:
        return held
    c.execute(
        sa.insert(embeddings),
        [
            {"model": model, "chunk_id": p.chunk_id, "vector": vector, "revision": revision}
            for p, vector in kept
        ],
    )
    for version_id in {passage.version_id for passage, _ in kept}:
        held -= _count_embedded(c, clock, version_id, kept, of_document)
    return held


def _count_embedded(
    c: sa.Connection,
    clock: Clock,
    version_id: int,
    kept: Sequence[tuple[Unembedded, bytes]],
    of_document: dict[str | None, int],
) -> set[int]:
    mine = [passage for passage, _ in kept if passage.version_id == version_id]
    row = c.execute(
        sa.update(versions)
        .where(versions.c.id == version_id)
        .values(embedded_count=versions.c.embedded_count + len(mine))
        .returning(versions.c.embedded_count, versions.c.chunk_count)
    ).one()
    job_id = of_document[mine[0].document_id]
    jobs.progress(c, clock, job_id, "embed", row.embedded_count, row.chunk_count)
    if row.embedded_count < row.chunk_count:
        return set()
    jobs.finish(c, clock, [job_id])
    return {job_id}


def has_passages(c: sa.Connection) -> bool:
    """Whether anything is published, so that a model is needed."""
    published = sa.select(versions.c.id).where(versions.c.state == "published")
    return c.execute(published.limit(1)).first() is not None


# -- the model in force ----------------------------------------------------------------------------

# The model that `versions.embedded_count` counts: the newest one asked for.
TARGET_MODEL = "embedding_target"


def aim_at(c: sa.Connection, model: str) -> bool:
    """Make `model` the one that passages are embedded with; whether that is a change.

    The first model ever serves at once. A later one serves when `switch_model` finds it complete.
    """
    changed = facts.get(c, TARGET_MODEL) != model
    if changed:
        if facts.get(c, facts.EMBEDDING_MODEL) is None:
            facts.put(c, facts.EMBEDDING_MODEL, model)
        facts.put(c, TARGET_MODEL, model)
    return changed


def recount(c: sa.Connection, model: str, after: int, limit: int) -> int | None:
    """Count the vectors of `model` anew in the next `limit` published versions with an id over
    `after`; returns the last id, or None when there are no more."""
    ids = list(
        c.execute(
            sa.select(versions.c.id)
            .where(versions.c.id > after, versions.c.state == "published")
            .order_by(versions.c.id)
            .limit(limit)
        ).scalars()
    )
    count = (
        sa.select(sa.func.count())
        .join_from(chunks, embeddings, embeddings.c.chunk_id == chunks.c.id)
        .where(chunks.c.version_id == versions.c.id, embeddings.c.model == model)
        .scalar_subquery()
    )
    c.execute(sa.update(versions).where(versions.c.id.in_(ids)).values(embedded_count=count))
    return ids[-1] if ids else None


def enqueue_missing(c: sa.Connection, clock: Clock, limit: int) -> int:
    """Queue embed jobs for documents that lack vectors and have no such job; returns how many."""
    active = sa.exists().where(
        jobs_table.c.document_id == documents.c.id,
        jobs_table.c.kind == "embed",
        jobs_table.c.state.in_(jobs.ACTIVE),
    )
    query = (
        sa.select(documents.c.id)
        .join_from(documents, versions, versions.c.id == documents.c.version_id)
        .where(versions.c.embedded_count < versions.c.chunk_count, ~active)
        .limit(limit)
    )
    missing = list(c.execute(query).scalars())
    jobs.enqueue(c, clock, "embed", missing)
    return len(missing)


def switch_model(c: sa.Connection, model: str) -> bool:
    """Let `model` serve once every visible passage has a vector of it; whether it serves now."""
    if facts.get(c, facts.EMBEDDING_MODEL) == model:
        return True
    incomplete = (
        sa.select(documents.c.id)
        .join_from(documents, versions, versions.c.id == documents.c.version_id)
        .where(versions.c.embedded_count < versions.c.chunk_count)
    )
    if c.execute(incomplete.limit(1)).first() is not None:
        return False
    revisions.raise_(c, "embeddings")
    facts.put(c, facts.EMBEDDING_MODEL, model)
    return True
