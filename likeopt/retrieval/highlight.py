"""Where a passage answers a query: highlights, coverage, and its best sentences.

All pure functions of the passage's text and the query's weighed terms.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.sentences import Span, header_of, is_code, is_fragment, split, states
from likeopt.retrieval.types import Sentence

# Terms rarer than this part of the rarest one's idf are highlighted: particles and endings that
# bigrams bring along are not.
_NOTABLE = 0.4
# What makes up a sentence's score: its own words, those of its passage, and how near in meaning
# that is. Telling answers from other sentences of the same article, in 1,190 questions of xquad_en,
# has an AUC of 0.952 with them; with 0.7 for its own words and 0.3 for the bare cosine, 0.934.
_SENTENCE, _PASSAGE, _MEANING = 0.35, 0.35, 0.3
# Cosines of e5 between which a passage's meaning counts from nothing to all; most that answer have
# 0.84 to 0.88, most others of the same article 0.79 to 0.85.
_FAR, _NEAR = 0.78, 0.92
# Nearness taken for that of a passage that has no embedding yet: in the middle between those of
# passages that answer and of others.
_UNKNOWN = 0.45
# An entry of a list of contents holds the words of a question as well as what answers it.
_FRAGMENT = 0.6


class Marks(msgspec.Struct):
    """Marked characters of a text, in order and disjoint; the query's terms with each place, and
    those of the text's context."""

    highlights: list[tuple[int, int]]
    places: list[tuple[str, int, int]]
    context: set[str]


def mark(analyser: Analyser, text: str, context: str, idf: Mapping[str, float]) -> Marks:
    """Find the terms of `idf` in a text and its context."""
    places = analyser.spans(text, idf.keys())
    least = _NOTABLE * max((idf[term] for term, _, _ in places), default=0.0)
    ranges = sorted((start, end) for term, start, end in places if idf[term] >= least)
    return Marks(_joined(ranges), places, set(analyser.terms(context)) & idf.keys())


def coverage(marks: Marks, idf: Mapping[str, float]) -> float:
    """Share (0 to 1) of the query's information whose terms stand in the text or its context."""
    total = sum(idf.values())
    if not total:
        return 0.0
    there = {term for term, _, _ in marks.places} | marks.context
    return min(1.0, sum(idf[term] for term in there) / total)


def best_sentences(
    text: str,
    context: str,
    marks: Marks,
    idf: Mapping[str, float],
    similarity: float | None,
    count: int,
) -> list[Sentence]:
    """The `count` sentences of a passage that answer best, best first; headings, questions, code
    and the headers of tables answer nothing.

    A score, 0 to 1, is made up of the share of the query's information that the sentence's words
    hold, the share that the passage's hold without its code, and how near the passage is in
    meaning, if its `similarity` is known. A row of a table counts for the names of its columns
    and for what it stands under, too: its cells alone rarely name their subject.
    """
    total = sum(idf.values()) or 1.0

    def share(spans: list[Span], above: AbstractSet[str] = frozenset()) -> float:
        terms = {t for t, a, b in marks.places for start, end in spans if start <= a and b <= end}
        return min(1.0, sum(idf[term] for term in terms | above) / total)

    near = _UNKNOWN if similarity is None else (similarity - _FAR) / (_NEAR - _FAR)
    prose = [span for span in split(text) if not is_code(text[slice(*span)])]
    of_passage = _PASSAGE * share(prose) + _MEANING * min(1.0, max(0.0, near))
    spans = [span for span in prose if states(text, span)]
    rows = {span: header for span in spans if (header := header_of(text, span, context))}
    headers = {header.span for header in rows.values()}
    scored = []
    for span in spans:
        if span in headers:
            continue
        if row := rows.get(span):
            own = share([span, row.span] if row.span else [span], marks.context)
        else:
            own = share([span]) * (_FRAGMENT if is_fragment(text[slice(*span)]) else 1.0)
        scored.append(Sentence(*span, round(_SENTENCE * own + of_passage, 4)))
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
