"""Optional second look at the best passages, by a server with a `/rerank` endpoint.

Jina's format, which Cohere, llama.cpp, vLLM and Infinity speak as well: a query and documents go
in, and a relevance score for each document comes back.
"""

from typing import Protocol

import msgspec
import urllib3

from likeopt.config import Config
from likeopt.errors import ModelUnavailable
from likeopt.retrieval.types import Hit

# A cross-encoder reads every passage with the query: 30 take a small one 0.3 s on a GPU.
CANDIDATES = 30


class Reranker(Protocol):
    """Puts passages in a better order."""

    def candidates(self, k: int) -> int:
        """How many passages to fetch so that `k` are left."""
        ...

    def rank(self, query: str, hits: list[Hit], timeout: float) -> list[Hit]:
        """`hits` in a better order, with the scores behind it, within `timeout` seconds.

        Raises ModelUnavailable when the server does not answer in time, or not in this format.
        """
        ...


class NoReranker:
    """Keeps the order of the fused search."""

    def candidates(self, k: int) -> int:
        return k

    def rank(self, query: str, hits: list[Hit], timeout: float) -> list[Hit]:  # noqa: ARG002
        return hits


class HttpReranker:
    """A server's `/rerank`. Thread-safe."""

    def __init__(self, url: str, model: str = "", key: str = "") -> None:
        """`url` is the base URL: `http://host/v1`."""
        self._url = f"{url.rstrip('/')}/rerank"
        self._model = model
        headers = {"content-type": "application/json", "accept": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._http = urllib3.PoolManager(headers=headers, retries=False, maxsize=8)

    def candidates(self, k: int) -> int:
        return max(k, CANDIDATES)

    def rank(self, query: str, hits: list[Hit], timeout: float) -> list[Hit]:
        if len(hits) < 2:
            return hits
        scores = self._ask(query, [_document(hit) for hit in hits], timeout)
        for hit, score in zip(hits, scores, strict=True):
            hit.score = score
        return sorted(hits, key=lambda hit: -hit.score)

    def _ask(self, query: str, documents: list[str], timeout: float) -> list[float]:
        body = {"query": query, "documents": documents, "top_n": len(documents)}
        if self._model:
            body["model"] = self._model
        try:
            response = self._http.request(
                "POST",
                self._url,
                body=msgspec.json.encode(body),
                timeout=urllib3.Timeout(total=max(timeout, 0.001)),
                # A redirect could carry the key to another host.
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ModelUnavailable(
                f"The reranker does not answer: {type(error).__name__}"
            ) from error
        if response.status != 200:
            raise ModelUnavailable(f"The reranker answered {response.status}.")
        try:
            results = msgspec.json.decode(response.data, type=_Reply).results
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ModelUnavailable(f"Not a reranker's answer: {error}") from None
        scores = {result.index: result.relevance_score for result in results}
        if scores.keys() != set(range(len(documents))):
            raise ModelUnavailable(
                f"The reranker scored {len(results)} of {len(documents)} passages."
            )
        return [scores[index] for index in range(len(documents))]


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Reply(msgspec.Struct):
    results: list[_Result]


def open_reranker(config: Config) -> Reranker:
    """The reranker that the settings name, or one that changes nothing."""
    if config.rerank_url:
        return HttpReranker(config.rerank_url, config.rerank_model, config.rerank_key)
    return NoReranker()


def _document(hit: Hit) -> str:
    return f"{hit.context}\n{hit.text}" if hit.context else hit.text
