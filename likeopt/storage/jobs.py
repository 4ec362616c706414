"""The queue of background work: a table with leased claims.

A job is acknowledged by the transaction that commits its result, so `kill -9` loses nothing: the
lease of a dead worker runs out, or is ended at once by the machine's next worker, and the job is
claimed again. Whoever writes for a job first asks `held` inside the same transaction, so a worker
whose lease was taken, or whose job was cancelled, changes nothing.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import machines, revisions
from likeopt.storage.reader import Reader
from likeopt.storage.tables import counters, documents, jobs, versions

Kind = Literal["index", "embed", "cleanup"]

PRIORITY: dict[Kind, int] = {"index": 10, "cleanup": 20, "embed": 30}
ACTIVE = ("queued", "running")
# Tries of a job that fails with a reason, after 1, 4, 16 and 64 s.
MAX_TRIES = 5
# Workers that may die with a job. More, since it is seldom the job that killed them: files are
# read in a process of their own.
MAX_ATTEMPTS = 20
# Readers may hold a search result or an index snapshot with a retired version for some seconds.
CLEANUP_DELAY_MS = 30_000


class Job(msgspec.Struct, frozen=True):
    """A claimed job. `attempts` counts this one; `error_code` is why the one before failed."""

    id: int
    kind: Kind
    document_id: str | None
    attempts: int
    error_code: str | None


class Running(msgspec.Struct, frozen=True):
    """A job at work, for people. `done` and `total` count the step's unit: passages."""

    job: int
    kind: Kind
    document_id: str
    document_name: str
    step: str
    done: int
    total: int


class Summary(msgspec.Struct, frozen=True):
    """The state of indexing of what a reader may read.

    `queued` counts documents whose index job waits, `failed` documents whose newest original
    could not be read, `pending_words` those that are read and not in the index of words yet,
    `embedding` documents whose embed job is active, and `pending_embeddings` their passages
    without a vector.
    """

    queued: int
    failed: int
    pending_words: int
    embedding: int
    pending_embeddings: int
    running: list[Running]
    library_revision: int


# -- for whoever changes documents -----------------------------------------------------------------


def enqueue(c: sa.Connection, clock: Clock, kind: Kind, document_ids: Collection[str]) -> None:
    """Queue one job for each document, in place of an active one of the same kind."""
    if not document_ids:
        return
    now = clock.now_ms()
    announce(c)
    cancel_of(c, clock, document_ids, [kind])
    rows = [_row(kind, now, now, document_id) for document_id in document_ids]
    c.execute(sa.insert(jobs), rows)


def enqueue_cleanup(c: sa.Connection, clock: Clock, *, delay_ms: int = CLEANUP_DELAY_MS) -> None:
    """Have what nobody can see any more removed, once for everything that waits for it."""
    waiting = sa.select(jobs.c.id).where(jobs.c.kind == "cleanup", jobs.c.state == "queued")
    if c.execute(waiting.limit(1)).first() is None:
        now = clock.now_ms()
        c.execute(sa.insert(jobs).values(_row("cleanup", now, now + delay_ms, None)))


def cancel_of(
    c: sa.Connection,
    clock: Clock,
    document_ids: Collection[str] | sa.Select[tuple[str]],
    kinds: Collection[Kind] = ("index", "embed"),
) -> int:
    """Cancel the active jobs of documents; returns how many there were."""
    query = _change(
        jobs.c.kind.in_(kinds), jobs.c.document_id.in_(document_ids), jobs.c.state.in_(ACTIVE)
    )
    return _counted(c, query.values(state="cancelled", updated_at=clock.now_ms()))


def announce(c: sa.Connection) -> None:
    """What is shown of indexing has changed."""
    revisions.announce(c, "jobs")


def _row(kind: Kind, now: int, run_after: int, document_id: str | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "document_id": document_id,
        "state": "queued",
        "priority": PRIORITY[kind],
        "run_after": run_after,
        "created_at": now,
        "updated_at": now,
    }


