"""From an original to published, embedded passages; and what followers of that see."""

from functools import partial

import sqlalchemy as sa

from likeopt.storage import (
    changes,
    documents,
    facts,
    files,
    indexing,
    jobs,
    passages,
    purge,
    revisions,
)
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from likeopt.storage.tables import chunks, embeddings, pages, versions
from tests.fakes import FakeClock
from tests.storage import library
from tests.storage.library import OWNER


def count(database: Database, table: sa.Table) -> int:
    return database.read(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    )


def text(database: Database, reader: Reader, document_id: str) -> str:
    return database.read(lambda c: passages.text_at(c, reader, document_id, 0)).text


def test_nothing_is_seen_before_publication(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "big.txt")
    claimed = library.claim_index(database, clock)
    (target,) = database.read(lambda c: indexing.targets(c, claimed))
    version = database.write(lambda c: indexing.begin(c, clock, OWNER, target))
    part = library.reading(target, ["one", "two"])
    part.version_id = version
    assert database.write(lambda c: indexing.add(c, clock, OWNER, part, 3))
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.searchable_by_words, seen.chunks) == (False, 0)
    assert seen.progress is not None
    assert (seen.progress.step, seen.progress.done, seen.progress.total) == ("write", 2, 3)
    assert database.read(lambda c: changes.since(c, 0, 100)).published == []

    rest = indexing.Reading(target, "T", None, [], [], version_id=version, written=2)
    rest.chunks = [
        {"ordinal": 2, "text": "three", "start": 6, "end": 11, "context": "", "page": None}
    ]
    database.write(lambda c: indexing.publish(c, clock, OWNER, [rest]))
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.state, seen.chunks) == ("indexing", 3)
    assert database.read(lambda c: changes.since(c, 0, 100)).published == [version]


