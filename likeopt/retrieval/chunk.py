"""Cuts a parsed text into passages along its structure."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from likeopt.retrieval import sentences
from likeopt.retrieval.types import Block, ChunkDraft, Parsed

# How well a passage may end after a unit.
_INSIDE, _SENTENCE, _LINE, _BLOCK = range(4)
# A row or a program's line is only cut when it is longer than this many targets.
_LONGEST_LINE = 4


class _Unit(NamedTuple):
    """What is kept whole: a sentence, a list item, a table row, a program's line, a heading."""

    start: int
    end: int
    # How well a passage may end here.
    cut: int
    block: int  # number of the block it is of
    kind: str


class _Section(NamedTuple):
    """Units under one heading and on one page."""

    units: list[_Unit]
    path: list[str]
    page: int | None


def chunk(parsed: Parsed, *, target: int = 800, overlap: int = 100) -> list[ChunkDraft]:
    """Passages of about `target` characters, in order, that together hold all of the text.

    A passage ends, in this order of preference, with a block, a line of a list, table or program,
    a sentence, a word; it never holds text of two pages, and ends before a heading, unless what
    stands under it is tiny. It repeats up to `overlap` characters of the passage before, in whole
    sentences if they fit, where both belong to the same section and no table or program. It is at
    most twice the target long; a table row or program line that is longer makes up its own
    passage, cut at four times the target. `context` is the path of headings, and for a passage
    that begins inside a table that table's header row on a line of its own.
    """
    drafts: list[ChunkDraft] = []
    for section in _merged(_sections(parsed, target), target):
        for start, end, first in _packed(parsed.text, section.units, target, overlap):
            drafts.append(
                ChunkDraft(
                    ordinal=len(drafts),
                    start=start,
                    end=end,
                    text=parsed.text[start:end],
                    context=_context(parsed, section, first),
                    page=section.page,
                )
            )
    return drafts


# -- units -----------------------------------------------------------------------------------------


def _units(parsed: Parsed, target: int) -> Iterator[_Unit]:
    """All text as units; what stands between blocks counts as paragraphs."""
    at = 0
    for number, block in enumerate(parsed.blocks):
        if block.start > at:
            yield from _block_units(parsed.text, Block("paragraph", at, block.start), -1, target)
        yield from _block_units(parsed.text, block, number, target)
        at = block.end
    yield from _block_units(parsed.text, Block("paragraph", at, len(parsed.text)), -1, target)


def _block_units(text: str, block: Block, number: int, target: int) -> Iterator[_Unit]:
    found: list[tuple[int, int, int]] = []
    if block.kind == "paragraph":
        for start, end in sentences.split(text[block.start : block.end]):
            found += _cut(text, block.start + start, block.start + end, target, _SENTENCE)
    elif block.kind == "heading":
        found += _cut(text, *_trimmed(text, block.start, block.end), target, _INSIDE)
    else:
        for match in _LINES.finditer(text, block.start, block.end):
            start, end = match.start(), match.start() + len(match[0].rstrip())
            if block.kind == "list" and end - start > target:
                for first, last in sentences.split(text[start:end]):
                    found += _cut(text, start + first, start + last, target, _SENTENCE)
                found[-1] = (*found[-1][:2], _LINE)
            elif block.kind == "list":
                found.append((start, end, _LINE))
            else:
                found += _cut(text, start, end, _LONGEST_LINE * target, _LINE)
    for at, (start, end, cut) in enumerate(found):
        is_last = at == len(found) - 1 and block.kind != "heading"
        # "As follows:" belongs to what follows.
        best = _INSIDE if text[end - 1] in ":：" else _BLOCK
        yield _Unit(start, end, best if is_last else cut, number, block.kind)


_LINES = re.compile(r"[^\n]*\S[^\n]*")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())


