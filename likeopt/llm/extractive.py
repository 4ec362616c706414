"""Answers without a model: the best sentences of the documents, word for word, with their source.

Pure functions. They stream nothing by themselves: the whole takes well under a millisecond.
"""

import re
from itertools import groupby
from typing import Literal

import msgspec

# All thresholds of the extractive answer, on the score of a sentence (0 to 1, see
# `likeopt.retrieval.highlight`).
#
# Below this the best sentence is no answer: "not in these documents". Measured by `likeopt eval
# --threshold` (bench/README.md, Quality), with the passages that answer and without them, though
# those of the same article stay. xquad_en: at 0.47 answers 92 % and 14 %; at 0.44 93 % and 18 %, at
# 0.50 87 % and 11 %. msdocs_ko, 77 questions: at 0.47 97 % and 25 %, at 0.50 95 % and 18 %.
LEAST_SCORE = 0.47
# Further sentences must reach this share of the best one's score.
LEAST_SHARE = 0.85
MOST_SENTENCES = 4
# A best score below this is a guess, and so are the sentences after the second.
SURE = 0.65
MOST_CHARS = 700
# Two sentences that share this much of the shorter one's bigrams say the same.
SAME = 0.8

Language = Literal["ko", "en"]

NOT_FOUND: dict[Language, str] = {
    "ko": "이 문서들에서는 답을 찾지 못했습니다.",
    "en": "I don't know from these documents: none of them answers this question.",
}


class Candidate(msgspec.Struct, frozen=True):
    """A sentence that may be part of the answer.

    `number` is its source's; `start` orders the sentences of one source. `table` tells the tables
    of one source apart whose rows are candidates; None for what is no row.
    """

    number: int
    start: int
    text: str
    score: float
    table: int | None = None


def choose(candidates: list[Candidate]) -> list[Candidate]:
    """The sentences to answer with, in reading order; empty if there is no answer.

    The source with the best sentence comes first, and each source's sentences together in their
    own order. Of sentences that say the same, the better one stays, and of a table's rows those
    with the best score: they share the words of header and passage, so one that has fewer words of
    its own than another is about something else.
    """
    ranked = sorted(candidates, key=lambda one: (-one.score, one.number, one.start))
    if not ranked or ranked[0].score < LEAST_SCORE:
        return []
    least = max(LEAST_SCORE, ranked[0].score * LEAST_SHARE)
    most = MOST_SENTENCES if ranked[0].score >= SURE else 2
    chosen: list[Candidate] = []
    best_rows: dict[tuple[int, int], float] = {}
    seen: list[tuple[tuple[int, int] | None, set[str]]] = []
    length = 0
    for one in ranked:
        if one.score < least or len(chosen) == most:
            break
        table = None if one.table is None else (one.number, one.table)
        if table and one.score < best_rows.setdefault(table, one.score):
            continue
        grams = bigrams(one.text)
        if chosen and length + len(one.text) > MOST_CHARS:
            continue
        # Rows of one table look alike, but differ.
        others = [theirs for other, theirs in seen if not table or other != table]
        if not grams or any(overlap(grams, theirs) >= SAME for theirs in others):
            continue
        chosen.append(one)
        seen.append((table, grams))
        length += len(one.text)
    order = {one.number: place for place, one in reversed(list(enumerate(chosen)))}
    return sorted(chosen, key=lambda one: (order[one.number], one.start))


def write(chosen: list[Candidate]) -> list[str]:
    """The answer in pieces, one source each: its sentences, rows on lines of their own, then its
    marker."""
    pieces = []
    for number, group in groupby(chosen, key=lambda one: one.number):
        runs = groupby(group, key=lambda one: one.table)
        texts = (
            ("\n" if table is not None else " ").join(o.text for o in run) for table, run in runs
        )
        pieces.append("\n".join(texts) + f" [{number}]\n\n")
    pieces[-1:] = [piece.rstrip() for piece in pieces[-1:]]
    return pieces


def bigrams(text: str) -> set[str]:
    """Pairs of neighbouring letters and digits: measures likeness in any script."""
    letters = re.sub(r"[\W_]+", "", text.lower())
    return {letters[i : i + 2] for i in range(max(1, len(letters) - 1))} if letters else set()


def overlap(one: set[str], other: set[str]) -> float:
    """Share (0 to 1) of the smaller set that is in the other."""
    return len(one & other) / min(len(one), len(other)) if one and other else 0.0