def _change(*which: sa.ColumnElement[bool]) -> sa.Update:
    """An update of jobs, locked in the order of their ids, so that no two transactions that change
    several wait for each other."""
    ids = sa.select(jobs.c.id).where(*which).order_by(jobs.c.id).with_for_update()
    # PostgreSQL asks a WITH that locks rows once. It stands inside, since Python's sqlite3 counts
    # the rows of statements that begin with UPDATE.
    locked = ids.cte("locked", nesting=True)
    return sa.update(jobs).where(jobs.c.id.in_(sa.select(locked.c.id)))


def _counted(c: sa.Connection, change: sa.Update) -> int:
    """How many jobs were changed, which is announced if there are any."""
    count = c.execute(change).rowcount
    if count:
        announce(c)
    return count


# -- for workers -----------------------------------------------------------------------------------


def waiting(c: sa.Connection, clock: Clock, kind: Kind) -> bool:
    """Whether `claim` would find something; a read, so that polling never takes the write lock."""
    return any(c.execute(query.limit(1)).first() for query in _claimable(clock.now_ms(), kind))


class Due(msgspec.Struct, frozen=True):
    """What a worker looks for while it is idle: jobs that wait, and the counters."""

    waiting: bool
    library: int
    embeddings: int


_DUE = sa.select(
    sa.exists().where(
        jobs.c.state == "queued",
        jobs.c.priority.in_(sorted(PRIORITY.values())),
        jobs.c.run_after <= sa.bindparam("now"),
    ),
    sa.exists().where(jobs.c.state == "running", jobs.c.lease_until < sa.bindparam("now")),
    *(
        sa.select(counters.c.value).where(counters.c.name == name).scalar_subquery()
        for name in ("library", "embeddings")
    ),
)


def due(c: sa.Connection, clock: Clock) -> Due:
    """One statement, since it runs four times a second for as long as nothing happens."""
    queued, abandoned, library, embeddings = c.execute(_DUE, {"now": clock.now_ms()}).one()
    return Due(bool(queued or abandoned), library, embeddings)


def claim(
    c: sa.Connection, clock: Clock, owner: str, lease_ms: int, kind: Kind, limit: int = 1
) -> list[Job]:
    """Lease the next jobs, oldest first; several only if none of them was tried before.

    A job that was tried before may have killed its worker, and would take its companions along.
    """
    now = clock.now_ms()
    rows: Sequence[Any] = []
    for query in _claimable(now, kind):
        # Rows that somebody else is just claiming are skipped (PostgreSQL; SQLite has one writer).
        rows = rows or c.execute(query.limit(limit).with_for_update(skip_locked=True)).all()
    if rows and rows[0].attempts > 0:
        rows = rows[:1]
    rows = [row for row in rows if row.attempts == rows[0].attempts]
    announce(c)
    c.execute(
        sa.update(jobs)
        .where(jobs.c.id.in_([row.id for row in rows]))
        .values(
            state="running",
            lease_owner=owner,
            lease_until=now + lease_ms,
            attempts=jobs.c.attempts + 1,
            step="",
            done=0,
            total=0,
            updated_at=now,
        )
    )
    return [Job(row.id, kind, row.document_id, row.attempts + 1, row.error_code) for row in rows]


