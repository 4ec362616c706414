"""Steps that tests of the library share, in the words of the tables."""

import hashlib
from typing import Any

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import access, bootstrap, documents, indexing, jobs, machines, revisions
from likeopt.storage.db import Database
from likeopt.storage.documents import Document, NewDocument
from likeopt.storage.files import StoredFile
from likeopt.storage.indexing import Reading
from likeopt.storage.reader import Reader
from likeopt.storage.tables import users

OWNER = "worker:1"


def prepared(db: Database, clock: Clock) -> Reader:
    """A new library and its local user."""
    db.write(lambda c: bootstrap.prepare(c, clock))
    return db.read(access.local_reader)


def member(db: Database, clock: Clock, user_id: str) -> Reader:
    """Another person."""
    db.write(
        lambda c: c.execute(
            sa.insert(users).values(
                id=user_id, name=user_id, role="member", created_at=clock.now_ms()
            )
        )
    )
    return db.read(lambda c: access.reader_for(c, user_id))


def file_of(content: str) -> StoredFile:
    """The record of an original that need not be on disk."""
    return StoredFile(hashlib.sha256(content.encode()).hexdigest(), len(content))


def new(name: str, content: str = "text", **more: Any) -> NewDocument:
    """A text document of the default collection."""
    fields: dict[str, Any] = {
        "collection_id": "default",
        "name": name,
        "source": "upload",
        "source_uri": name,
        "media_type": "text/plain",
        "file": file_of(content),
    }
    return NewDocument(**(fields | more))


def add(
    db: Database, reader: Reader, clock: Clock, name: str, content: str = "text", **more: Any
) -> Document:
    """Add one document."""
    return db.write(lambda c: documents.add(c, reader, clock, new(name, content, **more))).document


def reading(target: indexing.Target, passages: list[str], *, paged: bool = False) -> Reading:
    """What a parser would make of passages, each on a page of its own."""
    pages, chunks, start = [], [], 0
    for number, text in enumerate(passages, start=1):
        pages.append({"number": number, "start": start, "text": text})
        chunks.append(
            {
                "ordinal": number - 1,
                "text": text,
                "start": start,
                "end": start + len(text),
                "context": "",
                "page": number if paged else None,
            }
        )
        start += len(text)
    return Reading(target, "Title", len(passages) if paged else None, pages, chunks)


def claim_index(db: Database, clock: Clock, owner: str = OWNER, limit: int = 1) -> list[jobs.Job]:
    """Lease index jobs for a minute."""
    return db.write(lambda c: jobs.claim(c, clock, owner, 60_000, "index", limit))


def index(
    db: Database, clock: Clock, passages: list[str], *, owner: str = OWNER, paged: bool = False
) -> indexing.Target:
    """Do the oldest index job: its document now consists of `passages`."""
    claimed = claim_index(db, clock, owner)
    (target,) = db.read(lambda c: indexing.targets(c, claimed))
    made = reading(target, passages, paged=paged)
    assert db.write(lambda c: indexing.publish(c, clock, owner, [made])) == 1
    return target


def follow(db: Database, clock: Clock, machine: str = "machine") -> None:
    """The machine's index of words has everything that is published."""
    db.write(lambda c: machines.report(c, clock, machine, revisions.current(c, "library")))


def embed(db: Database, clock: Clock, model: str = "m", *, owner: str = OWNER) -> int:
    """Do the oldest embed job with vectors of zeros; returns how many it made."""
    claimed = db.write(lambda c: jobs.claim(c, clock, owner, 60_000, "embed"))
    ids = [job.document_id or "" for job in claimed]
    missing = db.read(lambda c: indexing.unembedded(c, model, ids, 1000))
    vectors = [(passage, bytes(8)) for passage in missing]

    def store(c: sa.Connection) -> None:
        indexing.add_embeddings(c, clock, owner, claimed, model, vectors)
        jobs.finish(c, clock, [job.id for job in claimed])

    db.write(store)
    return len(missing)
