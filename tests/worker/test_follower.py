"""Derived indexes follow the database, and can be lost at any moment."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import urllib3

from likeopt.config import Config
from likeopt.retrieval.generations import Generations
from likeopt.retrieval.vector.chroma import ChromaPusher, ChromaState
from likeopt.retrieval.vector.local import vector_root
from likeopt.retrieval.vector.local_writer import LocalVectorBuilder
from likeopt.storage import documents, facts, indexing, revisions
from likeopt.storage.db import Database
from likeopt.storage.tables import chunks, embeddings, versions
from likeopt.worker import chroma_vectors, vectors
from tests.fakes import FakeClock
from tests.storage import library
from tests.worker.stage import Stage, indexed_chunks


def published(stage: Stage) -> list[int]:
    query = sa.select(versions.c.id).where(versions.c.state == "published")
    return stage.db.read(lambda c: sorted(c.execute(query).scalars()))


def chunk_ids(stage: Stage) -> list[int]:
    query = sa.select(chunks.c.id).join(versions).where(versions.c.state == "published")
    return stage.db.read(lambda c: sorted(c.execute(query).scalars()))


def test_changes_are_followed_in_few_commits(stage: Stage) -> None:
    for i in range(30):
        stage.upload(f"{i}.txt", f"words {i}")
    stage.settle()
    writer = stage.worker.follower._writer
    assert writer is not None
    applied = writer.applied
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage)
    # A rename is no business of the index.
    renamed = stage.all()[0].id
    stage.db.write(
        lambda c: documents.update(c, stage.reader, stage.clock, renamed, name="renamed.txt")
    )
    stage.follow()
    assert writer.applied == applied
    assert stage.worker.follower.applied > applied


def test_a_lost_index_is_built_again(stage: Stage) -> None:
    for i in range(3):
        stage.upload(f"{i}.txt", f"words {i}")
    stage.settle()
    stage.worker.close()
    shutil.rmtree(stage.lexical())
    stage.worker = stage.new_worker()
    stage.settle()
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage) != []


def test_a_damaged_index_is_built_again(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.upload("a.txt", "words")
    stage.settle()
    before = Generations(stage.lexical()).current()
    # What the engine does when it cannot read it.
    Generations(stage.lexical()).report_damage(before, "checksum")
    stage.upload("b.txt", "more words")
    stage.settle()
    assert Generations(stage.lexical()).current() != before
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage)


def test_a_truncated_index_is_built_again(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.upload("a.txt", "words")
    stage.settle()
    stage.worker.close()
    folder = Generations(stage.lexical()).current()
    assert folder is not None
    (folder / "index" / "meta.json").write_bytes(b"")
    stage.worker = stage.new_worker()
    stage.settle()
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage)


def test_another_databases_index_is_not_used(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.upload("a.txt", "words")
    stage.settle()
    stage.worker.close()
    stage.db.write(lambda c: facts.put(c, facts.DATABASE_ID, "0" * 32))
    before = Generations(stage.lexical()).current()
    stage.worker = stage.new_worker()
    stage.settle()
    assert Generations(stage.lexical()).current() != before
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage)


def test_deletions_of_a_long_absence_are_caught_up(stage: Stage) -> None:
    added = [stage.upload(f"{i}.txt", f"words {i}").document for i in range(3)]
    stage.settle()
    for document in added[:2]:
        stage.db.write(
            partial(
                documents.delete, reader=stage.reader, clock=stage.clock, document_id=document.id
            )
        )
    stage.upload("2.txt", "changed")
    # The follower is away while everything retired becomes old enough to be removed.
    stage.clock.advance(60)
    stage.settle(follow=False)
    stage.follow()
    assert indexed_chunks(stage.lexical()) == chunk_ids(stage)
    assert len(published(stage)) == 1


# -- vectors ---------------------------------------------------------------------------------------


def put_vectors(database: Database, clock: FakeClock, count: int, dim: int = 8) -> None:
    """A document of `count` passages with random vectors of the model `m`."""
    rng = np.random.default_rng(0)
    library.index(database, clock, [f"passage {i}" for i in range(count)])
    query = sa.select(chunks.c.id)
    ids = database.read(lambda c: list(c.execute(query).scalars()))
    rows = [
        {
            "model": "m",
            "chunk_id": chunk_id,
            "vector": (v / np.linalg.norm(v)).astype("<f2").tobytes(),
            "revision": 1,
        }
        for chunk_id in ids
        for v in [rng.normal(size=dim)]
    ]

    def store(c: sa.Connection) -> None:
        indexing.aim_at(c, "m")
        revisions.raise_(c, "embeddings")
        c.execute(sa.insert(embeddings), rows)

    database.write(store)


def builder(database: Database, indexes: Path) -> LocalVectorBuilder:
    return LocalVectorBuilder(
        vector_root(indexes, "m"),
        database_id=database.read(lambda c: facts.get(c, facts.DATABASE_ID)) or "",
        model="m",
        dim=8,
    )


def test_many_new_vectors_are_merged(database: Database, clock: FakeClock, data_dir: Path) -> None:
    reader = library.prepared(database, clock)
    library.add(database, reader, clock, "a.txt")
    put_vectors(database, clock, 2100)
    follower = vectors.LocalVectors(database, clock, data_dir)
    follower.follow(lambda: False)
    state = builder(database, data_dir).state()
    assert (state.revision, state.count) == (1, 2100)


def test_an_interrupted_merge_is_done_later(
    sqlite_database: Database, clock: FakeClock, data_dir: Path
) -> None:
    reader = library.prepared(sqlite_database, clock)
    library.add(sqlite_database, reader, clock, "a.txt")
    put_vectors(sqlite_database, clock, 2100)
    follower = vectors.LocalVectors(sqlite_database, clock, data_dir)
    follower.follow(lambda: True)
    assert builder(sqlite_database, data_dir).state().count == 0
    clock.advance(10)
    follower.follow(lambda: False)
    assert builder(sqlite_database, data_dir).state().count == 2100


def test_few_new_vectors_are_left_to_the_delta(
    sqlite_database: Database, clock: FakeClock, data_dir: Path
) -> None:
    reader = library.prepared(sqlite_database, clock)
    library.add(sqlite_database, reader, clock, "a.txt")
    put_vectors(sqlite_database, clock, 20)
    vectors.LocalVectors(sqlite_database, clock, data_dir).follow(lambda: False)
    assert builder(sqlite_database, data_dir).state().count == 0


def test_a_damaged_vector_index_is_built_again(
    sqlite_database: Database, clock: FakeClock, data_dir: Path
) -> None:
    reader = library.prepared(sqlite_database, clock)
    library.add(sqlite_database, reader, clock, "a.txt")
    put_vectors(sqlite_database, clock, 2100)
    follower = vectors.LocalVectors(sqlite_database, clock, data_dir)
    follower.follow(lambda: False)
    generations = Generations(vector_root(data_dir, "m"))
    before = generations.current()
    generations.report_damage(before, "checksum")
    clock.advance(10)
    follower.follow(lambda: False)
    assert generations.current() != before
    assert builder(sqlite_database, data_dir).state().count == 2100


def test_chroma_is_kept_up(
    sqlite_database: Database, clock: FakeClock, config: Config, chroma_url: str
) -> None:
    database = sqlite_database
    reader = library.prepared(database, clock)
    added = library.add(database, reader, clock, "a.txt")
    put_vectors(database, clock, 30)
    follower = chroma_vectors.ChromaVectors(database, clock, chroma_url, "me")
    follower.follow(lambda: False)
    database_id = database.read(lambda c: facts.get(c, facts.DATABASE_ID)) or ""
    pusher = ChromaPusher(chroma_url, database_id=database_id, model="m")
    library_revision = pusher.state().library
    assert pusher.state().embeddings == 1
    database.write(lambda c: documents.delete(c, reader, clock, added.id))
    # Somebody else holds the lease: nothing is sent.
    other = chroma_vectors.ChromaVectors(database, clock, chroma_url, "other")
    other.follow(lambda: False)
    assert pusher.state() == ChromaState(embeddings=1, library=library_revision)
    clock.advance(2)
    follower.follow(lambda: False)
    assert pusher.state().library > library_revision

    everything = pusher.state()
    _lose(chroma_url, database_id)
    assert pusher.state() == ChromaState(embeddings=0, library=0)
    clock.advance(chroma_vectors.LOOK_SECONDS)
    follower.follow(lambda: False)
    assert pusher.state() == everything
    pusher.close()


def _lose(url: str, database_id: str) -> None:
    """What a Chroma server without a volume does when it is started again."""
    base = f"{url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    for collection in urllib3.request("GET", base, retries=False).json():
        if collection["metadata"]["database"] == database_id:
            gone = urllib3.request("DELETE", f"{base}/{collection['name']}", retries=False)
            assert gone.status == 200


@pytest.mark.parametrize("owner", ["me", "other"])
def test_a_lease_has_one_holder_until_it_ends(
    database: Database, clock: FakeClock, owner: str
) -> None:
    library.prepared(database, clock)

    def lease(name: str) -> bool:
        return database.write(lambda c: facts.lease(c, clock, "x", name, 1000))

    assert lease("me")
    assert lease(owner) == (owner == "me")
    clock.advance(2)
    assert lease("other")
    assert not lease("me")
