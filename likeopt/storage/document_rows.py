"""A document as it is read: one row with its version, its jobs and its tags."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.storage import jobs, machines
from likeopt.storage.tables import document_tags, documents, versions
from likeopt.storage.tables import jobs as jobs_table

Source = Literal["upload", "folder", "url", "sample"]
State = Literal["queued", "indexing", "ready", "failed"]


class Progress(msgspec.Struct, frozen=True):
    """The document's job at work or waiting. `done` and `total` count passages; `reason` is why
    the attempt before failed."""

    kind: jobs.Kind
    running: bool
    step: str
    done: int
    total: int
    attempts: int
    reason: str | None


class Document(msgspec.Struct, frozen=True):
    """A document as its reader sees it. Times are ms since the epoch.

    `state` is about the newest original: `ready` once every machine finds it by words; `failed`
    with `searchable_by_words` means that an older version still serves. `embedded` of `chunks`
    passages are searchable by meaning. `pages` is null for formats without pages.
    """

    id: str
    name: str
    collection_id: str
    source: Source
    source_uri: str
    media_type: str
    sha256: str
    size: int
    tags: list[str]
    state: State
    searchable_by_words: bool
    version_id: int | None
    title: str | None
    pages: int | None
    chunks: int
    embedded: int
    error_code: str | None
    error_message: str | None
    progress: Progress | None
    created_at: int
    updated_at: int


_INDEX = jobs_table.alias("index_job")
_EMBED = jobs_table.alias("embed_job")
_CURRENT = versions.alias("current_version")
# Not a join: for that PostgreSQL read all versions before it took the newest 50 documents.
_UNFOLLOWED = sa.exists().where(
    _CURRENT.c.id == documents.c.version_id,
    _CURRENT.c.published_revision > machines.words_applied,
)
current_state = sa.case(
    (_INDEX.c.state == "running", "indexing"),
    (_INDEX.c.state == "queued", "queued"),
    (documents.c.error_code.is_not(None), "failed"),
    (_UNFOLLOWED, "indexing"),
    (documents.c.version_id.is_not(None), "ready"),
    else_="queued",
)


def _progress_columns(job: Any) -> list[sa.ColumnElement[Any]]:
    names = ("kind", "state", "step", "done", "total", "attempts", "error_message")
    return [job.c[name].label(f"{job.name}_{name}") for name in names]


def _active(job: Any, kind: jobs.Kind) -> sa.ColumnElement[bool]:
    """`jobs.enqueue` keeps at most one active job of a kind and document: the join adds no rows."""
    return sa.and_(
        job.c.document_id == documents.c.id, job.c.kind == kind, job.c.state.in_(jobs.ACTIVE)
    )


def with_index_job(query: sa.Select[Any]) -> sa.Select[Any]:
    """A query of documents that `current_state` can be asked in."""
    return query.outerjoin_from(documents, _INDEX, _active(_INDEX, "index"))


def read(c: sa.Connection, ids: Sequence[str]) -> dict[str, Document]:
    """The documents with these ids that are not deleted, whoever may read them, in two queries.

    By id alone: with a condition on collections as well, SQLite reads whole collections.
    """
    query = (
        sa.select(
            documents,
            current_state.label("state"),
            (versions.c.published_revision <= machines.words_applied).label("found"),
            versions.c.title,
            versions.c.page_count,
            versions.c.chunk_count,
            versions.c.embedded_count,
            *_progress_columns(_INDEX),
            *_progress_columns(_EMBED),
        )
        .select_from(documents)
        .outerjoin(versions, versions.c.id == documents.c.version_id)
        .outerjoin(_INDEX, _active(_INDEX, "index"))
        .outerjoin(_EMBED, _active(_EMBED, "embed"))
        .where(documents.c.id.in_(ids), documents.c.deleted == 0)
    )
    tags = tags_of(c, ids)
    return {
        row["id"]: Document(
            tags=tags.get(row["id"], []),
            searchable_by_words=bool(row["found"]),
            pages=row["page_count"],
            chunks=row["chunk_count"] or 0,
            embedded=row["embedded_count"] or 0,
            progress=_progress(row, _INDEX.name) or _progress(row, _EMBED.name),
            **{name: row[name] for name in _PLAIN},
        )
        for row in c.execute(query).mappings()
    }


_PLAIN = (
    "id",
    "name",
    "collection_id",
    "source",
    "source_uri",
    "media_type",
    "sha256",
    "size",
    "state",
    "version_id",
    "title",
    "error_code",
    "error_message",
    "created_at",
    "updated_at",
)


def _progress(row: Any, job: str) -> Progress | None:
    if row[f"{job}_kind"] is None:
        return None
    return Progress(
        kind=row[f"{job}_kind"],
        running=row[f"{job}_state"] == "running",
        step=row[f"{job}_step"],
        done=row[f"{job}_done"],
        total=row[f"{job}_total"],
        attempts=row[f"{job}_attempts"],
        reason=row[f"{job}_error_message"],
    )


def tags_of(c: sa.Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Tags by document id, sorted."""
    found: dict[str, list[str]] = {}
    for row in c.execute(sa.select(document_tags).where(document_tags.c.document_id.in_(ids))):
        found.setdefault(row.document_id, []).append(row.tag)
    return {document_id: sorted(tags) for document_id, tags in found.items()}