def _claimable(now: int, kind: Kind) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Abandoned jobs, and queued ones. Two queries, since each then reads the index in order:
    among 100,000 queued jobs, one query with OR sorted them all at every claim."""
    chosen = (
        sa.select(jobs.c.id, jobs.c.document_id, jobs.c.attempts, jobs.c.error_code)
        .where(jobs.c.priority == PRIORITY[kind], jobs.c.attempts < MAX_ATTEMPTS)
        .order_by(jobs.c.run_after, jobs.c.id)
    )
    return (
        chosen.where(jobs.c.state == "running", jobs.c.lease_until < now),
        chosen.where(jobs.c.state == "queued", jobs.c.run_after <= now),
    )


def held(c: sa.Connection, owner: str, ids: Sequence[int]) -> set[int]:
    """Those of `ids` that `owner` still holds; they stay held until this transaction ends."""
    query = sa.select(jobs.c.id).where(
        jobs.c.id.in_(ids), jobs.c.state == "running", jobs.c.lease_owner == owner
    )
    return set(c.execute(query.order_by(jobs.c.id).with_for_update()).scalars())


def renew(c: sa.Connection, clock: Clock, owner: str, lease_ms: int) -> None:
    """Extend every lease of `owner`."""
    held = _change(jobs.c.state == "running", jobs.c.lease_owner == owner)
    c.execute(held.values(lease_until=clock.now_ms() + lease_ms))


def release(c: sa.Connection, clock: Clock, machine: str, *, alive: str = "") -> int:
    """Queue what a machine's workers held that are dead, all but `alive`; returns how many.

    A job that more than one worker died with waits a little, and so lets others go first.
    """
    now = clock.now_ms()
    again = sa.case(
        (jobs.c.attempts <= 1, sa.literal(now, sa.BigInteger)),
        (jobs.c.attempts == 2, sa.literal(now + 1000, sa.BigInteger)),
        else_=sa.literal(now + 4000, sa.BigInteger),
    )
    query = _change(
        jobs.c.state == "running",
        jobs.c.lease_owner.startswith(f"{machine}:", autoescape=True),
        jobs.c.lease_owner != alive,
    )
    return _counted(
        c,
        query.values(
            state="queued",
            run_after=again,
            lease_owner=None,
            lease_until=None,
            updated_at=now,
        ),
    )


def put_back(
    c: sa.Connection,
    clock: Clock,
    owner: str,
    *,
    ids: Collection[int] | None = None,
    delay_ms: int = 0,
    error: tuple[str, str] | tuple[None, None] = (None, None),
) -> None:
    """Return what `owner` holds, or those of it with `ids`, to the queue, as if not tried.

    For a worker that stops, or that cannot work for a reason (`error`: code and message) that has
    nothing to do with the jobs.
    """
    now = clock.now_ms()
    returned = sa.true() if ids is None else jobs.c.id.in_(ids)
    _counted(
        c,
        _change(jobs.c.state == "running", jobs.c.lease_owner == owner, returned).values(
            state="queued",
            attempts=jobs.c.attempts - 1,
            run_after=now + delay_ms,
            lease_owner=None,
            lease_until=None,
            error_code=error[0],
            error_message=error[1],
            updated_at=now,
        ),
    )


def progress(c: sa.Connection, clock: Clock, job_id: int, step: str, done: int, total: int) -> None:
    """Say what a job is doing."""
    announce(c)
    c.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id)
        .values(step=step, done=done, total=total, updated_at=clock.now_ms())
    )


def finish(c: sa.Connection, clock: Clock, ids: Collection[int]) -> None:
    """The jobs' results are in this transaction."""
    announce(c)
    c.execute(
        _change(jobs.c.id.in_(ids)).values(
            state="done", lease_owner=None, lease_until=None, updated_at=clock.now_ms()
        )
    )


def fail(c: sa.Connection, clock: Clock, job: Job, code: str, message: str, *, final: bool) -> bool:
    """Record why an attempt failed, and queue the next one after 1, 4, 16 and 64 s.

    Returns whether the job has failed for good: if `final`, or at the fifth try.
    """
    announce(c)
    final = final or job.attempts >= MAX_TRIES
    now = clock.now_ms()
    c.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id)
        .values(
            state="failed" if final else "queued",
            run_after=now if final else now + 1000 * 4 ** (job.attempts - 1),
            lease_owner=None,
            lease_until=None,
            error_code=code,
            error_message=message,
            updated_at=now,
        )
    )
    return final


