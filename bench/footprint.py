"""What `likeopt serve` takes: to start, idle, and after 2,000 small files.

All processes of the server together. CPU until /ready answers; proportional set size (PSS) of each
process, in which memory that several share is divided among them. Idle means over a minute after
the last work, when the indexing worker has let go of its model.
"""

import shutil
import statistics
import time

from bench import common, ingest
from likeopt.cli import parts
from likeopt.config import Config
from likeopt.storage import access
from likeopt.storage.reader import DEFAULT_COLLECTION

STARTS = 5
IDLE_SECONDS = 75
TARGETS = {"cpu_s": 2.0, "healthy_s": 3.0, "idle_mib": 250.0, "after_files": 1.3}


def main() -> None:
    """Measure and report."""
    folder = common.WORK / "footprint"
    shutil.rmtree(folder, ignore_errors=True)
    config = Config(data_dir=folder)
    first = _start(config, settle=True)
    again = [_start(config) for _ in range(STARTS)]
    median = {key: round(statistics.median(one[key] for one in again), 2) for key in first}
    files = common.WORK / "footprint-files"
    ingest.write_files(files)
    with common.serving(config) as server:
        time.sleep(IDLE_SECONDS)
        idle = server.memory()
        with parts.services(config) as services:
            reader = services.db.read(access.local_reader)
            for _ in services.ingest.folder(reader, DEFAULT_COLLECTION, files):
                pass
        server.settle()
        time.sleep(IDLE_SECONDS)
        after = server.memory()
    common.report(
        "footprint",
        [
            {"what": "first start, with the sample library to come", **first},
            {"what": f"start, median of {STARTS}", **median},
        ],
        idle_pss=idle,
        pss_after_2000_files=after,
        after_to_idle=round(after["all_mib"] / idle["all_mib"], 2),
        targets=TARGETS,
    )


def _start(config: Config, *, settle: bool = False) -> dict[str, float]:
    begin = time.perf_counter()
    with common.serving(config) as server:
        while server.get("/health") is None:
            time.sleep(0.02)
        healthy = time.perf_counter() - begin
        while server.get("/ready") is None:
            time.sleep(0.02)
        figures = {
            "cpu_s": round(server.cpu_s(), 2),
            "healthy_s": round(healthy, 2),
            "ready_s": round(time.perf_counter() - begin, 2),
        }
        if settle:
            server.settle()
        return figures
