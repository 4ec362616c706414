"""How indexing is getting on."""

import msgspec

from likeopt.errors import EngineUnavailable
from likeopt.storage import jobs
from likeopt.web.context import reader, services
from likeopt.web.endpoint import Endpoints
from likeopt.web.remembered import INDEXING, Remembered

indexing = Endpoints("indexing", tag="Documents", prefix="/api/v1/indexing")


class RunningJob(msgspec.Struct):
    """What is being worked on; `done` and `total` count passages."""

    job: int
    kind: jobs.Kind
    document: str
    document_id: str
    step: str
    done: int
    total: int


class Indexing(msgspec.Struct):
    """The state of indexing of what the reader may read.

    `queued` and `failed` count documents, `pending_words` documents that are read and cannot be
    found by words yet, which takes some tenths of a second, and `pending_embeddings` passages that
    cannot be found by meaning yet. `lexical_revision` is the library's revision that the index of
    words holds, null while the search engine does not answer; changes that touch no text leave it
    where it is.
    """

    queued: int
    running: list[RunningJob]
    failed: int
    pending_words: int
    embedding: int
    pending_embeddings: int
    lexical_revision: int | None
    library_revision: int


@indexing.operation(
    "GET",
    "",
    summary="How indexing is getting on",
    returns=Indexing,
    remembered=Remembered(
        until=INDEXING, seconds=30, unless=lambda answer: answer.lexical_revision is None
    ),
)
def get_indexing() -> Indexing:
    found = services()
    summary = found.db.read(lambda c: jobs.summary(c, reader(c)))
    try:
        lexical = found.engine.status().lexical_revision
    except EngineUnavailable:
        lexical = None
    running = [
        RunningJob(
            one.job,
            one.kind,
            one.document_name,
            one.document_id,
            one.step,
            one.done,
            one.total,
        )
        for one in summary.running
    ]
    return Indexing(
        queued=summary.queued,
        running=running,
        failed=summary.failed,
        pending_words=summary.pending_words,
        embedding=summary.embedding,
        pending_embeddings=summary.pending_embeddings,
        lexical_revision=lexical,
        library_revision=summary.library_revision,
    )
