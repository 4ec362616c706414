"""Originals: files named by the SHA-256 of their content, and the table that counts them.

Durable: a file is written under a temporary name, synced, renamed, and its folder synced, before
the transaction that refers to it commits.

Safe to collect: `put` holds a shared lock on the store from before the rename until its caller's
transaction has committed. Whoever removes files holds that lock exclusively, takes the row away
in a transaction that finds no reference, and unlinks only then. So a file that is put again at
the same moment is either found in use, or removed before it is written once more.

Deduplication tells the uploader nothing: what arrives is always read to the end, written, synced
and renamed, whether or not the content was there before.
"""

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import NotFound, StorageFull, TooLarge
from likeopt.storage.tables import documents, files, versions

BLOCK = 1 << 20
SYNC_THREADS = 8
# EFBIG: a limit on file sizes (`ulimit -f`), which to the user is the same.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoredFile(msgspec.Struct, frozen=True):
    """An original: its content's SHA-256 in hex, and its size in bytes."""

    sha256: str
    size: int


class FileStore:
    """The folder of originals: `<2 hex>/<sha256>`, temporary files in `tmp`, and `lock`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lasting: set[Path] = set()

    @contextmanager
    def put(self, source: BinaryIO | bytes, *, limit: int) -> Iterator[StoredFile]:
        """Store what `source` holds; commit a reference to it before leaving the context.

        Raises TooLarge if there are more than `limit` bytes, StorageFull if the disk is full;
        then nothing is left behind. If the caller's block raises, a clean-up removes the file.
        """
        with self.putting(limit=limit) as batch:
            stored = batch.write(source)
            batch.keep()
            yield stored

    @contextmanager
    def putting(self, *, limit: int) -> Iterator["Batch"]:
        """`put` for several files, which share the waiting for the disk."""
        with self._locked(fcntl.LOCK_SH):
            batch = Batch(self.root, limit, self._lasting)
            try:
                yield batch
            finally:
                batch.discard()

    def path(self, sha256: str) -> Path:
        """Where an original is, whether or not it exists."""
        return self.root / sha256[:2] / sha256

    def open(self, sha256: str) -> BinaryIO:
        """An original for reading; NotFound if it is gone."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise NotFound("The original of this document is no longer stored.") from None

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Try to keep everybody else from putting; False if somebody is at it just now."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    def remove(self, sha256: str) -> None:
        """Unlink an original; only inside `alone`, and after its row was taken away."""
        self.path(sha256).unlink(missing_ok=True)

    def folders(self) -> list[Path]:
        """The folders that hold originals."""
        return [folder for folder in sorted(self.root.glob("??")) if folder.is_dir()]

    def remove_temporary(self) -> None:
        """Remove what interrupted puts left; only inside `alone`."""
        for path in self.root.glob("tmp/*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        # The lock belongs to the open file, so it may be let go by another thread, and goes away
        # with a killed process.
        with naming_a_full_disk():
            made = not self.root.exists()
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            if made:
                _sync(self.root.parent)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)


class Batch:
    """Files on their way into the store: `write` each, `keep` all, then commit references."""

    def __init__(self, root: Path, limit: int, lasting: set[Path]) -> None:
        """Use `FileStore.putting`."""
        self._root = root
        # Folders that are known to outlast a power cut. That one is there says nothing: another
        # process may have made it just now, and not have synced it yet.
        self._lasting = lasting
        self._limit = limit
        self._files: list[tuple[StoredFile, Path]] = []

    def write(self, source: BinaryIO | bytes) -> StoredFile:
        """Read `source` to its end into a temporary file. Raises as `FileStore.put`."""
        digest = hashlib.sha256()
        temporary = self._root / "tmp" / secrets.token_hex(16)
        try:
            with naming_a_full_disk(), temporary.open("xb", buffering=0) as out:
                size = _copy(source, out.fileno(), self._limit, digest.update)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        stored = StoredFile(digest.hexdigest(), size)
        self._files.append((stored, temporary))
        return stored

    @property
    def newest(self) -> Path:
        """Where the file written last waits to be kept."""
        return self._files[-1][1]

    def drop(self) -> None:
        """Remove the file written last."""
        self._files.pop()[1].unlink()

    def keep(self) -> None:
        """Put on disk what was written, under its final name."""
        targets = [self._root / file.sha256[:2] / file.sha256 for file, _ in self._files]
        folders = {target.parent for target in targets}
        with naming_a_full_disk():
            _sync_all([temporary for _, temporary in self._files])
            for folder in folders:
                folder.mkdir(exist_ok=True)
            if not folders <= self._lasting:
                _sync(self._root)
                self._lasting |= folders
            for (_, temporary), target in zip(self._files, targets, strict=True):
                temporary.rename(target)
            _sync_all(sorted(folders))
        self._files = []

    def discard(self) -> None:
        """Remove what was written and not kept."""
        for _, temporary in self._files:
            temporary.unlink(missing_ok=True)


@contextmanager
def naming_a_full_disk() -> Iterator[None]:
    """Raise StorageFull for the OSError with which the block meets a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull(
            "The disk is full. Nothing was changed; free some space and try again."
        ) from error


def _sync_all(paths: list[Path]) -> None:
    if len(paths) == 1:
        _sync(paths[0])
        return
    # The file system's journal commits for all who wait at the same time: 0.3 ms a file with
    # eight threads where one after the other took 6 ms (ext4, busy disk).
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _blocks(source: BinaryIO | bytes) -> Iterable[bytes]:
    if isinstance(source, bytes):
        return (source,)
    return iter(lambda: source.read(BLOCK), b"")


def _copy(
    source: BinaryIO | bytes, descriptor: int, limit: int, see: Callable[[bytes], None]
) -> int:
    size = 0
    for block in _blocks(source):
        size += len(block)
        if size > limit:
            raise TooLarge(f"The file is larger than the limit of {limit / (1 << 20):.3g} MiB.")
        see(block)
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
    return size


# -- the table -------------------------------------------------------------------------------------


def record(c: sa.Connection, clock: Clock, stored: Sequence[StoredFile]) -> None:
    """Note that originals exist; inside `FileStore.put`, under the library's lock."""
    missing = unknown(c, [file.sha256 for file in stored])
    now = clock.now_ms()
    sizes = {file.sha256: file.size for file in stored if file.sha256 in missing}
    rows = [{"sha256": key, "size": size, "created_at": now} for key, size in sizes.items()]
    if rows:
        c.execute(sa.insert(files), rows)


_unreferenced = sa.select(files.c.sha256).where(
    ~sa.exists().where(documents.c.sha256 == files.c.sha256),
    ~sa.exists().where(versions.c.sha256 == files.c.sha256),
)


def unreferenced(c: sa.Connection, limit: int) -> list[str]:
    """SHA-256 of originals that nothing refers to at the moment."""
    return list(c.execute(_unreferenced.limit(limit)).scalars())


def forget(c: sa.Connection, candidates: list[str]) -> list[str]:
    """Delete the rows of those `candidates` that nothing refers to now; returns which.

    Apart from `unreferenced`, which reads the whole table: 20 ms for 50,000 originals.
    """
    gone = list(c.execute(_unreferenced.where(files.c.sha256.in_(candidates))).scalars())
    c.execute(sa.delete(files).where(files.c.sha256.in_(gone)))
    return gone


def unknown(c: sa.Connection, names: list[str]) -> set[str]:
    """Those of `names` that are not the SHA-256 of a known original."""
    known = c.execute(sa.select(files.c.sha256).where(files.c.sha256.in_(names))).scalars()
    return set(names) - set(known)
