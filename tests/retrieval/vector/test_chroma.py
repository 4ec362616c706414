"""A Chroma server that is away, or has lost what it held."""

import numpy as np
import pytest
import urllib3

from likeopt.errors import StorageUnavailable
from likeopt.retrieval.vector.chroma import ChromaPusher, ChromaState, ChromaVectors
from tests.retrieval.vector.backends import ChromaBackend, batch, cone, scope
from tests.servers import free_port

ROWS = np.arange(1, 21, dtype=np.int64)


def test_a_server_that_is_away_is_said_to_be() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    index = ChromaVectors(nobody, database_id="db", model="m", read_vectors=lambda _: {})
    with pytest.raises(StorageUnavailable, match="does not answer"):
        index.refresh(1)
    with pytest.raises(StorageUnavailable, match="does not answer"):
        ChromaPusher(nobody, database_id="db", model="m").state()


def test_how_far_it_follows_is_kept_in_the_collection(chroma_url: str) -> None:
    backend = ChromaBackend(chroma_url)
    pusher = backend.pusher()
    assert pusher.state() == ChromaState(0, 0)
    vectors = cone(20, 8, seed=1)
    pusher.push(ChromaState(5, 9), [batch(ROWS, ROWS, vectors)], [])
    assert backend.pusher().state() == ChromaState(5, 9)
    pusher.push(ChromaState(5, 10), [], [3])
    assert backend.pusher().state() == ChromaState(5, 10)
    pusher.close()


def test_a_lost_collection_is_noticed_and_can_be_filled_again(chroma_url: str) -> None:
    backend = ChromaBackend(chroma_url)
    vectors = cone(20, 8, seed=1)
    everything = scope(ROWS, 20, 20)
    backend.fill(batch(ROWS, ROWS, vectors), ROWS, ROWS[:0])
    index = backend.index()
    index.refresh(1)
    assert index.search(vectors[4], 1, everything).chunk_ids.tolist() == [5]

    base = f"{chroma_url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    urllib3.request("DELETE", f"{base}/{backend.pusher()._server._name}", retries=False)
    with pytest.raises(StorageUnavailable, match="lost"):
        index.search(vectors[4], 1, everything)
    assert backend.pusher().state() == ChromaState(0, 0)
    backend.fill(batch(ROWS, ROWS, vectors), ROWS, ROWS[:0])
    index.refresh(1)
    assert index.search(vectors[4], 1, everything).chunk_ids.tolist() == [5]
    index.close()


def test_databases_and_models_do_not_mix(chroma_url: str) -> None:
    one, other = ChromaBackend(chroma_url), ChromaBackend(chroma_url)
    one.fill(batch(ROWS, ROWS, cone(20, 8, seed=1)), ROWS, ROWS[:0])
    index = other.index()
    index.refresh(1)
    assert index.sizes() == (0, 0)
    index.close()
