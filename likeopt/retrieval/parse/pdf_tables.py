"""Tables of a PDF page, rebuilt from the places of words and ruled lines.

A PDF has no tables, only words at coordinates. Ruled tables are found by their lines: lines that
touch make up a grid, and words fall into its cells. Others are found by their gaps: rows of words
that leave the same vertical strips empty.
"""

import re
import statistics
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from likeopt.retrieval.parse.pdf_page import Rule, Word

# Lines that are this near, in points, are one or touch.
_NEAR = 3.0
# Shorter lines are parts of letters, icons and underlined words.
_MIN_RULE = 8.0
# Comparing every horizontal line with every vertical one beyond this takes seconds.
_MAX_PAIRS = 250_000

Join = Callable[[Sequence[Word]], str]


class Table(NamedTuple):
    """Rows of cells; `words` are the orders of its words."""

    rows: list[list[str]]
    words: frozenset[int]


def ruled_tables(
    words: list[Word], horizontal: list[Rule], vertical: list[Rule], join: Join
) -> list[Table]:
    """Tables whose cells are drawn. `join` makes a cell's text of its words."""
    tables = []
    for rows, columns in _components(_merged(horizontal), _merged(vertical)):
        table = _Lattice(rows, columns).table(words, join)
        if table is not None:
            tables.append(table)
            words = [word for word in words if word.order not in table.words]
    return tables


def _merged(rules: list[Rule]) -> list[Rule]:
    """Pieces of one line put together; a drawn line is often the two edges of a thin box."""
    merged: list[Rule] = []
    for group in _clusters(rules, lambda rule: rule.at):
        at = sum(rule.at for rule in group) / len(group)
        group.sort(key=lambda rule: rule.start)
        start, end = group[0].start, group[0].end
        for rule in group[1:]:
            if rule.start > end + _NEAR:
                merged.append(Rule(at, start, end))
                start, end = rule.start, rule.end
            end = max(end, rule.end)
        merged.append(Rule(at, start, end))
    return [rule for rule in merged if rule.end - rule.start >= _MIN_RULE]


def _clusters(rules: Iterable[Rule], key: Callable[[Rule], float]) -> list[list[Rule]]:
    groups: list[list[Rule]] = []
    for rule in sorted(rules, key=key):
        if groups and key(rule) - key(groups[-1][-1]) <= _NEAR - 0.5:
            groups[-1].append(rule)
        else:
            groups.append([rule])
    return groups


