"""What only the server knows of a page's first sight: a conversation's end, a document's beginning,
what can be added.

It is the largest text of its page: painted with the first frame, and not once scripts and the API
have answered. Only what the page's scripts will show in the very same place is drawn: what they
alone can know the size of (formulas, times in the reader's time zone) leaves the page its bare
frame. The markup is the build's own (frontend/src/shell/skeleton.tsx); only text is filled in here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from likeopt.errors import Forbidden
from likeopt.retrieval.parse import MEDIA_TYPES
from likeopt.storage import access, conversations, documents, passages
from likeopt.storage.conversations import Transcript
from likeopt.storage.db import Database, Runner
from likeopt.storage.documents import Document
from likeopt.storage.messages import Citation, Message
from likeopt.storage.reader import Reader
from likeopt.web import markdown
from likeopt.web.assets import Shell
from likeopt.web.language import Language

# The page begins with so many too, and what is above follows when the browser has time.
TURNS = 2
# Of Markdown: some windows, and 10 ms of a thread's time. Of a document: more than a window.
MOST_CHARS = 5000
# Of a quote, of which two lines are shown.
QUOTE_CHARS = 300
_HOLE = re.compile(r"\{\{(\w+)\}\}")
_LIST_MARK = re.compile(r"^[-*] ")
_CODE_MARK = re.compile(r"`([^`]*)`?")
_HANGUL = re.compile("[가-힣]")
_UNITS = ("B", "KB", "MB", "GB")
# As in frontend/src/pages/library/kind.ts.
_WITH_PICTURES = re.compile("officedocument|opendocument|hwp|html")


class _Turn(NamedTuple):
    question: Message
    answer: Message

    @property
    def size(self) -> int:
        return len(self.question.content) + len(self.answer.content)


def conversation(
    db: Database, run: Runner, reader: Reader, id_: str, shell: Shell, lang: Language
) -> str | None:
    """The frame of a conversation with its title and last turns; None if they cannot be drawn.

    It is drawn by `run`, beside the event loop. Raises NotFound unless it is the reader's.
    """
    held = db.read(lambda c: conversations.get(c, reader, id_, last=TURNS + 1))
    drawn: str | None = run(lambda: _draw(held, shell, lang))
    return drawn


def adding(db: Database, reader: Reader, max_mb: int, shell: Shell, lang: Language) -> Markup:
    """The frame of the library with what can be added, as `AddBar` of the page says it.

    Raises Forbidden where there is nothing that the reader may add to.
    """
    db.read(lambda c: access.require_some_writable(c, reader))
    names: dict[str, str] = {}
    for suffix, kind in MEDIA_TYPES.items():
        names.setdefault(kind, suffix[1:].upper())
    size = _size(max_mb << 20)
    return _fill(shell.html[lang], formats=", ".join(names.values()), size=size)


def document(db: Database, reader: Reader, id_: str, shell: Shell, lang: Language) -> Markup | None:
    """The frame of a document with the beginning of its text; None if it cannot be drawn.

    Raises NotFound unless the reader may read it, and it has a text.
    """

    def read(c: Any) -> tuple[Document, passages.Page, bool]:
        found = documents.get(c, reader, id_)
        return found, passages.text_at(c, reader, id_, 0), _is_writable(c, reader, found)

    found, page, writable = db.read(read)
    if found.state != "ready" or not 0 < found.chunks <= found.embedded or found.source == "url":
        return None
    # Beside its text a PDF has its pages as pictures.
    if (page.paged and page.media_type == "application/pdf") or not page.text.strip():
        return None
    parts = shell.parts[lang]
    counts = [("page", found.pages or 0), ("passage", found.chunks)]
    facts = [_size(found.size), *(_count(parts, name, n) for name, n in counts if n)]
    # As the page's `partOf` and `pageOf`.
    pages = f"{page.pages:,}" if lang == "ko" else page.pages
    pager = parts["ofpages" if page.paged else "ofparts"]
    return _fill(
        shell.html[lang],
        id=found.id,
        name=found.name,
        facts=" · ".join(facts),
        tags=_tags(parts, found.tags, writable=writable),
        pager=_fill(pager, count=pages) if page.pages > 1 else "",
        lang="ko" if _HANGUL.search(page.text) else lang,
        text=page.text[:MOST_CHARS],
        gallery=_fill(parts["gallery"]) if _WITH_PICTURES.search(found.media_type) else "",
    )


def _is_writable(c: Any, reader: Reader, found: Document) -> bool:
    try:
        access.require_writable(c, reader, found.collection_id)
    except Forbidden:
        return False
    return True


def _tags(parts: Mapping[str, str], tags: Sequence[str], *, writable: bool) -> Markup | str:
    if not writable and not tags:
        return ""
    drawn = [_fill(parts["removable" if writable else "tag"], tag=tag) for tag in tags]
    if writable:
        drawn.append(_fill(parts["add"]))
    return _fill(parts["tags"], tags=Markup("").join(drawn))


def _count(parts: Mapping[str, str], name: str, count: int) -> str:
    return _fill(parts[name if count == 1 else f"{name}s"], count=f"{count:,}")


def _size(size: int) -> str:
    """How large a file is, as `formatBytes` of the page says it."""
    value, unit = Decimal(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    places = "0.1" if value < 10 and unit else "1"
    said = f"{value.quantize(Decimal(places), ROUND_HALF_UP):,}"
    return f"{said.removesuffix('.0')} {_UNITS[unit]}"


def _draw(held: Transcript, shell: Shell, lang: Language) -> str | None:
    known = _turns(held.messages)
    drawn: list[_Turn] = []
    room = MOST_CHARS
    for turn in reversed(known[-TURNS:]):
        room -= 0 if turn is None else turn.size
        if turn is None or room < 0:
            break
        drawn.insert(0, turn)
    if not drawn or not held.conversation.title:
        return None
    parts = shell.parts[lang]
    turns = [_turn(parts, lang, turn, last=turn is drawn[-1]) for turn in drawn]
    return _fill(
        shell.html[lang],
        title=held.conversation.title,
        turns=Markup("").join(turns),
        # `from-end`: what comes before has its place above, however short these are.
        **{"from": "from-end" if len(drawn) < len(known) else ""},
    )


def _turns(messages: Sequence[Message]) -> list[_Turn | None]:
    """Questions with their answers; None for one that is not drawn."""
    found: list[_Turn | None] = []
    for question in messages:
        if question.role != "user":
            continue
        answers = [one for one in messages if one.parent_id == question.id]
        plain = len(answers) == 1 and _is_plain(answers[0])
        found.append(_Turn(question, answers[0]) if plain else None)
    return found


def _is_plain(answer: Message) -> bool:
    """Whether an answer shows nothing that only the page's scripts know how to draw."""
    return (
        answer.state == "complete"
        and answer.kind is not None
        and (answer.kind != "generated" or bool(answer.model))
        and answer.cached_at is None
        and answer.error_code is None
        and bool(answer.content)
        and markdown.is_drawn_alike(answer.content)
    )


