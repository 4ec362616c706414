"""Documents as people see them."""

from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa

from likeopt.errors import BadInput, Forbidden, NotFound, Unauthorized
from likeopt.storage import access, collections, cursors, documents, jobs, passages
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock
from tests.storage import library


def test_an_added_document_waits_then_is_ready(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "note.txt", tags=["b", "a", "a"])
    assert added.state == "queued"
    assert not added.searchable_by_words
    assert added.tags == ["a", "b"]

    (job,) = library.claim_index(database, clock)
    database.write(lambda c: jobs.progress(c, clock, job.id, "write", 3, 9))
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert seen.state == "indexing"
    assert seen.progress is not None
    assert (seen.progress.step, seen.progress.done, seen.progress.total) == ("write", 3, 9)

    clock.advance(61)
    library.index(database, clock, ["one", "two"])
    library.follow(database, clock)
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.state, seen.searchable_by_words, seen.chunks, seen.embedded) == (
        "ready",
        True,
        2,
        0,
    )
    assert library.embed(database, clock) == 2
    seen = database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.embedded, seen.progress, seen.title) == (2, None, "Title")


def test_same_content_again_is_unchanged(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    first = library.add(database, reader, clock, "note.txt")
    library.index(database, clock, ["one"])
    again = database.write(lambda c: documents.add(c, reader, clock, library.new("note.txt")))
    assert again.outcome == "unchanged"
    assert again.document.id == first.id
    assert library.claim_index(database, clock) == []


def test_unchanged_content_takes_new_tags(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "note.txt", tags=["old"])
    again = database.write(
        lambda c: documents.add(c, reader, clock, library.new("note.txt", tags=["new"]))
    )
    assert again.document.tags == ["new"]


def test_changed_content_replaces_the_old_at_once(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    first = library.add(database, reader, clock, "note.txt", "old")
    library.index(database, clock, ["old words"])
    changed = database.write(
        lambda c: documents.add(c, reader, clock, library.new("note.txt", "new"))
    )
    assert (changed.outcome, changed.document.id) == ("changed", first.id)
    page = database.read(lambda c: passages.text_at(c, reader, first.id, 0))
    assert page.text == "old words"
    library.index(database, clock, ["new words"])
    page = database.read(lambda c: passages.text_at(c, reader, first.id, 0))
    assert page.text == "new words"


def test_a_cancelled_document_can_be_taken_up_again(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "note.txt")
    cancelled = database.write(lambda c: documents.cancel(c, reader, clock, added.id))
    assert (cancelled.state, cancelled.error_code) == ("failed", "cancelled")
    assert library.claim_index(database, clock) == []
    again = database.write(lambda c: documents.reindex(c, reader, clock, added.id))
    assert (again.state, again.error_code) == ("queued", None)
    assert len(library.claim_index(database, clock)) == 1


def test_deleting_removes_every_trace_people_can_see(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "secret.txt", tags=["hidden"])
    library.index(database, clock, ["words"])
    version = database.read(lambda c: documents.get(c, reader, added.id)).version_id
    database.write(lambda c: documents.delete(c, reader, clock, added.id))
    with pytest.raises(NotFound):
        database.read(lambda c: documents.get(c, reader, added.id))
    with pytest.raises(NotFound):
        database.read(lambda c: passages.text_at(c, reader, added.id, 0, version))
    with pytest.raises(NotFound):
        database.write(lambda c: documents.delete(c, reader, clock, added.id))
    assert database.read(lambda c: documents.list_(c, reader, Wanted())).items == []
    assert database.read(lambda c: documents.list_(c, reader, Wanted(tag="hidden"))).items == []
    # The same file can come back, as another document.
    back = library.add(database, reader, clock, "secret.txt")
    assert back.id != added.id


def test_update_renames_and_tags(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "note.txt", tags=["old"])
    seen = database.write(lambda c: documents.update(c, reader, clock, added.id, name="메모.txt"))
    assert (seen.name, seen.tags) == ("메모.txt", ["old"])
    seen = database.write(lambda c: documents.update(c, reader, clock, added.id, tags=[]))
    assert (seen.name, seen.tags) == ("메모.txt", [])


@pytest.mark.parametrize(
    "tags", [[""], ["x" * 65], ["a\nb"], ["\ud800"], [str(i) for i in range(21)]]
)
def test_bad_tags_change_nothing(
    sqlite_database: Database, clock: FakeClock, tags: list[str]
) -> None:
    reader = library.prepared(sqlite_database, clock)
    added = library.add(sqlite_database, reader, clock, "note.txt", tags=["old"])
    with pytest.raises(BadInput):
        sqlite_database.write(
            lambda c: documents.update(c, reader, clock, added.id, name="new", tags=tags)
        )
    seen = sqlite_database.read(lambda c: documents.get(c, reader, added.id))
    assert (seen.name, seen.tags) == ("note.txt", ["old"])


# -- lists -----------------------------------------------------------------------------------------


def names(database: Database, reader: Reader, wanted: Wanted, limit: int = 200) -> list[str]:
    """All names of a list, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = database.read(
            partial(documents.list_, reader=reader, wanted=wanted, cursor=cursor, limit=limit)
        )
        found += [document.name for document in page.items]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def test_pages_hold_every_document_once_newest_first(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    for i in range(7):
        library.add(database, reader, clock, f"{i}.txt", str(i))
        # Pairs share a millisecond: the cursor must tell them apart.
        clock.advance(0.001 * (i % 2))
    assert sorted(names(database, reader, Wanted(), limit=2)) == [f"{i}.txt" for i in range(7)]
    newest = database.read(lambda c: documents.list_(c, reader, Wanted(), limit=1)).items[0]
    assert newest.name == "6.txt"


def test_lists_are_filtered(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "École 2.txt", "1", tags=["fr"])
    library.add(database, reader, clock, "한국어 보고서.txt", "2")
    library.add(database, reader, clock, "100%.txt", "3")
    library.index(database, clock, ["words"])
    library.follow(database, clock)
    assert names(database, reader, Wanted(query="éCOLE")) == ["École 2.txt"]
    assert names(database, reader, Wanted(query="보고")) == ["한국어 보고서.txt"]
    assert names(database, reader, Wanted(query="0%.")) == ["100%.txt"]
    assert names(database, reader, Wanted(query="_")) == []
    assert names(database, reader, Wanted(tag="fr")) == ["École 2.txt"]
    assert names(database, reader, Wanted(state="ready")) == ["École 2.txt"]
    assert len(names(database, reader, Wanted(state="queued"))) == 2
    assert len(names(database, reader, Wanted(collection="default"))) == 3


def test_a_page_costs_the_same_queries_however_long_it_is(
    database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(database, clock)
    for i in range(5):
        library.add(database, reader, clock, f"{i}.txt", str(i), tags=["t"])
    counted: list[int] = []

    def list_counting(limit: int) -> None:
        statements: list[str] = []

        def count(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        sa.event.listen(database.engine, "before_cursor_execute", count)
        database.read(lambda c: documents.list_(c, reader, Wanted(), limit=limit))
        sa.event.remove(database.engine, "before_cursor_execute", count)
        counted.append(len([s for s in statements if s.startswith("SELECT")]))

    list_counting(1)
    list_counting(5)
    assert counted == [3, 3]


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "!", "한", "W10", "WyJhIiwiYiJd", "WzEsMl0", "bnVsbA=="),
        # What no column can hold, and no driver takes.
        cursors.encode(2**63, "a"),
        cursors.encode(-(2**64), "a"),
        cursors.encode(1, "\0"),
    ],
)
def test_a_bad_cursor_is_refused(sqlite_database: Database, clock: FakeClock, cursor: str) -> None:
    reader = library.prepared(sqlite_database, clock)
    with pytest.raises(BadInput, match="cursor"):
        sqlite_database.read(lambda c: documents.list_(c, reader, Wanted(), cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_bad_limit_is_refused(sqlite_database: Database, clock: FakeClock, limit: int) -> None:
    reader = library.prepared(sqlite_database, clock)
    with pytest.raises(BadInput, match="limit"):
        sqlite_database.read(lambda c: documents.list_(c, reader, Wanted(), limit=limit))


# -- text ------------------------------------------------------------------------------------------


def test_text_is_read_by_offset(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "book.pdf")
    library.index(database, clock, ["가나다", "second", "third"], paged=True)

    def at(offset: int) -> passages.Page:
        return database.read(lambda c: passages.text_at(c, reader, added.id, offset))

    assert [at(offset).number for offset in (0, 2, 3, 8, 9, 14)] == [1, 1, 2, 2, 3, 3]
    page = at(4)
    assert (page.start, page.text, page.total, page.pages, page.paged) == (3, "second", 14, 3, True)
    with pytest.raises(BadInput):
        at(15)
    with pytest.raises(BadInput):
        at(-1)


def test_text_of_a_document_that_is_not_indexed_yet(
    sqlite_database: Database, clock: FakeClock
) -> None:
    reader = library.prepared(sqlite_database, clock)
    added = library.add(sqlite_database, reader, clock, "a.txt")
    with pytest.raises(NotFound) as caught:
        sqlite_database.read(lambda c: passages.text_at(c, reader, added.id, 0))
    assert caught.value.instance_code == "version_gone"


# -- people ----------------------------------------------------------------------------------------


def test_a_stranger_learns_nothing(database: Database, clock: FakeClock) -> None:
    owner = library.prepared(database, clock)
    private = database.write(lambda c: collections.create(c, owner, clock, "Private"))
    owner = database.read(access.local_reader)
    added = library.add(database, owner, clock, "a.txt", collection_id=private.id)
    library.index(database, clock, ["secret"])
    stranger = library.member(database, clock, "stranger")
    chunk = database.read(lambda c: passages.passage(c, owner, 1))
    assert chunk.text == "secret"

    attempts: list[Callable[[sa.Connection], object]] = [
        lambda c: documents.get(c, stranger, added.id),
        lambda c: documents.update(c, stranger, clock, added.id, name="x"),
        lambda c: documents.delete(c, stranger, clock, added.id),
        lambda c: documents.reindex(c, stranger, clock, added.id),
        lambda c: documents.cancel(c, stranger, clock, added.id),
        lambda c: documents.list_(c, stranger, Wanted(collection=private.id)),
        lambda c: documents.add(c, stranger, clock, library.new("x", collection_id=private.id)),
        lambda c: passages.text_at(c, stranger, added.id, 0),
        lambda c: passages.passage(c, stranger, chunk.id),
        lambda c: collections.get(c, stranger, private.id),
        lambda c: collections.rename(c, stranger, private.id, "x"),
        lambda c: collections.delete(c, stranger, clock, private.id),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            database.write(attempt)
    assert names(database, stranger, Wanted()) == []
    summary = database.read(lambda c: jobs.summary(c, stranger))
    assert (summary.embedding, summary.pending_embeddings) == (0, 0)


def test_a_member_reads_what_everyone_may_and_changes_nothing(
    database: Database, clock: FakeClock
) -> None:
    owner = library.prepared(database, clock)
    added = library.add(database, owner, clock, "a.txt")
    other = library.member(database, clock, "other")
    assert names(database, other, Wanted()) == ["a.txt"]
    attempts: list[Callable[[sa.Connection], object]] = [
        lambda c: documents.update(c, other, clock, added.id, name="x"),
        lambda c: documents.delete(c, other, clock, added.id),
        lambda c: documents.add(c, other, clock, library.new("x")),
        lambda c: collections.rename(c, other, "default", "x"),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            database.write(attempt)


def test_an_unknown_user_is_nobody(sqlite_database: Database, clock: FakeClock) -> None:
    library.prepared(sqlite_database, clock)
    with pytest.raises(Unauthorized):
        sqlite_database.read(lambda c: access.reader_for(c, "nobody"))
