"""Plain text: paragraphs between blank lines, underlined headings, lists."""

import re
from pathlib import Path

from likeopt.retrieval.parse.builder import Builder, clean
from likeopt.retrieval.parse.charset import decode
from likeopt.retrieval.parse.failures import MAX_TEXT, Unreadable
from likeopt.retrieval.types import Parsed

_UNDERLINE = re.compile(r"([=\-~^#*])\1{2,}")
_ITEM = re.compile(r"\s*(?:[-*+•◦‣▪■□●○※·]|\d{1,3}[.)]|\(\d{1,3}\)|[가-하][.)]|[①-⑳])\s")


def load(path: Path) -> str:
    """The whole file, decoded and clean. Raises Unreadable (unknown_charset, too_large_text)."""
    if path.stat().st_size > 4 * MAX_TEXT:  # no character takes more than four bytes
        raise Unreadable("too_large_text")
    text = clean(decode(path.read_bytes()))
    if len(text) > MAX_TEXT:
        raise Unreadable("too_large_text")
    return text


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    out = Builder()
    for part in re.split(r"\n(?:[ \t]*\n)+", load(path)):
        lines = part.strip("\n").split("\n")
        if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1].strip()) and len(lines[0]) < 200:
            out.heading(lines[0], 1 if lines[1].strip()[0] in "=#*" else 2)
            lines = lines[2:]
        if len(lines) > 1 and all(_ITEM.match(line) for line in lines):
            out.lines(lines)
        else:
            out.paragraph("\n".join(lines))
    return out.finish()
