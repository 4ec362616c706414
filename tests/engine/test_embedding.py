"""Embedding of queries: shared, remembered, bounded."""

import threading
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeopt.cache.opening import open_cache
from likeopt.cache.tags import LocalTags
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.engine.embedding import QUEUE, REMEMBERED, QueryEmbeddings
from likeopt.engine.server import open_by_name
from likeopt.errors import Busy
from likeopt.retrieval.embed import BUILT_IN, FALLBACK, Embedder
from likeopt.retrieval.embedding.http import HttpEmbedder
from likeopt.storage.db import run_here
from tests.fakes import FakeEmbedder
from tests.stub_openai import StubOpenAI

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
def embeddings(embedder: Gated, config: Config) -> Iterator[QueryEmbeddings]:
    made = opened(embedder, config)
    yield made
    embedder.release.set()
    made.close()


def opened(embedder: Embedder, config: Config, tenant: str = "tenant") -> QueryEmbeddings:
    """With the cache of the settings."""
    cache = open_cache(config, tenant=tenant, clock=Clock(), tags=LocalTags(), run=run_here)
    return QueryEmbeddings(embedder, Clock(), cache, threads=1)


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


def test_a_question_without_a_thread_holds_no_place_and_is_asked_again(
    embedder: Gated, embeddings: QueryEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    embedder.release.set()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        for number in range(QUEUE + 1):
            with pytest.raises(RuntimeError, match="thread"):
                embeddings.vector(f"q{number}", later())
    futures = [embeddings.vector(f"q{number}", later()) for number in range(QUEUE)]
    assert {future.result(SOON).shape for future in futures} == {(384,)}
    assert not embeddings._pending


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


# -- beyond this process -------------------------------------------------------------------------


def vector_of(embedder: Embedder, config: Config, question: str) -> NDArray[np.float32]:
    """Its vector in an engine that has just started."""
    started = opened(embedder, config)
    vector = started.vector(question, later()).result(SOON)
    started.close()
    return vector


def test_a_vector_outlives_the_engine(config: Config) -> None:
    embedder = FakeEmbedder()
    first = vector_of(embedder, config, "질문")
    again = vector_of(embedder, config, "질문")
    assert embedder.calls == 1
    assert again.dtype == np.float32
    assert np.array_equal(first, again)
    vector_of(embedder, config, "다른 질문")
    assert embedder.calls == 2


def test_a_vector_is_shared_between_machines(config: Config, redis_url: str) -> None:
    embedder = FakeEmbedder()
    for machine in ("one", "two"):
        here = msgspec.structs.replace(
            config, data_dir=config.data_dir / machine, cache="memory,redis", redis_url=redis_url
        )
        vector_of(embedder, here, "question")
    assert embedder.calls == 1


def test_another_model_has_vectors_of_its_own(config: Config) -> None:
    embedder, other = FakeEmbedder(), FakeEmbedder()
    other.model = other.identity = "other"
    vector_of(embedder, config, "question")
    vector_of(other, config, "question")
    assert (embedder.calls, other.calls) == (1, 1)


def test_a_model_of_the_same_name_and_another_size_is_asked(config: Config) -> None:
    embedder, other = FakeEmbedder(), FakeEmbedder()
    other.dim = 128
    vector_of(embedder, config, "question")
    assert vector_of(other, config, "question").shape == (128,)


def test_a_model_of_the_same_name_at_another_server_is_asked(config: Config) -> None:
    """An operator changes LIKEOPT_EMBED_URL and starts again."""
    with StubOpenAI() as one, StubOpenAI() as other:
        for stub in (one, other, one, other):
            vector_of(HttpEmbedder(stub.url, "stub"), config, "question")
        for stub in (one, other):
            sent = [request.body["input"] for request in stub.requests]
            assert sent.count(["question"]) == 1


def test_a_cache_that_fails_is_a_miss(config: Config) -> None:
    embedder = FakeEmbedder()
    (config.data_dir / "cache").write_text("not a folder")
    for _ in range(2):
        assert vector_of(embedder, config, "question").shape == (384,)
    assert embedder.calls == 2


def test_what_the_memory_of_an_engine_spared(embedder: Gated, embeddings: QueryEmbeddings) -> None:
    first = embeddings.vector("one", later())
    embeddings.vector("one", later())
    embedder.release.set()
    first.result(SOON)
    for number in range(REMEMBERED):
        embeddings.vector(f"{number}", later()).result(SOON)
    embeddings.vector("0", later()).result(SOON)
    found = embeddings.counts()
    assert (found.hits, found.shared, found.misses) == (1, 1, 1 + REMEMBERED)
    assert (found.evictions, found.entries, found.bytes) == (1, REMEMBERED, REMEMBERED * 1536)
