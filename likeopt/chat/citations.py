"""The markers [1], [2] in a model's text, checked while it streams.

What leaves here has markers of one form only, all of them naming a source that the model was
given. A sentence without one gets the marker of the source whose words it repeats, since small
models often forget them; a sentence that repeats none stays without.
"""

import re
from collections.abc import Mapping

from likeopt.retrieval.analyse import Analyser

# A sentence is taken from a passage if the passage has this share of its terms, at least so many.
SUPPORT = 0.6
_LEAST_TERMS = 3

# What is held back because of what may follow it has at most so many characters. Models that have
# lost their way write thousands of line breaks.
_MOST_HELD = 200

_LABEL = r"(?:\^|(?:[Pp]assage|[Ss]ource|구절|문서|출처)s?\s?)?"
_LIST = r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*"
# 【1†source】 is how some hosted models were taught to cite.
_DAGGER = r"(?:†[^\]】]{0,20})?"
_token = re.compile(
    r"(?P<ticks>`+)|(?P<gap>\n\n)"
    rf"|(?P<space>[ ]?)[\[【]{_LABEL}(?P<numbers>{_LIST}){_DAGGER}[\]】]"
)
# The end of a text that the next piece may turn into one of these. Like all patterns here it looks
# at each run of like characters once, for these run while other answers are waiting.
_unfinished = re.compile(
    r"(?:(?<!`)`++|\n{1,2}|[ ]|[ ]?[\[【](?:\^|[A-Za-z가-힣]{0,8}\s?)?(?:\d[\d\s,;–-]{0,24})?"
    rf"{_DAGGER})\Z"
)
_between = re.compile(r"\s*([,;–-])\s*")
_marker = re.compile(r"\[\d+\]")
# Ends of sentences, once it is known what comes next; a marker still belongs to what is before.
_sentence_end = re.compile(
    r"(?:(?<=[.!?。])[\"'”’)*_]*+|(?<!\s)(?=[^\S\n]*+\n))(?P<space>\s++)(?=[^\s\[])"
)
_held = re.compile(r"(?:[.!?。][\"'”’)*_]*+\s*+|(?<!\s)\s++)\Z")
# What is held of a sentence that has come to its end.
_ended = re.compile(r"[.!?。]")


class Markers:
    """Checks the markers of one answer. `texts` are the passages given to the model, by number."""

    def __init__(self, texts: Mapping[int, str], analyser: Analyser) -> None:
        self._analyser = analyser
        self._terms = {number: set(analyser.terms(text)) for number, text in texts.items()}
        self._raw = ""
        self._checked = ""
        self._sentence = ""
        self._code = ""
        # The numbers that the text cites.
        self.used: set[int] = set()

    def feed(self, piece: str) -> str:
        """Add a piece of the model's text; returns what can be shown of it all."""
        self._raw += piece
        cut = _cut(_unfinished, self._raw)
        self._checked += _token.sub(self._check, self._raw[:cut])
        self._raw = self._raw[cut:]
        return self._attribute()

    def end(self, *, broken: bool = False) -> str:
        """The rest, once the model is done; `broken` if it was cut off before its end."""
        self._checked += _token.sub(self._check, self._raw)
        self._raw = ""
        shown = self._attribute()
        rest, self._checked = self._checked.rstrip(), ""
        if broken and not _ended.match(rest):
            # Half a sentence: nobody knows whether the whole would have been the passage's.
            return shown + rest
        return shown + self._close(rest)

    def _check(self, match: re.Match[str]) -> str:
        """One marker in its one form, or nothing; code stays as it is."""
        if ticks := match["ticks"]:
            if not self._code:
                self._code = ticks
            elif self._code == ticks:
                self._code = ""
            return ticks
        if match["gap"]:
            # `code` on one line ends with its paragraph, even if the model forgot to end it.
            self._code = self._code if len(self._code) >= 3 else ""
            return match[0]
        if self._code:
            return match[0]
        known = [number for number in _numbers(match["numbers"]) if number in self._terms]
        self.used |= set(known)
        return (match["space"] + "".join(f"[{number}]" for number in known)) if known else ""

    def _attribute(self) -> str:
        """Move checked text out, sentence by sentence."""
        shown = ""
        while end := _sentence_end.search(self._checked):
            cut = end.start("space")
            shown += self._close(self._checked[:cut]) + end["space"]
            self._checked = self._checked[end.end() :]
        cut = _cut(_held, self._checked)
        self._sentence += self._checked[:cut]
        shown += self._checked[:cut]
        self._checked = self._checked[cut:]
        return shown

    def _close(self, rest: str) -> str:
        """The end of a sentence, with a marker if it has none and one is due."""
        sentence, self._sentence = self._sentence + rest, ""
        if self._code or "`" * 3 in sentence or _marker.search(sentence):
            return rest
        if sentence.lstrip().startswith("|") or sentence.endswith("|"):
            # After the last bar of a table's row a marker is one more cell, and the table none.
            return rest
        terms = set(self._analyser.terms(sentence))
        if len(terms) < _LEAST_TERMS or not self._terms:
            return rest
        shares = {number: len(terms & known) / len(terms) for number, known in self._terms.items()}
        best = max(shares, key=lambda number: (shares[number], -number))
        if shares[best] < SUPPORT:
            return rest
        self.used.add(best)
        return f"{rest} [{best}]"


def _cut(held: re.Pattern[str], text: str) -> int:
    """Where the end of `text` begins that must wait for the next piece."""
    found = held.search(text)
    if found is None or len(text) - found.start() > _MOST_HELD:
        return len(text)
    return found.start()


def _numbers(text: str) -> list[int]:
    """The numbers of "1, 2" and "1-3", each once."""
    found: dict[int, None] = {}
    parts = _between.split(text)
    for place in range(0, len(parts), 2):
        number = int(parts[place])
        if place and parts[place - 1] in "–-":
            before = int(parts[place - 2])
            # [1-3] is a range; [3-900] is none.
            found |= dict.fromkeys(range(before, min(number, before + 10) + 1))
        found[number] = None
    return list(found)
