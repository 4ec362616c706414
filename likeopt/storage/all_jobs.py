"""What is queued, running and failed in all collections, as administrators see and steer it.

They see names of documents that they may not read, as in the audit log, and nothing of their text.
"""

from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import NotFound
from likeopt.storage import cursors, documents, revisions
from likeopt.storage.jobs import ACTIVE, Kind
from likeopt.storage.tables import collections, jobs, users, versions
from likeopt.storage.tables import documents as documents_table

State = Literal["running", "queued", "failed"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An active job, or a document whose newest original could not be read. Times are ms since the
    epoch.

    `done` and `total` count passages: those of the step, or for the kind `embed` those of the
    document. A queued job with an `error_code` was tried before and is not tried again before
    `not_before`. `since` is when a job was queued, or when a document failed.
    """

    state: State
    kind: Kind
    document_id: str
    document: str
    collection_id: str
    collection: str
    owner: str
    step: str
    done: int
    total: int
    error_code: str | None
    error_message: str | None
    since: int
    not_before: int


class WorkPage(msgspec.Struct, frozen=True):
    """Some of it, and the cursor of the page after it."""

    items: list[Work]
    next_cursor: str | None


class Counts(msgspec.Struct, frozen=True):
    """How much there is in each state."""

    running: int
    queued: int
    failed: int


# Clean-up is nobody's document.
_INDEXING = jobs.c.kind.in_(("index", "embed"))
# Not IS NOT NULL, for which SQLite does not use the index.
_FAILED = sa.and_(
    documents_table.c.error_code > "",
    documents_table.c.deleted == 0,
    # Being read once more.
    ~sa.exists().where(
        jobs.c.document_id == documents_table.c.id,
        jobs.c.kind == "index",
        jobs.c.state.in_(ACTIVE),
    ),
)


def counts(c: sa.Connection) -> Counts:
    """How much is queued, running and failed."""
    query = sa.select(jobs.c.state, sa.func.count()).where(_INDEXING, jobs.c.state.in_(ACTIVE))
    active: dict[str, int] = dict(c.execute(query.group_by(jobs.c.state)).all())
    failed = c.execute(sa.select(sa.func.count()).where(_FAILED)).scalar_one()
    return Counts(active.get("running", 0), active.get("queued", 0), failed)


def list_(
    c: sa.Connection, state: State, *, cursor: str | None = None, limit: int = 50
) -> WorkPage:
    """`limit` (1 to 200) of those in `state`: jobs in the order in which they run, or the latest
    failures first. BadInput for a bad limit or cursor."""
    cursors.check_limit(limit)
    if state == "failed":
        return _failed(c, cursor, limit)
    place = (jobs.c.priority, jobs.c.run_after, jobs.c.id)
    query = _described(
        jobs.c.state,
        jobs.c.kind,
        jobs.c.step,
        jobs.c.done,
        jobs.c.total,
        jobs.c.error_code,
        jobs.c.error_message,
        jobs.c.created_at.label("since"),
        jobs.c.run_after.label("not_before"),
        jobs.c.priority,
        jobs.c.run_after,
        jobs.c.id,
        versions.c.chunk_count,
        versions.c.embedded_count,
    )
    query = (
        query.join(jobs, jobs.c.document_id == documents_table.c.id)
        .outerjoin(versions, versions.c.id == documents_table.c.version_id)
        .where(jobs.c.state == state, _INDEXING)
        .order_by(*place)
        .limit(limit + 1)
    )
    if cursor is not None:
        number = cursors.Number
        key = cursors.decode(cursor, tuple[number, number, number])  # type: ignore[valid-type]
        query = query.where(sa.tuple_(*place) > sa.tuple_(*key))
    rows = c.execute(query).mappings().all()
    items = [_work(row, **_passages(row)) for row in rows[:limit]]
    return WorkPage(items, cursors.next_cursor(rows, limit, "priority", "run_after", "id"))


def _failed(c: sa.Connection, cursor: str | None, limit: int) -> WorkPage:
    place = (documents_table.c.updated_at, documents_table.c.id)
    query = (
        _described(
            documents_table.c.error_code,
            documents_table.c.error_message,
            documents_table.c.updated_at.label("since"),
        )
        .where(_FAILED)
        .order_by(*(column.desc() for column in place))
        .limit(limit + 1)
    )
    if cursor is not None:
        key = cursors.decode(cursor, tuple[cursors.Number, cursors.Id])
        query = query.where(sa.tuple_(*place) < sa.tuple_(*key))
    rows = c.execute(query).mappings().all()
    same = {"state": "failed", "kind": "index", "step": "", "done": 0, "total": 0, "not_before": 0}
    items = [_work(row, **same) for row in rows[:limit]]
    return WorkPage(items, cursors.next_cursor(rows, limit, "since", "document_id"))


def _described(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return (
        sa.select(
            documents_table.c.id.label("document_id"),
            documents_table.c.name.label("document"),
            collections.c.id.label("collection_id"),
            collections.c.name.label("collection"),
            users.c.name.label("owner"),
            *columns,
        )
        .select_from(documents_table)
        .join(collections, collections.c.id == documents_table.c.collection_id)
        .join(users, users.c.id == documents_table.c.owner_id)
    )


def _passages(row: sa.RowMapping) -> dict[str, int]:
    if row["kind"] != "embed":
        return {"done": row["done"], "total": row["total"]}
    return {"done": row["embedded_count"] or 0, "total": row["chunk_count"] or 0}


def _work(row: sa.RowMapping, **more: Any) -> Work:
    names = (name for name in Work.__struct_fields__ if name not in more)
    return Work(**{name: row[name] for name in names}, **more)


def retry(c: sa.Connection, clock: Clock, document_id: str) -> str:
    """Have the document's original read again, whoever owns it; returns its name."""
    revision = revisions.raise_(c, "library")
    name = _name(c, document_id)
    documents.restart(c, clock, document_id, revision)
    return name


def cancel(c: sa.Connection, clock: Clock, document_id: str) -> str:
    """Stop reading the document, whoever owns it; returns its name."""
    revision = revisions.raise_(c, "library")
    name = _name(c, document_id)
    documents.stop(c, clock, document_id, revision)
    return name


def _name(c: sa.Connection, document_id: str) -> str:
    query = sa.select(documents_table.c.name).where(
        documents_table.c.id == document_id, documents_table.c.deleted == 0
    )
    name: str | None = c.execute(query).scalar_one_or_none()
    if name is None:
        raise NotFound("No such document.")
    return name
