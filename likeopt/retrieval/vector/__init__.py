"""Search by meaning: nearest vectors by cosine, among the passages a reader may see.

Two backends serve the same Protocol and pass the same tests: `local` (memory-mapped HNSW graph
with an exact delta, on this machine) and `chroma` (a Chroma server). Both are derived from the
table `embeddings`. For the indexing worker, which fills them:

    local    LocalVectorBuilder(vector_root(indexes, model), database_id=, model=, dim=)
                 .state() -> BaseState(revision, count)   IndexDamaged: merge(..., fresh=True)
                 .wants_merge(delta) -> bool              delta: embeddings newer than `revision`
                 .merge(revision, batches, live, fresh=, stop=) -> bool
    chroma   ChromaPusher(url, database_id=, model=)
                 .state() -> ChromaState(embeddings, library)
                 .push(state, batches, removed)           one pusher at a time: hold a lease
"""

from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeopt.retrieval.scope import Ids, Scope

Vector = NDArray[np.float32]


class VectorBatch(msgspec.Struct, frozen=True):
    """Rows of the table `embeddings`, column by column; all of the same length n."""

    chunk_ids: Ids  # [n]
    version_ids: Ids  # [n]
    revisions: Ids  # [n]
    vectors: NDArray[np.float16]  # [n, dim], L2-normalised


class Found(msgspec.Struct, frozen=True):
    """The nearest passages, best first; `similarities` are cosines."""

    chunk_ids: Ids
    version_ids: Ids
    similarities: Vector


class VectorIndex(Protocol):
    """Where vectors are searched. Safe to call from several threads."""

    def refresh(self, revision: int) -> None:
        """Notice what was published, and what was embedded up to `revision` of the counter
        `embeddings`; cheap when nothing was.

        Raises IndexDamaged when what was published cannot be used, StorageUnavailable when the
        backend or the database does not answer.
        """
        ...

    def search(self, query: Vector, k: int, scope: Scope) -> Found:
        """The `k` nearest passages within `scope`, fewer if it has fewer embedded passages.

        `query` is L2-normalised, [dim]. Raises IndexDamaged and StorageUnavailable as `refresh`.
        """
        ...

    def similarities(self, query: Vector, chunk_ids: Ids) -> dict[int, float]:
        """Cosines of these passages, by passage id; those that are not embedded are left out.

        Raises as `search`.
        """
        ...

    def state(self, revision: int) -> str | None:
        """Names what is searched beside the vectors up to `revision`: results are the same for
        as long as both are. None while some of these are on their way here, and may be found at
        any moment.
        """
        ...

    def sizes(self) -> tuple[int, int]:
        """(vectors in the index itself, vectors in the delta beside it)."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


def merge(one: Found, other: Found, k: int) -> Found:
    """The `k` best of both; a passage in both counts once."""
    chunk_ids = np.concatenate([one.chunk_ids, other.chunk_ids])
    version_ids = np.concatenate([one.version_ids, other.version_ids])
    similarities = np.concatenate([one.similarities, other.similarities])
    order = np.argsort(-similarities, kind="stable")
    _, first = np.unique(chunk_ids[order], return_index=True)
    best = order[np.sort(first)[:k]]
    return Found(chunk_ids[best], version_ids[best], similarities[best])


def nothing() -> Found:
    """A search without a result."""
    none = np.empty(0, dtype=np.int64)
    return Found(none, none, np.empty(0, dtype=np.float32))
