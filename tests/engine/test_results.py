"""What is remembered of searches: the same as searching anew, after every kind of change at once,
for nobody else, and nothing that was incomplete."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.engine import results
from likeopt.engine.library import Library
from likeopt.engine.results import Results
from likeopt.engine.searching import Searcher
from likeopt.errors import EngineUnavailable, LikeOptError, ModelUnavailable, StorageUnavailable
from likeopt.retrieval.lexical import LexicalSnapshot
from likeopt.retrieval.types import (
    FAILED,
    Degraded,
    Filters,
    ForgetRequest,
    Remembered,
    SearchRequest,
    SearchResponse,
)
from likeopt.storage import access, collections, documents, facts, revisions
from likeopt.storage.collections import Readers
from likeopt.storage.tables import counters, users
from tests.engine.shelf import Search, Shelf, fill, names, parts

QUERY = "requests cached"


def counts(searcher: Searcher) -> Remembered:
    return searcher.status(Clock().monotonic() + 10).searches


def content(found: SearchResponse) -> SearchResponse:
    """All of a response but how long it took."""
    return msgspec.structs.replace(found, stages={})


# -- remembering ---------------------------------------------------------------------------------


def test_the_same_search_is_done_once(
    shelf: Shelf, search: Search, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)
    first = search(QUERY, sentences=2)
    assert first.hits[0].sentences
    with monkeypatch.context() as patched:
        patched.delattr(LexicalSnapshot, "search")
        again = search(QUERY, sentences=2)
    assert content(again) == content(first)
    assert set(again.stages) == {"library"}
    found = counts(searcher)
    assert (found.hits, found.misses, found.shared, found.entries) == (1, 1, 0, 1)
    assert 1000 < found.bytes < 10_000
    # What one reader does with a response is not seen by the next.
    again.hits.clear()
    assert content(search(QUERY, sentences=2)) == content(first)


def test_without_a_cache_every_search_is_done(shelf: Shelf) -> None:
    fill(shelf)
    config = msgspec.structs.replace(shelf.config, cache="")
    library = Library(config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)
    for _ in range(2):
        request = SearchRequest(QUERY, ["default"])
        assert searcher.search(request, shelf.clock.monotonic() + 10).hits
    told = searcher.status(shelf.clock.monotonic() + 10)
    for kept in (told.searches, told.queries):
        assert (kept.hits, kept.misses, kept.entries) == (0, 2, 0)
    searcher.close()
    library.close()


@pytest.mark.parametrize(
    "other",
    [
        {"query": "requests"},
        {"k": 1},
        {"mode": "lexical"},
        {"mode": "vector"},
        {"sentences": 1},
        {"collections": ["default", "more"]},
        {"collections": []},
        {"filters": Filters(tags=["hr"])},
        {"filters": Filters(media_types=["text/plain"])},
        {"filters": Filters(updated_after=5)},
    ],
)
def test_another_search_is_another_result(
    shelf: Shelf, search: Search, searcher: Searcher, other: dict[str, Any]
) -> None:
    fill(shelf)
    asked: dict[str, Any] = {"query": QUERY}
    search(**asked)
    search(**(asked | other))
    assert counts(searcher).hits == 0
    search(**asked, within=3.0)
    assert counts(searcher).hits == 1


def test_an_administrator_may_have_it_forgotten(
    shelf: Shelf, search: Search, searcher: Searcher
) -> None:
    fill(shelf)
    first = search(QUERY)
    gone = searcher.forget(ForgetRequest(["searches", "queries"]), Clock().monotonic() + 10).uses
    assert (gone["searches"].entries, gone["queries"].entries) == (1, 1)
    now = searcher.status(Clock().monotonic() + 10)
    assert (now.searches.entries, now.searches.bytes, now.queries.entries) == (0, 0, 0)
    assert content(search(QUERY)) == content(first)
    assert counts(searcher).misses == 2


@pytest.mark.parametrize("use", ["searches", "queries"])
def test_what_was_cleared_through_another_machine_is_forgotten_here(
    shelf: Shelf, search: Search, searcher: Searcher, use: str
) -> None:
    fill(shelf)
    for _ in range(2):
        first = search(QUERY)
        shelf.db.write(lambda c: revisions.raise_(c, revisions.of_cache(use, "engine")))
        now = searcher.status(Clock().monotonic() + 10)
        left = {"searches": now.searches.entries, "queries": now.queries.entries}
        assert left == {"searches": 1, "queries": 1} | {use: 0}
        assert content(search(QUERY)) == content(first)


def test_what_is_searched_while_results_are_cleared_is_not_kept(
    shelf: Shelf, search: Search, searcher: Searcher, held: "Held"
) -> None:
    fill(shelf)
    asking = Asking(search)
    assert held.begun.acquire(timeout=10)
    shelf.db.write(lambda c: revisions.raise_(c, revisions.of_cache("searches", "engine")))
    assert counts(searcher).entries == 0
    held.release.set()
    assert names(asking.answer())
    assert counts(searcher).entries == 0


# -- changes -------------------------------------------------------------------------------------

Change = Callable[[Shelf], None]


def publish(shelf: Shelf) -> None:
    shelf.put("second", ["requests are cached here too"])
    shelf.index_words()


def publish_before_the_words_follow(shelf: Shelf) -> None:
    shelf.put("second", ["requests are cached here too"])


def words_catch_up(shelf: Shelf) -> None:
    shelf.index_words()


def publish_and_embed_before_the_words_follow(shelf: Shelf) -> None:
    shelf.put("second", ["requests are cached here too"])
    shelf.embed()


def change(shelf: Shelf) -> None:
    shelf.put("cache", ["Requests are no longer cached."])
    shelf.index_words()
    shelf.embed()


def delete(shelf: Shelf) -> None:
    shelf.delete(id_of(shelf, "cache"))


def rename(shelf: Shelf) -> None:
    update(shelf, name="renamed")


def tag(shelf: Shelf) -> None:
    update(shelf, tags=["hr"])


def untag(shelf: Shelf) -> None:
    update(shelf, tags=[])


def move(shelf: Shelf) -> None:
    shelf.collection("other")
    shelf.move(id_of(shelf, "cache"), "other")


def move_back(shelf: Shelf) -> None:
    shelf.move(id_of(shelf, "cache"), "default")


def embed(shelf: Shelf) -> None:
    shelf.embed()


def rebuild_words(shelf: Shelf) -> None:
    shelf.rebuild_words()


def merge_vectors(shelf: Shelf) -> None:
    shelf.merge_vectors()


def id_of(shelf: Shelf, name: str) -> str:
    rows = shelf.db.read(
        lambda c: c.execute(sa.text("SELECT id FROM documents WHERE name = :n"), {"n": name}).all()
    )
    return str(rows[0].id)


def update(shelf: Shelf, **values: Any) -> None:
    reader = shelf.db.read(access.local_reader)
    document = id_of(shelf, "cache")
    shelf.db.write(lambda c: documents.update(c, reader, shelf.clock, document, **values))


STORIES: list[list[Change]] = [
    [publish, embed],
    [publish_before_the_words_follow, words_catch_up, embed],
    [publish_and_embed_before_the_words_follow, words_catch_up, merge_vectors],
    [change, delete],
    [rename],
    [tag, untag],
    [move, move_back],
    [rebuild_words, merge_vectors, publish, rebuild_words, delete],
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: "-".join(c.__name__ for c in story))
def test_after_every_change_a_search_is_as_if_nothing_were_remembered(
    shelf: Shelf, search: Search, story: list[Change]
) -> None:
    fill(shelf)
    asked = [
        {"mode": mode, "filters": filters, "collections": scope}
        for mode in ("hybrid", "lexical", "vector")
        for filters in (Filters(), Filters(tags=["hr"]))
        for scope in (["default"], ["default", "other"])
    ]
    for step in story:
        before = [content(search(QUERY, **one)) for one in asked]
        assert [content(search(QUERY, **one)) for one in asked] == before
        step(shelf)
        after = [content(search(QUERY, **one)) for one in asked]
        library = Library(shelf.config, shelf.db, shelf.clock, lambda _: shelf.embedder)
        anew = Searcher(library, shelf.db, shelf.clock, threads=2)
        for one, found in zip(asked, after, strict=True):
            request = SearchRequest(QUERY, **one)  # type: ignore[arg-type]
            fresh = content(anew.search(request, shelf.clock.monotonic() + 10))
            assert told(found) == told(fresh)
        anew.close()
        library.close()


def told(found: SearchResponse) -> tuple[object, ...]:
    """What a user notices, without the last digits of scores."""
    return (
        [(hit.document_name, hit.version_id, hit.text, hit.highlights) for hit in found.hits],
        [(hit.lexical_rank, hit.vector_rank) for hit in found.hits],
        found.generation,
        found.pending,
        found.degraded,
    )


def test_another_model_is_asked_at_once(shelf: Shelf) -> None:
    fill(shelf)
    library = Library(shelf.config, shelf.db, shelf.clock, shelf.open_embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)
    ask = partial(searcher.search, SearchRequest(QUERY, ["default"]))
    for model, misses in (("fake", 1), ("fake", 1), ("other", 2), ("other", 2), ("fake", 3)):
        shelf.db.write(partial(facts.put, name=facts.EMBEDDING_MODEL, value=model))
        assert names(ask(shelf.clock.monotonic() + 10))[0] == "cache"
        assert counts(searcher).misses == misses
    assert shelf.asked == ["fake", "other", "fake"]
    searcher.close()
    library.close()


def test_an_older_copy_of_the_database_brings_back_what_it_had(
    shelf: Shelf, search: Search
) -> None:
    fill(shelf)
    had = shelf.db.read(lambda c: revisions.current(c, "library"))
    before = names(search(QUERY))
    shelf.db.write(lambda c: c.execute(sa.text("UPDATE documents SET name = name || ' of old'")))

    def wind_back(c: sa.Connection, to: int) -> None:
        c.execute(sa.update(counters).where(counters.c.name == "library").values(value=to))

    # Later, and back at the same number: only the counter's fall was seen in between.
    shelf.db.write(partial(wind_back, to=had - 1))
    search("something else")
    shelf.db.write(partial(wind_back, to=had))
    assert names(search(QUERY)) == [f"{name} of old" for name in before]


def test_another_database_in_the_same_place(shelf: Shelf, search: Search) -> None:
    fill(shelf)
    before = names(search(QUERY, mode="lexical"))
    assert search(QUERY).degraded == []
    shelf.db.write(lambda c: c.execute(sa.text("UPDATE documents SET name = name || ' of it'")))
    shelf.database_id = "f" * 32
    shelf.db.write(lambda c: facts.put(c, facts.DATABASE_ID, shelf.database_id))
    shelf.rebuild_words()
    # This one notices, and goes without words.
    assert parts(search(QUERY)) == {"lexical"}
    assert names(search(QUERY, mode="lexical")) == [f"{name} of it" for name in before]


def test_what_was_deleted_leaves_the_memory_without_a_search(
    shelf: Shelf, search: Search, searcher: Searcher
) -> None:
    fill(shelf)
    search(QUERY)
    delete(shelf)
    found = counts(searcher)
    assert (found.entries, found.bytes, found.evictions) == (0, 0, 0)


# -- readers -------------------------------------------------------------------------------------


def test_nobody_gets_the_result_of_a_reader_of_other_collections(
    shelf: Shelf, search: Search, searcher: Searcher
) -> None:
    shelves = ["default", "one", "two"]
    for collection in shelves:
        if collection != "default":
            shelf.collection(collection)
        shelf.put(f"in {collection}", ["the common word"], collection=collection)
    shelf.index_words()
    shelf.embed()
    scopes = [[s for i, s in enumerate(shelves) if chosen >> i & 1] for chosen in range(8)]
    for _ in range(2):
        for scope in scopes:
            found = search("common word", collections=scope)
            assert sorted(names(found)) == sorted(f"in {name}" for name in scope)
    assert (counts(searcher).hits, counts(searcher).misses) == (8, 8)


def test_a_reader_who_is_let_in_or_out_sees_it_at_once(shelf: Shelf, search: Search) -> None:
    shelf.collection("team")
    shelf.put("plan", ["the common word"], collection="team")
    shelf.index_words()
    shelf.embed()
    member = {"id": "member", "name": "member", "role": "member", "created_at": 0}
    shelf.db.write(lambda c: c.execute(sa.insert(users).values(member)))
    owner = shelf.db.read(access.local_reader)
    for let_in in (False, True, False, True):
        wanted = Readers(everyone=False, users=["member"] if let_in else [], groups=[])
        shelf.db.write(partial(set_readers, reader=owner, wanted=wanted))
        for _ in range(2):
            reader = shelf.db.read(lambda c: access.reader_for(c, "member"))
            found = search("common word", collections=sorted(reader.collections))
            assert names(found) == (["plan"] if let_in else [])


def set_readers(c: sa.Connection, reader: Any, wanted: Readers) -> None:
    collections.set_readers(c, reader, "team", wanted)


# -- what is not kept ----------------------------------------------------------------------------


def test_what_a_failed_model_left_out_is_found_as_soon_as_it_works(
    shelf: Shelf, search: Search, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)

    def fail(_: list[str]) -> None:
        raise ModelUnavailable("The model is away.")

    with monkeypatch.context() as patched:
        patched.setattr(shelf.embedder, "queries", fail)
        assert [parts(search(QUERY)) for _ in range(2)] == [{"embedding"}] * 2
    found = search(QUERY)
    assert found.degraded == []
    assert found.hits[0].vector_rank == 1
    assert (counts(searcher).hits, counts(searcher).entries) == (0, 1)


def test_what_an_index_that_failed_left_out_is_found_as_soon_as_it_works(
    shelf: Shelf, search: Search, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)

    def fail(*_: object) -> None:
        raise StorageUnavailable("The disk is away.")

    with monkeypatch.context() as patched:
        patched.setattr(LexicalSnapshot, "search", fail)
        assert [parts(search(QUERY)) for _ in range(2)] == [{"lexical"}] * 2
        with pytest.raises(EngineUnavailable):
            search(QUERY, mode="lexical")
    assert search(QUERY).degraded == []
    assert search(QUERY, mode="lexical").hits
    assert counts(searcher).hits == 0


def test_vectors_on_their_way_to_chroma_are_found_when_they_arrive(
    shelf: Shelf, chroma_url: str
) -> None:
    """Nothing in the database says when they do."""
    fill(shelf)
    config = msgspec.structs.replace(shelf.config, vector_backend="chroma", chroma_url=chroma_url)
    library = Library(config, shelf.db, shelf.clock, lambda _: shelf.embedder)
    searcher = Searcher(library, shelf.db, shelf.clock, threads=2)

    def ask() -> list[str]:
        request = SearchRequest(QUERY, ["default"], mode="vector")
        return names(searcher.search(request, shelf.clock.monotonic() + 10))

    assert [ask(), ask()] == [[], []]
    shelf.push_to_chroma(chroma_url)
    assert ask()[0] == "cache"
    assert ask()[0] == "cache"
    assert counts(searcher).hits == 1
    shelf.put("second", [QUERY])
    shelf.embed()
    assert "second" not in ask()
    shelf.index_words()
    assert "second" not in ask()
    shelf.push_to_chroma(chroma_url)
    assert [ask()[0], ask()[0]] == ["second", "second"]
    assert counts(searcher).hits == 2
    searcher.close()
    library.close()


# -- the same search, running --------------------------------------------------------------------


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released by each search that begins to wait for another one."""
    waiting = threading.Semaphore(0)
    real = results._result

    def wait(*arguments: Any) -> bytes | None:
        waiting.release()
        return real(*arguments)

    monkeypatch.setattr(results, "_result", wait)
    return waiting


