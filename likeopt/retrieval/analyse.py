"""Text to terms, for search by words: one analyser for indexing and for queries.

By script, because no single rule serves both languages (300 questions each, measured): Hangul as
character bigrams finds 0.87 of Korean answers first (words between spaces 0.72, since particles
stick to nouns), Snowball stems 0.82 of English ones (plain words 0.79).

    Hangul, kana, ideographs, Thai   bigrams of each run; a run of one character as it is
    Latin, Cyrillic                  words without stop words, English or Russian Snowball stems
    digits                           numbers as written: 3.11, 2024; 1,000 is 1000
    identifiers                      max_requests, std::vector, getUserName: whole, and in parts

Everything is folded first: NFKC (full-width and half-width forms), case, accents of Latin letters.
"""

import importlib
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import Stemmer

from likeopt.errors import ConfigError, how_to_install

Span = tuple[str, int, int]

# Raised when terms change: an index that was made with another version is built again.
VERSION = "2"

# Longer terms are keys and encoded data. A SHA-256 in hex has 64 digits.
MAX_TERM = 64

# Runs that are cut into bigrams: Hangul syllables and jamo, kana, ideographs, and the scripts of
# South-East Asia that are written without spaces.
_DENSE = (
    "\u1100-\u11ff\uac00-\ud7a3\ua960-\ua97f\ud7b0-\ud7ff"
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e01-\u0e4e\u0e80-\u0eff\u1000-\u109f\u1780-\u17d3"
)
_bigrams = re.compile(f"(?=([{_DENSE}]{{2}}))").findall
_singles = re.compile(f"(?<![{_DENSE}])[{_DENSE}](?![{_DENSE}])").findall
_is_dense = re.compile(f"[{_DENSE}]").match

# Letters of the other scripts, with digits: in `[^...]`, \W and the rest are taken away.
_LETTER = rf"[^\W\d_{_DENSE}]"
_PIECE = rf"[^\W_{_DENSE}]+(?:['’]{_LETTER}+)*"
_words = re.compile(
    # 1,000 and 3.11, but not the dot of 3.x
    rf"\d+(?:[.,]\d+)+(?![^\W{_DENSE}])"
    # pieces joined as in identifiers, host names and file names; C++, C#
    rf"|{_PIECE}(?:(?:_+|::|\.){_PIECE})*(?:\+\+|\#(?!\w))?"
)
_joints = re.compile(r"_+|::|\.|\+\+$|#$")
_is_plural = re.compile(r"[A-Z]{2,}s\Z").match
# get User Name, HTTP Server, Script 5; but PCs and DNAs are words.
_humps = re.compile(r"[A-Z]{2,}s\b|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+").finditer

# Text that folding leaves as long as it was, so that offsets need no map; the character before
# what is not in it may be part of a composition.
_uneven = re.compile(
    r"[^\n]?[^\x00-\x7f\uac00-\ud7a3\u2010-\u2022\u3041-\u3096\u309d\u309e\u30a1-\u30fe\u4e00-\u9fff]+"
)

