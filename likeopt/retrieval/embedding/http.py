"""Embeddings from any OpenAI-compatible server: Ollama, vLLM, llama.cpp, hosted ones."""

import msgspec
import numpy as np
import urllib3

from likeopt.errors import ModelUnavailable
from likeopt.retrieval.embedding.text import clean
from likeopt.retrieval.embedding.weights import Floats


class HttpEmbedder:
    """Any server with OpenAI's `/embeddings`. Texts are sent as they are, without E5's prefixes."""

    def __init__(
        self, url: str, model: str, key: str = "", *, timeout: float = 60.0, batch: int = 32
    ) -> None:
        """`url` is the base URL (`http://host/v1`); `timeout` is in seconds per request.

        `batch` texts go into one request: 32 is what text-embeddings-inference allows by default,
        and Ollama, vLLM and OpenAI allow more.
        """
        self.model = f"openai/{model}"
        # Every server has names of its own.
        self.identity = f"{url.rstrip('/')} {model}"
        self._name = model
        self._url = f"{url.rstrip('/')}/embeddings"
        self._batch = batch
        self._dim = 0
        headers = {"content-type": "application/json", "accept": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._http = urllib3.PoolManager(
            headers=headers,
            timeout=urllib3.Timeout(connect=5.0, read=timeout),
            retries=False,
            maxsize=4,
        )

    @property
    def dim(self) -> int:
        """Asked of the server once, by embedding a word."""
        if not self._dim:
            self.queries(["dimension"])
        return self._dim

    def queries(self, texts: list[str]) -> Floats:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        rows: list[list[float]] = []
        for start in range(0, len(texts), self._batch):
            # OpenAI refuses an empty string, not a space.
            rows += self._ask([clean(text) or " " for text in texts[start : start + self._batch]])
        dim = self._dim or len(rows[0])
        other = next((len(row) for row in rows if len(row) != dim), None)
        if other is not None:
            raise ModelUnavailable(
                f"The embedding endpoint changed its dimension from {dim} to {other}: give the new"
                " model another name, so that the library is embedded again."
            )
        vectors = np.array(rows)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not norms.all():
            raise ModelUnavailable("The embedding endpoint returned a vector without a direction.")
        self._dim = dim
        unit: Floats = (vectors / norms).astype(np.float32)
        return unit

    # One endpoint for both; what a model wants to be told apart is its server's business.
    passages = queries

    def _ask(self, texts: list[str]) -> list[list[float]]:
        body = msgspec.json.encode(
            {"model": self._name, "input": texts, "encoding_format": "float"}
        )
        try:
            # A redirect could carry the key to another host.
            response = self._http.request("POST", self._url, body=body, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ModelUnavailable(
                f"The embedding endpoint does not answer: {type(error).__name__}"
            ) from error
        if response.status != 200:
            raise ModelUnavailable(
                f"The embedding endpoint answered {response.status}: {_excerpt(response.data)}",
                retry_after=_seconds(response.headers.get("retry-after")),
            )
        try:
            reply = msgspec.json.decode(response.data, type=_Reply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ModelUnavailable(f"Not an embedding endpoint's answer: {error}") from error
        items = sorted(reply.data, key=lambda item: item.index)
        if [item.index for item in items] != list(range(len(texts))):
            raise ModelUnavailable(
                f"The embedding endpoint returned {len(items)} vectors for {len(texts)} texts."
            )
        return [item.embedding for item in items]


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_Item]


def _excerpt(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split())


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
