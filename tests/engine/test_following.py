"""What readers see of a library that changes, on both databases."""

import msgspec
import numpy as np
import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.errors import StorageUnavailable
from likeopt.retrieval.types import Filters, Hit
from likeopt.storage import bootstrap
from likeopt.storage.db import Database, migrate
from tests.engine.shelf import CACHE, Search, Shelf, fill, names
from tests.fakes import FakeEmbedder


@pytest.fixture
def shelf(database_config: Config, database: Database, real_clock: Clock) -> Shelf:
    return Shelf(database_config, database, real_clock)


# -- who may see what ----------------------------------------------------------------------------


def test_a_reader_sees_only_their_collections(shelf: Shelf, search: Search) -> None:
    shelf.collection("secret")
    shelf.put("open", ["the common word"])
    shelf.put("closed", ["the common word"], collection="secret")
    shelf.index_words()
    shelf.embed()
    for mode in ("hybrid", "lexical", "vector"):
        assert names(search("common word", mode=mode)) == ["open"]
        both = search("common word", mode=mode, collections=["default", "secret"])
        assert sorted(names(both)) == ["closed", "open"]
        assert names(search("common word", mode=mode, collections=[])) == []
        assert names(search("common word", mode=mode, collections=["no such"])) == []


def test_a_moved_document_is_seen_where_it_is_now(shelf: Shelf, search: Search) -> None:
    shelf.collection("other")
    document = shelf.put("moving", ["the common word"])
    shelf.index_words()
    assert names(search("common")) == ["moving"]
    shelf.move(document, "other")
    assert names(search("common")) == []
    assert names(search("common", collections=["other"])) == ["moving"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(tags=["hr"]), ["a", "b"]),
        (Filters(tags=["it", "hr"]), ["a", "b", "c"]),
        (Filters(tags=["none"]), []),
        (Filters(media_types=["application/pdf"]), ["b"]),
        (Filters(updated_after=200), ["b", "c"]),
        (Filters(updated_before=200), ["a"]),
        (Filters(updated_after=200, updated_before=300), ["b"]),
        (Filters(tags=["hr"], media_types=["text/plain"]), ["a"]),
        (Filters(collections=["other"]), []),
        (Filters(collections=["default"]), ["a", "b", "c"]),
    ],
)
def test_filters(shelf: Shelf, search: Search, filters: Filters, expected: list[str]) -> None:
    shelf.put("a", ["the common word"], tags=["hr", "kr"], updated_at=100)
    shelf.put("b", ["the common word"], tags=["hr"], updated_at=200, media_type="application/pdf")
    shelf.put("c", ["the common word"], tags=["it"], updated_at=300)
    shelf.index_words()
    shelf.embed()
    for mode in ("lexical", "vector", "hybrid"):
        assert sorted(names(search("common word", filters=filters, mode=mode))) == expected


def test_a_filter_by_document(shelf: Shelf, search: Search) -> None:
    shelf.put("a", ["the common word"])
    wanted = shelf.put("b", ["the common word"])
    shelf.index_words()
    assert names(search("common", filters=Filters(documents=[wanted]))) == ["b"]
    assert names(search("common", filters=Filters(documents=["0" * 32]))) == []


# -- a library that changes ----------------------------------------------------------------------


def test_a_new_document_is_found_by_words_then_by_meaning(shelf: Shelf, search: Search) -> None:
    shelf.put("cache", CACHE)
    assert names(search("requests")) == []
    shelf.index_words()
    found = search("requests cached")
    assert (names(found), found.pending) == (["cache"], 1)
    assert names(search("requests cached", mode="vector")) == []
    shelf.embed()
    found = search("requests cached", mode="vector")
    assert (names(found), found.pending) == (["cache"], 0)


def test_of_a_changed_document_the_old_or_the_new_is_seen_never_neither(
    shelf: Shelf, search: Search
) -> None:
    shelf.put("doc", ["first edition of the word"])
    shelf.index_words()
    shelf.embed()
    for edition in ("second", "third"):
        before = [hit.text for hit in search("word").hits]
        shelf.put("doc", [f"{edition} edition of the word"])
        assert [hit.text for hit in search("word").hits] == before
        assert [hit.text for hit in search("word", mode="vector").hits] == before
        shelf.index_words()
        assert [hit.text for hit in search("word").hits] == [f"{edition} edition of the word"]
        shelf.embed()
        after = search("word", mode="vector")
        assert [hit.text for hit in after.hits] == [f"{edition} edition of the word"]


def test_a_deleted_document_is_gone_at_once(shelf: Shelf, search: Search) -> None:
    document = shelf.put("doc", ["the word"])
    shelf.put("other", ["the word"])
    shelf.index_words()
    shelf.embed()
    shelf.merge_vectors()
    assert sorted(names(search("word"))) == ["doc", "other"]
    shelf.delete(document)
    for mode in ("hybrid", "lexical", "vector"):
        assert names(search("word", mode=mode)) == ["other"]


def test_an_engine_that_starts_late_sees_the_same(shelf: Shelf, search: Search) -> None:
    shelf.put("doc", ["first edition of the word"])
    gone = shelf.put("gone", ["the word"])
    shelf.index_words()
    shelf.put("doc", ["second edition of the word"])
    shelf.delete(gone)
    # The index of words still shows the first edition, and the deleted document.
    assert [hit.text for hit in search("word").hits] == ["first edition of the word"]
    shelf.index_words()
    assert [hit.text for hit in search("word").hits] == ["second edition of the word"]


def test_a_merged_base_changes_nothing_that_is_seen(shelf: Shelf, search: Search) -> None:
    fill(shelf)
    before = search("휴가 이월", mode="vector")
    shelf.merge_vectors()
    after = search("휴가 이월", mode="vector")
    assert [hit.chunk_id for hit in after.hits] == [hit.chunk_id for hit in before.hits]
    assert np.allclose(similarities(after.hits), similarities(before.hits), atol=1e-3)


def similarities(hits: list[Hit]) -> list[float]:
    return [hit.similarity or 0.0 for hit in hits]


def test_a_database_without_tables_is_waited_for(
    config: Config, postgres_url: str, real_clock: Clock
) -> None:
    """On SQLite the process does so in `test_server`."""
    db = Database(msgspec.structs.replace(config, database_url=postgres_url).database)
    library = Library(config, db, real_clock, lambda _: FakeEmbedder())
    with pytest.raises(StorageUnavailable):
        library.view(real_clock.monotonic() + 5)
    migrate(db)
    assert library.view(real_clock.monotonic() + 5).semantic is None
    db.write(lambda c: bootstrap.prepare(c, real_clock))
    assert library.view(real_clock.monotonic() + 5).semantic is not None
    library.close()
    db.close()
