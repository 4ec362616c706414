"""English questions, read by word lists and the order of words.

No parser: those that read English well weigh 12 MB and more a language, and what is not understood
here only costs a hit. Words are compared without inflection but not as Snowball stems, which make
one of employer and employment, and of operator and operation.
"""

import re
from typing import NamedTuple

from likeopt.chat.reading.synonyms import ENGLISH
from likeopt.chat.reading.types import Notes, Reading, Word, compiled, listed

# Phrases as one word, and frames around a question, taken away before anything else.
_PHRASES = compiled(
    (
        (r"['’]s\b(?=\s+(?:the|a|an|my|our|in|on)\b)", " is"),
        (r"\bi(?: would|['’]d)? (?:want|like|need) to know\b", " tell me "),
        (r"\bcannot\b|\bcan['’]t\b", "can not"),
        (r"\bwon['’]t\b", "will not"),
        (r"n['’]t\b", " not"),
        (r"['’](?:ve|re|d|ll|m)\b|['’]s?(?!\w)", " "),
        (r"\b(?:hello|hi there|hi|hey|thanks|thank you|please|actually|exactly)\b", " "),
        (r"\bi was wondering\b|\bdo you know\b", " "),
        (r"\b(?:can|could|would|will) you +(?=tell|show|give|list|explain|describe)", " "),
        (r"\bis it possible (?:for (?:me|us) )?to\b|\b(?:am i|are we) able to\b", "can i"),
        (r"\b(?:am i|are we) allowed to\b", "can i"),
        (r"\b(?:do|does) (\w+(?: \w+)?) (?:have|need) to\b", r"must \1"),
        (r"\b(?:log|sign)(?:ging|ning)?[ -]?(?:in|on)\b", "login"),
        (r"\b(?:turn|switch)(?:ing)? on\b", "enable"),
        (r"\b(?:turn|switch)(?:ing)? off\b", "disable"),
        (r"\bset(?:ting)? up\b", "setup"),
        (r"\bback(?:s|ed|ing)?[ -]up(s?)\b|\bbackup(s?)\b", "backup"),
        (r"\b(?:hand|turn) in\b", "submit"),
        (r"\bpick up\b", "pickup"),
        (r"\bin charge of\b|\bresponsible for\b", "responsible for"),
        (r"\bno longer\b", "not still"),
        (r"\b(?:receive|obtain)(?:s|d|ed)?\b", "get"),
        (r"\bhow (?:large|big) (?:may|can)\b", "what is maximum size"),
        (r"\bat most\b", "maximum"),
        (r"\bat least\b", "minimum"),
        (r"\bwi-?fi\b", "wifi"),
        (r"\be-mail\b", "email"),
        (r"\b(?:the|any) (?:way|ways) (?:to|of)\b|\bhow to\b", "how i"),
        (r"\bwhat is how i\b", "how i"),
        (r"\bthe number of\b", "how many"),
        (r"\bwhat is how many\b", "how many"),
        (r"\b(?:what|which) time\b", "when"),
        (r"\bby when\b|\bwhat is the (?:deadline|due date) (?:for|of)\b", "when deadline"),
        (r"\bfor how long\b", "how long"),
        (r"\bwhat (?:happens|will happen)\b|\bwhat are the consequences of\b", "outcome"),
        (r"\bwhat (?:(?:should|must|can|do) (?:i|we) do|to do) (?=if|when|in case)", "remedy "),
    )
)  # fmt: skip
_FRAME = re.compile(
    r"[\s,!.]*(?:tell(?: me| us)?|show(?: me)?|give me|list|explain|describe)\b(?: about\b)?"
)

