"""Indexing in all collections, for administrators: what waits, runs and failed, and steering it."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from likeopt.clock import rfc3339
from likeopt.errors import NotFound
from likeopt.storage import all_jobs as stored
from likeopt.storage.cursors import MAX_INTEGER
from likeopt.storage.jobs import Kind
from likeopt.web.context import note, services
from likeopt.web.endpoint import Endpoints
from likeopt.web.remembered import INDEXING, Remembered

jobs = Endpoints("jobs", tag="Jobs", prefix="/api/v1/jobs")


class JobQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which to list."""

    state: Annotated[stored.State, Meta(description="Only in this state.")] = "running"
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the page before.")] = None
    limit: Annotated[
        int, Meta(description="Jobs a page, 1 to 200.", ge=-MAX_INTEGER, le=MAX_INTEGER)
    ] = 50


class Job(msgspec.Struct, kw_only=True):
    """What is or was to be done with a document.

    `index` reads its original, `embed` has it found by meaning. `done` and `total` count passages;
    `total` is 0 where it is not known yet. `since` is when it was queued or failed, `not_before`
    when what failed for a passing reason (`error_code`) is tried again, else null.
    """

    id: str
    state: stored.State
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
    since: str
    not_before: str | None


class JobPage(msgspec.Struct):
    """Jobs in the order in which they run, or the latest failures first; and how many there are in
    each state."""

    items: list[Job]
    next_cursor: str | None
    counts: stored.Counts


@jobs.operation(
    "GET",
    "",
    summary="What is queued, running or failed in all collections",
    detail="Names documents that the administrator may not read, and nothing of their text. A"
    " document that could not be read stays failed until it is read, replaced or deleted.",
    access="admin",
    query=JobQuery,
    returns=JobPage,
    # Whose each is, and in which collection, by name.
    remembered=Remembered(until=(*INDEXING, "collections", "people"), seconds=30),
)
def list_jobs(query: JobQuery) -> JobPage:
    def read(c: Any) -> tuple[stored.WorkPage, stored.Counts]:
        page = stored.list_(c, query.state, cursor=query.cursor, limit=query.limit)
        return page, stored.counts(c)

    page, counts = services().db.read(read)
    return JobPage([_job(one) for one in page.items], page.next_cursor, counts)


@jobs.operation(
    "POST",
    "/<id:document_id>/retry",
    summary="Read a document's original again, whoever owns it",
    access="admin",
    status=204,
    errors=(NotFound,),
)
def retry_job(document_id: str) -> None:
    _steer(document_id, stored.retry, "document.reindex")


@jobs.operation(
    "POST",
    "/<id:document_id>/cancel",
    summary="Stop reading a document, whoever owns it",
    detail="What is read already stays searchable, and its passages are embedded all the same. For"
    " a document that is not being read, and does not wait for it, nothing changes.",
    access="admin",
    status=204,
    errors=(NotFound,),
)
def cancel_job(document_id: str) -> None:
    _steer(document_id, stored.cancel, "document.cancel")


def _steer(document_id: str, how: Callable[..., str], action: str) -> None:
    def write(c: Any) -> None:
        name = how(c, services().clock, document_id)
        note(c, action, kind="document", id_=document_id, name=name)

    services().db.write(write)


def _job(found: stored.Work) -> Job:
    waits = found.state == "queued" and found.error_code is not None
    return Job(
        **msgspec.structs.asdict(found)
        | {
            "id": f"{found.document_id}-{found.kind}",
            "since": rfc3339(found.since),
            "not_before": rfc3339(found.not_before) if waits else None,
        }
    )
