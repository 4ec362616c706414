"""Web pages: the main content, without navigation, scripts and the like."""

import re
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from likeopt.retrieval.parse.builder import Builder, one_line
from likeopt.retrieval.parse.charset import decode
from likeopt.retrieval.parse.grid import Cell, grid
from likeopt.retrieval.types import Parsed

_DROPPED = (
    "script, style, noscript, template, svg, canvas, iframe, object, audio, video, button, select,"
    " textarea, input, nav, footer, aside, dialog, [hidden], [aria-hidden=true], [role=navigation],"
    " [role=search], [role=contentinfo], [role=dialog]"
)
_BLOCK_NAMES = """
    address article blockquote body caption center dd details div dl dt fieldset figcaption figure
    form header hr html legend main p section summary td th tr
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CHARSET = re.compile(
    rb"(?i)<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{1,40})|^<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w-]{1,40})"
)
_SPACE = re.compile(r"\s+")
_ENTER, _LEAVE = 0, 1


def read(path: Path, _media_type: str) -> Parsed:
    """See `read.Parser`."""
    tree = LexborHTMLParser(decoded(path.read_bytes()))
    head = tree.css_first("head title")
    title = head.text().strip() if head is not None else ""
    root = _main(tree)
    walker = _Walker()
    if root is not None:
        walker.walk(root)
    return walker.out.finish(title or walker.out.first_heading())


def decoded(data: bytes) -> str:
    """As the page declares; if that is wrong, as any text."""
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        name = (declared[1] or declared[2]).decode("ascii").lower()
        try:
            # CP949 is what browsers take EUC-KR for.
            return data.decode("cp949" if name in ("euc-kr", "ks_c_5601-1987") else name)
        except (UnicodeDecodeError, LookupError):
            pass
    return decode(data)


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    """The element that holds the content."""
    for node in tree.css(_DROPPED):
        node.decompose()
    body = tree.body
    if body is None:
        return None
    for header in tree.css("body > header, body > div > header"):
        if header.css_first("h1") is None:
            header.decompose()
    whole = len(body.text())
    for selector in ("main", "[role=main]", "article"):
        found = tree.css(selector)
        # A page of many articles, or a main part that only frames the content, is taken whole.
        if len(found) == 1 and len(found[0].text()) > whole / 4:
            return found[0]
    return body


class _Walker:
    """Walks the tree without recursion: pages nest as deep as their authors like."""

    def __init__(self) -> None:
        self.out = Builder()
        self._inline: list[str] = []
        self._lists: list[int] = []  # number of the last item, or -1 in a list without numbers
        self._marker: str | None = None  # of the list item whose text is being collected

    def walk(self, root: LexborNode) -> None:
        """Everything below `root`."""
        stack = [(root, _ENTER)]
        while stack:
            node, step = stack.pop()
            if step == _LEAVE:
                self._leave(node.tag or "")
                continue
            if self._enter(node):
                stack.append((node, _LEAVE))
                child = node.last_child
                while child is not None:
                    stack.append((child, _ENTER))
                    child = child.prev
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Whether to go into the node."""
        tag = node.tag or ""
        if tag == "-text":
            self._inline.append(_SPACE.sub(" ", node.text_content or ""))
            return False
        if tag == "br":
            self._inline.append("\n")
        elif tag in _HEADINGS:
            self._flush()
            self.out.heading(node.text(), _HEADINGS[tag])
            return False
        elif tag == "pre":
            self._flush()
            self.out.code(node.text())
            return False
        elif tag == "table":
            self._flush()
            return not self._table(node)
        elif tag in ("ul", "ol", "menu"):
            self._flush()
            self._lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._flush()
            self._marker = self._next_marker()
        elif tag in _BLOCKS:
            self._flush()
        return not tag.startswith(("-", "!"))

    def _leave(self, tag: str) -> None:
        if tag in ("ul", "ol", "menu"):
            self._flush()
            self._lists.pop()
        elif tag == "li":
            self._flush()
            self._marker = None
        elif tag in _BLOCKS:
            self._flush()

    def _next_marker(self) -> str:
        if not self._lists or self._lists[-1] < 0:
            return "- "
        self._lists[-1] += 1
        return f"{self._lists[-1]}. "

    def _flush(self) -> None:
        text = "".join(self._inline).strip()
        self._inline.clear()
        if not text:
            return
        text = re.sub(r" *\n *", "\n", text)
        if self._lists and self._marker is not None:
            self.out.item(text, len(self._lists) - 1, self._marker)
            self._marker = ""  # further paragraphs of the item have no mark of their own
        elif self._lists:
            self.out.item(text, len(self._lists) - 1, "")
        else:
            self.out.paragraph(text)

    def _table(self, table: LexborNode) -> bool:
        """Add a table of data; False for one that only lays out the page."""
        if table.attributes.get("role") == "presentation" or table.css_first("table table"):
            return False
        cells = _cells(table)
        if len({cell.column for cell in cells}) < 2 or len({cell.row for cell in cells}) < 2:
            return False
        caption = table.css_first("caption")
        if caption is not None:
            self.out.paragraph(one_line(caption.text()))
        self.out.table(grid(cells))
        return True


def _cells(table: LexborNode) -> list[Cell]:
    cells: list[Cell] = []
    taken: dict[int, int] = {}  # column -> row at which the span above it ends
    for row, line in enumerate(table.css("tr")):
        column = 0
        for node in line.css("td, th"):
            while taken.get(column, 0) > row:
                column += 1
            rows, columns = (_span(node, name) for name in ("rowspan", "colspan"))
            text = _SPACE.sub(" ", node.text(separator=" ")).strip()
            cells.append(Cell(row, column, rows, columns, text))
            for at in range(column, column + columns):
                taken[at] = row + rows
            column += columns
    return cells


def _span(node: LexborNode, name: str) -> int:
    value = node.attributes.get(name) or ""
    return max(1, min(int(value), 1000)) if value.isdecimal() else 1