_token = re.compile(
    r"(?<![\w-])-\d+(?:\.\d+)?|\d+(?:[.,:/]\d+)*|[a-z]+(?:[a-z0-9]|[-_.+#/](?=[a-z0-9]))*(?:\+\+|#)?|,|[^\W\d_]+"
    # what may be an operator, a currency or a unit: all but punctuation
    r"|[^\w\s.,;:?!'\"()\[\]{}…–—‘’“”-]"
)
_MAY = listed("can could may might")
_MUST = listed("must should shall")
_BE = listed("is are was were be been being am get gets got")
_HELPERS = _BE | _MAY | _MUST | listed("do does did has have had will would")
_PAST = listed("was were did had")
_SOFT = listed("in at on of for about during while onto upon")
# "Limits on uploads" are "upload limits"; the other soft ones say where or when.
_LOOSE = listed("of for on about")
_ALIKE = {"at": "in", "while": "during", "onto": "on", "upon": "on"}
_HARD = listed(
    "from to into by with without before after until till since than over under above below "
    "except including excluding through via against between within per as like behind beside "
    "inside outside across along"
)
_EMPTY = listed(
    "a an the i we my our mine please it's there here any really and that which who whose if case "
    "then be been being am is are was were do does did has have had will would can could may might "
    "must should shall get gets got"
)
_ARTICLES = listed("a an the my our")
_CONDITIONS = listed("if when while")
_WH = {"who": "who", "whom": "who", "whose": "who", "when": "when", "where": "where", "why": "why",
       "what": "what", "which": "what", "outcome": "outcome", "remedy": "remedy"}  # fmt: skip
_AMOUNTS = {"many": "how many", "much": "how much", "long": "how long", "often": "how often"}
# "How large" asks for a measure, whose name stays among the words.
_MEASURES = listed("large big old far fast quickly high tall deep heavy soon wide")
_NEGATIONS = listed("not no never none nothing nobody neither nor")
_COUNTED = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
"""
_NUMBERS = {word: str(i) for i, word in enumerate(_COUNTED.split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "hundred": "100",
    "thousand": "1000",
}
_IRREGULAR_FORMS = """
    paid:pay sent:send kept:keep took:take taken:take got:get gotten:get bought:buy made:make
    held:hold lost:lose found:find left:leave gave:give given:give went:go gone:go saw:see
    seen:see wrote:write written:write read:read met:meet told:tell said:say built:build
    began:begin begun:begin broke:break broken:break chose:choose chosen:choose fell:fall
    fallen:fall rose:rise risen:rise ran:run sold:sell stolen:steal stole:steal drove:drive
    driven:drive children:child people:person men:man women:woman feet:foot lives:life
    knives:knife leaves:leave taxes:tax
