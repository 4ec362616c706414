"""`kill -9` of the indexing process loses no acknowledged document and shows no half one."""

import multiprocessing
import random
import signal
import time
from multiprocessing.process import BaseProcess
from typing import Any

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.retrieval.ingest import Ingest
from likeopt.storage import access, bootstrap, documents, jobs
from likeopt.storage.db import Database
from likeopt.storage.documents import Wanted
from likeopt.storage.files import FileStore
from likeopt.storage.reader import Reader
from likeopt.storage.tables import chunks, embeddings, files, pages, versions
from likeopt.storage.tables import jobs as jobs_table
from tests.faults import indexer
from tests.servers import wait_until
from tests.worker.stage import indexed_chunks

KILLS = 10
# Again with the other database, where a killed worker's last transaction may still commit.
KILLS_POSTGRES = 4
# Imports once, so that ten lives take seconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.indexer"])


class Crime:
    """Documents are added, some of them changed, while the process that indexes is killed."""

    def __init__(self, config: Config, database: Database) -> None:
        self.config = config
        self.db = database
        self.random = random.Random()
        clock = Clock()
        database.write(lambda c: bootstrap.prepare(c, clock))
        self.reader: Reader = database.read(access.local_reader)
        self.store = FileStore(config.data_dir / "files")
        self.ingest = Ingest(database, self.store, clock, config)
        self.texts: dict[str, str] = {}

    def add(self, name: str, text: str) -> None:
        self.ingest.file(self.reader, "default", name, text.encode())
        self.texts[name] = text

    def start(self) -> BaseProcess:
        process = FORKS.Process(target=indexer.run, args=(self.config,))
        process.start()
        return process

    def live_and_be_killed(self) -> None:
        owners = sa.select(jobs_table.c.lease_owner).where(jobs_table.c.state == "running")
        before = set(self.column(owners))
        process = self.start()
        wait_until(lambda: not set(self.column(owners)) <= before, "work to begin")
        # At a random point from here on, not at chosen ones: a sleep is what is meant.
        time.sleep(self.random.uniform(0.0, 0.4))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL

    def count(self, query: sa.Select[Any]) -> int:
        number: int = self.db.read(lambda c: c.execute(query).scalar_one())
        return number

    def column(self, query: sa.Select[Any]) -> list[Any]:
        return self.db.read(lambda c: list(c.execute(query).scalars()))

    def nothing_is_left(self) -> bool:
        summary = self.db.read(lambda c: jobs.summary(c, self.reader))
        return (summary.queued, summary.embedding, summary.running) == (0, 0, [])


def lines(start: int, count: int) -> str:
    return "\n\n".join(f"Paragraph {i}: {'words of it ' * 50}" for i in range(start, start + count))


def half_visible(crime: Crime) -> list[str]:
    """Names of documents whose visible version is not exactly one of their contents."""
    wrong = []
    for document in crime.db.read(
        lambda c: documents.list_(c, crime.reader, Wanted(), limit=200)
    ).items:
        if document.version_id is None:
            continue
        text = sa.select(pages.c.text).where(pages.c.version_id == document.version_id)
        parts = crime.column(text.order_by(pages.c.number))
        passages = sa.select(sa.func.count()).where(chunks.c.version_id == document.version_id)
        words = "".join(parts).split()
        known = [crime.texts[document.name], crime.texts.get(f"old {document.name}", "")]
        if (
            words not in [text.split() for text in known]
            or crime.count(passages) != document.chunks
        ):
            wrong.append(document.name)
    return wrong


def test_kills_lose_nothing(database: Database, database_config: Config) -> None:
    crime = Crime(database_config, database)
    # Written in several slices, so that it can be killed in the middle.
    crime.add("large.txt", lines(0, 700))
    for life in range(KILLS if database.is_sqlite else KILLS_POSTGRES):
        for i in range(3):
            crime.add(f"{life}-{i}.txt", lines(100 * life + i, 1 + i))
        if life % 3 == 2:
            crime.texts[f"old {life - 1}-0.txt"] = crime.texts[f"{life - 1}-0.txt"]
            crime.add(f"{life - 1}-0.txt", lines(5000 + life, 2))
        crime.live_and_be_killed()
        assert half_visible(crime) == []
    with crime.store.putting(limit=100) as upload:
        upload.write(b"an upload that was killed")
        upload._files.clear()

    last = crime.start()
    try:
        wait_until(crime.nothing_is_left, "all documents to be indexed", seconds=60)
        assert {d.state for d in documents_of(crime)} == {"ready"}
        # What was retired becomes due for removal without waiting half a minute.
        database.write(lambda c: c.execute(sa.update(versions).values(retired_at=0)))
        database.write(lambda c: jobs.enqueue_cleanup(c, Clock(), delay_ms=0))
        database.write(lambda c: c.execute(sa.text("UPDATE jobs SET run_after = 0")))
        kept = sa.select(sa.func.count()).where(versions.c.sha256.is_not(None))
        wait_until(lambda: crime.count(kept) == len(documents_of(crime)), "old versions to go")
        wait_until(lambda: not list(crime.store.root.glob("tmp/*")), "temporary files to go")
        # Their originals go after the versions, in a step of their own.
        kept = sa.select(sa.func.count()).select_from(files)
        wait_until(lambda: crime.count(kept) == len(documents_of(crime)), "old originals to go")
        ids = crime.column(sa.select(chunks.c.id).order_by(chunks.c.id))
        lexical = crime.config.data_dir / "indexes" / "lexical"
        wait_until(lambda: indexed_chunks(lexical) == ids, "the index of words to be complete")
    finally:
        last.terminate()
        last.join()
    assert last.exitcode == 0
    everything_is_whole(crime)


def documents_of(crime: Crime) -> list[documents.Document]:
    return crime.db.read(lambda c: documents.list_(c, crime.reader, Wanted(), limit=200)).items


def everything_is_whole(crime: Crime) -> None:
    listed = documents_of(crime)
    assert sorted(d.name for d in listed) == sorted(n for n in crime.texts if n[:4] != "old ")
    assert {d.state for d in listed} == {"ready"}
    assert all(d.embedded == d.chunks > 0 for d in listed)
    crime.texts = {name: text for name, text in crime.texts.items() if name[:4] != "old "}
    assert half_visible(crime) == []
    of_documents = sum(d.chunks for d in listed)
    assert crime.count(sa.select(sa.func.count()).select_from(chunks)) == of_documents
    assert crime.count(sa.select(sa.func.count()).select_from(embeddings)) == of_documents
    building = sa.select(sa.func.count()).where(versions.c.state == "building")
    assert crime.count(building) == 0
    known = set(crime.column(sa.select(files.c.sha256)))
    on_disk = {path.name for path in crime.store.root.glob("??/*")}
    assert on_disk == known == {d.sha256 for d in listed}
