"""JSON and JSON Lines as `path: value` lines, one list a record."""

import json
from pathlib import Path

from likeopt.retrieval.parse import kinds
from likeopt.retrieval.parse.builder import Builder
from likeopt.retrieval.parse.failures import Unreadable
from likeopt.retrieval.parse.text import load
from likeopt.retrieval.types import Parsed

# A list of plain values up to this long is shown on one line.
_INLINE = 400


def read(path: Path, media_type: str) -> Parsed:
    """See `read.Parser`."""
    text = load(path)
    writer = _Writer()
    title = None
    if media_type == kinds.JSONL:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                writer.add("", _load(line, f"line {number:,}: "))
                writer.flush()
    else:
        value = _load(text, "")
        title = value.get("title") if isinstance(value, dict) else None
        for record in value if isinstance(value, list) else [value]:
            writer.add("", record)
            writer.flush()
    return writer.out.finish(title if isinstance(title, str) else None)


def _load(text: str, where: str) -> object:
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        raise Unreadable("damaged_file", f"{where}{error}") from None
    except RecursionError:
        raise Unreadable("damaged_file", f"{where}it is nested too deeply") from None


class _Writer:
    def __init__(self) -> None:
        self.out = Builder()
        self._lines: list[str] = []

    def flush(self) -> None:
        """End the record."""
        self.out.lines(self._lines)
        self._lines = []

    def add(self, path: str, value: object) -> None:
        """Write `value`, which stands at `path` of the record."""
        if isinstance(value, dict):
            for key, inner in value.items():
                self.add(f"{path}.{key}" if path else str(key), inner)
        elif isinstance(value, list):
            self._add_list(path, value)
        elif value is not None and value != "":
            shown = value if isinstance(value, str) else json.dumps(value)
            self._lines.append(f"{path}: {shown}" if path else shown)

    def _add_list(self, path: str, values: list[object]) -> None:
        if not any(isinstance(value, (dict, list)) for value in values):
            line = ", ".join(str(value) for value in values)
            if len(line) <= _INLINE:
                self.add(path, line)
                return
        for number, value in enumerate(values):
            self.add(f"{path}[{number}]", value)
            if isinstance(value, dict):
                self.flush()
