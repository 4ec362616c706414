"""Adding originals to the library: uploads, folders of this machine, web pages.

What is added is stored and queued, and only then acknowledged; the indexing worker does the rest.
"""

import contextlib
import copy
import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal

import msgspec

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import (
    BadInput,
    Forbidden,
    LikeOptError,
    NotFound,
    TooLarge,
    UnreadableFile,
    UnsupportedType,
)
from likeopt.retrieval.folders import Found, Look, empty, look, open_regular, unreadable, walk
from likeopt.retrieval.parse import HEAD_BYTES, MEDIA_TYPES, detect, examine
from likeopt.retrieval.parse.sandbox import opens
from likeopt.storage import documents, files
from likeopt.storage.db import Database, Runner, run_here
from likeopt.storage.documents import Added, Document, NewDocument, Source
from likeopt.storage.files import FileStore, StoredFile
from likeopt.storage.reader import Reader
from likeopt.storage.text import clean_line
from likeopt.storage.wake import ring, wake_socket

# Files of a folder share one transaction: one commit costs as much as storing three files.
BATCH_FILES = 64
BATCH_BYTES = 16 << 20
SPOOL_BYTES = 1 << 20
# Characters that turn the direction of what follows: `exe.txt` can be shown as `txt.exe`.
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


Outcome = Literal["added", "changed", "unchanged", "removed"]
# What the audit log calls them.
ACTIONS: dict[Outcome, str] = {
    "added": "document.create",
    "changed": "document.replace",
    "removed": "document.delete",
}
# Told what became of a document, with the connection of its transaction.
Note = Callable[[Any, Outcome, Document], None]


def _note_nothing(_c: Any, _outcome: Outcome, _document: Document) -> None:
    """Nobody keeps account of this."""


class FileResult(msgspec.Struct, frozen=True):
    """What became of one file of a folder; `problem` is set if, and only if, it failed."""

    name: str
    outcome: Literal["added", "changed", "unchanged", "removed", "failed"]
    document: Document | None = None
    problem: LikeOptError | None = None


class _Task(msgspec.Struct, frozen=True):
    """Whose folder goes where."""

    reader: Reader
    collection_id: str
    source: Source
    tags: list[str] | None

    def document(self, name: str, uri: str, media_type: str, file: StoredFile) -> NewDocument:
        return NewDocument(
            collection_id=self.collection_id,
            name=name,
            source=self.source,
            source_uri=uri,
            media_type=media_type,
            file=file,
            tags=self.tags,
        )


