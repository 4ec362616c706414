"""Reading files as the indexer does."""

import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from likeopt.retrieval.parse import HEAD_BYTES, detect, parse
from likeopt.retrieval.types import Parsed

Read = Callable[[bytes, str], Parsed]


def check(parsed: Parsed) -> None:
    """What is promised of every parsed file."""
    text = parsed.text
    assert text == unicodedata.normalize("NFC", text)
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    for block in parsed.blocks:
        assert 0 <= block.start < block.end <= len(text)
        assert text[block.start : block.end].strip()
        assert (block.level > 0) == (block.kind == "heading")
        if block.page is not None:
            assert parsed.page_starts[block.page - 1] <= block.start
    for one, after in pairwise(parsed.blocks):
        assert one.end < after.start
        assert not text[one.end : after.start].strip()
    assert parsed.page_starts == sorted(parsed.page_starts)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Detect and parse a file of this content and name."""

    def run(data: bytes, name: str) -> Parsed:
        path = tmp_path / "original"
        path.write_bytes(data)
        parsed = parse(path, detect(name, data[:HEAD_BYTES]), name)
        check(parsed)
        return parsed

    return run


def shown(parsed: Parsed) -> list[tuple[str, str]]:
    """(kind, text) of the blocks."""
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]
