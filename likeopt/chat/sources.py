"""From search results to numbered sources: what an answer may use, and how it cites it."""

import re

import msgspec

from likeopt.llm.extractive import Candidate
from likeopt.retrieval.types import Hit, Sentence
from likeopt.storage.messages import Citation

# Which passages an answer is looked for in at all. A passage counts if its words hold this share
# of the question's information, or if it is this near in meaning (e5 puts unrelated texts at
# about 0.78 and answers above 0.84). `likeopt eval` measures them.
LEAST_COVERAGE = 0.35
LEAST_SIMILARITY = 0.84

MOST_SOURCES = 6
# A quote is the best sentence, and its neighbours as far as this.
QUOTE_CHARS = 300

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
        return [
            Candidate(self.number, one.start, text, one.score)
            for one in self.sentences
            if (text := shown(self.hit, one))
        ]


def select(hits: list[Hit]) -> list[Source]:
    """The passages that may hold the answer, best first, numbered from 1; empty if none may."""
    sources: list[Source] = []
    taken: list[Hit] = []
    for hit in hits:
        if len(sources) == MOST_SOURCES:
            break
        if not _relevant(hit):
            continue
        # Neighbouring passages overlap: what an earlier one says is not said again.
        fresh = [one for one in hit.sentences if not _taken(hit, one, taken)]
        if not fresh and hit.sentences:
            continue
        taken.append(hit)
        fresh.sort(key=lambda one: (-one.score, one.start))
        sources.append(Source(len(sources) + 1, hit, fresh))
    return sources


def shown(hit: Hit, sentence: Sentence) -> str:
    """A sentence as an answer shows it: on one line, and without markers of its own, which a
    reader could not tell from ours. Cells of a table row get their column's name."""
    text = " ".join(hit.text[sentence.start : sentence.end].split())
    return neutral(_with_columns(text, hit.context))


def neutral(text: str) -> str:
    """`text` with [1] as (1)."""
    return _marker.sub(r"(\1)", text)


def _relevant(hit: Hit) -> bool:
    return hit.coverage >= LEAST_COVERAGE or (hit.similarity or 0.0) >= LEAST_SIMILARITY


def _taken(hit: Hit, sentence: Sentence, earlier: list[Hit]) -> bool:
    start, end = hit.start + sentence.start, hit.start + sentence.end
    return any(
        other.version_id == hit.version_id and other.start <= start and end <= other.end
        for other in earlier
    )


def _span(sentences: list[Sentence]) -> tuple[int, int]:
    return min(one.start for one in sentences), max(one.end for one in sentences)


def _best_span(source: Source) -> tuple[int, int]:
    """The best sentence with those of the marked ones that lie around it, within QUOTE_CHARS."""
    text = source.hit.text
    if not source.sentences:
        cut = text.rfind(" ", 0, QUOTE_CHARS) if len(text) > QUOTE_CHARS else len(text)
        return 0, cut if cut > 0 else QUOTE_CHARS
    start, end = source.sentences[0].start, source.sentences[0].end
    for other in source.sentences[1:]:
        first, last = min(start, other.start), max(end, other.end)
        if last - first <= QUOTE_CHARS:
            start, end = first, last
    return start, end


def _with_columns(row: str, context: str) -> str:
    """`Plan: Basic, Users: 10` for the row `Basic | 10` of a table headed `Plan | Users`."""
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    if len(cells) < 2:
        return row
    for line in reversed(context.splitlines()):
        names = [name.strip() for name in line.strip("| ").split(" | ")]
        if len(names) == len(cells) and names != cells:
            pairs = zip(names, cells, strict=True)
            return ", ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
    return row
