"""Search without an answer."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from likeopt.errors import BadInput, Busy, EngineUnavailable, NotFound, TooLarge
from likeopt.retrieval import search as door
from likeopt.retrieval.types import Filters, Hit, Mode
from likeopt.shapes import Found
from likeopt.storage import documents
from likeopt.web import auth, context, inputs, middleware
from likeopt.web.auth import asking
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints

search = Endpoints("search", tag="Search", prefix="/api/v1/search")

_ERRORS = (BadInput, NotFound, TooLarge, Busy, EngineUnavailable)
_DETAIL = (
    "By words and by meaning at the same time. `pending` counts passages that cannot be found by"
    " meaning yet, `degraded` names parts that did not work this time."
)


class SearchFilters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Narrows a search; what is empty does not."""

    documents: inputs.Names = []
    collections: inputs.Names = []
    tags: inputs.Names = []
    media_types: inputs.Names = []
    updated_after: Annotated[str | None, Meta(description=inputs.TIME)] = None
    updated_before: Annotated[str | None, Meta(description=inputs.TIME)] = None

    def parsed(self) -> Filters:
        """As search takes it. BadInput for a time that is none."""
        return Filters(
            documents=self.documents,
            collections=self.collections,
            tags=self.tags,
            media_types=self.media_types,
            updated_after=inputs.millis("updated_after", self.updated_after),
            updated_before=inputs.millis("updated_before", self.updated_before),
        )


class SearchBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to look for, in at most 2,000 characters."""

    query: str
    k: int = 10
    mode: Mode = "hybrid"
    filters: SearchFilters = SearchFilters()


class SearchQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What to look for, as an address."""

    q: Annotated[str, Meta(description="At most 2,000 characters.")]
    k: Annotated[int, Meta(description="Passages wanted, 1 to 100.")] = 10
    mode: Annotated[Mode, Meta(description="By words, by meaning, or both.")] = "hybrid"
    document: Annotated[inputs.Names, Meta(description="Only in these documents.")] = []
    collection: Annotated[inputs.Names, Meta(description="Only in these collections.")] = []
    tag: Annotated[inputs.Names, Meta(description="Only in documents with one of these tags.")] = []
    type: Annotated[inputs.Names, Meta(description="Only in documents of these media types.")] = []
    after: Annotated[str | None, Meta(description=inputs.TIME)] = None
    before: Annotated[str | None, Meta(description=inputs.TIME)] = None


@search.operation(
    "GET",
    "",
    summary="Search",
    detail=_DETAIL,
    query=SearchQuery,
    returns=Found,
    errors=_ERRORS,
    example="--get --data-urlencode 'q=travel costs'",
)
def get_search(query: SearchQuery) -> Found:
    filters = Filters(
        documents=query.document,
        collections=query.collection,
        tags=query.tag,
        media_types=query.type,
        updated_after=inputs.millis("after", query.after),
        updated_before=inputs.millis("before", query.before),
    )
    return _search(query.q, query.k, query.mode, filters)


@search.operation(
    "POST",
    "",
    summary="Search, for long queries",
    scope="read",
    detail=_DETAIL,
    body=SearchBody,
    returns=Found,
    errors=_ERRORS,
    example='--json \'{"query": "출장비 정산", "k": 5}\'',
)
def post_search(body: SearchBody) -> Found:
    return _search(body.query, body.k, body.mode, body.filters.parsed())


def _search(query: str, k: int, mode: Mode, filters: Filters) -> Found:
    found = services()
    stages = middleware.exchange().stages
    stamp = auth.stamp("library")
    with stages.time("reader"):
        reader = asking(filters.documents, filters.collections)
    with stages.time("search"):
        answer = door.search(
            found.engine,
            found.reranker,
            reader,
            query,
            k=k,
            mode=mode,
            filters=filters,
            deadline_ms=found.config.search_deadline_ms,
        )
    for name, millis in answer.stages.items():
        stages.add(f"engine-{name}", millis)
    if stamp is None or stamp != auth.stamp("library"):
        # Something was changed while the engine searched. The stamps take 5 µs of CPU, a look
        # 1.2 ms (one of two busy cores).
        with stages.time("reread"):
            answer.hits = found.db.read(lambda c: _still_readable(c, answer.hits))
    return Found.of(answer)


def _still_readable(c: Any, hits: list[Hit]) -> list[Hit]:
    """The hits of documents that the reader may read now. Unauthorized if they are disabled."""
    theirs = documents.readable(c, context.reader(c), {hit.document_id for hit in hits})
    return [hit for hit in hits if hit.document_id in theirs]
