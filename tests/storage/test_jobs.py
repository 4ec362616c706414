"""The queue: who gets which job, when, and how often."""

import threading

import pytest
import sqlalchemy as sa

from likeopt.storage import documents, indexing, jobs
from likeopt.storage.db import Database
from likeopt.storage.jobs import Job
from likeopt.storage.tables import jobs as table
from tests.fakes import FakeClock
from tests.storage import library


def claim(database: Database, clock: FakeClock, owner: str, limit: int = 1) -> list[Job]:
    return library.claim_index(database, clock, owner, limit)


def fail(database: Database, clock: FakeClock, job: Job, *, final: bool) -> None:
    database.write(lambda c: indexing.fail(c, clock, "w", job, error=("x", "why"), final=final))


def test_each_job_is_claimed_once_oldest_first(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    ids = [library.add(database, reader, clock, f"{i}.txt", str(i)).id for i in range(3)]
    first = claim(database, clock, "a", limit=2)
    second = claim(database, clock, "b", limit=2)
    assert [job.document_id for job in first + second] == ids
    assert claim(database, clock, "c") == []
    assert not database.read(lambda c: jobs.waiting(c, clock, "index"))


def test_claims_of_many_workers_never_overlap(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    for i in range(24):
        library.add(database, reader, clock, f"{i}.txt", str(i))
    taken: list[int] = []

    def work(owner: str) -> None:
        while claimed := claim(database, clock, owner, limit=3):
            taken.extend(job.id for job in claimed)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    # A worker that found nothing may have met rows that others were just claiming.
    taken += [job.id for job in claim(database, clock, "last", limit=24)]
    assert len(set(taken)) == 24


def test_an_expired_lease_is_taken_over(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    (job,) = claim(database, clock, "dead")
    clock.advance(59)
    assert claim(database, clock, "new") == []
    clock.advance(2)
    (again,) = claim(database, clock, "new")
    assert (again.id, again.attempts) == (job.id, 2)
    assert database.write(lambda c: jobs.held(c, "dead", [job.id])) == set()
    assert database.write(lambda c: jobs.held(c, "new", [job.id])) == {job.id}


def test_a_renewed_lease_is_not(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    claim(database, clock, "slow")
    clock.advance(50)
    database.write(lambda c: jobs.renew(c, clock, "slow", 60_000))
    clock.advance(50)
    assert claim(database, clock, "new") == []


def test_a_known_dead_owner_is_released_at_once(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt", "1")
    library.add(database, reader, clock, "b.txt", "2")
    claim(database, clock, "machine1:a")
    claim(database, clock, "machine2:a")
    assert database.write(lambda c: jobs.release(c, clock, "machine1")) == 1
    assert len(claim(database, clock, "machine1:b", limit=9)) == 1
    assert database.write(lambda c: jobs.release(c, clock, "machine1", alive="machine1:b")) == 0


def test_a_job_that_was_tried_before_is_claimed_alone(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    for i in range(4):
        library.add(database, reader, clock, f"{i}.txt", str(i))
    assert len(claim(database, clock, "m:dead", limit=3)) == 3
    database.write(lambda c: jobs.release(c, clock, "m"))
    sizes = [len(claim(database, clock, "new", limit=10)) for _ in range(5)]
    assert sizes == [1, 1, 1, 1, 0]


def test_failures_are_retried_with_growing_pauses_then_final(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    for pause in (1, 4, 16, 64):
        (job,) = claim(database, clock, "w")
        fail(database, clock, job, final=False)
        seen = database.read(lambda c: documents.get(c, reader, added.id))
        assert seen.state == "queued"
        assert seen.progress is not None
        assert seen.progress.reason == "why"
        clock.advance(pause - 0.5)
        assert claim(database, clock, "w") == []
        clock.advance(1)
    (job,) = claim(database, clock, "w")
    fail(database, clock, job, final=False)
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.state, seen.error_code, seen.error_message) == ("failed", "x", "why")


def test_twenty_dead_workers_are_enough(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    for i in range(20):
        assert database.write(lambda c: indexing.give_up(c, clock)) == 0
        assert len(claim(database, clock, f"m:{i}")) == 1
        database.write(lambda c: jobs.release(c, clock, "m"))
        clock.advance(5)
    assert claim(database, clock, "m:20") == []
    assert database.write(lambda c: indexing.give_up(c, clock)) == 1
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.state, seen.error_code) == ("failed", "gave_up")
    # Adding the same file again is another try.
    again = library.add(database, reader, clock, "a.txt")
    assert (again.id, again.state) == (added.id, "queued")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        # The original was gone, and is there again; or a limit may be another one.
        ("missing_file", "queued"),
        ("parser_memory", "queued"),
        ("parser_timeout", "queued"),
        # The file is what it was.
        ("encrypted", "failed"),
    ],
)
def test_adding_the_same_file_again_tries_what_may_go_well(
    database: Database, clock: FakeClock, code: str, state: str
) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    (job,) = claim(database, clock, "w")
    database.write(lambda c: indexing.fail(c, clock, "w", job, error=(code, "why"), final=True))
    again = library.add(database, reader, clock, "a.txt")
    assert (again.id, again.state) == (added.id, state)


def test_a_job_that_workers_die_with_lets_others_go_first(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    killer = library.add(database, reader, clock, "killer.txt", "1")
    for _ in range(2):
        (job,) = claim(database, clock, "m:1")
        assert job.document_id == killer.id
        database.write(lambda c: jobs.release(c, clock, "m"))
    other = library.add(database, reader, clock, "other.txt", "2")
    assert [job.document_id for job in claim(database, clock, "m:1")] == [other.id]
    clock.advance(2)
    assert [job.document_id for job in claim(database, clock, "m:1")] == [killer.id]


def test_a_stopping_worker_puts_its_jobs_back(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    claim(database, clock, "w")
    database.write(lambda c: jobs.put_back(c, clock, "w"))
    (job,) = claim(database, clock, "other")
    assert job.attempts == 1


def test_a_cancelled_job_changes_nothing(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    claimed = claim(database, clock, "w")
    (target,) = database.read(lambda c: indexing.targets(c, claimed))
    database.write(lambda c: documents.cancel(c, reader, clock, added.id))
    made = library.reading(target, ["words"])
    assert database.write(lambda c: indexing.publish(c, clock, "w", [made])) == 0
    assert database.write(lambda c: indexing.begin(c, clock, "w", target)) is None
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.searchable_by_words, seen.state) == (False, "failed")


def test_new_content_supersedes_a_running_job(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt", "old")
    claimed = claim(database, clock, "w")
    (target,) = database.read(lambda c: indexing.targets(c, claimed))
    library.add(database, reader, clock, "a.txt", "new")
    made = library.reading(target, ["old"])
    assert database.write(lambda c: indexing.publish(c, clock, "w", [made])) == 0
    (fresh,) = claim(database, clock, "w")
    (target,) = database.read(lambda c: indexing.targets(c, [fresh]))
    assert target.sha256 == library.file_of("new").sha256


def test_the_summary_counts_what_is_left(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    for i in range(4):
        library.add(database, reader, clock, f"{i}.txt", str(i))
    library.index(database, clock, ["one", "two"])
    (failing,) = claim(database, clock, "w")
    fail(database, clock, failing, final=True)
    (running,) = claim(database, clock, "w")
    database.write(lambda c: jobs.progress(c, clock, running.id, "parse", 0, 1))
    summary = database.read(lambda c: jobs.summary(c, reader))
    assert (summary.queued, summary.failed) == (1, 1)
    assert (summary.embedding, summary.pending_embeddings) == (1, 2)
    assert [(job.document_name, job.step) for job in summary.running] == [("2.txt", "parse")]


def test_old_rows_are_forgotten(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    library.index(database, clock, ["one"])
    clock.advance(3600)

    def forget() -> int:
        return database.write(
            lambda c: jobs.forget_old(c, clock, older_than_ms=3_599_000, limit=100)
        )

    assert (forget(), forget()) == (1, 0)
    kinds = database.read(lambda c: list(c.execute(sa.select(table.c.kind)).scalars()))
    assert kinds == ["embed"]
