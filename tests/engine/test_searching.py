"""What a search returns while the library, its indexes and its models come and go."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.errors import EngineUnavailable, ModelUnavailable
from likeopt.retrieval.types import (
    EmbedRequest,
    Filters,
    Hit,
    Mode,
    SearchRequest,
    SearchResponse,
)
from tests.engine.shelf import Shelf
from tests.servers import free_port

Search = Callable[..., SearchResponse]


@pytest.fixture
def search(shelf: Shelf, searcher: Searcher) -> Search:
    """Search as a reader of the default collection."""

    def run(query: str, **more: Any) -> SearchResponse:
        fields: dict[str, Any] = {"collections": ["default"], **more}
        deadline = shelf.clock.monotonic() + 10
        return searcher.search(SearchRequest(query, **fields), deadline)

    return run


def names(response: SearchResponse) -> list[str]:
    return [hit.document_name for hit in response.hits]


def parts(response: SearchResponse) -> set[str]:
    return {degraded.part for degraded in response.degraded}


LEAVE = ["연차휴가는 15일이다. 매년 1월에 부여한다.", "남은 휴가는 5일까지 이월된다."]
TRAVEL = ["출장비는 사후에 정산한다. 영수증을 낸다."]
CACHE = ["Requests are cached for 60 seconds. A failed layer is a miss."]


def fill(shelf: Shelf) -> None:
    shelf.put("leave", LEAVE, context="휴가 규정")
    shelf.put("travel", TRAVEL)
    shelf.put("cache", CACHE)
    shelf.index_words()
    shelf.embed()


# -- finding -------------------------------------------------------------------------------------


def test_an_empty_library(search: Search) -> None:
    found = search("무엇이든")
    assert (found.hits, found.degraded, found.pending, found.generation) == ([], [], 0, 0)


def test_both_searches_find_and_agree(shelf: Shelf, search: Search) -> None:
    fill(shelf)
    found = search("연차휴가는 며칠인가요?")
    best = found.hits[0]
    assert best.document_name == "leave"
    assert best.text == LEAVE[0]
    assert (best.start, best.end, best.page) == (0, len(LEAVE[0]), 1)
    assert (best.lexical_rank, best.vector_rank) == (1, 1)
    assert best.lexical_score is not None
    assert best.lexical_score > 0
    assert best.similarity is not None
    assert 0 < best.similarity <= 1.001
    assert best.context == "휴가 규정"
    assert found.generation == 3
    assert found.pending == 0
    assert found.degraded == []
    assert set(found.stages) >= {
        "analyse",
        "embed",
        "lexical",
        "vector",
        "fuse",
        "rows",
        "sentences",
    }
    assert [hit.score for hit in found.hits] == sorted((h.score for h in found.hits), reverse=True)


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "vector"])
def test_each_mode_finds_english(shelf: Shelf, search: Search, mode: Mode) -> None:
    fill(shelf)
    found = search("how long are requests cached", mode=mode)
    assert names(found)[0] == "cache"
    best = found.hits[0]
    assert (best.lexical_rank is None) == (mode == "vector")
    assert (best.vector_rank is None) == (mode == "lexical")


def test_highlights_coverage_and_sentences(shelf: Shelf, search: Search) -> None:
    fill(shelf)
    best = search("requests cached", sentences=2).hits[0]
    assert [best.text[a:b] for a, b in best.highlights] == ["Requests", "cached"]
    assert best.coverage == 1.0
    first, second = best.sentences
    assert best.text[first.start : first.end].strip() == "Requests are cached for 60 seconds."
    assert first.score > second.score
    assert search("requests cached").hits[0].sentences == []
    assert search("requests 바나나").hits[0].coverage < 0.5


def test_a_passage_found_by_words_only_still_has_its_similarity(
    shelf: Shelf, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeopt.engine.searching.DEPTH", 1)
    shelf.put("near", ["requests are cached by us for a minute or so, in general"])
    shelf.put("rare", ["zyzzyva and other words, none of which is near"])
    shelf.index_words()
    shelf.embed()
    found = search("requests are cached by us zyzzyva", k=1)
    both = search("zyzzyva", k=2)
    assert found.hits[0].similarity is not None
    assert all(hit.similarity is not None for hit in both.hits)


def test_k_is_how_many(shelf: Shelf, search: Search) -> None:
    shelf.put("many", [f"word number {i}" for i in range(30)])
    shelf.index_words()
    assert len(search("word", k=7).hits) == 7
    assert len(search("word", k=30).hits) == 30


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


# -- parts that do not work ----------------------------------------------------------------------


def test_without_words_meaning_serves_and_the_response_says_so(
    shelf: Shelf, search: Search
) -> None:
    shelf.put("cache", CACHE)
    shelf.embed()
    found = search("requests cached")
    assert names(found) == ["cache"]
    assert parts(found) == {"lexical"}
    assert found.hits[0].highlights
    with pytest.raises(EngineUnavailable):
        search("requests cached", mode="lexical")


def test_a_damaged_index_of_words_degrades_until_it_is_built_again(
    shelf: Shelf, search: Search
) -> None:
    fill(shelf)
    assert parts(search("requests cached")) == set()
    shelf.rebuild_words()
    for path in shelf.lexical_root.glob("*/index/*.term"):
        os.truncate(path, path.stat().st_size // 2)
    found = search("requests cached")
    assert names(found)[0] == "cache"
    assert parts(found) == {"lexical"}
    shelf.rebuild_words()
    found = search("requests cached")
    assert parts(found) == set()
    assert found.hits[0].lexical_rank == 1


def test_a_damaged_vector_index_degrades_until_it_is_built_again(
    shelf: Shelf, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeopt.engine.library._PAUSE", 0.0)
    fill(shelf)
    shelf.merge_vectors()
    for path in shelf.vector_root.glob("*/graph.usearch"):
        os.truncate(path, path.stat().st_size // 2)
    found = search("requests cached")
    assert names(found)[0] == "cache"
    assert parts(found) == {"vector"}
    with pytest.raises(EngineUnavailable):
        search("requests cached", mode="vector")
    shelf.merge_vectors()
    found = search("requests cached")
    assert parts(found) == set()
    assert found.hits[0].vector_rank == 1


def test_a_model_that_fails_leaves_the_search_by_words(
    shelf: Shelf, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)

    def fail(texts: list[str]) -> NDArray[np.float32]:
        raise ModelUnavailable("The model is away.")

    monkeypatch.setattr(shelf.embedder, "queries", fail)
    found = search("requests cached")
    assert names(found) == ["cache"]
    assert [(part.part, part.reason) for part in found.degraded] == [
        ("embedding", "The model is away.")
    ]
    with pytest.raises(EngineUnavailable, match="away"):
        search("requests cached", mode="vector")
    monkeypatch.undo()
    assert search("requests cached").degraded == []


def test_a_search_by_words_does_not_complain_about_vectors(
    shelf: Shelf, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)
    shelf.merge_vectors()
    for path in shelf.vector_root.glob("*/*"):
        path.unlink()
    assert search("requests", mode="lexical").degraded == []


# -- Chroma ---------------------------------------------------------------------------------------


def with_chroma(shelf: Shelf, url: str) -> Searcher:
    config = msgspec.structs.replace(shelf.config, vector_backend="chroma", chroma_url=url)
    library = Library(config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    return Searcher(library, shelf.db, shelf.clock, threads=2)


def test_vectors_in_chroma(shelf: Shelf, chroma_url: str) -> None:
    fill(shelf)
    searcher = with_chroma(shelf, chroma_url)
    ask = SearchRequest("requests cached", ["default"], mode="vector")
    assert searcher.search(ask, shelf.clock.monotonic() + 10).hits == []
    shelf.push_to_chroma(chroma_url)
    found = searcher.search(ask, shelf.clock.monotonic() + 10)
    assert names(found)[0] == "cache"
    assert found.degraded == []
    status = searcher.status(shelf.clock.monotonic() + 10)
    assert (status.vector_backend, status.vectors) == ("chroma", 4)
    searcher.close()


def test_without_chroma_words_serve(shelf: Shelf) -> None:
    fill(shelf)
    searcher = with_chroma(shelf, f"http://127.0.0.1:{free_port()}")
    for _ in range(2):
        found = searcher.search(
            SearchRequest("requests cached", ["default"]), shelf.clock.monotonic() + 10
        )
        assert names(found) == ["cache"]
        assert parts(found) == {"vector"}
    searcher.close()


# -- the other requests --------------------------------------------------------------------------


def test_queries_are_embedded_once(shelf: Shelf, search: Search, searcher: Searcher) -> None:
    fill(shelf)
    before = shelf.embedder.calls
    for _ in range(3):
        search("requests cached")
    deadline = shelf.clock.monotonic() + 10
    answer = searcher.embed(EmbedRequest(["requests cached", "another"]), deadline)
    assert shelf.embedder.calls == before + 2
    assert answer.model == "fake"
    vector = np.frombuffer(answer.vectors[0], dtype="<f4")
    assert np.allclose(vector, shelf.embedder.queries(["requests cached"])[0])


def test_status(shelf: Shelf, searcher: Searcher) -> None:
    fill(shelf)
    shelf.merge_vectors()
    shelf.put("new", ["one more"])
    shelf.embed()
    status = searcher.status(shelf.clock.monotonic() + 10)
    assert (status.generation, status.lexical_revision) == (4, 3)
    assert (status.chunks, status.vectors, status.delta) == (4, 4, 1)
    assert (status.embedder, status.vector_backend) == ("fake", "local")
