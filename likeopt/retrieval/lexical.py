"""Search by words: BM25 over terms that `analyse` made, in a tantivy index on disk.

The indexing worker writes (one process), the engine reads. For the worker:

    open     LexicalWriter.open(root, analyser, database_id)     IndexDamaged: call `rebuild`
    rebuild  LexicalWriter.rebuild(root, analyser, database_id, revision, chunks)
    then     writer.applied, writer.apply(revision, added, removed), writer.damage(), writer.close()

`root` is `data_dir / "indexes" / "lexical"`. A commit carries the library revision up to which it
reflects the database, in a document of its own, so a reader's snapshot always knows what it shows:
version v stands in the snapshot of revision r exactly if v.published_revision <= r and not
v.retired_revision <= r.
"""

import math
import struct
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Occur, Query

from likeopt.errors import Conflict, IndexDamaged, StorageFull
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.generations import Generations
from likeopt.retrieval.scope import Ids, Scope

# Raised when the schema below changes: older indexes are built again.
SCHEMA = 1

# One indexing thread: 60,000 passages of terms take it 1 s, and tantivy makes a segment a thread.
_THREADS = 1
# Bytes of terms kept in memory before a segment is written; the least tantivy takes is 15 MB.
_HEAP = 32_000_000
_NAME = "the index of words"


class LexicalChunk(msgspec.Struct, frozen=True):
    """A passage as it is indexed."""

    chunk_id: int
    version_id: int
    text: str
    context: str


class _About(msgspec.Struct, frozen=True):
    """What an index was made with: if anything of it changes, the index is built again."""

    schema: int
    analyser: str
    database: str


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    # Terms joined by spaces; frequencies without positions, since nothing asks for phrases.
    for field in ("text", "context"):
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("chunk", fast=True)
    builder.add_unsigned_field("version", fast=True, indexed=True)
    # Of the one document that carries the revision; it has no other field.
    builder.add_unsigned_field("meta", indexed=True)
    builder.add_unsigned_field("applied", fast=True)
    return builder.build()