def test_many_readings_share_a_transaction(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    for i in range(5):
        library.add(database, reader, clock, f"{i}.txt", str(i))
    claimed = library.claim_index(database, clock, limit=5)
    targets = database.read(lambda c: indexing.targets(c, claimed))
    made = [library.reading(t, [f"{t.name} one", f"{t.name} two"]) for t in targets]
    assert database.write(lambda c: indexing.publish(c, clock, OWNER, made)) == 5
    listed = database.read(lambda c: documents.list_(c, reader, documents.Wanted())).items
    assert [document.state for document in listed] == ["indexing"] * 5
    for document in listed:
        assert text(database, reader, document.id) == f"{document.name} one"


def test_a_failure_keeps_the_old_version(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt", "good")
    library.index(database, clock, ["good"])
    library.follow(database, clock)
    library.add(database, reader, clock, "a.txt", "bad")
    (job,) = library.claim_index(database, clock)
    database.write(
        lambda c: indexing.fail(c, clock, OWNER, job, error=("damaged_file", "why"), final=True)
    )
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.state, seen.error_code, seen.searchable_by_words) == (
        "failed",
        "damaged_file",
        True,
    )
    # The same damaged file again says nothing new; another one does.
    again = database.write(lambda c: documents.add(c, reader, clock, library.new("a.txt", "bad")))
    assert (again.outcome, again.document.state) == ("unchanged", "failed")


def test_unfinished_versions_are_found_and_removed(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    claimed = library.claim_index(database, clock)
    (target,) = database.read(lambda c: indexing.targets(c, claimed))
    part = library.reading(target, ["one", "two", "three"])
    part.version_id = database.write(lambda c: indexing.begin(c, clock, OWNER, target))
    database.write(lambda c: indexing.add(c, clock, OWNER, part, 3))
    assert database.read(lambda c: purge.retired(c, clock, 99)) == []
    unfinished = database.read(lambda c: indexing.unfinished(c, [added.id]))
    assert unfinished == [part.version_id]
    steps = 1
    while not database.write(lambda c: purge.remove_some(c, unfinished[0], 2)):
        steps += 1
    assert steps == 3
    assert (count(database, chunks), count(database, pages), count(database, versions)) == (0, 0, 0)


def test_followers_see_each_replacement_whole(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt", "1")
    library.index(database, clock, ["one"])
    seen = database.read(lambda c: changes.since(c, 0, 100))
    assert (seen.published, seen.retired) == ([1], [])
    library.add(database, reader, clock, "a.txt", "2")
    library.index(database, clock, ["two"])
    second = database.read(lambda c: changes.since(c, seen.upto, 100))
    assert (second.published, second.retired) == ([2], [1])
    assert second.upto == database.read(lambda c: revisions.current(c, "library"))
    # Whoever was away for both sees only what is left.
    late = database.read(lambda c: changes.since(c, 0, 100))
    assert (late.published, late.retired) == ([2], [])
    assert database.read(changes.visible) == (late.upto, [2])
    found = database.read(lambda c: changes.passages(c, [1, 2], 1, 100))
    assert [(p.version_id, p.text) for p in found] == [(2, "two")]


def test_changes_come_in_portions_that_split_no_revision(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    for group in (1, 3, 2):
        for i in range(group):
            library.add(database, reader, clock, f"{group}-{i}.txt", f"{group}{i}")
        claimed = library.claim_index(database, clock, limit=group)
        targets = database.read(partial(indexing.targets, claimed=claimed))
        made = [library.reading(target, ["words"]) for target in targets]
        database.write(partial(indexing.publish, clock=clock, owner=OWNER, readings=made))
    portions, after = [], 0
    while True:
        seen = database.read(partial(changes.since, after=after, limit=2))
        if seen.upto == after:
            break
        portions.append(len(seen.published))
        after = seen.upto
    assert [n for n in portions if n] == [1, 3, 2]


# -- vectors ---------------------------------------------------------------------------------------


def test_vectors_are_counted_and_followed(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    library.index(database, clock, ["one", "two", "three"])
    claimed = database.write(lambda c: jobs.claim(c, clock, OWNER, 60_000, "embed"))
    ids = [job.document_id or "" for job in claimed]
    two = database.read(lambda c: indexing.unembedded(c, "m", ids, 2))
    assert [p.text for p in two] == ["one", "two"]
    database.write(
        lambda c: indexing.add_embeddings(
            c, clock, OWNER, claimed, "m", [(p, bytes([i] * 4)) for i, p in enumerate(two)]
        )
    )
    seen = database.read(lambda c: documents.get(c, reader, ids[0]))
    assert (seen.chunks, seen.embedded) == (3, 2)
    assert seen.progress is not None
    assert (seen.progress.step, seen.progress.done, seen.progress.total) == ("embed", 2, 3)
    first = database.read(lambda c: changes.vectors(c, "m", 0, 0, 1))
    assert [v.vector for v in first] == [bytes(4)]
    rest = database.read(lambda c: changes.vectors(c, "m", first[0].revision, first[0].chunk_id, 9))
    assert [v.vector for v in rest] == [b"\1\1\1\1"]
    assert database.read(lambda c: changes.vectors(c, "other", 0, 0, 9)) == []


def test_vectors_of_a_deleted_document_are_dropped(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    library.index(database, clock, ["one"])
    claimed = database.write(lambda c: jobs.claim(c, clock, OWNER, 60_000, "embed"))
    missing = database.read(lambda c: indexing.unembedded(c, "m", [added.id], 9))
    database.write(lambda c: documents.delete(c, reader, clock, added.id))
    database.write(
        lambda c: indexing.add_embeddings(
            c, clock, OWNER, claimed, "m", [(p, bytes(4)) for p in missing]
        )
    )
    assert count(database, embeddings) == 0


def test_unchanged_passages_keep_their_vectors(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt", "1")
    library.index(database, clock, ["same", "old"])
    library.embed(database, clock)
    library.add(database, reader, clock, "a.txt", "2")
    library.index(database, clock, ["new", "same"])
    missing = database.read(lambda c: indexing.unembedded(c, "m", [added.id], 9))
    assert [p.text for p in missing] == ["new", "same"]
    same = missing[1].chunk_id
    assert database.read(lambda c: indexing.reusable(c, "m", missing)) == {same: bytes(8)}
    assert database.read(lambda c: indexing.reusable(c, "other", missing)) == {}


def test_a_new_model_serves_when_it_is_complete(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    assert database.write(lambda c: indexing.aim_at(c, "m"))
    for name in ("a.txt", "b.txt"):
        library.add(database, reader, clock, name, name)
        library.index(database, clock, ["one"])
        library.embed(database, clock)
    assert not database.write(lambda c: indexing.aim_at(c, "m"))
    assert database.write(lambda c: indexing.aim_at(c, "m2"))

    def serving() -> str | None:
        return database.read(lambda c: facts.get(c, facts.EMBEDDING_MODEL))

    after: int | None = 0
    while after is not None:
        after = database.write(partial(indexing.recount, model="m2", after=after, limit=1))
    assert database.write(lambda c: indexing.enqueue_missing(c, clock, 9)) == 2
    assert database.write(lambda c: indexing.enqueue_missing(c, clock, 9)) == 0
    library.embed(database, clock, "m2")
    assert not database.write(lambda c: indexing.switch_model(c, "m2"))
    assert serving() == "m"
    library.embed(database, clock, "m2")
    assert database.write(lambda c: indexing.switch_model(c, "m2"))
    assert serving() == "m2"
    assert not database.write(lambda c: purge.remove_other_vectors(c, "m2", 1))
    while not database.write(lambda c: purge.remove_other_vectors(c, "m2", 1)):
        pass
    assert len(database.read(lambda c: changes.vectors(c, "m2", 0, 0, 9))) == 2
    assert count(database, embeddings) == 2


# -- removal ---------------------------------------------------------------------------------------


def test_a_deleted_document_is_removed_from_disk_after_a_while(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    library.index(database, clock, ["one"])
    library.embed(database, clock)
    database.write(lambda c: documents.delete(c, reader, clock, added.id))
    upto = database.read(lambda c: revisions.current(c, "library"))

    def removable(applied: int) -> list[int]:
        return database.read(lambda c: purge.retired(c, clock, applied))

    assert removable(upto) == []
    assert database.read(purge.waiting)
    clock.advance(31)
    assert removable(upto - 1) == []
    assert removable(upto) == [1]
    assert database.write(lambda c: files.forget(c, files.unreferenced(c, 9))) == []
    assert database.write(lambda c: purge.remove_some(c, 1, 100))
    assert not database.read(purge.waiting)
    assert removable(upto) == []
    for table in (chunks, pages, embeddings):
        assert count(database, table) == 0
    gone = database.write(lambda c: files.forget(c, files.unreferenced(c, 9)))
    assert gone == [library.file_of("text").sha256]


def test_an_original_stays_while_anything_refers_to_it(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    one = library.add(database, reader, clock, "a.txt", "same")
    two = library.add(database, reader, clock, "b.txt", "same")
    database.write(lambda c: documents.delete(c, reader, clock, one.id))
    assert database.write(lambda c: files.forget(c, files.unreferenced(c, 9))) == []
    database.write(lambda c: documents.delete(c, reader, clock, two.id))
    assert len(database.write(lambda c: files.forget(c, files.unreferenced(c, 9)))) == 1
