"""2,000 small files from a folder: how long until all are stored, and searchable by words.

The files are passages of msdocs_ko and msdocs_en. Like-Opt takes the path of `likeopt ingest`,
with an engine and a worker that already run: files are acknowledged when they are on disk and in
the database, and searchable when the engine finds them; embedding follows and is not measured.
txtai (bench/peers/txtai.py) reads the same files into an index of words, and into one of words
and vectors by Like-Opt's embedder, which can only be searched when all is embedded. What txtai
indexes is safe only when the index is saved: that is its `stored_s`.
"""

import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from bench import common, peers
from likeopt.cli import parts
from likeopt.retrieval.types import SearchRequest
from likeopt.services import Services
from likeopt.storage import access, jobs
from likeopt.storage.reader import DEFAULT_COLLECTION, Reader

FILES = 2000
ROUNDS = 3
TARGET_S = 6.0
LIKEOPT, WORDS, BOTH = "Like-Opt", "txtai, words", "txtai, words and vectors"
Figures = dict[str, float]


def main() -> None:
    """Measure and report."""
    folder = common.WORK / "ingest-files"
    query = write_files(folder)
    models = common.WORK / "ingest" / "models"
    rounds: dict[str, list[Figures]] = {LIKEOPT: [], WORDS: [], BOTH: []}
    # Like-Opt first: it makes the file of the model that txtai's side maps too.
    rounds[LIKEOPT].append(_likeopt(folder, query))
    with peers.running("txtai", models) as txtai:
        for turn in range(ROUNDS):
            if turn:
                rounds[LIKEOPT].append(_likeopt(folder, query))
            rounds[WORDS].append(_txtai(txtai, folder, query, hybrid=False))
        # Minutes of embedding: once, and no noise of this machine doubles it.
        rounds[BOTH].append(_txtai(txtai, folder, query, hybrid=True))
    rows = [_row(name, taken) for name, taken in rounds.items()]
    common.report("ingest", rows, files=FILES, target_s=TARGET_S)


def write_files(folder: Path) -> str:
    """Make the 2,000 files; gives the beginning of the last one, to ask for."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chosen: list[str] = []
    for name in ("msdocs_ko", "msdocs_en"):
        texts = list(dict.fromkeys(passage.text for passage in common.data_set(name).corpus))
        chosen += random.Random(7).sample(texts, FILES // 2)
    for number, text in enumerate(chosen):
        (folder / f"{number:04}.md").write_text(text, encoding="utf-8")
    return " ".join(chosen[-1].split())[:200]


def _likeopt(folder: Path, query: str) -> Figures:
    """One library from nothing. The model's file stays for the next."""
    for part in (common.WORK / "ingest").glob("*"):
        if part.name != "models":
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    with (
        common.library("ingest") as services,
        parts.engine(services),
        parts.worker(services.config),
    ):
        reader = services.db.read(access.local_reader)
        # One document all the way: the worker runs, and both have opened the model.
        services.ingest.file(reader, DEFAULT_COLLECTION, "first.md", b"# First\n\nThe first.")
        _wait(services, reader, everything=True)
        _find(services, "first")
        processes = [common.child(f"likeopt: {part}") for part in ("engine", "worker")]
        cpu = _cpu_s(processes)
        start = time.perf_counter()
        added = list(services.ingest.folder(reader, DEFAULT_COLLECTION, folder))
        acknowledged = time.perf_counter() - start
        _wait(services, reader, everything=False)
        found = _find(services, query)
        searchable = time.perf_counter() - start
        cpu = _cpu_s(processes) - cpu
        _check(LIKEOPT, sum(result.outcome == "added" for result in added), found)
        return {
            "stored_s": acknowledged,
            "searchable_s": searchable,
            "cpu_s": cpu,
            "pss_mib": sum(map(common.pss_mib, _all(processes))),
        }


def _wait(services: Services, reader: Reader, *, everything: bool) -> None:
    """Until nothing waits to be indexed or, with `everything`, to be embedded."""
    words_follow = parts.words_follow(services)
    while True:
        summary = services.db.read(lambda c: jobs.summary(c, reader))
        busy = summary.queued or any(job.kind == "index" for job in summary.running)
        if not busy and not (everything and summary.embedding) and words_follow():
            return
        time.sleep(0.05)


def _find(services: Services, query: str) -> list[str]:
    request = SearchRequest(query, [DEFAULT_COLLECTION], mode="lexical", deadline_ms=60_000)
    return [hit.document_name for hit in services.engine.search(request).hits]


def _txtai(txtai: peers.Ask, folder: Path, query: str, *, hybrid: bool) -> Figures:
    answer = txtai({"folder": str(folder), "query": query, "hybrid": hybrid})
    _check("txtai", answer["files"], answer["found"])
    return {key: answer[key] for key in ("stored_s", "searchable_s", "cpu_s", "pss_mib")}


def _check(name: str, files: int, found: list[str]) -> None:
    last = f"{FILES - 1:04}.md"
    if files != FILES or last not in found:
        raise RuntimeError(f"{name} took in {files} of {FILES} files and found {found}, not {last}")


def _all(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for process in processes for one in (process, *process.children(recursive=True))]


def _cpu_s(processes: list[psutil.Process]) -> float:
    """Of this process, of others, and of their children, those that have ended included."""
    total = time.process_time()
    for process in _all(processes):
        total += sum(process.cpu_times()[:4])
    return total


def _row(name: str, taken: list[Figures]) -> dict[str, Any]:
    searchable = [figures["searchable_s"] for figures in taken]
    median = {key: round(statistics.median(one[key] for one in taken), 2) for key in taken[0]}
    return {
        "what": name,
        "rounds": len(taken),
        **median,
        "files/s": round(FILES / median["searchable_s"]),
        "searchable of rounds": f"{min(searchable):.2f}-{max(searchable):.2f}",
    }
