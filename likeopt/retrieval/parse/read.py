"""From a file to its text: the right parser, and every way to fail turned into one error."""

import importlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likeopt.retrieval.parse import door, kinds
from likeopt.retrieval.parse.failures import Mislabelled, Unreadable, unreadable
from likeopt.retrieval.parse.protocol import Draw, Drawn
from likeopt.retrieval.types import Parsed

# Parser modules by media type, imported when a file of the kind is first read: PDFium and lxml
# take 0.2 s and 30 MB, which a process that reads Markdown never pays.
_PARSERS = {
    kinds.PDF: "pdf",
    kinds.DOCX: "docx",
    kinds.PPTX: "pptx",
    kinds.XLSX: "sheets",
    kinds.XLS: "sheets",
    kinds.ODS: "sheets",
    kinds.HTML: "html",
    kinds.MARKDOWN: "markdown",
    kinds.TEXT: "text",
    kinds.CSV: "delimited",
    kinds.TSV: "delimited",
    kinds.JSON: "records",
    kinds.JSONL: "records",
    kinds.HWP: "hwp",
    kinds.HWPX: "hwpx",
}

# What reading a damaged file raises, beside the libraries' own errors (which are ValueErrors,
# SyntaxErrors or RuntimeErrors): lookups of parts that are not there, and broken numbers.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def examine(path: Path, media_type: str, name: str) -> bool:
    """Whether the file is known to open, from a quick look without parsing it (see `door`).

    Raises as `parse` does.
    """
    with _named(name):
        return door.check(path, media_type, quick=True)


def open_only(path: Path, media_type: str, name: str) -> None:
    """Have the parser open the file, and no more. Raises as `parse` does."""
    with _named(name):
        if not door.check(path, media_type):
            _parser(media_type).opened(path).close()


def parse(path: Path, media_type: str, name: str) -> Parsed:
    """The text and structure of the file at `path`; `name` is what the user calls it.

    Raises UnreadableFile with the code encrypted_file, empty_file, damaged_file, archive_bomb,
    too_large_text, no_text, unknown_charset, missing_file or parser_memory, and UnsupportedType
    when the content turns out to be of another kind than `media_type`.
    """
    with _named(name):
        door.check(path, media_type)
        parsed: Parsed = _parser(media_type).read(path, media_type)
        return parsed


def draw(wanted: Draw) -> Drawn:
    """A picture of a file. Raises as `parse` does, and UnreadableFile with the code no_picture or
    too_large_picture."""
    path = Path(wanted.path)
    with _named(wanted.name):
        door.check(path, wanted.media_type)
        # Loads Pillow, which nobody else needs.
        module = importlib.import_module("likeopt.retrieval.parse.draw")
        drawn: Drawn = module.draw(path, wanted)
        return drawn


def _parser(media_type: str) -> Any:
    return importlib.import_module(f"likeopt.retrieval.parse.{_PARSERS[media_type]}")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turns every way to fail into an error about the file `name`."""
    try:
        yield
    except Mislabelled as error:
        raise kinds.mislabelled(name, error.content) from None
    except Unreadable as error:
        raise unreadable(error.code, name, error.detail) from None
    except FileNotFoundError as error:
        raise unreadable("missing_file", name) from error
    except MemoryError as error:
        raise unreadable("parser_memory", name) from error
    except _DAMAGE as error:
        raise unreadable("damaged_file", name) from error
