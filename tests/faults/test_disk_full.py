"""A full disk is named, changes nothing, and work goes on when there is space again.

The disk is made full with a limit on the size of files (setrlimit(2)), which needs no privileges:
the system refuses to write as it does on a full disk, at the same places.
"""

import io
import os
import resource
from pathlib import Path

import pytest

from likeopt.config import Config
from likeopt.errors import StorageFull
from likeopt.retrieval.ingest import Ingest
from likeopt.storage import access, bootstrap, documents, facts
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from likeopt.storage.files import FileStore
from likeopt.worker.main import PAUSE_SECONDS, Worker
from tests.fakes import FakeClock, FakeEmbedder
from tests.limits import full_disk
from tests.worker.stage import MACHINE, Stage, indexed_chunks


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_upload_is_refused_and_leaves_nothing(
    sqlite_database: Database, config: Config, clock: FakeClock
) -> None:
    sqlite_database.write(lambda c: bootstrap.prepare(c, clock))
    reader = sqlite_database.read(access.local_reader)
    store = FileStore(config.data_dir / "files")
    ingest = Ingest(sqlite_database, store, clock, config)
    ingest.file(reader, "default", "small.txt", b"small")
    before = files_in(store.root)
    content = os.urandom(1 << 20).hex().encode()
    with full_disk(1 << 20), pytest.raises(StorageFull, match="Nothing was changed"):
        ingest.file(reader, "default", "large.txt", io.BytesIO(content))
    assert files_in(store.root) == before
    listed = sqlite_database.read(lambda c: documents.list_(c, reader, Wanted())).items
    assert [document.name for document in listed] == ["small.txt"]
    assert ingest.file(reader, "default", "large.txt", content).outcome == "added"


def test_a_folder_stops_where_the_disk_is_full(
    sqlite_database: Database, config: Config, clock: FakeClock, tmp_path: Path
) -> None:
    sqlite_database.write(lambda c: bootstrap.prepare(c, clock))
    reader = sqlite_database.read(access.local_reader)
    ingest = Ingest(sqlite_database, FileStore(config.data_dir / "files"), clock, config)
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("x" * (2 << 20 if i == 2 else 10))
    with full_disk(1 << 20), pytest.raises(StorageFull):
        list(ingest.folder(reader, "default", tmp_path))
    results = list(ingest.folder(reader, "default", tmp_path))
    assert [result.outcome for result in results] == ["added"] * 3


def test_a_transaction_is_refused_and_leaves_nothing(
    sqlite_database: Database, clock: FakeClock
) -> None:
    sqlite_database.write(lambda c: facts.put(c, "kept", "value"))
    with full_disk(1 << 20), pytest.raises(StorageFull):
        sqlite_database.write(lambda c: facts.put(c, "lost", "x" * (4 << 20)))
    assert sqlite_database.read(lambda c: facts.get(c, "lost")) is None
    assert sqlite_database.read(lambda c: facts.get(c, "kept")) == "value"
    sqlite_database.write(lambda c: facts.put(c, "kept", "again"))
    assert sqlite_database.read(lambda c: facts.get(c, "kept")) == "again"


def test_indexing_waits_for_space(
    sqlite_database: Database, config: Config, clock: FakeClock, embedder: FakeEmbedder
) -> None:
    stage = Stage(sqlite_database, config, clock, embedder)
    text = "\n\n".join(f"{i} " + "words " * 120 for i in range(500))
    stage.upload("large.txt", text)
    pauses: list[float] = []

    def stop() -> bool:
        return stage.document("large.txt").state == "ready" or len(pauses) > 50

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        stage.clock.advance(seconds)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with full_disk(512 << 10):
        stage.worker.run(stop, wait)
    assert pauses
    document = stage.document("large.txt")
    assert (document.state, document.error_code) == ("ready", None)
    stage.worker.follower.stop()
    stage.worker.close()
    stage.worker = stage.new_worker()
    stage.settle()
    assert len(indexed_chunks(stage.lexical())) == document.chunks
    stage.worker.close()


def test_a_worker_that_starts_on_a_full_disk_waits_for_space(
    sqlite_database: Database, config: Config, clock: FakeClock, embedder: FakeEmbedder
) -> None:
    stage = Stage(sqlite_database, config, clock, embedder)
    stage.settle()
    stage.upload("a.txt", "words")
    stage.worker.close()
    stage.worker = Worker(config, clock, MACHINE, open_model=lambda: embedder)
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with full_disk(0):
        stage.worker.run(lambda: stage.document("a.txt").state == "ready", wait)
    assert pauses[0] == PAUSE_SECONDS
    stage.worker.close()
