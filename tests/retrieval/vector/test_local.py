"""The built-in vector index: base and delta together, merging, damage."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from likeopt.errors import IndexDamaged
from likeopt.retrieval.scope import Ids
from likeopt.retrieval.vector.local import EXACT, GRAPH, IDS, VECTORS, Base, LocalVectors
from likeopt.retrieval.vector.local_writer import BaseState, LocalVectorBuilder
from tests.retrieval.vector.backends import LocalBackend, Vectors, batch, cone, exact, scope

DIM = 32
NONE: Ids = np.empty(0, dtype=np.int64)


def numbers(first: int, count: int) -> Ids:
    return np.arange(first, first + count, dtype=np.int64)


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path, DIM)


def recall(index: LocalVectors, vectors: Vectors, live: Ids) -> float:
    """Of the ten nearest; passage i + 1 is row i, and each is a version of its own."""
    vectors = vectors.astype(np.float16).astype(np.float32)
    within = scope(live + 1, len(live), len(vectors))
    queries = cone(30, DIM, seed=99)
    right = 0
    for query in queries:
        found = index.search(query, 10, within).chunk_ids - 1
        right += len(exact(query, vectors, live, 10) & set(found.tolist()))
    return right / 300


def test_a_delta_is_searched_before_there_is_a_base(backend: LocalBackend) -> None:
    vectors = cone(600, DIM, seed=1)
    backend.delta = [
        batch(numbers(1, 300), numbers(1, 300), vectors[:300], revision=1),
        batch(numbers(301, 300), numbers(301, 300), vectors[300:], revision=2),
    ]
    index = backend.index()
    index.refresh(1)
    assert index.sizes() == (0, 300)
    index.refresh(2)
    assert index.sizes() == (0, 600)
    assert recall(index, vectors, numbers(0, 600)) == 1.0


def test_a_new_base_takes_over_its_part_of_the_delta(backend: LocalBackend) -> None:
    vectors = cone(900, DIM, seed=1)
    first, second, third = (
        batch(numbers(1 + i * 300, 300), numbers(1 + i * 300, 300), part, revision=i + 1)
        for i, part in enumerate(np.split(vectors, 3))
    )
    backend.delta = [first, second, third]
    index = backend.index()
    index.refresh(3)
    assert backend.builder().merge(2, [first, second], numbers(1, 900))
    index.refresh(3)
    assert index.sizes() == (600, 300)
    assert recall(index, vectors, numbers(0, 900)) >= 0.98
    assert backend.builder().merge(3, [third], numbers(1, 900))
    index.refresh(3)
    assert index.sizes() == (900, 0)
    assert recall(index, vectors, numbers(0, 900)) >= 0.98


def test_merging_many_times_keeps_recall_and_drops_what_is_gone(backend: LocalBackend) -> None:
    vectors = cone(13_000, DIM, seed=1)
    live = np.ones(len(vectors), dtype=np.bool_)
    builder = backend.builder()
    for step in range(13):
        rows = numbers(step * 1000, 1000)
        live[rows[::4]] = step % 2 == 0
        live[: step * 500 : 7] = False
        added = batch(rows + 1, rows + 1, vectors[rows], revision=step + 1)
        assert builder.merge(step + 1, [added], np.flatnonzero(live) + 1)
    kept = np.flatnonzero(live)
    assert builder.state() == BaseState(13, len(kept))
    index = backend.index()
    index.refresh(13)
    assert index.sizes() == (len(kept), 0)
    assert recall(index, vectors, kept) >= 0.98


def test_a_later_vector_of_a_passage_replaces_the_earlier_one(backend: LocalBackend) -> None:
    old, new, other = cone(3, DIM, seed=1)
    ones: Ids = np.ones(1, dtype=np.int64)
    backend.fill(batch(ones, ones, old[None]), ones, NONE)
    twice = batch(np.repeat(ones, 2), np.repeat(ones, 2), np.stack([other, new]), revision=2)
    backend.fill(twice, ones, NONE)
    index = backend.index()
    index.refresh(2)
    found = index.search(new, 10, scope(ones, 1, 1))
    assert found.chunk_ids.tolist() == [1]
    assert found.similarities[0] > 0.999


def test_an_exact_scan_in_blocks(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeopt.retrieval.vector.local._BLOCK", 300)
    vectors = cone(1501, DIM, seed=1)
    rows = numbers(0, 1501)
    backend.fill(batch(rows + 1, rows + 1, vectors), rows + 1, NONE)
    index = backend.index()
    index.refresh(1)
    assert recall(index, vectors, rows) == 1.0
    assert recall(index, vectors, rows[::2]) == 1.0


def test_a_merge_that_is_stopped_publishes_nothing(backend: LocalBackend) -> None:
    vectors = cone(5000, DIM, seed=1)
    added = batch(numbers(1, 5000), numbers(1, 5000), vectors)
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 1

    assert not backend.builder().merge(1, [added], numbers(1, 5000), stop=stop)
    assert backend.builder().state() == BaseState(0, 0)
    assert backend.builder().merge(1, [added], numbers(1, 5000))


def test_when_a_merge_is_worth_it(backend: LocalBackend) -> None:
    builder = backend.builder()
    assert not builder.wants_merge(1999)
    assert builder.wants_merge(2000)


def test_a_library_that_becomes_empty(backend: LocalBackend) -> None:
    backend.fill(batch(numbers(1, 50), numbers(1, 50), cone(50, DIM, seed=1)), numbers(1, 50), NONE)
    backend.fill(None, NONE, NONE)
    index = backend.index()
    index.refresh(2)
    assert index.sizes() == (0, 0)
    assert len(index.search(cone(1, DIM, 2)[0], 5, scope(numbers(1, 50), 50, 50)).chunk_ids) == 0


def test_searches_at_the_same_time_do_not_disturb_each_other(backend: LocalBackend) -> None:
    vectors = cone(12_000, DIM, seed=1)
    rows = numbers(0, 12_000)
    backend.fill(batch(rows + 1, rows + 1, vectors), rows + 1, NONE)
    index = backend.index()
    index.refresh(1)
    queries = cone(50, DIM, seed=3)
    within = scope(rows + 1, 12_000, 12_000)
    expected = [index.search(query, 10, within).chunk_ids.tolist() for query in queries]
    wrong: list[int] = []

    def check() -> None:
        for number, query in enumerate(queries):
            if index.search(query, 10, within).chunk_ids.tolist() != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- damage --------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("name", [VECTORS, IDS, GRAPH])
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
def test_a_damaged_base_is_noticed_reported_and_built_again(
    backend: LocalBackend, name: str, harm: Callable[[Path], None]
) -> None:
    vectors = cone(200, DIM, seed=1)
    rows = numbers(1, 200)
    everything = batch(rows, rows, vectors)
    backend.fill(everything, rows, NONE)
    (folder,) = (path for path in backend.root.iterdir() if path.is_dir())
    harm(folder / name)

    index = backend.index()
    for _ in range(2):  # noticed once, remembered afterwards
        with pytest.raises(IndexDamaged):
            index.refresh(1)
    with pytest.raises(IndexDamaged):
        backend.builder().state()

    assert backend.builder().merge(1, [everything], rows, fresh=True)
    index.refresh(1)
    assert recall(index, vectors, numbers(0, 200)) >= 0.98
    assert backend.builder().state() == BaseState(1, 200)


def test_a_base_of_another_database_or_model_is_not_used(backend: LocalBackend) -> None:
    backend.fill(batch(numbers(1, 5), numbers(1, 5), cone(5, DIM, seed=1)), numbers(1, 5), NONE)
    other = LocalVectorBuilder(backend.root, database_id="other", model="fake", dim=DIM)
    with pytest.raises(IndexDamaged, match="another"):
        other.state()


def test_a_generation_that_is_replaced_while_it_is_opened_is_no_damage(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, rows = cone(200, DIM, seed=1), numbers(1, 200)
    everything = batch(rows, rows, vectors)
    backend.fill(everything, rows, NONE)
    verify = Base.verify
    replaced: list[Path] = []

    def overtaken(base: Base) -> None:
        if not replaced:
            replaced.append(base.folder)
            assert backend.builder().merge(2, [everything], rows, fresh=True)
        verify(base)

    monkeypatch.setattr(Base, "verify", overtaken)
    index = backend.index()
    index.refresh(2)
    assert not replaced[0].exists()
    assert recall(index, vectors, numbers(0, 200)) >= 0.98
    assert backend.builder().state() == BaseState(2, 200)


def test_what_was_opened_is_searched_though_its_generation_is_gone(backend: LocalBackend) -> None:
    vectors, rows = cone(EXACT + 10, DIM, seed=1), numbers(1, EXACT + 10)
    everything = batch(rows, rows, vectors)
    backend.fill(everything, rows, NONE)
    index = backend.index()
    index.refresh(1)
    # No search has asked for much yet; another has looked at the library before this.
    assert backend.builder().merge(2, [everything], rows, fresh=True)
    assert recall(index, vectors, rows - 1) >= 0.98
