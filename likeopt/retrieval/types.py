"""The values that travel between parsing, indexing, the engine and whoever asks."""

from typing import Literal

import msgspec

# -- reading files -------------------------------------------------------------------------------

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]


class Block(msgspec.Struct, frozen=True):
    """One structural piece of a text: characters `start` to `end` of `Parsed.text`.

    A list block holds one item a line, a table block one row a line (cells joined with " | ",
    the header row first), a code block its lines. `level` is a heading's depth, 1 to 6.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    page: int | None = None


class Parsed(msgspec.Struct):
    """What a parser makes of a file.

    `text` is NFC, without surrogates or control characters except newline and tab. `blocks` are
    in order and do not overlap. `page_starts[i]` is where page i + 1 begins; empty for formats
    without pages.
    """

    text: str
    blocks: list[Block]
    title: str | None = None
    page_starts: list[int] = msgspec.field(default_factory=list)


class ChunkDraft(msgspec.Struct, frozen=True):
    """A passage before it has an id. `text` is exactly `Parsed.text[start:end]`."""

    ordinal: int
    start: int
    end: int
    text: str
    context: str
    page: int | None = None


# -- searching -----------------------------------------------------------------------------------

Mode = Literal["hybrid", "lexical", "vector"]


class Filters(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Narrows a search; empty means everything. Times are ms since the epoch, on `updated_at`."""

    documents: list[str] = msgspec.field(default_factory=list)
    collections: list[str] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    media_types: list[str] = msgspec.field(default_factory=list)
    updated_after: int | None = None
    updated_before: int | None = None


class SearchRequest(msgspec.Struct, frozen=True, tag="search"):
    """What the engine is asked. `collections` is the reader's scope, sorted."""

    query: str
    collections: list[str]
    k: int = 10
    mode: Mode = "hybrid"
    filters: Filters = Filters()
    # How many best sentences to mark in each hit; 0 saves the work.
    sentences: int = 0
    # Milliseconds from receipt after which the answer is of no use.
    deadline_ms: int = 5000


class Sentence(msgspec.Struct, frozen=True):
    """A sentence of a hit: characters of `Hit.text`, with its score (0 to 1)."""

    start: int
    end: int
    score: float


class Hit(msgspec.Struct):
    """One passage found. `start` and `end` count characters in the document's text;
    `highlights` and `sentences` count in `text`."""

    chunk_id: int
    document_id: str
    version_id: int
    collection_id: str
    document_name: str
    media_type: str
    ordinal: int
    text: str
    context: str
    start: int
    end: int
    page: int | None
    # Fused score, only comparable within one response.
    score: float
    # Rank from 1 in each list, or null where that list did not have it.
    lexical_rank: int | None = None
    vector_rank: int | None = None
    # BM25 score; cosine similarity.
    lexical_score: float | None = None
    similarity: float | None = None
    # Share (0 to 1) of the query's information (idf) whose terms stand in the passage.
    coverage: float = 0.0
    highlights: list[tuple[int, int]] = msgspec.field(default_factory=list)
    sentences: list[Sentence] = msgspec.field(default_factory=list)


# Why a part did not work where others know it better: their words may tell whoever searches what is
# not theirs to know, and go to the log.
FAILED = "It failed; the log says why."
# Why it did not where more time may have helped.
LATE = "It took too long."


class Degraded(msgspec.Struct, frozen=True):
    """A part of a search that did not work: lexical, vector, embedding or rerank, and why."""

    part: str
    reason: str


class SearchResponse(msgspec.Struct, tag="found"):
    """`generation` is the library revision that the results reflect. `pending` counts readable
    passages that have no embedding yet. `stages` are milliseconds."""

    hits: list[Hit]
    generation: int
    pending: int = 0
    degraded: list[Degraded] = msgspec.field(default_factory=list)
    stages: dict[str, float] = msgspec.field(default_factory=dict)


class EmbedRequest(msgspec.Struct, frozen=True, tag="embed"):
    """Embed queries (not passages) with the engine's model."""

    queries: list[str]
    deadline_ms: int = 5000


class EmbedResponse(msgspec.Struct, tag="embedded"):
    """float32, little endian, L2-normalised; one vector a query."""

    model: str
    vectors: list[bytes]


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """Ask how the engine is."""


EngineUse = Literal["searches", "queries"]


class ForgetRequest(msgspec.Struct, frozen=True, tag="forget"):
    """Forget what the engine remembers of these."""

    uses: list[EngineUse]
    deadline_ms: int = 1000


class Remembered(msgspec.Struct):
    """What a memory of the engine spared: `hits` came from it, `shared` from the same work that
    was going on for somebody else, `misses` were computed. `evictions` made room for others."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    evictions: int = 0
    entries: int = 0
    bytes: int = 0


class EngineStatus(msgspec.Struct, tag="state"):
    """What the engine serves at the moment: `chunks` passages, `embedded` of them by meaning.

    `vectors` and `delta` are rows of the vector index and beside it, also of what is gone.
    `searches` are results of searches, `queries` the vectors of questions.
    """

    generation: int
    lexical_revision: int
    chunks: int
    embedded: int
    vectors: int
    delta: int
    embedder: str
    vector_backend: str
    degraded: list[Degraded] = msgspec.field(default_factory=list)
    searches: Remembered = msgspec.field(default_factory=Remembered)
    queries: Remembered = msgspec.field(default_factory=Remembered)


class Forgotten(msgspec.Struct, tag="forgotten"):
    """What the engine remembered until now, by use."""

    uses: dict[EngineUse, Remembered]


class Failure(msgspec.Struct, tag="failure"):
    """The engine's refusal: the code of a class in `likeopt.errors`, and its message."""

    code: str
    message: str
    retry_after: float | None = None


Request = SearchRequest | EmbedRequest | StatusRequest | ForgetRequest
Response = SearchResponse | EmbedResponse | EngineStatus | Forgotten | Failure
