"""What a search returns while the library, its indexes and its models come and go."""

import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.errors import EngineUnavailable, ModelUnavailable, StorageUnavailable
from likeopt.retrieval.types import (
    FAILED,
    EmbedRequest,
    Mode,
    SearchRequest,
)
from likeopt.retrieval.vector.local import VECTORS, LocalVectors
from likeopt.storage import facts
from tests.engine.shelf import CACHE, LEAVE, Search, Shelf, fill, names, parts
from tests.fakes import FakeEmbedder
from tests.servers import free_port

T = TypeVar("T")

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
    shelf: Shelf,
    search: Search,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill(shelf)

    def fail(texts: list[str]) -> NDArray[np.float32]:
        raise ModelUnavailable("The model is away.")

    monkeypatch.setattr(shelf.embedder, "queries", fail)
    found = search("requests cached")
    assert names(found) == ["cache"]
    # Another server's words are for the log, not for whoever searches.
    assert [(part.part, part.reason) for part in found.degraded] == [("embedding", FAILED)]
    assert "The model is away." in caplog.text
    with pytest.raises(EngineUnavailable, match="the log says why"):
        search("requests cached", mode="vector")
    monkeypatch.undo()
    assert search("requests cached").degraded == []


def test_a_model_that_takes_its_time_holds_up_no_search_by_words(
    shelf: Shelf, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)
    release = threading.Event()
    real = shelf.embedder.queries

    def slow(texts: list[str]) -> NDArray[np.float32]:
        release.wait(10)
        return real(texts)

    monkeypatch.setattr(shelf.embedder, "queries", slow)
    found = search("requests cached", within=0.2)
    assert names(found) == ["cache"]
    assert parts(found) == {"embedding"}
    assert search("requests cached", within=0.2, mode="lexical").degraded == []
    release.set()


def test_a_model_that_cannot_be_opened_is_tried_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("likeopt.engine.library._PAUSE", 0.0)
    fill(shelf)
    errors: list[Exception] = [ModelUnavailable("No answer."), RuntimeError("a bug")]

    def open_embedder(_: str | None) -> FakeEmbedder:
        if errors:
            raise errors.pop(0)
        return shelf.embedder

    library = Library(shelf.config, shelf.db, shelf.clock, open_embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)
    ask = SearchRequest("requests cached", ["default"])
    outcomes = [searcher.search(ask, shelf.clock.monotonic() + 10) for _ in range(3)]
    assert [parts(found) for found in outcomes] == [{"embedding"}, {"embedding"}, set()]
    assert all(names(found)[0] == "cache" for found in outcomes)
    assert "a bug" in caplog.text
    searcher.close()
    library.close()


def test_the_model_in_force_is_followed(shelf: Shelf) -> None:
    """While another model's vectors are being made, the old one is asked."""
    fill(shelf)
    library = Library(shelf.config, shelf.db, shelf.clock, shelf.open_embedder)
    for model in ("fake", "other", "other"):
        shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value=model))
        assert library.view(shelf.clock.monotonic() + 10).semantic
    assert shelf.asked == ["fake", "other"]
    library.close()


def test_a_search_under_way_ends_with_the_model_that_it_began_with(shelf: Shelf) -> None:
    """Also the very first vectors of a library name the model in force."""
    fill(shelf)
    library = Library(shelf.config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)
    until = shelf.clock.monotonic() + 10

    def run(work: Callable[[], T]) -> T:
        # Between the look at the library and what is computed, another search comes and goes.
        shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value="other"))
        assert library.view(until).semantic
        return work()

    found = searcher.search(SearchRequest("requests cached", ["default"]), until, run)
    assert (names(found)[0], parts(found)) == ("cache", set())
    assert found.hits[0].vector_rank
    searcher.close()
    library.close()


def test_the_model_stays_open_once_its_first_vectors_name_it(shelf: Shelf) -> None:
    fill(shelf)
    library = Library(shelf.config, shelf.db, shelf.clock, shelf.open_embedder)
    shelf.db.write(lambda c: c.execute(sa.text("DELETE FROM facts WHERE name = 'embedding_model'")))
    for _ in range(2):
        assert library.view(shelf.clock.monotonic() + 10).semantic
        shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value="fake"))
    assert shelf.asked == [None]
    library.close()


def test_who_looked_before_the_model_changed_does_not_put_the_new_one_out(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)
    library = Library(shelf.config, shelf.db, shelf.clock, shelf.open_embedder)
    until = shelf.clock.monotonic() + 10
    catch_up = library._catch_up
    late: list[bool] = []

    def overtaken() -> object:
        seen = catch_up()
        if not late:
            late.append(True)
            # As another thread would, between the look and what is made of it.
            shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value="other"))
            catch_up()
        return seen

    monkeypatch.setattr(library, "_catch_up", overtaken)
    assert library.view(until).semantic is library.view(until).semantic
    assert shelf.asked == ["other"]
    library.close()


@pytest.mark.parametrize("harmed", [False, True])
def test_a_model_is_closed_when_no_search_has_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, harmed: bool
) -> None:
    fill(shelf)
    shelf.merge_vectors()
    monkeypatch.setattr("likeopt.engine.library._PAUSE", 0.0)
    library = Library(shelf.config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)
    ask = partial(searcher.search, SearchRequest("requests cached", ["default"]))
    until = shelf.clock.monotonic() + 10
    view = library.view(until)
    assert view.semantic
    held, embeddings = weakref.ref(view.semantic), view.semantic.embeddings
    if harmed:
        # What is noticed of an index, and what a model says, keeps neither open.
        shelf.merge_vectors()
        for path in shelf.vector_root.glob(f"*/{VECTORS}"):
            path.write_bytes(b"")
        assert parts(ask(until)) == {"vector"}
        shelf.merge_vectors()
    shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value="other"))
    assert ask(until).degraded == []
    assert held() is view.semantic
    del view
    assert held() is None
    with pytest.raises(RuntimeError, match="after shutdown"):
        embeddings.vector("requests cached, anew", until)
    searcher.close()
    library.close()


def test_another_database_in_the_same_place_starts_afresh(shelf: Shelf, search: Search) -> None:
    fill(shelf)
    assert search("requests").hits
    shelf.db.write(lambda c: facts.put(c, facts.DATABASE_ID, "f" * 32))
    found = search("requests")
    assert names(found)[0] == "cache"
    assert parts(found) == {"lexical"}


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


def test_a_search_says_itself_that_similarities_failed(
    shelf: Shelf,
    search: Search,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> dict[int, float]:
        raise StorageUnavailable("Chroma went away.")

    fill(shelf)
    monkeypatch.setattr(LocalVectors, "similarities", fail)
    found = search("requests cached")
    assert names(found)[0] == "cache"
    assert [(part.part, part.reason) for part in found.degraded] == [("vector", FAILED)]
    assert "Chroma went away." in caplog.text


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
    status = searcher.status(shelf.clock.monotonic() + 10)
    # Found by meaning before there is an index of vectors.
    assert (status.chunks, status.embedded, status.vectors) == (4, 4, 0)
    shelf.merge_vectors()
    shelf.put("new", ["one more"])
    shelf.embed()
    status = searcher.status(shelf.clock.monotonic() + 10)
    assert (status.generation, status.lexical_revision) == (4, 3)
    assert (status.chunks, status.embedded) == (4, 4)
    assert (status.vectors, status.delta) == (4, 1)
    assert (status.embedder, status.vector_backend) == ("fake", "local")