# Lucene's default English stop words, and the words that make a sentence a question.
_STOP_WORDS = """
    a an and are as at be but by for if in into is it no not of on or such that the their then
    there these they this to was will with
    am been being can could did do does did had has have he her his how i its me my our she should
    so than them us was we were what when where which who whom whose why would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

# What makes a Korean sentence a question, as stop words do in an English one. Only taken from
# queries: its bigrams are rare in documents, so they would count for more than what is asked.
_ENDINGS = (
    "[인한은는던]가요|인지|이에요|예요|이야|[하되있없]?(?:나요|까요)|[하되있없]는지|[입합됩]니까|습니까"
    "|[하되]죠|[해돼]요|해줘|해주세요"
)
_asking = re.compile(
    rf"(?<![가-힣])(?:{_ENDINGS}"
    r"|(?:무엇|뭐|누구|언제|어디|얼마|며칠|몇)(?:이|을|를|은|는|에|에서|나|부터|까지|로|의|야)?"
    r"|(?:무엇|뭐|누구|언제|어디|얼마|며칠)(?:인가요?|인지|예요|이에요|입니까|이죠|죠)|뭔가요?|뭔지|뭘|뭔"
    r"|무슨|어떤|어떻게|어째서|왜|누가|(?:알려|설명해|말해)(?:줘요?|주세요)?|줘|주세요|대해서?|관해서?"
    r"|해야|하려면|하면|하는|[해돼]|있어요?|있는|없어요?|중(?:이면|인)?|수|것|때|좀|안|못|할|될"
    rf")(?![가-힣])|(?<=[가-힣])(?:{_ENDINGS})(?![가-힣])|(?<=[는할될한])\s*방법[은을이]?(?![가-힣])"
).sub
# Particles and the forms of -하다 and -되다 behind a word of a query. Their bigrams with the word
# before them are in no document that puts another particle there. Of one syllable only after two
# (휴가 and 제한 end in none), or after other letters and digits.
_PARTICLES = "에서|에게|한테|까지|부터|처럼|보다|으로|이나|이란|에서는|에서도|으로는"
_inflected = re.compile(
    rf"(?<=[가-힣][가-힣])(?:[하되](?:면|려면|는|기|고|지|여|어|려고)|[해돼](?:서|야)|[한된할될]|{_PARTICLES}"
    r"|[은는이가을를의에로와과도만])(?![가-힣])"
    rf"|(?<=[A-Za-z\d])(?:{_PARTICLES}|[은는이가을를의에로와과도만])(?![가-힣])"
    r"|(?:(?<![가-힣])[가-힣]|(?<=[가-힣]))으?려면(?![가-힣])"
).sub

# Kiwi's tags that carry meaning: nouns, verbs, adjectives, adverbs, roots, Chinese characters.
_KIWI_TAGS = ("NN", "NR", "NP", "VV", "VA", "MAG", "XR", "SH")


class Analyser:
    """Turns text into terms. Thread-safe.

    `kind` is `script`, or `kiwi` for Korean morphemes in place of bigrams (recall@1 0.90, but
    493 MB a process); ConfigError says how to install it if it is missing.
    """

    def __init__(self, kind: Literal["script", "kiwi"] = "script") -> None:
        self.version = f"{kind}-{VERSION}"
        self._morphemes = _open_kiwi() if kind == "kiwi" else None
        self._english = Stemmer.Stemmer("english", 0)
        self._russian = Stemmer.Stemmer("russian", 0)
        # PyStemmer is not re-entrant. The cache makes the lock rare: a text has 130 words, of
        # which 2 are new once a few hundred passages have been seen.
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}
        # Words that questions ask for, cut up: the same ones again and again.
        self._cut: dict[str, list[Span]] = {}

    def terms(self, text: str) -> list[str]:
        """The terms of a text, with repetitions, in no particular order."""
        if text.isascii():
            return self._word_terms(text)
        text = unicodedata.normalize("NFKC", text)
        if self._morphemes:
            dense = [term for term, _, _ in self._morphemes(text)]
        else:
            dense = _bigrams(text)
            dense += _singles(text)
        return dense + self._word_terms(text)

    def query_terms(self, query: str) -> list[str]:
        """The terms of a question, without those that only make it one."""
        asked = _asking(" ", unicodedata.normalize("NFC", query))
        if not self._morphemes:
            asked = _inflected("", asked)
        return self.terms(asked) or self.terms(query)

    def spans(self, text: str, wanted: AbstractSet[str]) -> list[Span]:
        """Where the `wanted` terms stand in a text: (term, start, end), in no particular order.

        A passage of 800 characters takes 50 µs: only words that have a wanted term are cut up.
        """
        folded, offsets = _fold(text)
        dense = {term for term in wanted if not term.isascii() and _is_dense(term)}
        spans = self._dense_spans(folded, dense)
        if len(dense) < len(wanted):
            spans += self._word_spans(folded, wanted)
        if offsets is None:
            return spans
        return [(term, offsets[start][0], offsets[end - 1][1]) for term, start, end in spans]

    def _word_spans(self, folded: str, wanted: AbstractSet[str]) -> list[Span]:
        spans: list[Span] = []
        known = self._known
        initials = {term[0] for term in wanted}
        for match in _words.finditer(folded):
            word = match.group()
            terms = known.get(word)
            if terms is None:
                # A stem begins as its word does; most new words need not be looked at further.
                if word[0] not in initials and word.islower() and word.isascii() and word.isalpha():
                    continue
                terms = self._learn(word)
            if wanted.isdisjoint(terms):
                continue
            start = match.start()
            pieces = self._cut.get(word)
            if pieces is None:
                if len(self._cut) > 2000:
                    self._cut.clear()
                pieces = self._cut[word] = self._pieces(word)
            for term, first, last in pieces:
                if term in wanted:
                    spans.append((term, start + first, start + last))
        return spans

    def _dense_spans(self, folded: str, wanted: AbstractSet[str]) -> list[Span]:
        if self._morphemes:
            return [span for span in self._morphemes(folded) if span[0] in wanted]
        spans: list[Span] = []
        for term in wanted:
            start = folded.find(term)
            while start >= 0:
                end = start + len(term)
                if len(term) == 2 or not _in_run(folded, start):
                    spans.append((term, start, end))
                start = folded.find(term, start + 1)
        return spans

    def _word_terms(self, text: str) -> list[str]:
        known = self._known
        found: list[str] = []
        for word in _words.findall(text):
            terms = known.get(word)
            found += self._learn(word) if terms is None else terms
        return found

    def _learn(self, word: str) -> tuple[str, ...]:
        terms = tuple(term for term, _, _ in self._pieces(word))
        if len(self._known) > 30_000:  # about 5 MB
            self._known.clear()
        self._known[word] = terms
        return terms

    def _pieces(self, word: str) -> list[Span]:
        """The terms of one match of `_words` with their place in it; [] for a stop word."""
        if not any(map(str.isalpha, word)):
            return [(word.replace(",", "")[:MAX_TERM], 0, len(word))]
        joints = [match.span() for match in _joints.finditer(word)]
        if not joints:
            return list(self._humps(word, 0))
        pieces = [(_fold_case(word)[:MAX_TERM], 0, len(word))]
        ends = [start for start, _ in joints] + [len(word)]
        starts = [0] + [end for _, end in joints]
        for start, end in zip(starts, ends, strict=True):
            # One letter of U.S. or C++ says nothing.
            if end - start > 1 or word[start:end].isdecimal():
                pieces += self._humps(word[start:end], start)
        return pieces

    def _humps(self, piece: str, at: int) -> Iterator[Span]:
        term = self._stem(piece)
        if term:
            yield term, at, at + len(piece)
        if piece.islower() or piece.isupper() or piece[1:].islower():
            return
        humps = [match for match in _humps(piece) if len(match.group()) > 1]
        if len(humps) > 1:
            for match in humps:
                if part := self._stem(match.group()):
                    yield part, at + match.start(), at + match.end()

    def _stem(self, word: str) -> str:
        """The stem of a word, or "" for a stop word."""
        # The stemmer leaves a plural without a vowel as it is: PDFs, DVDs.
        folded = _fold_case(word[:-1] if _is_plural(word) else word)
        if folded in STOP_WORDS:
            return ""
        stemmer = self._russian if "\u0400" <= folded[0] <= "\u052f" else self._english
        with self._lock:
            stem: str = stemmer.stemWord(folded)
        return stem[:MAX_TERM]


def _in_run(text: str, at: int) -> bool:
    """Whether a dense character has another one beside it."""
    return bool((at and _is_dense(text[at - 1])) or _is_dense(text[at + 1 : at + 2]))


def _fold_case(word: str) -> str:
    word = word.casefold().replace("’", "'")
    if word.isascii() or not "\u00aa" <= max(word) <= "\u036f":
        return word
    # Accents of Latin letters: people leave them out when they search.
    letters = unicodedata.normalize("NFD", word)
    return "".join(c for c in letters if not unicodedata.combining(c))


def _fold(text: str) -> tuple[str, list[tuple[int, int]] | None]:
    """NFKC of `text`; per character of it, which characters of `text` it stands for.

    The map is None where every character stands for itself.
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text, None
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    position = 0
    for match in _uneven.finditer(text):
        start, end = match.span()
        parts.append(text[position:start])
        offsets += [(i, i + 1) for i in range(position, start)]
        for first, last in _clusters(text, start, end):
            folded = unicodedata.normalize("NFKC", text[first:last])
            parts.append(folded)
            offsets += [(first, last)] * len(folded)
        position = end
    parts.append(text[position:])
    offsets += [(i, i + 1) for i in range(position, len(text))]
    return "".join(parts), offsets