"""
_IRREGULAR = dict(pair.split(":") for pair in _IRREGULAR_FORMS.split())
_REGULAR_PAST = re.compile(r"[a-z]{2,}ed\Z").match
_SPELLING = compiled(
    (
        (r"(?<=[a-z]{2})is(?=e[ds]?\Z|ing\Z|ation)", "iz"),
        (r"(?<=[lnb])our(?=s?\Z|ed\Z|ing\Z|ful)", "or"),
        (r"(?<=[an])tre(?=s?\Z)|(?<=li)tre(?=s?\Z)", "ter"),
        (r"licence", "license"),
        (r"programme", "program"),
        (r"(?<=avel)l(?=er|ing|ed)", ""),
        (r"(?<=ancel)l(?=ing|ed)", ""),
    )
)


class _Token(NamedTuple):
    text: str
    lemma: str


_BREAK = _Token(",", ",")


def read(question: str) -> Reading:
    """Take an English question apart; `question` is NFKC."""
    text = _acronyms(question)
    for pattern, put in _PHRASES:
        text = pattern.sub(put, text)
    framed = _FRAME.match(text)
    if framed:
        text = text[framed.end() :]
    tokens = [_Token(token, lemma(token)) for token in _token.findall(text)]
    asked, tokens = _asked(tokens, framed=bool(framed))
    return _Reader(asked, tokens).read()


_lettered = re.compile(r"(?<=\w )[b-h](?=\W|$)").search


def _acronyms(question: str) -> str:
    """Lower case; IT, US and WHO, which are no pronouns, marked unless all is in capitals."""
    if not question.isupper():
        question = re.sub(r"\b(?:IT|US|WHO|IS|AM)\b", lambda m: f"{m.group()}inc", question)
    # "Plan A" has no article at its end, and "plan a or plan b" has one in neither.
    text = re.sub(r"(?<=[\w,] )A(?=\W|$)", "ainc", question).lower()
    return re.sub(r"(?<= )a(?=\W|$)", "ainc", text) if _lettered(text) else text


def lemma(word: str) -> str:
    """A word without inflection, in American spelling, hyphens left out."""
    if not word[0].isalpha() or not word.isascii():
        return word
    if irregular := _IRREGULAR.get(word):
        return irregular
    if re.search(r"[\d_.#+/]", word):
        return word
    word = word.replace("-", "")
    for pattern, put in _SPELLING:
        word = pattern.sub(put, word)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "ches", "shes", "xes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2 and re.search(r"[aeiouy]", stem):
            if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
                stem = stem[:-1]
            word = stem[:-1] + "y" if ending == "ed" and stem.endswith("i") else stem
    # store, stored and storing: the e that endings take away.
    return word[:-1] if len(word) > 4 and word.endswith("e") and word[-2] != "e" else word


def _asked(tokens: list[_Token], *, framed: bool) -> tuple[frozenset[str], list[_Token]]:
    """What a question asks for, and its tokens without the words that say so."""
    found: list[str] = []
    kept: list[_Token] = []
    clauses = [0, *(i + 1 for i, token in enumerate(tokens) if token.text == ",")]
    helped = any(i < len(tokens) and tokens[i].text in _HELPERS for i in clauses)
    i = 0
    while i < len(tokens):
        text = tokens[i].text
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if text == "how":
            found.append(_AMOUNTS.get(after, "measure" if after in _MEASURES else "how"))
            kept.append(_BREAK)
            i += 2 if after in _AMOUNTS else 1
            continue
        if text in _WH and not (text == "when" and _conjunction(tokens, i, helped=helped)):
            # "Ports that", "people who": relative after a noun, unless it is the first.
            if not (found and text in ("who", "which", "that")):
                found.append(_WH[text])
            kept.append(_BREAK)
        elif text not in _CONDITIONS:
            kept.append(tokens[i])
        i += 1
    if not found:
        found = ["what" if framed or not helped else "whether"]
    return frozenset(found), kept


def _conjunction(tokens: list[_Token], at: int, *, helped: bool) -> bool:
    """Whether this "when" is a condition rather than the question."""
    others = [t.text for i, t in enumerate(tokens) if i != at and t.text in (*_WH, "how")]
    return bool(others) or (helped and at > 0 and tokens[at - 1].text != ",")


class _Reader(Notes):
    """Walks over the tokens of one question."""

    def __init__(self, asked: frozenset[str], tokens: list[_Token]) -> None:
        self.asked = asked
        self.tokens = tokens
        super().__init__()
        self.core: list[tuple[str, bool]] = []
        # The word just read, and the preposition of the noun phrase that goes on.
        self._beside = ""
        self._phrase = ""
        self._preposition = ""
        self._negated = False
        self._counting = False
        # Whether a form of "be" came before: "is sent".
        self._passive = False

    def read(self) -> Reading:
        """Read it."""
        for i, (text, lemma_) in enumerate(self.tokens):
            phrase, self._phrase = self._phrase, ""
            beside, self._beside = self._beside, ""
            if text == ",":
                self._end_phrase("")
            elif text in _NEGATIONS:
                self._negated = True
            elif text in _SOFT or (text in _HARD and not self._infinitive(i)):
                self._end_phrase(text)
            elif number := _number(text):
                self._count(number)
            elif text in _EMPTY or text in ("to", "that"):
                self._mark(text, i)
            else:
                self._content(text, lemma_, i, beside, phrase)
        self._end_phrase("")
        if self._negated:
            self.marks.add("not")
        self._order()
        return self.reading("en", self.asked)

    def _count(self, number: str) -> None:
        self.numbers.append((number, ""))
        self._counting = True
        # "For 5 days" and "in 5 days" are two things, whatever comes between.
        if self._preposition and self._preposition != "of":
            self.bound.add((self._preposition, number))

    def _content(self, text: str, lemma_: str, at: int, beside: str, phrase: str) -> None:
        name = self._word(text, lemma_, at)
        if self._counting:
            self.numbers[-1] = (self.numbers[-1][0], name)
            self._counting = False
        if self._negated:
            self.bound.add(("not", name))
            self._negated = False
        if name not in ("allow", "need"):
            if beside:
                self.roles.add((f"<{beside}", name))
            self._beside = name
        # "The supported formats" are formats that are supported.
        adjective = at > 0 and self.tokens[at - 1].text in _ARTICLES
        participle = (self._passive or adjective) and bool(
            _REGULAR_PAST(text) or text in _IRREGULAR
        )
        self._place(name, self._preposition or phrase, participle=participle)
        self._preposition = ""

    def _infinitive(self, at: int) -> bool:
        """Whether "to" stands before a verb: after need, how, or at the beginning."""
        if self.tokens[at].text != "to":
            return False
        before = self.tokens[at - 1].text if at else ""
        return before in ("", "need", "have", "has", "had", "want", "able", "allowed", "required",
                          "possible", "like", "how", "i")  # fmt: skip

    def _end_phrase(self, preposition: str) -> None:
        """Another begins, with `preposition` or none. One without a word behind it belongs to
        what is before: "rely on"."""
        if self._preposition:
            before = self.words[-1].name if self.words else ""
            self.bound.add((f"{self._preposition}<", before))
        self._preposition = preposition

    def _mark(self, text: str, at: int) -> None:
        """Tense, modality and voice."""
        self._passive |= text in _BE
        if text in _PAST:
            self.marks.add("past")
        elif text in _MAY:
            self.marks.add("may")
        elif text in _MUST:
            self.marks.add("must" if text != "should" else "should")
        elif text in ("has", "have"):
            after = [token.text for token in self.tokens[at + 1 :]]
            if any(_REGULAR_PAST(one) or one in _IRREGULAR or one == "been" for one in after):
                self.marks.add("past")

    def _word(self, text: str, lemma_: str, at: int) -> str:
        """Keep a word that carries meaning; its name."""
        before = self.tokens[at - 1].text if at else ""
        finite = _REGULAR_PAST(text) or text in _IRREGULAR
        if (
            finite
            and not self._passive
            and lemma_ not in ("person", "child", "tax", "leave", "read")
        ):
            helped = any(token.text in _HELPERS for token in self.tokens[:at])
            if not helped and before not in _ARTICLES | _SOFT | _HARD:
                self.marks.add("past")
        if text in ("allow", "allows", "allowed", "permitted", "possible"):
            self.marks.add("may")
            return "allow"
        if text in ("need", "needs", "needed", "required", "require", "necessary", "requires"):
            self.marks.add("must")
            return "need"
        name = ENGLISH.get(text) or ENGLISH.get(lemma_) or lemma_
        self.words.append(Word(lemma_, lemma(name)))
        return self.words[-1].name

    def _place(self, name: str, preposition: str, *, participle: bool) -> None:
        if preposition in _HARD:
            # All of the phrase: "than plan B" is not "than plan A".
            self._phrase = preposition
            self.bound.add((preposition, name))
        elif preposition == "...":
            self._phrase = preposition
            return
        elif preposition:
            self._phrase = "..."
            if preposition in _LOOSE:
                self.roles.add(("about", name))
            else:
                self.bound.add((_ALIKE.get(preposition, preposition), name))
            if self.core:
                self.order.add((name, self.core[-1][0]))
        if name in ("allow", "need"):
            return
        if not preposition:
            if participle:
                self.marks.add("passive")
            self.core.append((name, participle))

    def _order(self) -> None:
        """Pairs of what is no object of a preposition; "the file is deleted" is "delete file"."""
        for i, (first, _) in enumerate(self.core):
            for second, participle in self.core[i + 1 :]:
                self.order.add((second, first) if participle else (first, second))


def _number(text: str) -> str:
    if text[-1].isdecimal() and not text[0].isalpha():
        return text.replace(",", "")
    return _NUMBERS.get(text, "")
