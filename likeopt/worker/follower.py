"""Keeps this machine's indexes up with the database, in a thread of its own.

So a document that takes a minute to read delays no other that has been published meanwhile.
Indexes hold nothing that is not in the database: one that is lost, damaged or made by another
version is built anew, while the old one, if there is one, serves.
"""

import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import IndexDamaged, LikeOptError, StorageFull
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.lexical import LexicalChunk, LexicalWriter
from likeopt.storage import changes, facts, machines, revisions
from likeopt.storage.db import Database
from likeopt.worker.vectors import VectorFollower

# A commit costs 100 to 300 ms, so at most two a second, and one is made at once after a pause.
COMMIT_SECONDS = 0.5
# Without being woken: for what an index's readers report, and for vectors.
POLL_SECONDS = 2.0
# Versions in one commit, and passages read from the database at once.
MOST_VERSIONS = 2000
READ = 1000
# After an index could not be written: a full disk, or a server that does not answer.
PAUSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Follower:
    """Writes the index of words, and has the vectors followed. `applied` may be read by others."""

    def __init__(
        self, db: Database, clock: Clock, config: Config, vectors: VectorFollower, machine: str
    ) -> None:
        self._machine = machine
        self._db = db
        self._clock = clock
        self._root: Path = config.data_dir / "indexes" / "lexical"
        self._analyser = Analyser(config.analyser)
        self._vectors = vectors
        self._writer: LexicalWriter | None = None
        self._damaged = False
        self._seen = -1
        self._committed = -COMMIT_SECONDS
        self._reported: int | None = None
        self._report_due = 0.0
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.applied = 0
        self.crash: BaseException | None = None

    # -- the thread --------------------------------------------------------------------------------

    def start(self) -> None:
        """Follow until `stop`."""
        self._thread.start()

    def wake(self) -> None:
        """Something was published."""
        self._changed.set()

    def stop(self) -> None:
        """End the thread, and let go of the index."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._changed.wait(POLL_SECONDS)
                self._changed.clear()
                while pause := self._turn():
                    self._stop.wait(pause)
        except BaseException as error:  # noqa: BLE001  (outermost: the main thread raises it again)
            self.crash = error

    def _turn(self) -> float:
        """Follow once; seconds after which to do so again, 0 when there is nothing left to do."""
        try:
            pause = self.follow_words()
            self._vectors.follow(self._interrupted)
        except LikeOptError as error:
            _log.warning("indexes cannot follow the library: %s", error.message)
            self._close()
            pause = PAUSE_SECONDS
        return 0.0 if self._stop.is_set() else pause

    def _interrupted(self) -> bool:
        """Asked by long work on vectors, which words do not wait for."""
        self.follow_words()
        return self._stop.is_set()

    # -- words -------------------------------------------------------------------------------------

    def follow_words(self) -> float:
        """Bring the index of words up to the database; seconds until that is due, or 0."""
        writer = self._writer
        if writer is not None and writer.damage() is not None:
            self._close()
            writer = None
        if writer is None:
            writer = self._open()
        due = self._committed + COMMIT_SECONDS - self._clock.monotonic()
        if self._is_behind() and due <= 0:
            self._apply(writer)
            due = COMMIT_SECONDS
        # Not of an index that could not be opened or written: it is not waited for.
        self._report()
        return due if self._is_behind() else 0.0

    def _is_behind(self) -> bool:
        return self._db.read(lambda c: revisions.current(c, "library")) != self._seen

    def _apply(self, writer: LexicalWriter) -> None:
        """One commit, with everything that is waiting or the first portion of it."""
        after = writer.applied
        found = self._db.read(lambda c: changes.since(c, after, MOST_VERSIONS))
        if found.published or found.retired:
            try:
                writer.apply(found.upto, self._chunks(found.published), found.retired)
            except (IndexDamaged, StorageFull) as error:
                # These leave the writer closed.
                self._writer = None
                self._damaged = isinstance(error, IndexDamaged)
                raise
            self._committed = self._clock.monotonic()
        # A change without passages, such as a rename, needs no commit to be followed.
        self._seen = self.applied = found.upto

    def _open(self) -> LexicalWriter:
        database_id = self._db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or ""
        try:
            writer = LexicalWriter.open(self._root, self._analyser, database_id)
        except IndexDamaged as error:
            writer = self._rebuild(database_id, error.message)
        if self._damaged:
            writer.close()
            writer = self._rebuild(database_id, "it could not be written")
        self._writer = writer
        self._seen = -1
        self._damaged = False
        self.applied = writer.applied
        return writer

    def _report(self) -> None:
        """Tell how far this machine is, and others now and then that it is there."""
        now = self._clock.monotonic()
        if self.applied == self._reported and now < self._report_due:
            return
        self._db.write(lambda c: machines.report(c, self._clock, self._machine, self.applied))
        self._reported = self.applied
        # A database of SQLite has no other machine.
        self._report_due = math.inf if self._db.is_sqlite else now + machines.REPORT_SECONDS

    def _rebuild(self, database_id: str, reason: str) -> LexicalWriter:
        _log.warning("building the index of words anew: %s", reason)
        revision, versions = self._db.read(changes.visible)
        return LexicalWriter.rebuild(
            self._root, self._analyser, database_id, revision, self._chunks(versions)
        )

    def _chunks(self, versions: list[int]) -> Iterator[LexicalChunk]:
        for start in range(0, len(versions), READ):
            some = versions[start : start + READ]
            after = 0
            while passages := self._read(some, after):
                for passage in passages:
                    yield LexicalChunk(
                        passage.id, passage.version_id, passage.text, passage.context
                    )
                after = passages[-1].id

    def _read(self, versions: list[int], after: int) -> list[changes.Passage]:
        return self._db.read(lambda c: changes.passages(c, versions, after, READ))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