class LexicalWriter:
    """The index's only writer. Not thread-safe."""

    def __init__(self, folder: Path, generations: Generations, analyser: Analyser) -> None:
        """Use `open` or `rebuild`."""
        self._folder = folder
        self._generations = generations
        self._analyser = analyser
        self._schema = _schema()
        self._index = tantivy.Index(self._schema, path=str(folder / "index"))
        self._writer: tantivy.IndexWriter | None
        try:
            self._writer = self._index.writer(_HEAP, _THREADS)
        except ValueError as error:
            if "Lock" in str(error):
                raise Conflict("Another process is writing the index of words.") from None
            raise IndexDamaged(f"The index of words cannot be written: {error}") from None
        self._index.config_reader("manual")
        self._index.reload()
        self._committed = self._index.searcher()
        self.applied = _applied(self._committed)

    @classmethod
    def open(cls, root: Path, analyser: Analyser, database_id: str) -> "LexicalWriter":
        """Open the index in force; where there is none, an empty one of revision 0 is published.

        Raises IndexDamaged when it has to be rebuilt: damaged (or reported so by a reader), or
        made with another analyser, schema or database.
        """
        generations = Generations(root)
        folder = generations.current()
        if folder is None:
            return cls.rebuild(root, analyser, database_id, 0, ())
        if reason := generations.damage():
            raise IndexDamaged(reason)
        check(folder, analyser, database_id)
        return cls(folder, generations, analyser)

    @classmethod
    def rebuild(
        cls,
        root: Path,
        analyser: Analyser,
        database_id: str,
        revision: int,
        chunks: Iterable[LexicalChunk],
    ) -> "LexicalWriter":
        """Build a new index of `chunks` and put it in force; the old one serves until then.

        `chunks` are those of exactly the versions that are published at `revision`.
        """
        generations = Generations(root)
        with generations.create(_NAME) as folder:
            (folder / "index").mkdir()
            about = _About(SCHEMA, analyser.version, database_id)
            (folder / "about.json").write_bytes(msgspec.json.encode(about))
            writer = cls(folder, generations, analyser)
            writer.apply(revision, chunks, ())
            # Segments that are being merged come and go; what is published must stay.
            writer.settle()
            generations.publish(folder)
        return cls(folder, generations, analyser)

    def apply(self, revision: int, added: Iterable[LexicalChunk], removed: Iterable[int]) -> None:
        """Add passages and remove versions in one commit, which then reflects `revision`.

        A commit costs 100 to 300 ms (two syncs of the disk), so callers put everything that is
        waiting into one. Applying the same change twice is the same as once. Whatever `added`
        raises leaves the index as it was. StorageFull and IndexDamaged close the writer.
        """
        writer = self._open()
        try:
            self._write(writer, revision, added, removed)
            writer.commit()
        except (ValueError, OSError) as error:
            # tantivy's errors, after which its writer is of no use.
            self.close()
            if "No space left" in str(error):
                raise StorageFull(f"The disk is full: {_NAME} was not changed.") from None
            raise IndexDamaged(f"The index of words cannot be written: {error}") from None
        except BaseException:
            writer.rollback()
            raise
        self._index.reload()
        self._committed = self._index.searcher()
        self.applied = revision

    def damage(self) -> str | None:
        """Why the engine could not use the index in force (then `rebuild`), or None."""
        return self._generations.damage()

    def settle(self) -> None:
        """Wait for segments to be merged, then close."""
        writer, self._writer = self._open(), None
        writer.wait_merging_threads()

    def close(self) -> None:
        """Let go of the writer's lock; what was not committed is lost."""
        self._writer = None

    def _open(self) -> tantivy.IndexWriter:
        if self._writer is None:
            raise IndexDamaged("The writer of the index of words was closed.")
        return self._writer

    def _delete(self, writer: tantivy.IndexWriter, field: str, value: int) -> None:
        # Not `delete_documents_by_term`: in tantivy 0.27 it takes an integer for a signed one,
        # and so deletes nothing of an unsigned field, without a word.
        writer.delete_documents_by_query(Query.term_query(self._schema, field, value))

    def _write(
        self,
        writer: tantivy.IndexWriter,
        revision: int,
        added: Iterable[LexicalChunk],
        removed: Iterable[int],
    ) -> None:
        for version in removed:
            self._delete(writer, "version", version)
        terms = self._analyser.terms
        seen: set[int] = set()
        for chunk in added:
            if chunk.version_id not in seen:
                seen.add(chunk.version_id)
                # A version that is there already, from before a crash, is replaced.
                if self._committed.doc_freq("version", chunk.version_id):
                    self._delete(writer, "version", chunk.version_id)
            document = tantivy.Document()
            document.add_text("text", " ".join(terms(chunk.text)))
            document.add_text("context", " ".join(terms(chunk.context)))
            document.add_unsigned("chunk", chunk.chunk_id)
            document.add_unsigned("version", chunk.version_id)
            writer.add_document(document)
        self._delete(writer, "meta", 1)
        document = tantivy.Document()
        document.add_unsigned("meta", 1)
        document.add_unsigned("applied", revision)
        writer.add_document(document)


# -- reading -------------------------------------------------------------------------------------

# A question may have 2,000 characters, so 1,500 different bigrams. Beyond the rarest 40 the rest
# adds cost (each term's passages are walked through) and next to no order.
MAX_TERMS = 40
# Weight of a term found in the title path, relative to the text.
CONTEXT_WEIGHT = 0.5
# Up to so many versions the filter goes into the query (1.1 ms at 300 versions, 2.7 ms at 1,500;
# a query without one takes 0.4 ms); beyond, more is fetched than asked for, and filtered here.
_FILTER_VERSIONS = 1000


class Weighed(msgspec.Struct, frozen=True):
    """A query's terms with their inverse document frequency, log(1 + (N - n + 0.5) / (n + 0.5))
    (Robertson and Zaragoza 2009, doi:10.1561/1500000019). `known` are those that some passage
    has, rarest first."""

    idf: dict[str, float]
    known: list[str]