class Held:
    """Searches by words wait here until `release`; `begun` counts those that came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.release = threading.Event()
        real = LexicalSnapshot.search

        def search(*arguments: Any) -> Any:
            self.begun.release()
            assert self.release.wait(10)
            return real(*arguments)

        monkeypatch.setattr(LexicalSnapshot, "search", search)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


class Asking(threading.Thread):
    """One who asks; `found` is the answer, `error` why there is none."""

    def __init__(self, search: Search, **more: Any) -> None:
        super().__init__()
        self._search, self._more = search, more
        self.found: SearchResponse | None = None
        self.error: LikeOptError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self._search(QUERY, **self._more)
        except LikeOptError as error:
            self.error = error

    def answer(self) -> SearchResponse:
        self.join(10)
        assert self.found, self.error
        return self.found


def test_of_the_same_search_by_many_at_once_one_is_done(
    shelf: Shelf, search: Search, searcher: Searcher, held: Held, joined: threading.Semaphore
) -> None:
    fill(shelf)
    everyone = [Asking(search) for _ in range(8)]
    for _ in range(7):
        assert joined.acquire(timeout=10)
    assert held.begun.acquire(timeout=10)
    held.release.set()
    answers = [content(one.answer()) for one in everyone]
    assert names(answers[0])[0] == "cache"
    assert all(answer == answers[0] for answer in answers)
    assert len({id(answer.hits) for answer in answers}) == 8
    found = counts(searcher)
    assert (found.misses, found.shared, found.hits) == (1, 7, 0)
    assert not held.begun.acquire(blocking=False)


@pytest.mark.parametrize("out", ["before", "meanwhile"])
def test_without_meaning_the_same_search_by_many_at_once_is_done_once_too(
    shelf: Shelf,
    search: Search,
    searcher: Searcher,
    library: Library,
    held: Held,
    joined: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
) -> None:
    fill(shelf)

    def fail(_: list[str]) -> None:
        raise ModelUnavailable("The model is away.")

    with monkeypatch.context() as patched:
        if out == "before":
            patched.setattr("likeopt.engine.library._PAUSE", 600.0)
            library.broke("embedding", "The model is away.")
        patched.setattr(shelf.embedder, "queries", fail)
        everyone = [Asking(search) for _ in range(8)]
        for _ in range(7):
            assert joined.acquire(timeout=10)
        assert held.begun.acquire(timeout=10)
        held.release.set()
        for one in everyone:
            assert (names(one.answer()), parts(one.answer())) == (["cache"], {"embedding"})
        found = counts(searcher)
        assert (found.misses, found.shared, found.entries) == (1, 7, 0)
        assert not held.begun.acquire(blocking=False)
    library._broken = None
    assert search(QUERY).degraded == []


def test_what_took_too_long_is_not_told_to_who_has_more_time(
    shelf: Shelf, search: Search, joined: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(shelf)
    begun, release = threading.Event(), threading.Event()
    real = shelf.embedder.queries

    def slow(texts: list[str]) -> Any:
        begun.set()
        assert release.wait(10)
        return real(texts)

    monkeypatch.setattr(shelf.embedder, "queries", slow)
    hasty = Asking(search, within=0.5)
    assert begun.wait(10)
    patient = Asking(search)
    assert joined.acquire(timeout=10)
    assert parts(hasty.answer()) == {"embedding"}
    release.set()
    assert patient.answer().degraded == []


def test_who_has_less_time_does_not_wait_for_who_has_more(
    shelf: Shelf,
    search: Search,
    searcher: Searcher,
    joined: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(shelf)
    release = threading.Event()
    real = shelf.embedder.queries

    def slow(texts: list[str]) -> Any:
        assert release.wait(10)
        return real(texts)

    monkeypatch.setattr(shelf.embedder, "queries", slow)
    patient = Asking(search)
    hasty = Asking(search, within=0.2)
    assert parts(hasty.answer()) == {"embedding"}
    assert names(hasty.answer()) == ["cache"]
    assert patient.is_alive()
    release.set()
    assert patient.answer().degraded == []
    assert search(QUERY).degraded == []


def test_who_waited_for_a_search_that_failed_does_their_own(
    shelf: Shelf,
    search: Search,
    joined: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(shelf)
    begun, release = threading.Event(), threading.Event()
    real = LexicalSnapshot.search

    def fail_once(*arguments: Any) -> Any:
        if begun.is_set():
            return real(*arguments)
        begun.set()
        assert release.wait(10)
        raise StorageUnavailable("The disk is away.")

    monkeypatch.setattr(LexicalSnapshot, "search", fail_once)
    first = Asking(search, mode="lexical")
    assert begun.wait(10)
    second = Asking(search, mode="lexical")
    assert joined.acquire(timeout=10)
    release.set()
    assert names(second.answer()) == ["cache"]
    first.join(10)
    assert isinstance(first.error, EngineUnavailable)


def test_a_change_while_a_search_runs_is_not_waited_for_but_searched(
    shelf: Shelf, search: Search, held: Held
) -> None:
    fill(shelf)
    old = Asking(search)
    assert held.begun.acquire(timeout=10)
    delete(shelf)
    new = Asking(search)
    assert held.begun.acquire(timeout=10)
    held.release.set()
    assert "cache" not in names(new.answer())
    old.join(10)
    assert "cache" not in names(search(QUERY))


# -- bounds --------------------------------------------------------------------------------------


def response(number: int, size: int = 1000) -> Callable[[], SearchResponse]:
    return lambda: SearchResponse([], number, stages={"s" * size: 1.0}, pending=number)


def degraded(number: int) -> Callable[[], SearchResponse]:
    return lambda: SearchResponse([], number, degraded=[Degraded("vector", FAILED)])


def test_the_least_recently_asked_for_make_room() -> None:
    memory = Results(most_bytes=5000)
    for number in range(100):
        memory.find("library", b"kept", response(0), 1.0)
        memory.find("library", b"%d" % number, response(number), 1.0)
        found = memory.counts("library")
        assert found.bytes <= 5000
    assert found.entries > 5
    assert found.evictions == 101 - found.entries
    assert found.hits == 99
    assert memory.find("library", b"99", response(1), 1.0).generation == 99
    assert memory.find("library", b"0", response(1), 1.0).generation == 1


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    memory = Results(most_bytes=100)
    memory.find("library", b"key", response(1), 1.0)
    assert memory.find("library", b"key", response(2), 1.0).generation == 2
    assert memory.counts("library").bytes == 0


def test_what_comes_too_late_for_its_library_is_not_kept() -> None:
    memory = Results()

    def slow() -> SearchResponse:
        memory.find("new", b"new", response(2), 1.0)
        return response(1)()

    assert memory.find("old", b"old", slow, 1.0).generation == 1
    found = memory.counts("new")
    assert (found.entries, found.misses) == (1, 2)


def test_what_is_not_to_be_kept_is_computed_again() -> None:
    memory = Results()
    assert [memory.find("l", b"k", degraded(n), 1.0).generation for n in (1, 2)] == [1, 2]
    assert memory.counts("l").entries == 0
