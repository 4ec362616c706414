"""Comma- and tab-separated values: one table."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from likeopt.retrieval.parse import kinds
from likeopt.retrieval.parse.builder import Builder
from likeopt.retrieval.parse.failures import MAX_TEXT, Unreadable
from likeopt.retrieval.parse.text import load
from likeopt.retrieval.types import Parsed


def read(path: Path, media_type: str) -> Parsed:
    """See `read.Parser`."""
    text = load(path)
    out = Builder()
    rows = list(_rows(text, "\t" if media_type == kinds.TSV else _delimiter(text)))
    while rows and sum(1 for cell in rows[0] if cell.strip()) < 2:  # a title above the table
        out.paragraph(" ".join(rows.pop(0)))
    out.table(rows)
    return out.finish()


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_TEXT)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True)
    try:
        yield from reader
    except csv.Error as error:
        raise Unreadable("damaged_file", f"line {reader.line_num:,}: {error}") from None


def _delimiter(text: str) -> str:
    """The character that cuts the first lines into the same number of columns, the most of them.

    csv.Sniffer takes seconds on some files and finds letters to be delimiters on others.
    """
    sample = text[:20_000]
    best, best_score = ",", 0.0
    for delimiter in (",", ";", "\t", "|"):
        widths = [len(row) for row in islice(_rows(sample, delimiter), 30) if row]
        common = max(set(widths), key=widths.count, default=1)
        score = widths.count(common) / len(widths) * min(common, 20) if common > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best