def _components(
    horizontal: list[Rule], vertical: list[Rule]
) -> list[tuple[list[Rule], list[Rule]]]:
    """Groups of lines that touch each other, from the top of the page."""
    if not horizontal or not vertical or len(horizontal) * len(vertical) > _MAX_PAIRS:
        return []
    parent = list(range(len(horizontal) + len(vertical)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for i, h in enumerate(horizontal):
        for j, v in enumerate(vertical, len(horizontal)):
            if (
                v.start - _NEAR <= h.at <= v.end + _NEAR
                and h.start - _NEAR <= v.at <= h.end + _NEAR
            ):
                parent[root(i)] = root(j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, rule in enumerate([*horizontal, *vertical]):
        group = groups.setdefault(root(i), ([], []))
        group[0 if i < len(horizontal) else 1].append(rule)
    found = [group for group in groups.values() if group[0] and group[1]]
    return sorted(found, key=lambda group: -max(rule.at for rule in group[0]))


class _Lattice:
    """A grid of lines; cells between which no line stands are one."""

    def __init__(self, horizontal: list[Rule], vertical: list[Rule]) -> None:
        self._horizontal, self._vertical = horizontal, vertical
        # Tables are often open at the sides: where lines end, there is an edge too.
        self._xs = _edges(vertical, horizontal)
        self._ys = _edges(horizontal, vertical)

    def table(self, words: list[Word], join: Join) -> Table | None:
        """The table, or None if this is only a frame."""
        columns, rows = len(self._xs) - 1, len(self._ys) - 1
        if columns < 2 or rows < 2:
            return None
        region = self._regions(rows, columns)
        inside: dict[tuple[int, int], list[Word]] = {}
        for word in words:
            column = bisect(self._xs, (word.x0 + word.x1) / 2) - 1
            row = rows - bisect(self._ys, word.base + 0.3 * word.size)
            if 0 <= column < columns and 0 <= row < rows:
                inside.setdefault(region[row][column], []).append(word)
        return _table(self._rows(rows, columns, region, inside, join), inside.values())

    def _rows(
        self,
        rows: int,
        columns: int,
        region: list[list[tuple[int, int]]],
        inside: dict[tuple[int, int], list[Word]],
        join: Join,
    ) -> list[list[str]]:
        lines: list[list[str]] = []
        for row in range(rows):
            cells: list[list[Word]] = []
            for column in range(columns):
                place = region[row][column]
                # A cell over several rows counts in each; over several columns, in the first.
                cells.append(inside.get(place, []) if place[1] == column else [])
            alone = all(
                region[row][column][0] == row
                and (row + 1 == rows or region[row + 1][column] != region[row][column])
                for column in range(columns)
            )
            parts = _unruled_rows(cells) if alone else [cells]
            lines += [[join(cell) for cell in part] for part in parts]
        return lines

    def _regions(self, rows: int, columns: int) -> list[list[tuple[int, int]]]:
        """(first row, first column) of the cell that each place of the grid belongs to."""
        region = [[(row, column) for column in range(columns)] for row in range(rows)]
        for row in range(rows):
            # Row 0 is at the top, where y is largest.
            low, high = self._ys[rows - row - 1], self._ys[rows - row]
            for column in range(columns):
                left, right = self._xs[column], self._xs[column + 1]
                if row and not _covered(self._horizontal, high, (left + right) / 2):
                    region[row][column] = region[row - 1][column]
                elif column and not _covered(self._vertical, left, (low + high) / 2):
                    region[row][column] = region[row][column - 1]
        return region


def _edges(rules: list[Rule], crossing: list[Rule]) -> list[float]:
    """Where the grid's lines stand, in ascending order."""
    places = [rule.at for rule in rules]
    places += [min(rule.start for rule in crossing), max(rule.end for rule in crossing)]
    edges: list[float] = []
    for place in sorted(places):
        if not edges or place - edges[-1] > 2 * _NEAR:
            edges.append(place)
    return edges


def _covered(rules: list[Rule], at: float, middle: float) -> bool:
    """Whether a line stands at `at` next to the point `middle`."""
    return any(
        abs(rule.at - at) <= 2 * _NEAR and rule.start - _NEAR <= middle <= rule.end + _NEAR
        for rule in rules
    )


def _unruled_rows(cells: list[list[Word]]) -> list[list[list[Word]]]:
    """The rows inside a ruled row: tables often have lines only between columns.

    Three lines or more, all cells having about as many, are rows; else they are wrapped text.
    """
    lines = [_baselines(cell) for cell in cells if cell]
    if len(lines) < 2 or min(map(len, lines)) < 0.6 * max(map(len, lines)):
        return [cells]
    bases = _baselines([word for cell in cells for word in cell])
    if len(bases) < 3 or len(bases) > 1.3 * max(map(len, lines)):
        return [cells]
    # Each word belongs to the nearest baseline.
    cuts = [-(above + below) / 2 for above, below in pairwise(bases)]
    parts: list[list[list[Word]]] = [[[] for _ in cells] for _ in bases]
    for column, cell in enumerate(cells):
        for word in cell:
            parts[bisect(cuts, -word.base)][column].append(word)
    return parts


def _baselines(words: Iterable[Word]) -> list[float]:
    """Distinct baselines from the top."""
    bases: list[float] = []
    for word in sorted(words, key=lambda word: -word.base):
        if not bases or bases[-1] - word.base > 0.5 * word.size:
            bases.append(word.base)
    return bases


def _table(rows: list[list[str]], inside: Iterable[list[Word]]) -> Table | None:
    """A table needs two rows with two cells each; else it is a frame around text."""
    if sum(1 for row in rows if sum(map(bool, row)) >= 2) < 2:
        return None
    return Table(rows, frozenset(word.order for cell in inside for word in cell))


# -- tables without lines --------------------------------------------------------------------------


# Dots that lead to a page number.
_LEADER = re.compile(r"(?:[.·…]\s*){4}")


class _Piece(NamedTuple):
    """Words of one row without a wide gap between them."""

    x0: float
    x1: float
    words: list[Word]


class _Row(NamedTuple):
    """What stands on one baseline."""

    base: float
    size: float
    pieces: list[_Piece]


def aligned_tables(words: list[Word], join: Join) -> list[Table]:
    """Tables that only alignment shows; programs, which align their lines too, are left alone."""
    tables: list[Table] = []
    block: list[_Row] = []
    columns: list[_Column] = []
    for row in _rows(words):
        widened = _widened(columns, row)
        is_near = bool(block) and block[-1].base - row.base <= 3 * max(row.size, block[-1].size)
        # A line across the columns, or of their first one's text, is no row.
        fits = len(widened) > 1 if len(row.pieces) > 1 else len(widened) >= len(columns)
        if block and not (is_near and row.pieces and fits):
            tables += _block_table(block, join)
            block, widened = [], _widened([], row)
        if block or len(row.pieces) > 1:
            block.append(row)
            columns = widened
    return tables + _block_table(block, join)


def _rows(words: list[Word]) -> list[_Row]:
    """Words that share a baseline, from the top; lines of programs and of tables of
    contents have no pieces."""
    lines: list[list[Word]] = []
    for word in sorted(words, key=lambda word: (-word.base, word.x0)):
        if lines and lines[-1][0].base - word.base <= 0.4 * min(word.size, lines[-1][0].size):
            lines[-1].append(word)
        else:
            lines.append([word])
    rows = []
    for line in lines:
        line.sort(key=lambda word: word.x0)
        is_other = all(word.mono for word in line) or _LEADER.search(" ".join(w.text for w in line))
        pieces = [] if is_other else _pieces(line)
        rows.append(_Row(line[0].base, max(word.size for word in line), pieces))
    return rows


def _pieces(line: list[Word]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for word in line:
        if pieces and word.x0 - pieces[-1].x1 < 0.9 * word.size:
            last = pieces[-1]
            pieces[-1] = _Piece(last.x0, max(last.x1, word.x1), [*last.words, word])
        else:
            pieces.append(_Piece(word.x0, word.x1, [word]))
    return pieces


def _block_table(block: list[_Row], join: Join) -> list[Table]:
    # Single lines below that stand at the left are the text after the table.
    while block and len(block[-1].pieces) == 1 and block[-1].pieces[0].x0 < _left(block[:-1]):
        block = block[:-1]
    columns: list[_Column] = []
    for row in block:
        columns = _widened(columns, row)
    places = [_places(row, columns) for row in block]
    full = sum(len(row.pieces) > 1 for row in block)
    if len(columns) < 2 or full < 2 or (full < 3 and len(columns) < 3):
        return []
    if _is_prose(block, columns):
        return []
    rows: list[list[list[Word]]] = []
    for at, row in enumerate(block):
        if not at or not _continues(block, places, at):
            rows.append([[] for _ in columns])
        for place, piece in zip(places[at], row.pieces, strict=True):
            rows[-1][place] += piece.words
    rows = _without_idle(rows)
    table = _table([[join(cell) for cell in row] for row in rows], [c for row in rows for c in row])
    return [table] if table is not None else []


def _left(block: list[_Row]) -> float:
    """Where the second column may begin at the earliest."""
    return min((row.pieces[1].x0 for row in block if len(row.pieces) > 1), default=0.0)


_Column = tuple[float, float]


def _widened(columns: list[_Column], row: _Row) -> list[_Column]:
    """Intervals of x that hold all pieces, with strips between them that none touches."""
    merged: list[_Column] = []
    for left, right in sorted([*columns, *((piece.x0, piece.x1) for piece in row.pieces)]):
        if merged and left - merged[-1][1] < 0.6 * row.size:
            merged[-1] = (merged[-1][0], max(merged[-1][1], right))
        else:
            merged.append((left, right))
    return merged


def _places(row: _Row, columns: list[_Column]) -> list[int]:
    """The column of each piece."""
    starts = [left for left, _ in columns]
    return [max(0, bisect(starts, piece.x0 + 0.1) - 1) for piece in row.pieces]


def _continues(block: list[_Row], places: list[list[int]], at: int) -> bool:
    """Whether a row only goes on with cells of the row above, or begins those of this row: text
    wrapped in a cell stands closer to itself than to the next row's."""

    def gap(above: int, below: int) -> float:
        shared = set(places[above]) & set(places[below])
        return block[above].base - block[below].base if shared else float("inf")

    before, after = gap(at - 1, at), gap(at, at + 1) if at + 1 < len(block) else float("inf")
    if len(places[at]) == 1 or (0 not in places[at] and before < 1.4 * block[at].size):
        # Two lines of a cell that is wrapped are equally far from each other.
        return before <= 1.05 * after and before < 2 * block[at].size
    if len(places[at - 1]) == 1:  # the first lines of a cell that stands higher than its row
        return before < gap(at - 2, at - 1) if at > 1 else before < 2 * block[at].size
    return False


def _without_idle(rows: list[list[list[Word]]]) -> list[list[list[Word]]]:
    """Columns that are never filled together put into one: a centred heading stands beside its
    values, not above them."""
    merged: list[list[list[Word]]] = [[] for _ in rows]
    for column in range(len(rows[0])):
        beside = [
            not (done and done[-1] and row[column]) for done, row in zip(merged, rows, strict=True)
        ]
        if column and all(beside):
            for done, row in zip(merged, rows, strict=True):
                done[-1] = done[-1] + row[column]
        else:
            for done, row in zip(merged, rows, strict=True):
                done.append(row[column])
    return merged


def _is_prose(block: list[_Row], columns: list[_Column]) -> bool:
    """Text set in columns: every column is wide and its lines fill it."""
    for left, right in columns:
        widths = [p.x1 - p.x0 for row in block for p in row.pieces if left <= p.x0 <= right]
        if right - left < 120 or statistics.median(widths) < 0.75 * (right - left):
            return False
    return True
