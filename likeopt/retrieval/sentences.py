"""Where sentences begin and end, in Korean and English, and which of them say something.

Pure and linear in the length of the text: answers are built from the sentences of passages while
the reader waits. Lines of lists, tables and programs count as sentences of their own.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

Span = tuple[int, int]

_LINE = re.compile(r"[^\n]+")
# Rows of tables and lines of programs are not cut inside.
_UNCUT = re.compile(r"\t| {4}|.* \|(?: |\Z)")
# Lines that never go on in the next one, nor continue the one before.
_OWN_LINE = re.compile(
    r"\s*(?:[-*+•◦‣▪■□●○◇◆▶※·]\s|\d{1,3}[.)]\s|\(\d{1,3}\)|[가-하][.)]\s|[①-⑳]|#{1,6}\s|\||>)"
    r"|\t| {4}|.* \|(?: |\Z)"
)
# Narrower lines end because they end, not because a margin came. Hangul is twice as wide.
_MARGIN = 40

_CLOSERS = "\"'”’»)\\]」』】〉》*_"
_END = re.compile(
    # Only from the first of several marks, and without going back: `....""""x` takes linear time.
    rf"(?<![.!?…])(?:[.!?]++|…++)[{_CLOSERS}]*+(?=\s|\Z)"
    rf"|(?<![。！？])[。！？]++[{_CLOSERS}]*+"
    # "…했다.그러나": no space after a Korean sentence.
    r"|(?<=[가-힣][다요죠까음함임됨])\.(?=[가-힣A-Z])"
)
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r"[^\s(\[{<\"'“‘「『]*\Z")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_MARKER = re.compile(r"\d{1,3}|[가나다라마바사아자차카타파하]|[A-Za-z]|[ivxIVX]{1,4}")
_DATE = re.compile(r"\d\s*\.\s*\d{1,2}\Z")
_ABBREVIATED = """
    al approx appt apr aug ave bros capt cf co col corp dec dept dr ed eds eg esp est etc ext feb
    fri gen gov hon hr hrs ie inc intl jan jr jul jun lt ltd maj mar max min misc mon mr mrs ms
    mt nov oct ph prof ref resp rev sat sen sep sept sgt sr st sun thu tue viz vs wed
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
# Abbreviations only before a number: "No. 5", but "He said no. Then".
_NUMBERED = frozenset({"art", "ch", "eq", "eqs", "fig", "figs", "no", "nos", "p", "para", "pp"})
_NUMBERED |= {"sec", "tab", "vol"}
# What follows a quotation that stands inside a sentence: “왜?” 하고 물었다.
_QUOTING = re.compile(r"(?:이?라고|이?라는|이?라며|하고|하며|하는|하던|했|고 |는 )")
# An ellipsis ends a Korean sentence only after a verb.
_VERB_END = re.compile(r"[다요죠까지네군음]\Z")
# Questions answer nothing: the question of a list of them and their answers least of all.
_ASKS = re.compile(rf"[?？][{_CLOSERS}]*\Z|(?:나요|까요|가요|니까)\Z")
# What a heading has not: an end, a figure, a bullet, several cells.
_SAYS = re.compile(rf"[.!。…:;,][{_CLOSERS}]*\Z|\d|\A\s*[-*+•◦▪·]\s| \| |[다요죠음함됨임]\Z")
# Between other lines it has not several clauses either, and alone not the signs of a program.
_CLAUSES, _CODE = re.compile(r"[.,:;]"), re.compile(r"[=/\\{}$~`<>#]|\s-")
_LINE_HEADING, _ALONE_HEADING = 40, 80
# Lines of a program or a command, which hold what somebody typed, such as the question of an
# example. Only by their signs: a passage does not say which of its lines are code.
_PROGRAM = re.compile(
    r"""
    \$\ \S                                     # what a shell shows first
    | (?:export\ )?[A-Za-z_]\w*=\S             # NAME=value
    | --?[A-Za-z][\w-]*(?:[ =]|\Z)             # an option, of the command on the line before
    | "[^"]*"\s*:\s*(?:["{\[\d]|true|false|null).*(?<=["}\]\dels]),?\Z     # a member of JSON
    | [{}\[\]()]+[,;]?\Z | .*(?:\{|\ \\)\Z | \w+(?:\.\w+)*\(.*\);\Z
    | import\ [\w.]+(?:\ as\ \w+)?;?\Z | from\ [\w.]+\ import\ | (?:def|class)\ \w+(?:\(.*)?:\Z
    # A command: no sentence, and after a few words an option, a path, an address, a last string.
    | (?!.*[.!?。다요죠]\Z)[a-z][\w.+-]*(?:\ [\w.+-]+){0,3}?\ (?:
        --?[A-Za-z] | ['"]?(?:[~.]?/\w|~/|\$[A-Z({]|<[a-z]|[a-z]+://)
        | (?:"[^"]*"|'[^']*')(?:\ *\Z|\ +[-#\\|>])
    )
    """,
    re.VERBOSE,
)
_FACT = re.compile(rf"[.!。…][{_CLOSERS}]*\Z|\d|[다요죠음함됨임]\Z")
# How far a bracket may close for a full stop inside it not to end the sentence.
_BRACKET = 200


def split(text: str) -> list[Span]:
    """(start, end) of each sentence, in order, without white space around them."""
    spans: list[Span] = []
    for start, end in _passages(text):
        if _UNCUT.match(text, start, end):
            first = _skip(text, start, end)
            spans.append((first, first + len(text[first:end].rstrip())))
        else:
            spans += _sentences(text, start, end)
    return spans


def states(text: str, span: Span) -> bool:
    """Whether a sentence says something: not a question, nor a line of a program, nor a heading,
    which only names what follows."""
    sentence = text[slice(*span)]
    if _ASKS.search(sentence) or is_code(sentence):
        return False
    if _SAYS.search(sentence):
        return True
    if _stands_alone(text, span):
        return len(sentence) > _ALONE_HEADING or _CODE.search(sentence) is not None
    return len(sentence) > _LINE_HEADING or _CLAUSES.search(sentence) is not None


def is_code(sentence: str) -> bool:
    """Whether it is a line of a program, or a command."""
    return _PROGRAM.match(sentence) is not None


def is_fragment(sentence: str) -> bool:
    """Whether what says something is neither a whole sentence nor holds a figure: an entry of a
    list of contents, say."""
    return not _FACT.search(sentence)


def _stands_alone(text: str, span: Span) -> bool:
    start, end = span
    before, after = text[:start].rstrip(" "), text[end:].lstrip(" ")
    return (not before or before.endswith("\n\n")) and (not after or after.startswith("\n\n"))


class Header(NamedTuple):
    """The names of a table's columns, and where they stand; None if not in the text itself."""

    names: list[str]
    span: Span | None


def header_of(text: str, row: Span, context: str = "") -> Header | None:
    """The header of the table that `row` is a row of; None if it is none, or the header itself.

    A passage that begins inside a table has the header on a line of its `context`.
    """
    columns = len(cells(text[slice(*row)]))
    if columns < 2:
        return None
    for line in reversed(context.splitlines()):
        if len(cells(line)) == columns:
            return Header(cells(line), None)
    header = None
    end = text.rfind("\n", 0, row[0])
    while end > 0:
        start = text.rfind("\n", 0, end) + 1
        names = cells(text[start:end])
        if len(names) != columns:
            break
        header = Header(names, (start, end))
        end = start - 1
    return header


def cells(line: str) -> list[str]:
    """The cells of a table's row as it stands in the text, empty ones too."""
    # Space around it makes up for what was trimmed beside an empty first or last cell.
    return [" ".join(cell.split()) for cell in f" {line.strip()} ".split(" | ")]


def _passages(text: str) -> Iterator[Span]:
    """Lines, put together where a margin broke them."""
    start = end = -1
    last = ""
    for match in _LINE.finditer(text):
        line = match[0]
        if line.isspace():
            continue
        if start >= 0 and (match.start() != end + 1 or not _wraps(last, line)):
            yield start, end
            start = -1
        if start < 0:
            start = match.start()
        end, last = match.end(), line
    if start >= 0:
        yield start, end


def _wraps(line: str, after: str) -> bool:
    if _OWN_LINE.match(line) or _OWN_LINE.match(after):
        return False
    width = len(line) + sum("가" <= char <= "힣" for char in line[:_MARGIN])
    return width >= _MARGIN


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    start = _skip(text, start, end)
    depth = checked = 0
    for match in _END.finditer(text, start, end):
        if match.start() < start:
            continue
        checked = max(checked, start)
        depth += text.count("(", checked, match.end()) - text.count(")", checked, match.end())
        checked = match.end()
        after = _skip(text, match.end(), end)
        if after < end and not _ends(text, start, match, after):
            continue
        if depth > 0 and text.find(")", match.end(), min(end, match.end() + _BRACKET)) >= 0:
            continue
        yield start, match.end()
        start, depth = after, 0
    if start < end:
        stop = start + len(text[start:end].rstrip())
        if stop > start:
            yield start, stop


def _skip(text: str, at: int, end: int) -> int:
    found = _SPACE.match(text, at, end)
    return found.end() if found else at


def _ends(text: str, start: int, match: re.Match[str], after: int) -> bool:
    """Whether the sentence from `start` ends at `match`, the next word being at `after`."""
    mark, following = match[0], text[after]
    if "a" <= following <= "z":
        return False
    if len(mark) > 1 and mark[-1] in _CLOSERS and _QUOTING.match(text, after):
        return False
    if mark[0] == "…" or mark.startswith(".."):
        is_verb = _VERB_END.search(text[max(start, match.start() - 1) : match.start()])
        return not "가" <= following <= "힣" or is_verb is not None
    if mark[0] != ".":
        return True
    token = _TOKEN.search(text[max(start, match.start() - 20) : match.start()])
    return not _is_short(text, start, match.start(), token[0] if token else "", following)


def _is_short(text: str, start: int, dot: int, token: str, following: str) -> bool:
    """Whether the full stop at `dot` only marks an abbreviation, a number or a list item."""
    if not token:
        return False
    if dot - len(token) == start and _MARKER.fullmatch(token):
        return True
    word = token.lower().replace(".", "")
    if word in _ABBREVIATIONS or _INITIALS.fullmatch(token):
        return True
    if following.isdigit():
        return word in _NUMBERED or token.isdigit()
    is_date = _DATE.search(text[max(start, dot - 8) : dot]) is not None
    return is_date and "가" <= following <= "힣"
