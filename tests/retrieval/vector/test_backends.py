"""One suite for every vector backend."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from likeopt.retrieval.scope import Ids
from likeopt.retrieval.vector import VectorIndex
from tests.retrieval.vector.backends import (
    Backend,
    ChromaBackend,
    LocalBackend,
    Vectors,
    batch,
    cone,
    exact,
    scope,
)

NONE: Ids = np.empty(0, dtype=np.int64)

# -- recall --------------------------------------------------------------------------------------

ROWS, DIM, PER_VERSION = 24_000, 64, 12
VERSIONS = ROWS // PER_VERSION
CHUNKS: Ids = np.arange(ROWS, dtype=np.int64) + 1000
OF_VERSION: Ids = np.arange(ROWS, dtype=np.int64) // PER_VERSION + 1


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return cone(ROWS, DIM, seed=2)


@pytest.fixture(scope="module", params=["local", "chroma"])
def library(
    request: pytest.FixtureRequest, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorIndex]:
    """24,000 passages of 2,000 versions."""
    backend: Backend
    if request.param == "local":
        backend = LocalBackend(tmp_path_factory.mktemp("vectors"), DIM)
    else:
        backend = ChromaBackend(request.getfixturevalue("chroma_url"))
    backend.fill(batch(CHUNKS, OF_VERSION, vectors), np.unique(OF_VERSION), NONE)
    index = backend.index()
    index.refresh(backend.revision)
    yield index
    index.close()


@pytest.mark.parametrize(
    ("share", "least"), [(1.0, 0.98), (0.5, 0.95), (0.01, 0.95), (0.001, 0.95)]
)
def test_recall_at_10(library: VectorIndex, vectors: Vectors, share: float, least: float) -> None:
    rng = np.random.default_rng(3)
    allowed = np.sort(rng.choice(VERSIONS, int(VERSIONS * share), replace=False)) + 1
    among = np.flatnonzero(np.isin(OF_VERSION, allowed))
    within = scope(allowed, len(among), ROWS)
    queries = cone(40, DIM, seed=4)
    right = 0
    for query in queries:
        found = library.search(query, 10, within)
        assert np.isin(found.version_ids, allowed).all()
        right += len(exact(query, vectors, among, 10) & set((found.chunk_ids - 1000).tolist()))
    assert right / (10 * len(queries)) >= least


def test_recall_where_the_allowed_are_the_farthest(library: VectorIndex, vectors: Vectors) -> None:
    """A collection about something else than the question: what is allowed is far down."""
    (query,) = cone(1, DIM, seed=5)
    nearness = (vectors @ query).reshape(VERSIONS, PER_VERSION).max(axis=1)
    allowed = np.sort(np.argsort(nearness)[: VERSIONS * 6 // 10]) + 1
    among = np.flatnonzero(np.isin(OF_VERSION, allowed))
    found = library.search(query, 10, scope(allowed, len(among), ROWS))
    assert len(exact(query, vectors, among, 10) & set((found.chunk_ids - 1000).tolist())) >= 9


def test_similarities_of_given_passages(library: VectorIndex, vectors: Vectors) -> None:
    given = np.array([CHUNKS[0], CHUNKS[-1], CHUNKS[77], 5, 10**9], dtype=np.int64)
    found = library.similarities(vectors[3], given)
    assert found.keys() == {int(CHUNKS[row]) for row in (0, -1, 77)}
    for row in (0, -1, 77):
        assert abs(found[int(CHUNKS[row])] - float(vectors[row] @ vectors[3])) < 2e-3
    assert library.similarities(vectors[3], NONE) == {}


def test_similarities_are_cosines_best_first(library: VectorIndex, vectors: Vectors) -> None:
    (query,) = cone(1, DIM, seed=6)
    found = library.search(query, 50, scope(np.unique(OF_VERSION), ROWS, ROWS))
    assert np.allclose(found.similarities, vectors[found.chunk_ids - 1000] @ query, atol=2e-3)
    assert (np.diff(found.similarities) <= 1e-6).all()
    assert len(set(found.chunk_ids.tolist())) == 50
    assert (found.version_ids == OF_VERSION[found.chunk_ids - 1000]).all()


# -- behaviour -----------------------------------------------------------------------------------


@pytest.fixture(params=["local", "chroma"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty index of vectors of eight numbers."""
    if request.param == "local":
        return LocalBackend(tmp_path, 8)
    return ChromaBackend(request.getfixturevalue("chroma_url"))


def opened(backend: Backend) -> VectorIndex:
    index = backend.index()
    index.refresh(backend.revision)
    return index


def ids(*values: int) -> Ids:
    return np.array(values, dtype=np.int64)


AXES: Vectors = np.eye(8, dtype=np.float32)


def test_before_anything_is_embedded(backend: Backend) -> None:
    index = opened(backend)
    assert len(index.search(AXES[0], 10, scope(ids(1), 5, 5)).chunk_ids) == 0
    assert index.sizes() == (0, 0)
    index.close()


def test_what_is_added_is_found_and_what_is_removed_is_not(backend: Backend) -> None:
    everything = scope(ids(1, 2, 3), 6, 6)
    backend.fill(batch(ids(1, 2, 3), ids(1, 1, 2), AXES[:3]), ids(1, 2), NONE)
    index = opened(backend)
    assert index.search(AXES[2], 1, everything).chunk_ids.tolist() == [3]
    backend.fill(batch(ids(4, 5), ids(3, 3), AXES[3:5], revision=2), ids(1, 3), ids(2))
    index.refresh(backend.revision)
    assert index.search(AXES[4], 1, everything).chunk_ids.tolist() == [5]
    assert sorted(index.search(AXES[2], 10, everything).chunk_ids.tolist()) == [1, 2, 4, 5]
    assert index.sizes() == (4, 0)
    index.close()


def test_only_allowed_versions_are_returned(backend: Backend) -> None:
    backend.fill(batch(ids(1, 2, 3), ids(1, 2, 9), AXES[:3]), ids(1, 2, 9), NONE)
    index = opened(backend)
    found = index.search(AXES[0], 10, scope(ids(2), 1, 3))
    assert (found.chunk_ids.tolist(), found.version_ids.tolist()) == ([2], [2])
    assert len(index.search(AXES[0], 10, scope(ids(7), 1, 3)).chunk_ids) == 0
    assert len(index.search(AXES[0], 10, scope(NONE, 0, 3)).chunk_ids) == 0
    index.close()


def test_fewer_than_asked_for_are_fewer(backend: Backend) -> None:
    backend.fill(batch(ids(1, 2), ids(1, 1), AXES[:2]), ids(1), NONE)
    index = opened(backend)
    assert len(index.search(AXES[0], 100, scope(ids(1), 2, 2)).chunk_ids) == 2
    index.close()


def test_adding_the_same_twice_is_the_same_as_once(backend: Backend) -> None:
    for _ in range(2):
        backend.fill(batch(ids(1, 2), ids(1, 1), AXES[:2]), ids(1), NONE)
    index = opened(backend)
    assert index.search(AXES[0], 10, scope(ids(1), 2, 2)).chunk_ids.tolist() == [1, 2]
    assert index.sizes() == (2, 0)
    index.close()
