"""Embedding of queries: shared, remembered, bounded."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.embedding import QUEUE, REMEMBERED, QueryEmbeddings
from likeopt.engine.server import open_by_name
from likeopt.errors import Busy
from likeopt.retrieval.embed import BUILT_IN, FALLBACK
from tests.fakes import FakeEmbedder

SOON = 10.0


class Gated(FakeEmbedder):
    """Waits to be released."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Semaphore(0)
        self.release = threading.Event()

    def queries(self, texts: list[str]) -> NDArray[np.float32]:
        self.started.release()
        assert self.release.wait(10)
        return super().queries(texts)


@pytest.fixture
def embedder() -> Gated:
    return Gated()


@pytest.fixture
def embeddings(embedder: Gated) -> Iterator[QueryEmbeddings]:
    made = QueryEmbeddings(embedder, Clock(), threads=1)
    yield made
    embedder.release.set()
    made.close()


def later(seconds: float = SOON) -> float:
    return Clock().monotonic() + seconds


def test_who_asks_the_same_at_once_shares_one(embedder: Gated, embeddings: QueryEmbeddings) -> None:
    futures = [embeddings.vector("question", later()) for _ in range(1000)]
    embedder.release.set()
    first = futures[0].result(SOON)
    assert first.shape == (384,)
    assert all(future.result(SOON) is first for future in futures)
    assert embeddings.vector("question", later()).result(0) is first
    assert embedder.calls == 1


def test_a_full_queue_refuses_and_a_remembered_question_is_still_answered(
    embedder: Gated, embeddings: QueryEmbeddings
) -> None:
    embedder.release.set()
    embeddings.vector("known", later()).result(SOON)
    embedder.release.clear()
    waiting = [embeddings.vector(f"new {i}", later()) for i in range(QUEUE)]
    with pytest.raises(Busy) as refused:
        embeddings.vector("one too many", later())
    assert refused.value.retry_after
    assert embeddings.vector("known", later()).done()
    embedder.release.set()
    assert len({future.result(SOON).tobytes() for future in waiting}) == QUEUE


def test_what_nobody_waits_for_any_more_is_not_embedded(
    embedder: Gated, embeddings: QueryEmbeddings
) -> None:
    first = embeddings.vector("first", later())
    assert embedder.started.acquire(timeout=SOON)
    late = embeddings.vector("late", later(-1))
    both = embeddings.vector("late but wanted", later(-1))
    embeddings.vector("late but wanted", later())
    embedder.release.set()
    first.result(SOON)
    with pytest.raises(Busy):
        late.result(SOON)
    both.result(SOON)
    assert embedder.calls == 2
    # It was not remembered as a failure.
    assert embeddings.vector("late", later()).result(SOON).shape == (384,)


def test_memory_is_bounded(embedder: Gated, embeddings: QueryEmbeddings) -> None:
    embedder.release.set()
    for number in range(REMEMBERED + 50):
        embeddings.vector(f"q{number}", later()).result(SOON)
    assert len(embeddings._known) == REMEMBERED


def test_vectors_of_the_fallback_serve_after_int8_has_become_available(config: Config) -> None:
    # They do until all passages are embedded again.
    assert open_by_name(config, FALLBACK).model == FALLBACK
    assert open_by_name(config, None).model == BUILT_IN
    assert open_by_name(config, "of a server that is gone").model == BUILT_IN
