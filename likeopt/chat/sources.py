"""From search results to numbered sources: what an answer may use, and how it cites it."""

import re

import msgspec

from likeopt.chat.text import Language, language_of
from likeopt.llm.extractive import Candidate
from likeopt.retrieval.sentences import cells, header_of
from likeopt.retrieval.types import Hit, Sentence
from likeopt.storage.messages import Citation

# Which passages an answer is looked for in at all. A passage counts if its words hold this share
# of the question's information, or if it is this near in meaning (e5 puts unrelated texts at
# about 0.78 and answers above 0.84). `likeopt eval` measures them.
LEAST_COVERAGE = 0.35
LEAST_SIMILARITY = 0.84
# Between a Korean question and an English passage, or the other way round, words say nothing and
# similarity little: answers have 0.74 to 0.82, others up to 0.80. So only a model, which can see
# for itself, gets them.
LEAST_SIMILARITY_ACROSS = 0.73

MOST_SOURCES = 6
# Passages that are named beside "not in these documents".
NEAREST = 3
# A quote is the best sentence, and as far as this others that have a good share of its score.
QUOTE_CHARS = 300
_GOOD_SHARE = 0.6

_bullet = re.compile(r"^[-*+•◦▪·]\s+")
# [1], [2, 3] and their full-width forms; not [0], an index in code that no source has.
_marker = re.compile(r"[\[【［](\s*[1-9]\d?(?:\s*[,;–-]\s*[1-9]\d?)*\s*)[\]】］]")


class Source(msgspec.Struct, frozen=True):
    """A passage under the number that the answer cites it by, with its best sentences by score."""

    number: int
    hit: Hit
    sentences: list[Sentence]

    def citation(self, used: list[Sentence] | None = None) -> Citation:
        """The marker [number] bound to the sentences it stands for, by default the best ones."""
        hit = self.hit
        start, end = _span(used) if used else _best_span(self)
        return Citation(
            number=self.number,
            document_id=hit.document_id,
            document_name=hit.document_name,
            version_id=hit.version_id,
            chunk_id=hit.chunk_id,
            page=hit.page,
            start=hit.start + start,
            end=hit.start + end,
            quote=hit.text[start:end],
        )

    def candidates(self) -> list[Candidate]:
        """Its best sentences, to choose an extractive answer from."""
        spans = [(one.start, one.end) for one in self.sentences]
        above = [header_of(self.hit.text, span, self.hit.context) for span in spans]
        headers = {header.span for header in above if header}
        # The table that begins in the passage before comes first.
        tables = [header and (header.span or (-1,))[0] for header in above]
        return [
            Candidate(self.number, one.start, shown(self.hit, one), one.score, table)
            for one, table in zip(self.sentences, tables, strict=True)
            if (one.start, one.end) not in headers
        ]


def select(hits: list[Hit], question: Language | None = None) -> list[Source]:
    """The passages that may hold the answer, best first, numbered from 1; empty if none may.

    `question` is the question's language if a model will read them: see LEAST_SIMILARITY_ACROSS.
    """
    relevant = [hit for hit in hits if _relevant(hit)]
    if not relevant and question is not None:
        relevant = [hit for hit in hits if _relevant_across(hit, question)]
    sources: list[Source] = []
    for hit in relevant:
        if len(sources) == MOST_SOURCES:
            break
        # Neighbouring passages overlap: what an earlier one says is not said again.
        fresh = [one for one in hit.sentences if not _taken(hit, one, sources)]
        if fresh or not hit.sentences:
            fresh.sort(key=lambda one: (-one.score, one.start))
            sources.append(Source(len(sources) + 1, hit, fresh))
    return sources


def nearest(sources: list[Source], hits: list[Hit], question: Language) -> list[Source]:
    """What may hold the answer that was not found in `sources`, numbered from 1: the best of them,
    and at least one passage in the language that the question is not in, if any is near. Its
    reader can tell what no rule can."""
    across = [hit for hit in hits if _relevant_across(hit, question)]
    known = sources[:NEAREST]
    if not any(one.hit in across for one in known):
        across = across[: max(1, NEAREST - len(known))]
        known = known[: NEAREST - len(across)]
        known += [Source(number, hit, []) for number, hit in enumerate(across, len(known) + 1)]
    return known


def shown(hit: Hit, sentence: Sentence) -> str:
    """A sentence as an answer shows it: on one line, and without markers of its own, which a
    reader could not tell from ours. The row `Basic | 10` of a table becomes
    `Plan: Basic, Users: 10`."""
    raw = hit.text[sentence.start : sentence.end]
    text = " ".join(raw.split())
    if header := header_of(hit.text, (sentence.start, sentence.end), hit.context):
        pairs = zip(header.names, cells(raw), strict=True)
        text = ", ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
    return neutral(_bullet.sub("", text))


def neutral(text: str) -> str:
    """`text` with [1] as (1)."""
    return _marker.sub(r"(\1)", text)


def _relevant(hit: Hit) -> bool:
    return hit.coverage >= LEAST_COVERAGE or (hit.similarity or 0.0) >= LEAST_SIMILARITY


def _relevant_across(hit: Hit, question: Language) -> bool:
    near = (hit.similarity or 0.0) >= LEAST_SIMILARITY_ACROSS
    return near and language_of(hit.text) != question


def _taken(hit: Hit, sentence: Sentence, earlier: list[Source]) -> bool:
    start, end = hit.start + sentence.start, hit.start + sentence.end
    return any(
        other.hit.version_id == hit.version_id and other.hit.start <= start and end <= other.hit.end
        for other in earlier
    )


def _span(sentences: list[Sentence]) -> tuple[int, int]:
    return min(one.start for one in sentences), max(one.end for one in sentences)


def _best_span(source: Source) -> tuple[int, int]:
    """The best sentence with the good ones around it, within QUOTE_CHARS."""
    text, good = source.hit.text, source.sentences
    if not good:
        cut = text.rfind(" ", 0, QUOTE_CHARS) if len(text) > QUOTE_CHARS else len(text)
        return 0, cut if cut > 0 else QUOTE_CHARS
    start, end = good[0].start, good[0].end
    for other in good[1:]:
        first, last = min(start, other.start), max(end, other.end)
        if last - first <= QUOTE_CHARS and other.score >= _GOOD_SHARE * good[0].score:
            start, end = first, last
    return start, end
