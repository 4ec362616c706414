"""Workbooks (Excel, old Excel, OpenDocument): each visible sheet is a heading and a table."""

import datetime as dt
from pathlib import Path

import python_calamine
from python_calamine import CalamineSheet, CalamineWorkbook, SheetVisibleEnum

from likeopt.retrieval.parse import kinds
from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.builder import Builder
from likeopt.retrieval.parse.failures import Unreadable
from likeopt.retrieval.parse.office import title_of
from likeopt.retrieval.types import Parsed

Cell = str | float | bool | dt.date | dt.time | dt.timedelta


def read(path: Path, media_type: str) -> Parsed:
    """See `read.Parser`."""
    title = None
    if media_type != kinds.XLS:
        # Calamine opens the file by itself, so what it will unpack is checked first.
        with Archive(path) as archive:
            archive.verify()
            if media_type == kinds.XLSX:
                title = title_of(archive)
    return _read(path, title)


def _read(path: Path, title: str | None) -> Parsed:
    out = Builder()
    try:
        with path.open("rb") as file, CalamineWorkbook.from_filelike(file) as workbook:
            for sheet in workbook.sheets_metadata:
                if sheet.visible == SheetVisibleEnum.Visible:
                    _sheet(out, sheet.name, workbook.get_sheet_by_name(sheet.name))
    except python_calamine.PasswordError:
        raise Unreadable("encrypted_file") from None
    except python_calamine.CalamineError as error:
        raise Unreadable("damaged_file") from error
    except BaseException as error:
        # A bug of the Rust library on a damaged file arrives as a PanicException, which is made
        # at run time and derives from BaseException only.
        if type(error).__name__ == "PanicException":
            raise Unreadable("damaged_file") from error
        raise
    return out.finish(title)


def _sheet(out: Builder, name: str, sheet: CalamineSheet) -> None:
    rows = [[_shown(cell) for cell in row] for row in sheet.to_python()]
    first_row, first_column = sheet.start or (0, 0)
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        # A label that spans rows is repeated, so that every row can be understood alone.
        if left == right:
            for row in range(top + 1, bottom + 1):
                _fill(rows, row - first_row, left - first_column, top - first_row)
    if any(cell for row in rows for cell in row):
        out.heading(name, 1)
    while rows and sum(1 for cell in rows[0] if cell) < 2:
        out.paragraph(next((cell for cell in rows[0] if cell), ""))
        del rows[0]
    out.table(rows)


def _fill(rows: list[list[str]], row: int, column: int, source: int) -> None:
    if 0 <= source < row < len(rows) and 0 <= column < min(len(rows[row]), len(rows[source])):
        rows[row][column] = rows[row][column] or rows[source][column]


def _shown(cell: Cell) -> str:
    """A value much as a person would write it; number formats are not in reach."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15g}"
    if isinstance(cell, dt.datetime):
        at_midnight = cell.time() == dt.time()
        return cell.date().isoformat() if at_midnight else cell.isoformat(" ", "minutes")
    return str(cell)