def _cut(text: str, start: int, end: int, limit: int, cut: int) -> list[tuple[int, int, int]]:
    """The span in pieces of at most `limit` characters, between words where there are any."""
    pieces = []
    while end - start > limit:
        space = _last_space(text, start + limit // 2, start + limit)
        stop = space if space > 0 else _between_characters(text, start, start + limit)
        pieces.append((start, start + len(text[start:stop].rstrip()), _INSIDE))
        start = stop + len(text[stop:end]) - len(text[stop:end].lstrip())
    if end > start:
        pieces.append((start, end, cut))
    return pieces


def _last_space(text: str, low: int, high: int) -> int:
    return max(text.rfind(" ", low, high), text.rfind("\n", low, high), text.rfind("\t", low, high))


def _between_characters(text: str, low: int, at: int) -> int:
    """`at`, or a little before it if it would part what is shown as one character."""
    for place in range(at, max(low, at - 32), -1):
        before, after = text[place - 1], text[place]
        joined = (
            unicodedata.category(after).startswith("M")
            or "\u200d" in (before, after)
            or "\u1160" <= after <= "\u11ff"  # vowel or final consonant of a spelt-out syllable
            or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin colour of the emoji before
            or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")
        )
        if not joined:
            return place
    return at


# -- sections --------------------------------------------------------------------------------------


def _sections(parsed: Parsed, target: int) -> Iterator[_Section]:
    """Units by heading and page. Headings without text between them stay together."""
    path: list[tuple[int, str]] = []
    title = _title(parsed)
    section = _Section([], _shown(title, path), None)
    last_heading = -1
    for unit in _units(parsed, target):
        page = bisect_right(parsed.page_starts, unit.start) or None
        if unit.kind == "heading" and unit.block != last_heading:
            last_heading = unit.block
            block = parsed.blocks[unit.block]
            path = [
                *(one for one in path if one[0] < block.level),
                (block.level, _label(parsed, block)),
            ]
            begins = any(one.kind != "heading" for one in section.units)
            if not begins and section.units and section.page == page:
                section = section._replace(path=_shown(title, path))
        else:
            begins = False
        if begins or not section.units or page != section.page:
            if section.units:
                yield section
            section = _Section([], _shown(title, path), page)
        section.units.append(unit)
    if section.units:
        yield section


def _label(parsed: Parsed, block: Block) -> str:
    return " ".join(parsed.text[block.start : block.end].split())[:120]


def _title(parsed: Parsed) -> str:
    """The title that stands above all headings; "" for one that is a section's, which a file
    without a better one is called by."""
    title = (parsed.title or "")[:120]
    sections = (block for block in parsed.blocks if block.kind == "heading" and block.level > 1)
    return "" if any(_label(parsed, block) == title for block in sections) else title


def _shown(title: str, path: list[tuple[int, str]]) -> list[str]:
    """Title and headings; the title is often the first heading, too."""
    names = [name for _, name in path]
    return names if not title or title in names[:1] else [title, *names]


def _merged(sections: Iterator[_Section], target: int) -> Iterator[_Section]:
    """Sections of which one is tiny put together, while they make up one passage."""
    tiny = target // 4
    last: _Section | None = None
    for section in sections:
        if last is not None:
            first = last.units[0].start
            sizes = (last.units[-1].end - first, section.units[-1].end - section.units[0].start)
            fits = section.units[-1].end - first <= target
            if last.page == section.page and min(sizes) < tiny and fits:
                path = _common(last.path, section.path)
                last = _Section(last.units + section.units, path, last.page)
                continue
            yield last
        last = section
    if last is not None:
        yield last


def _common(one: list[str], other: list[str]) -> list[str]:
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return one[:count]


def _context(parsed: Parsed, section: _Section, first: _Unit) -> str:
    context = " > ".join(section.path)
    if first.kind == "table":
        block = parsed.blocks[first.block]
        header = parsed.text[block.start : block.end].lstrip().partition("\n")[0].rstrip()
        if first.start >= block.start + len(header):
            context += f"\n{header[:500]}"
    return context


# -- packing ---------------------------------------------------------------------------------------


def _packed(
    text: str, units: list[_Unit], target: int, overlap: int
) -> Iterator[tuple[int, int, _Unit]]:
    """(start, end, first unit that is new) of each passage of a section."""
    at, start = 0, units[0].start
    while at < len(units):
        stop = at + 1
        while stop < len(units) and units[stop].end - start <= target:
            stop += 1
        if units[-1].end - start <= target * 5 // 4:  # no tiny rest
            stop = len(units)
        elif stop < len(units):
            stop = _best_stop(units, at, stop, start, target)
        yield start, units[stop - 1].end, units[at]
        if stop < len(units):
            start = _overlapping(text, units, at, stop, overlap)
            if units[stop].end - start > target:
                start = units[stop].start
        at = stop


def _best_stop(units: list[_Unit], at: int, stop: int, start: int, target: int) -> int:
    """Where to end, of `at + 1` to `stop`: the best cut in the last 40 %, else anywhere."""
    if all(unit.kind == "heading" for unit in units[at:stop]):
        # A heading does not stand alone if it can be helped.
        return stop + 1 if units[stop].end - start <= 2 * target else stop
    late = [k for k in range(at + 1, stop + 1) if units[k - 1].end - start >= 0.6 * target]
    return max(late or range(at + 1, stop + 1), key=lambda k: (units[k - 1].cut, k))


def _overlapping(text: str, units: list[_Unit], at: int, stop: int, overlap: int) -> int:
    """Where the passage that begins with `units[stop]` starts, with what it repeats."""
    following, last = units[stop], units[stop - 1]
    if not {following.kind, last.kind} <= {"paragraph", "list"}:
        return following.start
    first = stop
    while (
        first - 1 > at
        and units[first - 1].kind in ("paragraph", "list")
        and following.start - units[first - 1].start <= overlap
    ):
        first -= 1
    if first < stop or last.cut > _SENTENCE:
        return units[first].start
    # The last sentence alone is longer than the overlap: its last words.
    place = max(following.start - overlap, last.start + 1)
    space = text.find(" ", place, last.end)
    return space + 1 if space > 0 else following.start