def indexing(c: sa.Connection) -> bool:
    """Whether any document waits to be read, or is being read."""
    active = sa.select(jobs.c.id).where(jobs.c.kind == "index", jobs.c.state.in_(ACTIVE))
    return c.execute(active.limit(1)).first() is not None


def exhausted(c: sa.Connection, clock: Clock) -> list[Job]:
    """Jobs that the last allowed number of workers died with, locked."""
    query = (
        sa.select(jobs.c.id, jobs.c.kind, jobs.c.document_id, jobs.c.attempts, jobs.c.error_code)
        .where(
            jobs.c.attempts >= MAX_ATTEMPTS,
            sa.or_(
                jobs.c.state == "queued",
                sa.and_(jobs.c.state == "running", jobs.c.lease_until < clock.now_ms()),
            ),
        )
        .with_for_update(skip_locked=True)
    )
    return [Job(**row) for row in c.execute(query).mappings()]


def forget_old(c: sa.Connection, clock: Clock, *, older_than_ms: int, limit: int) -> int:
    """Delete rows of jobs that ended long ago; returns how many."""
    old = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.state.in_(("done", "cancelled", "failed")),
            jobs.c.updated_at < clock.now_ms() - older_than_ms,
        )
        .limit(limit)
    )
    return c.execute(sa.delete(jobs).where(jobs.c.id.in_(old.scalar_subquery()))).rowcount


# -- for people ------------------------------------------------------------------------------------


def summary(c: sa.Connection, reader: Reader) -> Summary:
    """How indexing is getting on, in what the reader may read; at most 20 running jobs.

    What is readable is a filter of the sums and not of the rows, and joins are outer ones: so
    SQLite starts with the few jobs or failures, where it would else read every document.
    """
    readable = sa.and_(documents.c.collection_id.in_(reader.collections), documents.c.deleted == 0)
    embedding = sa.and_(jobs.c.kind == "embed", readable)
    queued, embeds, pending = c.execute(
        sa.select(
            sa.func.count().filter(jobs.c.kind == "index", jobs.c.state == "queued", readable),
            sa.func.count().filter(embedding),
            sa.func.sum(versions.c.chunk_count - versions.c.embedded_count).filter(embedding),
        )
        .select_from(jobs)
        .outerjoin(documents, documents.c.id == jobs.c.document_id)
        .outerjoin(versions, versions.c.id == documents.c.version_id)
        .where(jobs.c.state.in_(ACTIVE))
    ).one()
    # Not IS NOT NULL, for which SQLite does not use the index.
    failed = sa.select(sa.func.count().filter(readable)).where(documents.c.error_code > "")
    unfollowed = (
        sa.select(sa.func.count().filter(readable))
        .select_from(versions)
        .outerjoin(documents, documents.c.id == versions.c.document_id)
        .where(
            versions.c.published_revision > machines.words_applied, versions.c.state == "published"
        )
    )
    return Summary(
        queued=queued,
        failed=c.execute(failed).scalar_one(),
        pending_words=c.execute(unfollowed).scalar_one(),
        embedding=embeds,
        pending_embeddings=int(pending or 0),
        running=_running(c, reader)[:20],
        library_revision=revisions.current(c, "library"),
    )


def _running(c: sa.Connection, reader: Reader) -> list[Running]:
    query = (
        sa.select(
            jobs.c.id.label("job"),
            jobs.c.kind,
            jobs.c.document_id,
            jobs.c.step,
            jobs.c.done,
            jobs.c.total,
            documents.c.name.label("document_name"),
            documents.c.collection_id,
        )
        .select_from(jobs)
        .outerjoin(documents, documents.c.id == jobs.c.document_id)
        .where(jobs.c.state == "running")
        .order_by(jobs.c.priority, jobs.c.updated_at.desc())
        .limit(200)
    )
    return [
        Running(**{name: row[name] for name in Running.__struct_fields__})
        for row in c.execute(query).mappings()
        if row["collection_id"] in reader.collections
    ]
