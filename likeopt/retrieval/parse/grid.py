"""Tables whose cells come with positions and spans."""

from typing import NamedTuple

# More empty room than this between cells is a damaged file's, not a table's.
_MAX_ROOM = 4_000_000


class Cell(NamedTuple):
    """A cell at `row`, `column` (from 0) that spans `rows` and `columns`."""

    row: int
    column: int
    rows: int
    columns: int
    text: str


def grid(cells: list[Cell]) -> list[list[str]]:
    """The cells by row and column. A cell that spans rows is repeated in each of them, so that
    every row can be understood alone; one that spans columns stands in the first."""
    by_row: dict[int, list[Cell]] = {}
    for cell in cells:
        by_row.setdefault(cell.row, []).append(cell)
    rows = sorted(by_row)
    columns = {column: at for at, column in enumerate(sorted({cell.column for cell in cells}))}
    if len(rows) * len(columns) > _MAX_ROOM:
        return [[cell.text for cell in by_row[row]] for row in rows]
    table: list[list[str | None]] = [[None] * len(columns) for _ in rows]
    for at, row in enumerate(rows):
        for cell in by_row[row]:
            table[at][columns[cell.column]] = cell.text
    for at, row in enumerate(rows):
        for cell in by_row[row]:
            column, below = columns[cell.column], at + 1
            # Stops at the next cell of the column, so overlapping spans cost nothing.
            while below < len(rows) and rows[below] < row + cell.rows:
                if table[below][column] is not None:
                    break
                table[below][column] = cell.text
                below += 1
    return [[text or "" for text in line] for line in table]