class Ingest:
    """Adds originals. `runner` decides where blocking file work runs, as in `Database`."""

    def __init__(
        self,
        db: Database,
        store: FileStore,
        clock: Clock,
        config: Config,
        *,
        runner: Runner = run_here,
    ) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._bell = wake_socket(config.data_dir)
        # On the disk that the originals are on, and not in a /tmp that may be memory.
        self._spool = config.data_dir / "tmp"
        self._limit = config.max_upload_mb << 20
        self._roots = [Path(root).resolve() for root in config.folder_roots.split(":") if root]
        self._config = config
        self._opening = threading.Lock()
        self._allow_private = config.url_allow_private
        self._run = runner
        self._note: Note = _note_nothing

    def noting(self, note: Note) -> "Ingest":
        """The same, telling `note` what became of each document, in its transaction."""
        noting = copy.copy(self)
        noting._note = note  # noqa: SLF001  (a copy of this object)
        return noting

    # -- one file ----------------------------------------------------------------------------------

    def file(
        self,
        reader: Reader,
        collection_id: str,
        name: str,
        content: BinaryIO | bytes,
        *,
        tags: list[str] | None = None,
        source: Source = "upload",
    ) -> Added:
        """Add an uploaded file; `content` must be seekable and is read to its end.

        A file of the same name and collection replaces the one before. Raises BadInput for a name
        that is none, UnsupportedType, UnreadableFile for a file that is empty, damaged, protected
        or a bomb, TooLarge, StorageFull; then nothing is changed.
        """
        name = clean_name(name)
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        task = _Task(reader, collection_id, source, tags)
        return self._add_stream(task, name, name, stream)

    def url(
        self, reader: Reader, collection_id: str, url: str, *, tags: list[str] | None = None
    ) -> Added:
        """Fetch a web page or file and add it; the same URL again replaces it.

        Raises BadInput for a URL that may not be fetched, UnreadableFile if its server does not
        give it, StorageFull, and as `file` does.
        """
        # Its HTTP client takes 60 ms to import, at every start of every process.
        from likeopt.retrieval.fetch import Fetcher, check_url, suffix_for  # noqa: PLC0415

        url = check_url(url)._replace(fragment="").geturl()
        fetcher = Fetcher(allow_private=self._allow_private, limit=self._limit)
        with files.naming_a_full_disk():
            self._spool.mkdir(parents=True, exist_ok=True)
            with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(self._spool)) as spool:
                stream: Any = spool
                fetched = fetcher.fetch(url, stream)
                name = fetched.name
                if PurePath(name).suffix.lower() not in MEDIA_TYPES:
                    name += suffix_for(fetched.media_type, MEDIA_TYPES)
                task = _Task(reader, collection_id, "url", tags)
                return self._add_stream(task, clean_name(name), url, stream)

    def _add_stream(self, task: _Task, name: str, uri: str, stream: BinaryIO) -> Added:
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        if not head:
            raise empty(name)
        media_type = detect(name, head)
        with contextlib.ExitStack() as putting:
            originals = self._originals(putting)
            file: StoredFile = self._run(lambda: originals.write(stream))
            self._examine(originals, media_type, name)
            self._run(originals.keep)
            return self._add(task, [task.document(name, uri, media_type, file)])[0]

    def _add(self, task: _Task, new: list[NewDocument]) -> list[Added]:
        def add(c: Any) -> list[Added]:
            added = documents.add_all(c, task.reader, self._clock, new)
            for one in added:
                self._note(c, one.outcome, one.document)
            return added

        added = self._db.write(add)
        ring(self._bell)
        return added

    def _examine(self, originals: files.Batch, media_type: str, name: str) -> None:
        """Refuse the file written last, if it will not open."""
        path = originals.newest
        if not self._run(lambda: examine(path, media_type, name)):
            # Its process may take as much memory as is allowed, so there is one at a time.
            with self._opening:
                opens(self._config, path, media_type, name, run=self._run)

    def _originals(self, putting: contextlib.ExitStack) -> files.Batch:
        # Entering may wait some milliseconds for a clean-up.
        store = self._store.putting(limit=self._limit)
        originals: files.Batch = self._run(lambda: putting.enter_context(store))
        return originals

    # -- folders -----------------------------------------------------------------------------------

    def server_folder(self, path: str) -> Path:
        """A folder that the page and the API may add from; Forbidden if it is under no root."""
        clean_line(path, what="The folder", limit=documents.URI_LIMIT)
        folder = Path(path).resolve()
        if not any(folder.is_relative_to(root) for root in self._roots):
            raise Forbidden(
                "This folder is not among those that may be added from here. An administrator"
                " can allow it with LIKEOPT_FOLDER_ROOTS, or use `likeopt ingest`."
            )
        return folder

    def folder(
        self,
        reader: Reader,
        collection_id: str,
        path: Path,
        *,
        tags: list[str] | None = None,
        prune: bool = False,
        source: Source = "folder",
        address: str | None = None,
    ) -> Iterator[FileResult]:
        """Add every file under `path` (or the one file `path`), and say of each what became of it.

        Unchanged files cost a read and no more. Hidden files are left out, symbolic links are not
        followed. With `prune`, documents whose file is gone from the folder are deleted at the
        end. `address` is how the documents' sources call the folder, if not by its path. Raises
        BadInput if there is no such path, StorageFull when the disk is full; what was yielded
        before is in the library.
        """
        root = path.resolve()
        base = address or str(root)
        if not root.exists():
            raise BadInput(f"There is no file or folder {path}.")
        task = _Task(reader, collection_id, source, tags)
        seen: set[str] = set()
        complete = True
        batch: list[tuple[Found, Look]] = []
        for found in walk(root, base):
            complete = complete and not found.folder
            looked = self._look(found)
            if found.uri in seen:
                looked = BadInput(f"{found.name} differs from another name in its spelling only.")
            seen.add(found.uri)
            if isinstance(looked, LikeOptError):
                yield FileResult(found.name, "failed", problem=looked)
                continue
            batch.append((found, looked))
            if len(batch) == BATCH_FILES or sum(one.size for _, one in batch) >= BATCH_BYTES:
                yield from self._add_batch(task, batch)
                batch = []
        yield from self._add_batch(task, batch)
        # A folder that could not be listed may hold the files that seem to be gone.
        if prune and complete and root.is_dir():
            yield from self._prune(task, base, seen)

    def _look(self, found: Found) -> Look | LikeOptError:
        if found.problem is not None:
            return found.problem
        try:
            looked: Look = self._run(lambda: look(found, self._limit))
        except LikeOptError as problem:
            return problem
        return looked

    def _add_batch(self, task: _Task, batch: list[tuple[Found, Look]]) -> Iterator[FileResult]:
        hashes = {found.uri: looked.sha256 for found, looked in batch}
        same = self._db.read(
            lambda c: documents.unchanged(c, task.reader, task.collection_id, task.source, hashes)
        )
        results = [
            FileResult(found.name, "unchanged", same[found.uri])
            for found, _ in batch
            if found.uri in same
        ]
        new: list[NewDocument] = []
        with contextlib.ExitStack() as putting:
            originals = self._originals(putting)
            for found, looked in batch:
                if found.uri in same:
                    continue
                file = self._write(originals, found, looked.media_type)
                if isinstance(file, LikeOptError):
                    results.append(FileResult(found.name, "failed", problem=file))
                else:
                    new.append(task.document(found.name, found.uri, looked.media_type, file))
            if new:
                self._run(originals.keep)
                results += [
                    FileResult(one.document.name, one.outcome, one.document)
                    for one in self._add(task, new)
                ]
        return iter(results)

    def _write(
        self, originals: files.Batch, found: Found, media_type: str
    ) -> StoredFile | LikeOptError:
        def write() -> StoredFile:
            with open_regular(found) as stream:
                return originals.write(stream)

        try:
            file: StoredFile = self._run(write)
        except (UnreadableFile, TooLarge) as problem:
            return problem
        except OSError as error:
            return unreadable(found.name, error)
        try:
            self._examine(originals, media_type, found.name)
        except (UnreadableFile, UnsupportedType) as problem:
            self._run(originals.drop)
            return problem
        return file

    def _prune(self, task: _Task, base: str, seen: set[str]) -> Iterator[FileResult]:
        prefix = f"{base}/"
        known = self._db.read(
            lambda c: documents.under(c, task.reader, task.collection_id, task.source, prefix)
        )
        for uri, document_id in known.items():
            if uri not in seen:
                self._remove(task.reader, document_id)
                yield FileResult(uri.removeprefix(prefix), "removed")

    def _remove(self, reader: Reader, document_id: str) -> None:
        def remove(c: Any) -> None:
            former = documents.get(c, reader, document_id)
            documents.delete(c, reader, self._clock, document_id)
            self._note(c, "removed", former)

        # Somebody else may have deleted it meanwhile.
        with contextlib.suppress(NotFound):
            self._db.write(remove)


def clean_name(name: str) -> str:
    """A file name as it is stored; BadInput if it is a path or holds characters that deceive."""
    clean = clean_line(name, what="The file name", limit=documents.NAME_LIMIT)
    if "/" in clean or "\\" in clean or clean in (".", ".."):
        raise BadInput("The file name must be a name, not a path.")
    if BIDI & set(clean):
        raise BadInput("The file name holds characters that change the direction of writing.")
    return clean
