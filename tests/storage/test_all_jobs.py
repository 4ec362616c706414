"""Everybody's indexing, as administrators see and steer it."""

import pytest

from likeopt.errors import BadInput, NotFound
from likeopt.storage import access, all_jobs, collections, documents, indexing, jobs
from likeopt.storage.all_jobs import Counts, State, Work
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock
from tests.storage import library


@pytest.fixture
def admin(database: Database, clock: FakeClock) -> Reader:
    return library.prepared(database, clock)


@pytest.fixture
def private(database: Database, clock: FakeClock, admin: Reader) -> str:
    """Id of a document in a collection that nobody but Kim may read."""
    kim = library.member(database, clock, "kim")
    own = database.write(lambda c: collections.create(c, kim, clock, "Private"))
    kim = kim_now(database)
    return library.add(database, kim, clock, "secret.txt", "s", collection_id=own.id).id


def kim_now(database: Database) -> Reader:
    """With what they may read by now."""
    return database.read(lambda c: access.reader_for(c, "kim"))


def listed(database: Database, state: State) -> list[Work]:
    return database.read(lambda c: all_jobs.list_(c, state)).items


def fail(database: Database, clock: FakeClock, *, final: bool = True) -> None:
    (job,) = library.claim_index(database, clock)
    error = ("damaged_file", "It is damaged.")
    database.write(lambda c: indexing.fail(c, clock, library.OWNER, job, error=error, final=final))


def test_others_documents_are_named_with_whose_they_are(
    database: Database, private: str, clock: FakeClock
) -> None:
    (found,) = listed(database, "queued")
    assert (found.document_id, found.document) == (private, "secret.txt")
    assert (found.collection, found.owner, found.kind) == ("Private", "kim", "index")
    assert found.since == clock.now_ms()
    assert listed(database, "running") == listed(database, "failed") == []


def test_what_runs_tells_how_far_it_is(database: Database, private: str, clock: FakeClock) -> None:
    (job,) = library.claim_index(database, clock)
    database.write(lambda c: jobs.progress(c, clock, job.id, "write", 20, 80))
    (found,) = listed(database, "running")
    assert (found.step, found.done, found.total) == ("write", 20, 80)
    assert database.read(all_jobs.counts) == Counts(running=1, queued=0, failed=0)


def test_vectors_count_the_passages_of_the_document(
    database: Database, private: str, clock: FakeClock
) -> None:
    library.index(database, clock, ["one", "two", "three"])
    (found,) = listed(database, "queued")
    assert (found.kind, found.done, found.total) == ("embed", 0, 3)


def test_a_failure_stays_when_its_job_is_forgotten(
    database: Database, private: str, clock: FakeClock
) -> None:
    fail(database, clock)
    clock.advance(7200)
    database.write(lambda c: jobs.forget_old(c, clock, older_than_ms=1, limit=10))
    (found,) = listed(database, "failed")
    assert (found.error_code, found.error_message) == ("damaged_file", "It is damaged.")
    assert found.since == clock.now_ms() - 7200 * 1000
    assert database.read(all_jobs.counts) == Counts(running=0, queued=0, failed=1)


def test_what_is_tried_again_says_why_and_when(
    database: Database, private: str, clock: FakeClock
) -> None:
    fail(database, clock, final=False)
    (found,) = listed(database, "queued")
    assert found.error_code == "damaged_file"
    assert found.not_before == clock.now_ms() + 1000


def test_retrying_and_cancelling_reach_what_one_may_not_read(
    database: Database, private: str, admin: Reader, clock: FakeClock
) -> None:
    with pytest.raises(NotFound):
        database.write(lambda c: documents.cancel(c, admin, clock, private))
    assert database.write(lambda c: all_jobs.cancel(c, clock, private)) == "secret.txt"
    (stopped,) = listed(database, "failed")
    assert stopped.error_code == "cancelled"
    assert listed(database, "queued") == []
    assert database.write(lambda c: all_jobs.retry(c, clock, private)) == "secret.txt"
    assert database.read(all_jobs.counts) == Counts(running=0, queued=1, failed=0)
    # And nothing of it can be read for that.
    with pytest.raises(NotFound):
        database.read(lambda c: documents.get(c, admin, private))


def test_a_deleted_document_is_nobodys_work(
    database: Database, private: str, clock: FakeClock
) -> None:
    kim = kim_now(database)
    database.write(lambda c: documents.delete(c, kim, clock, private))
    # Only the clean-up waits, which is no document's.
    assert database.read(all_jobs.counts) == Counts(running=0, queued=0, failed=0)
    for steer in (all_jobs.retry, all_jobs.cancel):
        with pytest.raises(NotFound):
            database.write(lambda c, steer=steer: steer(c, clock, private))  # type: ignore[misc]


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_page_by_page_each_comes_once(
    database: Database, admin: Reader, clock: FakeClock, state: State
) -> None:
    ids = [library.add(database, admin, clock, f"{i}.txt", str(i)).id for i in range(5)]
    if state == "failed":
        for _ in ids:
            fail(database, clock)
        # All at the same moment.
        ids.sort(reverse=True)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = database.read(
            lambda c, at=cursor: all_jobs.list_(c, state, cursor=at, limit=2)  # type: ignore[misc]
        )
        seen += [one.document_id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids


def test_a_foreign_cursor_is_refused(database: Database, admin: Reader) -> None:
    for state in ("running", "queued", "failed"):
        with pytest.raises(BadInput):
            database.read(lambda c, s=state: all_jobs.list_(c, s, cursor="WzFd"))  # type: ignore[misc]
