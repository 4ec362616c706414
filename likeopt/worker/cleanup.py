"""Clean-up jobs: what nobody can see any more is removed from the database and from disk."""

from collections.abc import Callable
from pathlib import Path

from likeopt.clock import Clock
from likeopt.storage import facts, files, indexing, jobs, purge
from likeopt.storage.db import Database
from likeopt.storage.files import FileStore

# Passages removed in one transaction: with their vectors, 5 ms.
SLICE = 200
FILES = 50
# Rows of jobs that ended are kept for an hour, for whoever looks into what happened.
KEEP_JOBS_MS = 3_600_000
BUSY_RETRY_MS = 1000


class Cleanup:
    """Does clean-up jobs. `applied` tells how far the index of words is."""

    def __init__(
        self,
        db: Database,
        store: FileStore,
        clock: Clock,
        owner: str,
        applied: Callable[[], int],
        *,
        lease_ms: int,
    ) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._owner = owner
        self._applied = applied
        self._lease_ms = lease_ms
        self._swept = False

    def step(self, stop: Callable[[], bool]) -> bool:
        """Do a clean-up job; False if none is due. Gives way when `stop` says so."""
        if not self._db.read(lambda c: jobs.waiting(c, self._clock, "cleanup")):
            return False
        claimed = self._db.write(
            lambda c: jobs.claim(c, self._clock, self._owner, self._lease_ms, "cleanup")
        )
        ids = [job.id for job in claimed]
        done = self._passages(stop) and self._old_rows(stop) and self._originals(stop)
        if not done:
            # Something more urgent is waiting, or somebody is adding files just now.
            self._db.write(
                lambda c: jobs.put_back(
                    c, self._clock, self._owner, ids=ids, delay_ms=BUSY_RETRY_MS
                )
            )
            return True
        again = self._db.read(purge.waiting)
        self._db.write(lambda c: jobs.finish(c, self._clock, ids))
        if again:
            self._db.write(lambda c: jobs.enqueue_cleanup(c, self._clock))
        return True

    def _passages(self, stop: Callable[[], bool]) -> bool:
        applied = self._applied()
        for version_id in self._db.read(lambda c: purge.retired(c, self._clock, applied)):
            while not self._remove_some(version_id):
                if stop():
                    return False
        return not stop()

    def _remove_some(self, version_id: int) -> bool:
        return self._db.write(lambda c: purge.remove_some(c, version_id, SLICE))

    def _old_rows(self, stop: Callable[[], bool]) -> bool:
        model = self._db.read(lambda c: facts.get(c, facts.EMBEDDING_MODEL))
        target = self._db.read(lambda c: facts.get(c, indexing.TARGET_MODEL))
        if model is not None and model == target:
            while not self._db.write(lambda c: purge.remove_other_vectors(c, model, SLICE)):
                if stop():
                    return False
        while self._forget_jobs() == FILES:
            if stop():
                return False
        return True

    def _forget_jobs(self) -> int:
        return self._db.write(
            lambda c: jobs.forget_old(c, self._clock, older_than_ms=KEEP_JOBS_MS, limit=FILES)
        )

    def _originals(self, stop: Callable[[], bool]) -> bool:
        while some := self._db.read(lambda c: files.unreferenced(c, FILES)):
            with self._store.alone() as alone:
                if not alone or stop():
                    return False
                self._remove_originals(some)
        self._swept = self._swept or self._sweep()
        return self._swept

    def _remove_originals(self, candidates: list[str]) -> None:
        for sha256 in self._db.write(lambda c: files.forget(c, candidates)):
            self._store.remove(sha256)

    def _sweep(self) -> bool:
        """Once a start: remove what uploads that were killed left behind; False if interrupted."""
        for folder in [None, *self._store.folders()]:
            with self._store.alone() as alone:
                if not alone:
                    return False
                if folder is None:
                    self._store.remove_temporary()
                else:
                    self._sweep_folder(folder)
        return True

    def _sweep_folder(self, folder: Path) -> None:
        names = [path.name for path in folder.iterdir()]
        for sha256 in self._db.read(lambda c: files.unknown(c, names)):
            self._store.remove(sha256)