def _clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts where NFKC cannot join what is before with what is after: marks go with what precedes
    them, and so do jamo, which compose to syllables even when they are loose."""
    first = start
    for i in range(start + 1, end):
        joins = unicodedata.combining(text[i]) or _joins(text[i - 1 : i + 1])
        if not joins:
            yield first, i
            first = i
    yield first, end


# Jamo (conjoining, loose, half-width) after jamo or a syllable; half-width voice marks of kana.
_joins = re.compile(
    "[\u1100-\u11ff\u3131-\u318e\uffa0-\uffdc\uac00-\ud7a3][\u1100-\u11ff\u3131-\u318e\uffa0-\uffdc]"
    "|.[\uff9e\uff9f]",
    re.DOTALL,
).match


def _open_kiwi() -> Callable[[str], Iterator[Span]]:
    try:
        module: Any = importlib.import_module("kiwipiepy")
    except ImportError:
        raise ConfigError(
            f"LIKEOPT_ANALYSER=kiwi needs the extra `kiwi`. {how_to_install('kiwi')}"
        ) from None
    kiwi = module.Kiwi(num_workers=1)

    def morphemes(text: str) -> Iterator[Span]:
        for token in kiwi.tokenize(text):
            if token.tag.startswith(_KIWI_TAGS) or (len(token.form) > 1 and token.tag == "UN"):
                yield token.form, token.start, token.start + token.len

    return morphemes
