"""LangChain's EnsembleRetriever: BM25Retriever (rank_bm25) and an embedded Chroma, as documented.

    python -m bench.peers.langchain FOLDER MODELS

FOLDER holds passages.jsonl (`id`, `text`) and their vectors.npy. Settings are the defaults, but
for ten passages of either retriever instead of four.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from langchain_chroma import Chroma
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from numpy.typing import NDArray

from bench.peers import Message, pss_mib, serve
from likeopt.retrieval.embedding.int8 import Int8Embedder

K = 10


class Embedder:
    """Like-Opt's, with what LangChain's `Embeddings` has. Remembers queries as the engine does;
    passages have their vectors already."""

    def __init__(self, models: Path, passages: dict[str, NDArray[np.float32]]) -> None:
        self._embedder = Int8Embedder(models)
        self._passages = passages
        self._queries: dict[str, list[float]] = {}
        self.model = self._embedder.model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._passages[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        if text not in self._queries:
            self._queries[text] = self._embedder.queries([text])[0].tolist()
        return self._queries[text]


def main(folder: Path, models: Path) -> None:
    """Load, and answer."""
    with (folder / "passages.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    ids, texts = [{"id": row["id"]} for row in rows], [row["text"] for row in rows]
    passages = dict(zip(texts, np.load(folder / "vectors.npy"), strict=True))
    embedder = Embedder(models, passages)
    start = time.perf_counter()
    words = BM25Retriever.from_texts(texts, ids, k=K)
    meaning = Chroma.from_texts(texts, embedder, ids)
    built = time.perf_counter() - start
    # Chroma has them now: held twice, they would count as LangChain's memory.
    passages.clear()
    del rows
    both = EnsembleRetriever(
        retrievers=[words, meaning.as_retriever(search_kwargs={"k": K})],
        weights=[0.5, 0.5],
        id_key="id",
    )

    def answer(message: Message) -> Message:
        found, millis, cpu = [], [], time.process_time()
        for query in message["queries"]:
            start = time.perf_counter()
            documents = both.invoke(query)
            millis.append((time.perf_counter() - start) * 1000)
            found.append([document.metadata["id"] for document in documents[:K]])
        cpu = time.process_time() - cpu
        about = {"model": embedder.model, "built_s": round(built, 1), "pss_mib": pss_mib()}
        return {"found": found, "ms": millis, "cpu_s": cpu, **about}

    serve(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
