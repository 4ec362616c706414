"""A small library for chat tests: documents in the database, and a search over them in process.

The search ranks by words with the real analyser, and marks sentences as the engine does; what is
missing is only the engine's process.
"""

import math
from collections import Counter
from typing import Any

from likeopt.clock import Clock
from likeopt.errors import LikeOptError
from likeopt.retrieval import highlight
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.types import Degraded, Filters, Hit, SearchResponse
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from tests.storage import library

_ANALYSER = Analyser()


class Shelf:
    """Documents of one passage each. `queries` remembers what was searched."""

    def __init__(self, db: Database, reader: Reader, clock: Clock) -> None:
        self._db, self._reader, self._clock = db, reader, clock
        self._hits: list[Hit] = []
        self.queries: list[str] = []
        self.broken: LikeOptError | None = None
        self.degraded: list[Degraded] = []

    def add(
        self,
        name: str,
        text: str,
        *,
        page: int | None = None,
        context: str = "",
        similarity: float | None = None,
    ) -> str:
        """Add a document, `similarity` away in meaning from all questions; returns its id."""
        document = library.add(self._db, self._reader, self._clock, name, text)
        library.index(self._db, self._clock, [text])
        library.follow(self._db, self._clock)
        self._hits.append(
            Hit(
                chunk_id=len(self._hits) + 1,
                document_id=document.id,
                version_id=len(self._hits) + 1,
                collection_id="default",
                document_name=name,
                media_type="text/plain",
                ordinal=0,
                text=text,
                context=context,
                start=0,
                end=len(text),
                page=page,
                score=0.0,
                similarity=similarity,
            )
        )
        return document.id

    def replace(self, name: str, text: str) -> None:
        """Give a document another text, as a new version of it has."""
        for hit in self._hits:
            if hit.document_name == name:
                hit.text, hit.end, hit.version_id = text, len(text), hit.version_id + 1000

    def search(
        self, reader: Reader, query: str, *, k: int, filters: Filters, sentences: int
    ) -> SearchResponse:
        """Stands where `likeopt.retrieval.search.search` does."""
        self.queries.append(query)
        if self.broken:
            raise self.broken
        terms = set(_ANALYSER.query_terms(query))
        known = [set(_ANALYSER.terms(f"{hit.context} {hit.text}")) for hit in self._hits]
        counts = Counter(term for one in known for term in one)
        idf = {term: math.log(1 + (len(known) + 1) / (counts[term] + 0.5)) for term in terms}
        found = []
        for hit, theirs in zip(self._hits, known, strict=True):
            if not terms & theirs and hit.similarity is None:
                continue
            if filters.documents and hit.document_id not in filters.documents:
                continue
            marks = highlight.mark(_ANALYSER, hit.text, hit.context, idf)
            near = hit.similarity
            best = highlight.best_sentences(hit.text, hit.context, marks, idf, near, sentences)
            changes: dict[str, Any] = {
                "coverage": highlight.coverage(marks, idf),
                "sentences": best,
            }
            found.append(_with(hit, changes))
        # As BM25 does, the shorter of two that hold the same words first.
        found.sort(key=lambda hit: (-hit.coverage, len(hit.text), hit.chunk_id))
        return SearchResponse(
            found[:k], generation=1, degraded=self.degraded, stages={"lexical": 0.5}
        )


def _with(hit: Hit, changes: dict[str, Any]) -> Hit:
    fields = {name: getattr(hit, name) for name in Hit.__struct_fields__}
    return Hit(**(fields | changes))
