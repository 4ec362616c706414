"""Embed jobs: passages that are searchable by words become searchable by meaning.

A passage of 200 tokens costs about 60 ms of CPU (bench/README.md, Embedder), so this is what runs
when no document waits for words. Jobs are taken in small groups that go back to the end of the
queue after a while: a book of a thousand passages does not keep a note waiting.
"""

import logging
from collections.abc import Callable

from likeopt.clock import Clock
from likeopt.errors import ModelUnavailable
from likeopt.retrieval.embed import Embedder
from likeopt.storage import facts, indexing, jobs
from likeopt.storage.db import Database
from likeopt.storage.indexing import Unembedded

# Jobs held at once, passages embedded between two looks at the queue, and looks per turn.
CLAIM = 8
BATCH = 8
TURN = 8
# An endpoint takes more texts in one request, for less overhead each.
REMOTE_BATCH = 32
RECOUNT = 200
# The model is let go after so many seconds without work: it holds 70 MB or more.
IDLE_SECONDS = 60.0
MAX_PAUSE = 60.0

_log = logging.getLogger(__name__)


class Embedding:
    """Does embed jobs. `open_model` opens the embedder in force, when it is first needed; its
    name should be `likely`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        open_model: Callable[[], Embedder],
        likely: str,
        owner: str,
        *,
        lease_ms: int,
        batch: int = BATCH,
    ) -> None:
        self._db = db
        self._clock = clock
        self._open = open_model
        self._likely = likely
        self._owner = owner
        self._lease_ms = lease_ms
        self._batch = batch
        self._model: Embedder | None = None
        self._looked = False
        self._aimed: str | None = None
        self._jobs: list[jobs.Job] = []
        self._turns = 0
        self._used = 0.0
        self._pause = 0.0
        self._not_before = 0.0

    def is_idle(self) -> bool:
        """Whether `step` has nothing to do as long as no job waits."""
        return self._looked and not self._jobs and self._model is None

    def step(self) -> bool:
        """Embed one batch, or let an idle model go; False if there is nothing to do, or no model
        answers just now."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return False
        try:
            if not self._looked:
                if self._db.read(indexing.has_passages):
                    self._look()
                self._looked = True
            if not self._claim():
                return self._let_go(now)
            model = self._embedder()
            if self._aimed != model.model:
                self._aim(model.model)
            self._embed_batch(model)
        except ModelUnavailable as error:
            self._wait_for_model(error)
            return False
        self._used = self._clock.monotonic()
        self._pause = 0.0
        self._turns += 1
        if self._jobs and self._turns >= TURN:
            self._put_back()
        return True

    def _claim(self) -> bool:
        if not self._jobs and self._db.read(lambda c: jobs.waiting(c, self._clock, "embed")):
            self._jobs = self._db.write(
                lambda c: jobs.claim(c, self._clock, self._owner, self._lease_ms, "embed", CLAIM)
            )
            self._turns = 0
        return bool(self._jobs)

    def forget(self) -> None:
        """The held jobs were returned to the queue."""
        self._jobs = []

    def look_again(self) -> None:
        """Jobs have failed for good, whose passages are to have their vectors all the same."""
        self._looked = False

    def _put_back(self) -> None:
        self._db.write(lambda c: jobs.put_back(c, self._clock, self._owner))
        self.forget()

    def _embed_batch(self, model: Embedder) -> None:
        ids = [job.document_id for job in self._jobs if job.document_id is not None]
        missing = self._db.read(lambda c: indexing.unembedded(c, model.model, ids, self._batch))
        vectors = self._vectors(model, missing)
        held = self._jobs
        left = self._db.write(
            lambda c: indexing.add_embeddings(
                c, self._clock, self._owner, held, model.model, vectors
            )
        )
        if len(missing) < self._batch:
            # Documents without passages, and those that others embedded.
            self._db.write(lambda c: jobs.finish(c, self._clock, left))
            left = set()
        self._jobs = [job for job in held if job.id in left]
        if not self._jobs:
            self._db.write(lambda c: indexing.switch_model(c, model.model))

    def _vectors(
        self, model: Embedder, passages: list[Unembedded]
    ) -> list[tuple[Unembedded, bytes]]:
        known = self._db.read(lambda c: indexing.reusable(c, model.model, passages))
        fresh = [passage for passage in passages if passage.chunk_id not in known]
        if fresh:
            # float16 changes a cosine by less than 0.001 and halves what is read at a search.
            rows = model.passages([text_of(passage) for passage in fresh]).astype("<f2")
            known |= {p.chunk_id: row.tobytes() for p, row in zip(fresh, rows, strict=True)}
        return [(passage, known[passage.chunk_id]) for passage in passages]

    def _embedder(self) -> Embedder:
        self._model = self._model or self._open()
        return self._model

    def _let_go(self, now: float) -> bool:
        if self._model is None or now - self._used <= IDLE_SECONDS:
            return False
        self._model = None
        return True

    def _look(self) -> None:
        """Notice that the settings name another model, or that jobs were lost."""
        target = self._db.read(lambda c: facts.get(c, indexing.TARGET_MODEL))
        # Opening a model costs 0.4 s and 60 MB: not to find that nothing has changed.
        self._aim(target if target == self._likely else self._embedder().model)

    def _aim(self, model: str) -> None:
        if self._db.write(lambda c: indexing.aim_at(c, model)):
            after: int | None = 0
            while after is not None:
                after = self._recount(model, after)
        while self._db.write(lambda c: indexing.enqueue_missing(c, self._clock, RECOUNT)):
            pass
        self._db.write(lambda c: indexing.switch_model(c, model))
        self._aimed = model
        self._used = self._clock.monotonic()

    def _recount(self, model: str, after: int) -> int | None:
        return self._db.write(lambda c: indexing.recount(c, model, after, RECOUNT))

    def _wait_for_model(self, error: ModelUnavailable) -> None:
        """The documents can do nothing for it: their attempts are not counted."""
        self._pause = min(max(1.0, self._pause * 2), MAX_PAUSE)
        pause = max(self._pause, error.retry_after or 0.0)
        self._not_before = self._clock.monotonic() + pause
        _log.warning("embedding waits %.0f s for its model: %s", pause, error.message)
        reason = (error.instance_code, error.message)
        self._db.write(lambda c: jobs.put_back(c, self._clock, self._owner, error=reason))
        self.forget()


def text_of(passage: Unembedded) -> str:
    """What is embedded of a passage: its title path says what a sentence in the middle is about."""
    return f"{passage.context}\n{passage.text}" if passage.context else passage.text
