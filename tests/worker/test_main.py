"""The process: one a machine, woken by a datagram, stopped by SIGTERM."""

import multiprocessing
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.retrieval.ingest import Ingest
from likeopt.storage import access, bootstrap, documents
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from likeopt.storage.files import FileStore
from likeopt.storage.wake import ring, wake_socket
from likeopt.worker import main as worker
from tests.faults import indexer
from tests.servers import wait_until

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.indexer"])


def test_a_second_worker_waits_for_the_first(data_dir: Path) -> None:
    with worker.sole_worker(data_dir, lambda: False) as first:
        assert first
        with worker.sole_worker(data_dir, lambda: True) as second:
            assert second is None
    with worker.sole_worker(data_dir, lambda: False) as third:
        # The machine keeps its name, by which its dead workers' jobs are known.
        assert third == first


def test_a_ring_ends_the_wait(data_dir: Path) -> None:
    path = wake_socket(data_dir)
    with worker.bell(path) as wait:
        ringing = threading.Timer(0.05, ring, [path])
        ringing.start()
        # Much longer than the test may take: only the ring can end it.
        wait(250)
        ringing.join()
        for _ in range(500):
            ring(path)
        wait(250)
        wait(0)
    assert not path.exists()


def test_ringing_needs_nothing_that_only_linux_has(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SOCK_NONBLOCK")
    path = wake_socket(data_dir)
    with worker.bell(path) as wait:
        ring(path)
        wait(250)


def test_ringing_without_a_worker_is_no_error(data_dir: Path) -> None:
    ring(wake_socket(data_dir))
    ring(Path("/" + "x" * 200) / "run" / "worker.sock")


def test_a_path_too_long_for_a_socket_only_costs_the_ring(data_dir: Path) -> None:
    long = data_dir / ("x" * 100)
    with worker.bell(wake_socket(long)) as wait:
        wait(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_indexes_what_is_added_until_it_is_told_to_stop(
    sqlite_database: Database, config: Config, number: signal.Signals
) -> None:
    clock = Clock()
    sqlite_database.write(lambda c: bootstrap.prepare(c, clock))
    reader = sqlite_database.read(access.local_reader)
    ingest = Ingest(sqlite_database, FileStore(config.data_dir / "files"), clock, config)
    process = FORKS.Process(target=indexer.run, args=(config,))
    process.start()
    try:
        ingest.file(reader, "default", "a.txt", b"words")

        def embedded() -> bool:
            page = sqlite_database.read(lambda c: documents.list_(c, reader, Wanted()))
            return page.items[0].embedded == 1

        wait_until(embedded, "the document to be searchable")
    finally:
        os.kill(process.pid or 0, number)
        process.join()
    assert process.exitcode == 0
    assert not wake_socket(config.data_dir).exists()
