"""Where a passage answers a query: highlights, coverage, and its best sentences.

All pure functions of the passage's text and the query's weighed terms.
"""

from collections.abc import Mapping

import msgspec

from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.sentences import split
from likeopt.retrieval.types import Sentence

# Terms rarer than this part of the rarest one's idf are highlighted: particles and endings that
# bigrams bring along are not.
_NOTABLE = 0.4
# Weight of the words of a sentence against the meaning of its passage.
_WORDS = 0.7


class Marks(msgspec.Struct):
    """Marked characters of a text, in order and disjoint; the query's terms with each place."""

    highlights: list[tuple[int, int]]
    places: list[tuple[str, int, int]]


def mark(analyser: Analyser, text: str, idf: Mapping[str, float]) -> Marks:
    """Find the terms of `idf` in a text."""
    places = analyser.spans(text, idf.keys())
    least = _NOTABLE * max((idf[term] for term, _, _ in places), default=0.0)
    ranges = sorted((start, end) for term, start, end in places if idf[term] >= least)
    return Marks(_joined(ranges), places)


def coverage(marks: Marks, context_terms: set[str], idf: Mapping[str, float]) -> float:
    """Share (0 to 1) of the query's information whose terms stand in the text or its context."""
    total = sum(idf.values())
    if not total:
        return 0.0
    there = {term for term, _, _ in marks.places} | (context_terms & idf.keys())
    return min(1.0, sum(idf[term] for term in there) / total)


def best_sentences(
    text: str, marks: Marks, idf: Mapping[str, float], similarity: float | None, count: int
) -> list[Sentence]:
    """The `count` sentences of a passage that answer best, best first.

    A sentence's score is the share of the query's information that its words hold and, where the
    passage's `similarity` is known, that as well: a sentence counts for what it says and for what
    it is part of.
    """
    total = sum(idf.values()) or 1.0
    words = _WORDS if similarity is not None else 1.0
    meaning = (1 - words) * max(0.0, similarity or 0.0)
    scored = []
    for start, end in split(text):
        terms = {term for term, a, b in marks.places if a >= start and b <= end}
        share = sum(idf[term] for term in terms) / total
        scored.append(Sentence(start, end, round(min(1.0, words * share + meaning), 4)))
    scored.sort(key=lambda sentence: (-sentence.score, sentence.start))
    return scored[:count]


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping and touching ranges as one."""
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
