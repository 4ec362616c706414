"""Markdown of an answer as the markup that the page's own scripts make of it.

The same elements and classes as in frontend/src/pages/chat/markdown, so that nothing moves when the
scripts draw it again. Nothing in an answer is trusted: HTML stays text, and no address is followed
but those of another site.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import escape

# Numbers of sources, or None where one of them has no source.
Cite = Callable[[list[int]], str | None]
# A block of code by its language and text.
Code = Callable[[str, str], str]

_MARKER = re.compile(r"\[([0-9]{1,3}(?:\s*,\s*[0-9]{1,3})*)\]")
_MARKED = r"\[[0-9]{1,3}(?:\s*,\s*[0-9]{1,3}){0,2}\]"
# Markers with what stands on the same line: as in frontend/src/pages/chat/markdown/parse.ts.
_KEPT = re.compile(
    rf"(?: {{1,3}}|[^\W_]|[.,:%])?{_MARKED}(?:[,;]? ?{_MARKED})?"
    r"[가-힣]{0,4}[.,:;!?)…。，、]*"
)
_BOLD_BEFORE = re.compile('(<strong>[^<>]{1,12}</strong>)<span class="kept">(?! )')
# What the page's scripts draw otherwise: formulas, which have another height than their TeX, lists
# of tasks, entities, and words between two single tildes.
_OTHERWISE = re.compile(
    r"\$[^$]+\$|\\[(\[]|^[ \t]*(?:[-*+]|[0-9]+[.)])[ \t]+\[[ xX]\]|&#?\w+;|(?<!~)~(?!~)[^~]*~(?!~)",
    re.MULTILINE,
)
# A short row of a table is filled up with cells: 2,600 characters became 1.2 MB, in 1.4 s.
MOST_CELLS = 1000
# Each looks for its other half: 4,900 of them took 110 ms.
MOST_BRACKETS = 500
_WEB = frozenset({"http", "https"})
_ALIGNED = {"text-align:right": "right", "text-align:center": "center", "text-align:left": "left"}


def is_drawn_alike(text: str) -> bool:
    """Whether a text looks here as the page will show it, and costs what its length says."""
    lines = text.split("\n")
    cells = max(line.count("|") for line in lines) * len(lines)
    return (
        cells <= MOST_CELLS and text.count("[") <= MOST_BRACKETS and _OTHERWISE.search(text) is None
    )


def render(text: str, cite: Cite, code: Code) -> str:
    """The markup of a text. 1,000 characters of prose take 1.5 ms, of very short lines 14 ms."""
    env = {"cite": cite, "code": code}
    tokens = _markdown.parse(text, env)
    for token in tokens:
        if token.type.startswith("heading_"):
            # The page has its own h1 and h2.
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    made = str(_markdown.renderer.render(tokens, _markdown.options, env))
    return _BOLD_BEFORE.sub(r'<span class="kept">\1', made)


class _Renderer(RendererHTML):
    """A method for each kind of token that is not written as CommonMark has it."""

    # No line breaks between blocks: the page has no such text, and would put all after it in anew.
    def renderToken(  # noqa: N802  (the parser's name)
        self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any
    ) -> str:
        token = tokens[idx]
        if token.hidden:  # the paragraphs of a tight list
            return ""
        return f"</{token.tag}>" if token.nesting < 0 else f"<{token.tag}{self.renderAttrs(token)}>"

    def text(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        content = _KEPT.sub(r'<span class="kept">\g<0></span>', str(escape(tokens[idx].content)))
        return _MARKER.sub(
            lambda found: env["cite"]([int(one) for one in found[1].split(",")]) or found[0],
            content,
        )

    def softbreak(self, *_: Any) -> str:
        return "<br>"

    def hardbreak(self, *_: Any) -> str:
        return "<br>"

    def s_open(self, *_: Any) -> str:
        return "<del>"

    def s_close(self, *_: Any) -> str:
        return "</del>"

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        name = re.split(r"[\s,{]", tokens[idx].info.strip())[0]
        made: str = env["code"](name, tokens[idx].content.removesuffix("\n"))
        return made

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)

    def table_open(self, *_: Any) -> str:
        return '<div class="scroll" tabindex="0"><table>'

    def table_close(self, *_: Any) -> str:
        return "</table></div>"

    def th_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        # The page's policy allows no style in an attribute.
        aligned = _ALIGNED.get(str(tokens[idx].attrGet("style")), "")
        return f'<{tokens[idx].tag} class="{aligned}">'

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.th_open(tokens, idx, options, env)

    def link_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _way_out(str(tokens[idx].attrGet("href") or ""))

    def image(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        # Never loaded: its address may carry what was in a document.
        address = str(tokens[idx].attrGet("src") or "")
        text = escape(tokens[idx].content or address)
        return f'<span class="image">{_way_out(address)}{text}</a></span>'


def _way_out(address: str) -> str:
    try:
        found = urlsplit(address)
        # Without a host, `http:path` is an address of this site.
        safe = found.scheme == "mailto" or (found.scheme in _WEB and bool(found.netloc))
    except ValueError:
        safe = False
    if not safe:
        return "<a>"
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer nofollow">'


def _made() -> MarkdownIt:
    found = MarkdownIt("commonmark", {"breaks": True, "html": False}, renderer_cls=_Renderer)
    found.enable(["table", "strikethrough"])
    # `[1]: https://…` in a document must not turn the marker of a citation into its address.
    found.disable(["reference", "html_block", "html_inline"])
    return found


_markdown = _made()
