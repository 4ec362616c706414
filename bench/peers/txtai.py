"""txtai's index of a folder of text files, in memory and then on disk.

    python -m bench.peers.txtai MODELS

From `txtai-minimal`, the same code with no package required: without an embedding model of its
own txtai needs no torch, which would be 3 GB.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from txtai import Embeddings

from bench.peers import Message, pss_mib, serve
from likeopt.retrieval.embedding.int8 import Int8Embedder

# All cores of the machine that the figures are from: one run at a time leaves none idle.
THREADS = 2


def main(models: Path) -> None:
    """Index folders as asked: `folder`, `hybrid`, and what a `query` finds."""
    embedder = Int8Embedder(models, threads=THREADS)

    def transform(texts: list[str]) -> NDArray[np.float32]:
        return embedder.passages(texts)

    keyword: dict[str, Any] = {"keyword": True, "content": True}
    hybrid = {"hybrid": True, "content": True, "method": "external", "transform": transform}

    def answer(message: Message) -> Message:
        start, cpu = time.perf_counter(), time.process_time()
        files = Path(message["folder"]).iterdir()
        rows = [(path.name, path.read_text(encoding="utf-8"), None) for path in files]
        index = Embeddings(**(hybrid if message["hybrid"] else keyword))
        index.index(rows)
        found = index.search(message["query"], 10)
        searchable = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            index.save(folder)
            stored = time.perf_counter() - start
        cpu = time.process_time() - cpu
        memory = pss_mib()
        index.close()
        return {
            "files": len(rows),
            "found": [row["id"] for row in found],
            "searchable_s": searchable,
            "stored_s": stored,
            "cpu_s": cpu,
            "pss_mib": memory,
        }

    serve(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
