"""Originals on disk."""

import hashlib
import io
import multiprocessing
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from likeopt.errors import NotFound, TooLarge
from likeopt.storage import documents, files
from likeopt.storage.db import Database
from likeopt.storage.files import FileStore
from tests.fakes import FakeClock
from tests.storage import library

LIMIT = 1 << 20


@pytest.fixture
def store(data_dir: Path) -> FileStore:
    return FileStore(data_dir / "files")


def everything(store: FileStore) -> set[str]:
    return {path.name for path in store.root.rglob("*") if path.is_file()} - {"lock"}


def test_content_is_kept_under_its_hash(store: FileStore) -> None:
    content = os.urandom(300_000)
    with store.put(io.BytesIO(content), limit=LIMIT) as stored:
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        assert stored.size == 300_000
    with store.open(stored.sha256) as original:
        assert original.read() == content
    assert everything(store) == {stored.sha256}


def test_the_same_content_twice_is_one_file_and_looks_the_same(store: FileStore) -> None:
    with store.put(b"same", limit=LIMIT) as first:
        pass
    source = io.BytesIO(b"same")
    with store.put(source, limit=LIMIT) as second:
        pass
    assert first == second
    assert source.tell() == 4
    assert everything(store) == {first.sha256}


def test_too_large_leaves_nothing(store: FileStore) -> None:
    with pytest.raises(TooLarge, match="limit of 1 MiB"), store.put(bytes(LIMIT + 1), limit=LIMIT):
        pass
    with store.put(bytes(LIMIT), limit=LIMIT) as stored:
        pass
    assert everything(store) == {stored.sha256}


def test_a_folder_is_synced_before_it_is_relied_on(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    folder = store.path(hashlib.sha256(b"one").hexdigest()).parent
    with store.putting(limit=LIMIT) as batch:
        batch.write(b"one")
        assert synced == [store.root.parent]
        folder.mkdir()  # by another process, which has not synced it yet
        batch.keep()
    assert synced[2:] == [store.root, folder]
    # Once is enough.
    synced.clear()
    with store.put(b"one", limit=LIMIT):
        pass
    assert synced[1:] == [folder]


def test_files_of_a_batch_fail_apart(store: FileStore) -> None:
    with store.putting(limit=3) as batch:
        kept = [batch.write(b"one"), batch.write(b"two")]
        with pytest.raises(TooLarge):
            batch.write(b"three")
        batch.keep()
        batch.write(b"six")  # written, and not kept
    assert everything(store) == {file.sha256 for file in kept}


def test_a_source_that_breaks_leaves_nothing(store: FileStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError), store.put(Broken(), limit=LIMIT):
        pass
    assert everything(store) == set()


def test_a_missing_original_is_not_found(store: FileStore) -> None:
    with pytest.raises(NotFound):
        store.open("0" * 64)


def test_nobody_collects_while_somebody_puts(store: FileStore) -> None:
    with store.put(b"x", limit=LIMIT), store.alone() as alone:
        assert not alone
    with store.alone() as alone:
        assert alone


def test_putting_and_collecting_the_same_content_never_loses_it(
    database: Database, clock: FakeClock, store: FileStore
) -> None:
    """One side adds and deletes a document of the same content, the other collects garbage."""
    reader = library.prepared(database, clock)
    done = threading.Event()
    collected: list[str] = []

    def collect() -> None:
        while not done.is_set():
            with store.alone() as alone:
                if alone:
                    for sha256 in database.write(
                        lambda c: files.forget(c, files.unreferenced(c, 9))
                    ):
                        store.remove(sha256)
                        collected.append(sha256)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for _ in range(1000):
            with store.put(b"content", limit=LIMIT) as stored:
                new = library.new("a.txt", file=stored)
                added = database.write(
                    partial(documents.add, reader=reader, clock=clock, new=new)
                ).document
            with store.open(stored.sha256) as original:
                assert original.read() == b"content"
            database.write(
                partial(documents.delete, reader=reader, clock=clock, document_id=added.id)
            )
            if len(collected) >= 10:
                break
    finally:
        done.set()
        collector.join()
    assert len(collected) >= 10


def _put_and_die(root: Path) -> None:
    with FileStore(root).put(b"never acknowledged", limit=LIMIT):
        os._exit(9)


def test_a_killed_put_lets_go_of_the_lock(store: FileStore) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_put_and_die, args=(store.root,))
    process.start()
    process.join()
    with store.alone() as alone:
        assert alone
        store.remove_temporary()
    assert [folder.name for folder in store.folders()] == [
        hashlib.sha256(b"never acknowledged").hexdigest()[:2]
    ]


def test_unknown_files_are_told_from_known_ones(database: Database, clock: FakeClock) -> None:
    reader = library.prepared(database, clock)
    known = library.add(database, reader, clock, "a.txt").sha256
    assert database.read(lambda c: files.unknown(c, [known, "x"])) == {"x"}
