"""What the two Hangul formats have in common: the flow of paragraphs and tables."""

from collections import Counter
from typing import NamedTuple

from likeopt.retrieval.parse.builder import Builder
from likeopt.retrieval.parse.fonts import Sizes
from likeopt.retrieval.parse.grid import Cell, grid

# Hancom's own code for the first syllable of its product's name, as people type it.
PRODUCT = str.maketrans({"\uf53a": "한"})


class _Paragraph(NamedTuple):
    text: str
    level: int
    size: float


class Flow:
    """Collects the content, then tells headings: by their outline level or, in the many documents
    whose authors only made them larger, by their size."""

    def __init__(self) -> None:
        self._pieces: list[_Paragraph | list[list[str]]] = []

    def paragraph(self, text: str, level: int, size: float) -> None:
        """A paragraph with its outline level (0 for none) and font size (0 if unknown)."""
        self._pieces.append(_Paragraph(text.translate(PRODUCT), level, size))

    def table(self, cells: list[Cell]) -> None:
        """A table."""
        rows = grid(cells)
        self._pieces.append([[text.translate(PRODUCT) for text in row] for row in rows])

    def build(self) -> Builder:
        """All of it in order."""
        out = Builder()
        paragraphs = [piece for piece in self._pieces if isinstance(piece, _Paragraph)]
        used: Counter[float] = Counter()
        for paragraph in paragraphs:
            used[paragraph.size] += len(paragraph.text)
        sizes = Sizes(used)
        has_outline = any(paragraph.level for paragraph in paragraphs)
        for piece in self._pieces:
            if not isinstance(piece, _Paragraph):
                out.table(piece)
                continue
            level = piece.level if has_outline else sizes.level(piece.size)
            # Longer ones are text that someone made large, or a wrong style.
            if level and len(piece.text) < (300 if has_outline else 100):
                out.heading(piece.text, level)
            else:
                out.paragraph(piece.text)
        return out
