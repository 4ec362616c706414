"""Index jobs: an original is read in another process, cut into passages, and published.

Small files share a transaction: a commit costs as much as indexing five of them. A large one is
written in slices, each in a transaction of a few milliseconds, so that nobody who wants to write
waits long; nothing of it can be seen until the last.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import LikeOptError, UnreadableFile, UnsupportedType
from likeopt.retrieval.chunk import chunk
from likeopt.retrieval.parse.sandbox import Sandbox
from likeopt.retrieval.types import Parsed
from likeopt.storage import indexing, jobs, purge
from likeopt.storage.db import Database
from likeopt.storage.files import FileStore
from likeopt.storage.indexing import Reading, Target

# Jobs leased at once, and passages written in one transaction: 250 take 10 ms.
CLAIM = 64
SLICE = 250
PAGE_SLICE = 16
# Small files published in one transaction, which takes 10 ms then, and how long the first of them
# waits for the others.
GROUP = 32
GROUP_SECONDS = 0.25
# A file over this size may take a while to read: what is finished is published first.
SMALL_BYTES = 256 << 10
PLAIN = frozenset({"application/json", "application/x-ndjson"})
# Parts of a text without pages, in characters.
PART = 16_000
# Failures that may be the machine's fault: a second one is the file's.
TRY_AGAIN = frozenset({"parser_crashed", "parser_timeout"})

_log = logging.getLogger(__name__)


class Indexer:
    """Does index jobs. `beat` is called at least once a file, to keep the leases."""

    def __init__(
        self,
        db: Database,
        store: FileStore,
        sandbox: Sandbox,
        clock: Clock,
        config: Config,
        owner: str,
        *,
        lease_ms: int,
    ) -> None:
        self._db = db
        self._store = store
        self._sandbox = sandbox
        self._clock = clock
        self._config = config
        self._owner = owner
        self._lease_ms = lease_ms

    def step(self, beat: Callable[[], None], stop: Callable[[], bool]) -> bool:
        """Do the waiting jobs, at most 64; False if there are none. `stop` is asked after each."""
        claimed = self._db.write(
            lambda c: jobs.claim(c, self._clock, self._owner, self._lease_ms, "index", CLAIM)
        )
        if not claimed:
            return False
        self._discard_unfinished(claimed)
        group: list[Reading] = []
        started = self._clock.monotonic()
        for target in self._db.read(lambda c: indexing.targets(c, claimed)):
            beat()
            if stop():
                break
            if group and (
                self._is_slow(target)
                or len(group) >= GROUP
                or sum(len(reading.chunks) for reading in group) >= SLICE
                or self._clock.monotonic() - started >= GROUP_SECONDS
            ):
                self._publish(group)
                group = []
            if not group:
                started = self._clock.monotonic()
            reading = self._read(target)
            if reading is None:
                continue
            if len(reading.chunks) > SLICE or len(reading.pages) > PAGE_SLICE:
                self._write_in_slices(reading, beat)
            else:
                group.append(reading)
        self._publish(group)
        return True

    def _is_slow(self, target: Target) -> bool:
        plain = target.media_type.startswith("text/") or target.media_type in PLAIN
        return target.size > SMALL_BYTES or not plain

    def _discard_unfinished(self, claimed: list[jobs.Job]) -> None:
        """What a dead worker wrote for these jobs: chunks are numbered anew, never continued."""
        ids = [job.document_id for job in claimed if job.document_id is not None]
        for version_id in self._db.read(lambda c: indexing.unfinished(c, ids)):
            while not self._remove_some(version_id):
                pass

    def _remove_some(self, version_id: int) -> bool:
        return self._db.write(lambda c: purge.remove_some(c, version_id, SLICE))

    def _read(self, target: Target) -> Reading | None:
        if self._is_slow(target):
            self._progress(target, "parse")
        try:
            parsed = self._sandbox.parse(
                self._store.path(target.sha256), target.media_type, target.name
            )
            drafts = chunk(
                parsed, target=self._config.chunk_chars, overlap=self._config.chunk_overlap
            )
        except (UnreadableFile, UnsupportedType) as error:
            self._fail(target.job, error)
            return None
        return Reading(
            target=target,
            title=parsed.title,
            page_count=len(parsed.page_starts) or None,
            pages=pages_of(parsed),
            chunks=[msgspec.structs.asdict(draft) for draft in drafts],
        )

    def _fail(self, job: jobs.Job, error: LikeOptError) -> None:
        code = error.instance_code
        final = code not in TRY_AGAIN or job.error_code in TRY_AGAIN
        _log.info("document %s cannot be indexed: %s", job.document_id, error.message)
        self._db.write(
            lambda c: indexing.fail(
                c, self._clock, self._owner, job, error=(code, error.message), final=final
            )
        )

    def _publish(self, group: list[Reading]) -> None:
        if group:
            self._db.write(lambda c: indexing.publish(c, self._clock, self._owner, group))

    def _write_in_slices(self, reading: Reading, beat: Callable[[], None]) -> None:
        version_id = self._db.write(
            lambda c: indexing.begin(c, self._clock, self._owner, reading.target)
        )
        if version_id is None:
            return
        for part in slices(reading, version_id):
            beat()
            if not self._add(part, len(reading.chunks)):
                return
        whole = msgspec.structs.replace(
            reading, pages=[], chunks=[], version_id=version_id, written=len(reading.chunks)
        )
        self._publish([whole])

    def _add(self, part: Reading, total: int) -> bool:
        return self._db.write(lambda c: indexing.add(c, self._clock, self._owner, part, total))

    def _progress(self, target: Target, step: str) -> None:
        self._db.write(lambda c: jobs.progress(c, self._clock, target.job.id, step, 0, 0))


def slices(reading: Reading, version_id: int) -> Iterator[Reading]:
    """A large reading as parts to add one after the other."""
    for start in range(0, len(reading.pages), PAGE_SLICE):
        pages = reading.pages[start : start + PAGE_SLICE]
        yield msgspec.structs.replace(reading, pages=pages, chunks=[], version_id=version_id)
    for start in range(0, len(reading.chunks), SLICE):
        chunks = reading.chunks[start : start + SLICE]
        yield msgspec.structs.replace(
            reading, pages=[], chunks=chunks, version_id=version_id, written=start
        )


def pages_of(parsed: Parsed) -> list[dict[str, object]]:
    """Rows of the table `pages`: real pages, or parts that end at the end of a line or word."""
    starts = parsed.page_starts or _part_starts(parsed.text)
    bounds = [0, *starts[1:], len(parsed.text)]
    return [
        {"number": number, "start": start, "text": parsed.text[start:end]}
        for number, (start, end) in enumerate(pairwise(bounds), start=1)
    ]


def _part_starts(text: str) -> list[int]:
    starts = [0]
    while len(text) - starts[-1] > PART:
        limit = starts[-1] + PART
        # Not below half a part, so that one long line does not make tiny parts.
        least = starts[-1] + PART // 2
        cut = max(text.rfind("\n", least, limit), text.rfind(" ", limit - 200, limit))
        starts.append(cut + 1 if cut > 0 else limit)
    return starts