class FoundWords(msgspec.Struct, frozen=True):
    """Passages by BM25 score, best first; all three of the same length."""

    chunk_ids: Ids
    version_ids: Ids
    scores: NDArray[np.float32]


class LexicalSnapshot:
    """The index as of one commit; stays valid while newer ones are made. Thread-safe."""

    def __init__(self, schema: tantivy.Schema, searcher: tantivy.Searcher, number: int) -> None:
        """`number` tells it from the reader's other ones: a commit that only merges, or a new
        index of the same revision, ranks a little differently."""
        self.number = number
        self._schema = schema
        self._searcher = searcher
        self.applied = _applied(searcher)
        # One document is the revision's.
        self.passages = searcher.num_docs - 1

    def weigh(self, terms: list[str]) -> Weighed:
        """Look up how rare a query's terms are; repetitions count once."""
        idf: dict[str, float] = {}
        known: list[str] = []
        for term in dict.fromkeys(terms):
            # A look into a dictionary costs 5 µs; few terms stand in titles only.
            having = self._searcher.doc_freq("text", term) or self._searcher.doc_freq(
                "context", term
            )
            idf[term] = math.log(1 + (self.passages - having + 0.5) / (having + 0.5))
            if having:
                known.append(term)
        known.sort(key=idf.__getitem__, reverse=True)
        return Weighed(idf, known)

    def search(self, terms: list[str], k: int, scope: Scope) -> FoundWords:
        """The `k` best passages within `scope` for `terms` (of `Weighed.known`)."""
        if not terms or not scope.passages:
            return _nothing()
        query = self._query(terms[:MAX_TERMS])
        if scope.share < 0.5 and (versions := np.flatnonzero(scope.allowed)).size <= (
            _FILTER_VERSIONS
        ):
            only = Query.term_set_query(self._schema, "version", versions.tolist())
            query = Query.boolean_query(
                [(Occur.Must, query), (Occur.Must, Query.boost_query(only, 0.0))]
            )
            return self._fetch(query, k, scope)
        wanted = k
        # What is allowed may be further down than its share of the library suggests.
        limit = math.ceil(k * 1.2 / max(scope.share, 1e-6))
        while True:
            limit = min(limit, self._searcher.num_docs)
            found = self._fetch(query, limit, scope)
            if len(found.chunk_ids) >= wanted or limit >= self._searcher.num_docs:
                return FoundWords(found.chunk_ids[:k], found.version_ids[:k], found.scores[:k])
            limit *= 8

    def _query(self, terms: list[str]) -> Query:
        clauses: list[tuple[Occur, Query]] = []
        for term in terms:
            text = Query.term_query(self._schema, "text", term, "freq")
            context = Query.term_query(self._schema, "context", term, "freq")
            clauses += [
                (Occur.Should, text),
                (Occur.Should, Query.boost_query(context, CONTEXT_WEIGHT)),
            ]
        return Query.boolean_query(clauses)

    def _fetch(self, query: Query, limit: int, scope: Scope) -> FoundWords:
        try:
            hits = self._searcher.search(query, limit, count=False).hits
            addresses = [address for _, address in hits]
            chunks = self._searcher.fast_field_values("chunk", addresses)
            versions = self._searcher.fast_field_values("version", addresses)
        except ValueError as error:
            raise IndexDamaged(f"The index of words cannot be read: {error}") from None
        version_ids = np.array(versions, dtype=np.int64)
        permitted = scope.permits(version_ids)
        return FoundWords(
            np.array(chunks, dtype=np.int64)[permitted],
            version_ids[permitted],
            np.array([score for score, _ in hits], dtype=np.float32)[permitted],
        )