def _turn(parts: Mapping[str, str], lang: Language, turn: _Turn, *, last: bool) -> Markup:
    answer = turn.answer
    by_number = {one.number: one for one in answer.citations}

    def cite(numbers: list[int]) -> str | None:
        if not all(number in by_number for number in numbers):
            return None
        looks = ["chip" if by_number[number].available else "chip gone" for number in numbers]
        return "".join(
            _fill(parts["chip"], number=number, look=look)
            for number, look in zip(numbers, looks, strict=True)
        )

    def code(language: str, text: str) -> str:
        return _fill(parts["code"], language=language, code=text)

    sources = Markup("").join(_source(parts, one) for one in answer.citations)
    around = parts["nearest" if answer.kind == "not_found" else "sources"]
    took = _took(answer.stages, lang)
    return _fill(
        parts["turn"],
        question=turn.question.content,
        text=Markup(markdown.render(answer.content, cite, code)),  # noqa: S704  (escapes its text)
        sources=_fill(around, sources=sources) if sources else "",
        badge=_fill(parts[answer.kind or "extractive"], model=answer.model),
        again=_fill(parts["again"]) if last else "",
        took=_fill(parts["took"], took=took) if took else "",
    )


def _source(parts: Mapping[str, str], cited: Citation) -> Markup:
    if not cited.available:
        return _fill(parts["gone"], number=cited.number)
    return _fill(
        parts["source"],
        number=cited.number,
        name=cited.document_name,
        page=_fill(parts["page"], page=cited.page) if cited.page else "",
        quote=_CODE_MARK.sub(r"\1", _LIST_MARK.sub("", cited.quote[:QUOTE_CHARS])),
    )


def _took(stages: Mapping[str, float], lang: Language) -> str:
    """How long an answer took, as `formatMs` and `summarise` of the page say it; "" if unknown."""
    wholes = sum(ms for name, ms in stages.items() if "." not in name and name != "total")
    ms = stages.get("total", wholes)
    if not ms:
        return ""
    if ms < 1000:
        return f"{max(1, math.floor(ms + 0.5))}{'밀리초' if lang == 'ko' else ' ms'}"
    return f"{ms / 1000:.{1 if ms < 10_000 else 0}f}{'초' if lang == 'ko' else ' s'}"


def _fill(part: str, **holes: object) -> Markup:
    """Markup of the build with text in its holes; what is no markup is escaped."""
    # In one pass: what looks like a hole in somebody's text stays text.
    return Markup(_HOLE.sub(lambda hole: str(escape(holes[hole[1]])), part))  # noqa: S704
