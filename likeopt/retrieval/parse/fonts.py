"""Headings by the size of their letters, for files that do not mark them."""

from collections import Counter


class Sizes:
    """The font sizes of a document: which is its body's, which are its headings'."""

    def __init__(self, used: Counter[float]) -> None:
        """`used` counts the characters of each size, in any unit."""
        self.body = max(used, key=lambda size: (used[size], -size), default=0.0)
        self.levels: list[float] = []
        for size in sorted((size for size in used if size > 1.13 * self.body), reverse=True):
            # Sizes that hardly differ are one level.
            if not self.levels or size < 0.93 * self.levels[-1]:
                self.levels.append(size)

    def level(self, size: float) -> int:
        """Depth of a heading of this size, at most 5; 0 for the body's and smaller ones."""
        for level, largest in enumerate(self.levels, 1):
            if size > 0.93 * largest:
                return min(level, 5)
        return 0