class LexicalReader:
    """Opens what the worker publishes, and follows it. Thread-safe."""

    def __init__(self, root: Path, analyser: Analyser) -> None:
        self._generations = Generations(root)
        self._analyser = analyser
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._index: tantivy.Index | None = None
        self._seen: tuple[int, int] | None = None
        self._snapshot: LexicalSnapshot | None = None
        self._number = 0

    def refresh(self, database_id: str) -> LexicalSnapshot | None:
        """The newest snapshot; None where nothing has been published yet.

        Costs a small read and a stat (20 µs) when nothing changed. Raises IndexDamaged, after
        leaving a note for the worker, when what is in force cannot be used.
        """
        with self._lock:
            try:
                return self._generations.follow(lambda folder: self._follow(folder, database_id))
            except IndexDamaged:
                self._folder, self._index, self._snapshot = None, None, None
                raise

    def _follow(self, folder: Path, database_id: str) -> LexicalSnapshot:
        try:
            stat = (folder / "index" / "meta.json").stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if self._snapshot and folder == self._folder and seen == self._seen:
                return self._snapshot
            if self._index is None or folder != self._folder:
                check(folder, self._analyser, database_id)
                self._index = tantivy.Index.open(str(folder / "index"))
                self._index.config_reader("manual")
                self._folder = folder
            self._index.reload()
            self._number += 1
            self._snapshot = LexicalSnapshot(
                self._index.schema, self._index.searcher(), self._number
            )
        except (ValueError, OSError) as error:
            raise IndexDamaged(f"The index of words cannot be opened: {error}") from None
        self._seen = seen
        return self._snapshot


def _nothing() -> FoundWords:
    none = np.empty(0, dtype=np.int64)
    return FoundWords(none, none, np.empty(0, dtype=np.float32))


# -- what both sides check -----------------------------------------------------------------------


def check(folder: Path, analyser: Analyser, database_id: str) -> None:
    """Raise IndexDamaged unless the index in `folder` is whole and made as it has to be."""
    try:
        about = msgspec.json.decode((folder / "about.json").read_bytes(), type=_About)
    except (OSError, msgspec.MsgspecError) as error:
        raise IndexDamaged(f"The index of words is damaged: {error}") from None
    if about != _About(SCHEMA, analyser.version, database_id):
        raise IndexDamaged("The index of words was made with another analyser or database.")
    meta = folder / "index" / "meta.json"
    try:
        while True:
            committed = meta.read_bytes()
            try:
                return _check_files(folder / "index", committed)
            except (OSError, ValueError, KeyError, TypeError, struct.error):
                # The worker removes what a commit has replaced, also while it is being read.
                if meta.read_bytes() == committed:
                    raise
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise IndexDamaged(f"The index of words is damaged: {error}") from None


def _check_files(index: Path, committed: bytes) -> None:
    """Compare each file of the committed segments with the CRC-32 in its footer.

    A footer is JSON, its length and a magic number (tantivy's directory/footer.rs). tantivy
    itself only looks at it when a file has the wrong length; other damage would end in a panic or
    in wrong hits.
    """
    for segment in msgspec.json.decode(committed)["segments"]:
        name = segment["segment_id"].replace("-", "")
        deletes = segment.get("deletes")
        files = [
            path
            for path in index.glob(f"{name}.*")
            if path.suffix != ".del" or (deletes and f".{deletes['opstamp']}." in path.name)
        ]
        if not files:
            raise ValueError(f"segment {name} is missing")
        for path in files:
            data = path.read_bytes()
            length, magic = struct.unpack("<II", data[-8:])
            footer = msgspec.json.decode(data[-8 - length : -8])
            if magic != 1337 or zlib.crc32(data[: -8 - length]) != footer["crc"]:
                raise ValueError(f"{path.name} has the wrong checksum")


def _applied(searcher: tantivy.Searcher) -> int:
    """The revision that a commit carries; 0 before the first one."""
    hits = searcher.search(Query.term_query(_schema(), "meta", 1), 1, count=False).hits
    if not hits:
        return 0
    value = searcher.fast_field_values("applied", [hits[0][1]])[0]
    return int(value or 0)
