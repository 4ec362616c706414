"""Who may read little finds it as surely as who may read everything: recall by readers' shares."""

import random
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.library import Library
from likeopt.engine.searching import Searcher
from likeopt.retrieval.lexical import FoundWords, LexicalSnapshot
from likeopt.retrieval.scope import Ids, Scope
from likeopt.retrieval.types import Mode, SearchRequest
from likeopt.retrieval.vector import Found, Vector, VectorBatch, VectorIndex
from likeopt.storage.db import Database, migrate
from tests.engine.shelf import Shelf
from tests.fakes import FakeEmbedder

# 1,000 documents of 12 passages; the collection's name says which share of them it has.
DOCUMENTS, PASSAGES = 1000, 12
SHARES = {"thousandth": 1, "hundredth": 10, "half": 500}
QUERIES = 20


class ExactVectors:
    """Compares the question with every vector."""

    def __init__(self, rows: VectorBatch) -> None:
        self._rows = rows
        self._vectors = rows.vectors.astype(np.float32)

    def refresh(self, revision: int) -> None:
        """Nothing changes."""

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        among = np.flatnonzero(scope.permits(self._rows.version_ids))
        near = self._vectors[among] @ query
        best = np.argsort(-near, kind="stable")[:k]
        rows = among[best]
        return Found(self._rows.chunk_ids[rows], self._rows.version_ids[rows], near[best])

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        rows = np.flatnonzero(np.isin(self._rows.chunk_ids, chunk_ids))
        near = self._vectors[rows] @ query
        return dict(zip(self._rows.chunk_ids[rows].tolist(), near.tolist(), strict=True))

    def state(self, revision: int) -> str:
        return ""

    def sizes(self) -> tuple[int, int]:
        return len(self._vectors), 0

    def close(self) -> None:
        """Nothing to release."""


def exact_words(self: LexicalSnapshot, terms: list[str], k: int, scope: Scope) -> FoundWords:
    """Ranks every passage that has one of the words, and only then drops what is not allowed."""
    found = self._fetch(self._query(terms), self._searcher.num_docs, scope)
    return FoundWords(found.chunk_ids[:k], found.version_ids[:k], found.scores[:k])


def words(rng: random.Random, count: int) -> str:
    """Words as languages have them: few are frequent, most are rare."""
    return " ".join(f"w{int(rng.paretovariate(0.6)) % 4000:x}" for _ in range(count))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    config = Config(data_dir=tmp_path_factory.mktemp("reach"), port=0, sample_library=False)
    database = Database(config.database)
    migrate(database)
    made = Shelf(config, database, Clock())
    rng = random.Random(1)
    among = [name for name, count in SHARES.items() for _ in range(count)]
    among += ["rest"] * (DOCUMENTS - len(among))
    rng.shuffle(among)
    for name in sorted(set(among)):
        made.collection(name)
    for number, collection in enumerate(among):
        passages = [words(rng, 12) for _ in range(PASSAGES)]
        made.put(f"d{number}", passages, collection=collection)
    made.index_words()
    made.embed()
    made.merge_vectors()
    yield made
    database.close()


@pytest.fixture(scope="module", params=["local", "chroma"])
def searcher(request: pytest.FixtureRequest, shelf: Shelf) -> Iterator[Searcher]:
    config = shelf.config
    if request.param == "chroma":
        url = request.getfixturevalue("chroma_url")
        shelf.push_to_chroma(url)
        config = msgspec.structs.replace(config, vector_backend="chroma", chroma_url=url)
    yield from searching(shelf, Library(config, shelf.db, shelf.clock, lambda _: FakeEmbedder()))


@pytest.fixture(scope="module")
def exact(shelf: Shelf) -> Iterator[Searcher]:
    """A search by meaning that compares all vectors; `exact_words` is its counterpart."""
    library = Library(shelf.config, shelf.db, shelf.clock, lambda _: FakeEmbedder())
    index: VectorIndex = ExactVectors(shelf._vectors())
    library._vectors = lambda *_: index  # type: ignore[method-assign]
    yield from searching(shelf, library)


def searching(shelf: Shelf, library: Library) -> Iterator[Searcher]:
    opened = Searcher(library, shelf.db, shelf.clock, threads=2)
    yield opened
    opened.close()
    library.close()


def top(searcher: Searcher, query: str, mode: Mode, collection: str) -> list[tuple[str, int]]:
    """The ten best passages, as (document, beginning)."""
    request = SearchRequest(query, collections=[collection], mode=mode, k=10)
    found = searcher.search(request, Clock().monotonic() + 30)
    assert found.degraded == []
    return [(hit.document_id, hit.start) for hit in found.hits]


@pytest.mark.parametrize("mode", ["lexical", "vector", "hybrid"])
@pytest.mark.parametrize("share", SHARES)
def test_recall_of_readers(
    shelf: Shelf,
    searcher: Searcher,
    exact: Searcher,
    monkeypatch: pytest.MonkeyPatch,
    mode: Mode,
    share: str,
) -> None:
    rng = random.Random(2)
    queries = [words(rng, 4) for _ in range(QUERIES)]
    found = [top(searcher, query, mode, share) for query in queries]
    monkeypatch.setattr(LexicalSnapshot, "search", exact_words)
    right = [top(exact, query, mode, share) for query in queries]
    assert sum(map(len, right)) >= 5 * QUERIES, "there is something to find"
    both = sum(len(set(one) & set(other)) for one, other in zip(found, right, strict=True))
    assert both / sum(map(len, right)) >= 0.95
