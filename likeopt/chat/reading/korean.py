"""Korean questions, read by particles, endings and the order of words.

Kiwi would know morphemes, and takes 493 MB a process; this takes none, and what it does not
understand only costs a hit. Particles and endings follow the standard grammar of Korean.
"""

import re

from likeopt.chat.reading.hangul import final
from likeopt.chat.reading.numerals import digits
from likeopt.chat.reading.synonyms import KOREAN
from likeopt.chat.reading.types import Notes, Reading, Word, compiled, listed
from likeopt.chat.reading.verbs import verb

_TELL = (
    r"(?:알려|설명해|말해|말씀해|보여|가르쳐|안내해)"
    r"\s*(?:줘요?|주세요|주십시오|줄래요?|주시겠어요)?"
)
# What stands for a word from here on: §may, §must, §not (of the word before), §-not (of the next).
_REWRITES = compiled(
    (
        (r"^\s*(?:안녕하세요|안녕|혹시|저기요|질문이?\s*있(?:어요|습니다))[,.!]?\s*", ""),
        (r"(?:^|\s)(?:혹시|좀|정확히)(?=\s)", " "),
        (r"\s*(?:궁금(?:합니다|해요|해)|알고\s*싶(?:어요|습니다|어))\W*$", " §frame"),
        (r"\s*알\s*수\s*있(?:을까요|나요)\W*$", " §frame"),
        (rf"(?:에\s*대해서?)?\s*(?:목록을?\s*)?(?:좀\s*)?{_TELL}\W*$", " §frame"),
        (r"와이\s?파이|[Ww][Ii]-?[Ff][Ii]", " wifi"),
        (r"(?<=[가-힣])고\s*있(?=[가-힣])", ""),
        (r"(?<=[가-힣]{2})중(?=에|이|인|\s)", " 중"),
        (r"몇\s*일(?=\s|\?|$|동안|전|간|까지|이|을|인)", "며칠"),
        (r"수\s*있[가-힣]*", " §may "),
        (r"수\s*없[가-힣]*", " §may §not "),
        (r"(?<=[가-힣])면\s*안\s*[되돼된될됩][가-힣]*", "면 §not §may "),
        (r"(?<=[가-힣])도\s*(?:[되돼된될됩]|괜찮)[가-힣]*", "도 §may "),
        (r"가능[가-힣]*", " §may "),
        (r"(?<=[야])만?\s*[하해합할한되돼됩][가-힣]*", " §must "),
        (r"필요\s*없[가-힣]*", " §must §not "),
        (r"필요[가-힣]*", " §must "),
        (r"(?<=[가-힣])지\s*(?:않|못하|못해|못할|못한|못합|말)[가-힣]*", "지 §not "),
        (r"(?:^|\s)(?:안|못)(?=\s+[가-힣])(?!\s+에)", " §-not "),
        (r"더\s*이상", " "),
        (r"없이", " §not "),
        (r"(?<![가-힣])없[가-힣]*", " §not "),
        (r"면\s*[되돼됩될][가-힣]*", "나요"),
    )
)  # fmt: skip
_CONDITION = re.compile(r"(?<!려)(?:면|때|경우)(?![가-힣])|(?<!려)면(?=\s)")
_ASKED = compiled(
    (
        (r"어떻게\s*[되돼됩][가-힣]*|무슨\s*일이\s*[가-힣]+", "outcome"),
        (r"(?:어떻게|무엇을|뭘)\s*(?:하|해|합|할)[가-힣]*(?:\s*§must)?", "remedy"),
        (r"어떻게|어떡[가-힣]*|(?<=[가-힣])\s*방법[은이을]?(?:\s*(?:무엇|뭔|뭐)[가-힣]*)?", "how"),
        (r"누구(?:에게|한테)서|누구(?:으?로)?부터", "from whom"),
        (r"누구(?:에게|한테|께)", "to whom"),
        (r"누구(?:와|랑|하고)", "with whom"),
        (r"누구를|누굴", "whom"),
        (r"누구의", "whose"),
        (r"누구[가-힣]*|누가", "who"),
        (r"언제까지|며칠까지", "until"),
        (r"언제부터", "since"),
        (r"몇\s*시에?(?![가-힣])|언제[가-힣]*", "when"),
        (r"어디(?:에?서)?부터", "from where"),
        (r"어디까지|어디로", "to where"),
        (r"어디[가-힣]*", "where"),
        (r"왜|어째서|이유(?:가|를|는)?(?:\s*(?:무엇|뭔|뭐)[가-힣]*)?", "why"),
        (r"며칠", "how many 일 "),
        (r"몇", "how many "),
        (r"얼마나(?=\s*(?:자주|오래|큰|많|빨|높|멀))", "measure "),
        (r"얼마까지", "how much at most"),
        (r"얼마부터", "how much at least"),
        (r"얼마[가-힣]*", "how much"),
        (r"(?:무엇|뭐|뭘)으?로", "by what"),
        (r"(?:무엇|뭐)에", "to what"),
        (r"무엇을|뭘|뭐를|무얼", "what object"),
        (r"무엇[가-힣]*|뭔[가-힣]*|뭐[가-힣]*|뭘|무슨|어떤|어느", "what"),
    )
)  # fmt: skip
_COPULA = re.compile(
    r"(?:누구|언제|어디|얼마|며칠|무엇|뭐|뭔)(?:이|나)?"
    r"(?:인가요?|입니까|이에요|예요|이야|야|인지|이죠|죠|지|[가은는]?\s*[되돼됩][가-힣]*|가요|지)?\W*(?:§frame)?\W*$"
)

_token = re.compile(
    r"§-?[a-z]+|(?<![\w-])-\d+(?:\.\d+)?|\d[\d,]*(?:[.:/]\d+)*|[가-힣]+"
    r"|[A-Za-z]+(?:[A-Za-z0-9]|[-_.+#](?=[A-Za-z0-9]))*(?:\+\+|#)?"
    # other letters, and what may be an operator, a currency or a unit: all but punctuation
    r"|[^\W\d_]+|[^\w\s.,;:?!'\"()\[\]{}…–—‘’“”·「」『』-]"
)
# The longest first.
_PARTICLES = sorted(
    listed(
        "에서부터 으로부터 에서는 에서도 에게서 으로는 에게는 까지는 부터는 에게 한테 에서 까지 "
        "부터 보다 으로 이나 이란 에는 에도 라는 마다 밖에 처럼 은 는 이 가 을 를 의 에 로 와 과 "
        "도 만 나 당"
    ),
    key=lambda particle: (-len(particle), particle),
)
# Nouns that end like one with a particle.
_WHOLE = re.compile(
    r"[가-힣]*(?:[회동정주강문결합논협심건편임고거]의|[한속온용강정농제연년각밀습빈지]도"
    r"|[휴추증국물인]가|[길높깊넓]이|종이|나이|차이|어린이|[결효초학성경통치외내]과|[경진도통]로"
    r"|[미불]만|지은|마을|가을|평가|단가|전문가|하나)"
).fullmatch
_COPULAS = re.compile(
    r"(?:인가요?|입니까|이에요|예요|이야|이죠|일까요|이었나요|였나요|였습니까|이었습니까)$"
)
_ROLES = {"이": "subject", "가": "subject", "은": "topic", "는": "topic", "도": "topic",
          "을": "object", "를": "object", "에": "place", "에서": "place", "에서는": "place",
          "에는": "place", "에도": "place", "에서도": "place"}  # fmt: skip
_BOUND = {"에게": "to", "한테": "to", "에게는": "to", "까지": "until", "까지는": "until",
          "부터": "from", "부터는": "from", "에서부터": "from", "으로부터": "from",
          "에게서": "from",
          "보다": "than", "로": "by", "으로": "by", "으로는": "by", "만": "only",
          "마다": "each", "밖에": "only", "당": "each",
          "이나": "or", "나": "or", "와": "and", "과": "and"}  # fmt: skip
_RELATIONS = {"전": "before", "이전": "before", "후": "after", "뒤": "after", "이후": "after"}
_EMPTY = listed(
    "것 거 수 때 경우 등 및 데 내 제 우리 저희 좀 그리고 하다 되다 있다 싶다 알다 대해 대해서 "
    "가지 위해 대한 꼭 주다 의"
)


def read(question: str) -> Reading:
    """Take a Korean question apart; `question` is NFKC."""
    text = digits(question)
    for pattern, put in _REWRITES:
        text = pattern.sub(put, text)
    copular = bool(_COPULA.search(text))
    condition = bool(_CONDITION.search(text))
    asked: list[str] = []
    past = False
    for pattern, kind in _ASKED:
        found = pattern.search(text)
        if not found:
            continue
        past |= any(final(char) == "ㅆ" and char not in "있겠" for char in found.group())
        name = kind.split(" 일")[0].strip()
        text = pattern.sub(" 일 " if "일" in kind else " ", text)
        if kind in ("outcome", "remedy") and not condition:
            name = "what" if kind == "outcome" else "how"
        asked.append(name)
    framed = "§frame" in text
    text = text.replace("§frame", " ")
    reader = _Reader(text)
    if past:
        reader.marks.add("past")
    if not asked:
        purpose = re.search(r"려면\W*$", text)
        asked = ["how" if purpose else "whether" if reader.asks and not framed else "what"]
        copular = asked == ["what"]
    if len(asked) > 1 and "what" in asked:
        asked.remove("what")
    return reader.asking(frozenset(asked) | ({"value"} if copular else set()))


class _Reader(Notes):
    """Walks over the words of one question."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asks = False
        self._described = ""
        # What the next particle stands behind: 3호선에서 is about 3 and 호선.
        self._chain: list[str] = []
        self._negated = False
        self._exists = False
        self._from: list[str] = []
        tokens = [(match.group(), match.end()) for match in _token.finditer(text)]
        for i, (token, end) in enumerate(tokens):
            glued = i > 0 and tokens[i - 1][1] == end - len(token)
            counted = glued and tokens[i - 1][0][-1].isdecimal()
            self._read(token, glued=glued, counted=counted, last=i == len(tokens) - 1)
        # 서울에서 부산까지: with a destination, 에서 is where it begins.
        if any(kind in ("until", "by") for kind, _ in self.bound):
            self.bound |= {("from", name) for name in self._from}

    def asking(self, asked: frozenset[str]) -> Reading:
        """What was read."""
        if self._exists and asked & {"whether", "why", "how many"}:
            self.marks.add("exists")
        return self.reading("ko", asked)

    def _read(self, token: str, *, glued: bool, counted: bool, last: bool) -> None:
        if token in ("를", "을", "은", "는"):
            self._particle(token)
        elif token.startswith("§"):
            self._mark(token[1:])
            if last and token in ("§may", "§must", "§not"):
                self.asks = True
        elif token[-1].isdecimal() and not token[0].isalpha():
            self.numbers.append((token.replace(",", ""), ""))
            self._described = ""
            self._chain.append(f"#{token.replace(',', '')}")
        elif token.isascii():
            self._word(token.lower().replace("-", ""), "")
        elif glued and token in _PARTICLES:
            self._particle(token)
        else:
            self._hangul(token, counted=counted, last=last)

    def _mark(self, name: str) -> None:
        if name == "-not":
            self._negated = True
        elif name != "not":
            self.marks.add(name)
        elif self.words:
            self.bound.add(("not", self.words[-1].name))
        else:
            self.marks.add("not")

    def _hangul(self, token: str, *, counted: bool, last: bool) -> None:
        """Hangul; `counted`: right behind a digit, where 번 is no form of 벌다."""
        if token.startswith("있"):
            self.asks = last
            self.marks |= {"past"} if token.startswith("있었") else set()
            self._exists = True
            return
        copula = _COPULAS.search(token)
        if copula:
            self.asks = last
            if "였" in copula.group() or "이었" in copula.group():
                self.marks.add("past")
            token = token[: copula.start()]
            if token:
                self._word(token, "")
            return
        token = re.sub(r"(?<=이상|이하|미만|초과)인$", "", token)
        whole = counted or token in _EMPTY or _WHOLE(token)
        found = None if whole else verb(token, last=last)
        if found is None:
            stem, particle = _split(token)
            self._word(stem, particle)
            return
        noun, name, past, _ = found
        self.asks = last
        if past:
            self.marks.add("past")
        if noun:
            self._word(noun, name)
        elif name not in ("하다", "되다"):
            self._word(name, "")
            self._chain.clear()

    def _word(self, word: str, particle: str) -> None:
        """A word with its particle, or with 하다 or 되다 behind it."""
        if word in _EMPTY:
            return
        name = KOREAN.get(word, word)
        if self.numbers and not self.numbers[-1][1]:
            self.numbers[-1] = (self.numbers[-1][0], name)
        if name in _RELATIONS:
            name = _RELATIONS[name]
            if self.words:
                self.bound.add((name, self.words[-1].name))
        self.words.append(Word(word, name))
        if self._negated:
            self.bound.add(("not", name))
            self._negated = False
        if self._described:
            self.order.add((self._described, name))
            self.roles.add((f"<{self._described}", name))
        self._described = name
        self._chain.append(name)
        if particle:
            self._particle(particle)

    def _particle(self, particle: str) -> None:
        if particle == "의":
            return
        for name in self._chain:
            if particle in _BOUND:
                self.bound.add((_BOUND[particle], name))
            elif role := _ROLES.get(particle):
                self.roles.add((role, name))
                if "에서" in particle:
                    self._from.append(name)
        if particle == "되다":
            self.marks.add("passive")
        if particle not in ("하다", "되다"):
            self._described = ""
        self._chain.clear()


def _split(token: str) -> tuple[str, str]:
    """A noun and its particle, "" if it has none."""
    if _WHOLE(token):
        return token, ""
    for particle in _PARTICLES:
        stem = token.removesuffix(particle)
        if stem == token or not stem:
            continue
        closed = bool(final(stem[-1]))
        if particle in ("은", "이", "을", "과", "으로", "이나", "이란") and not closed:
            continue
        if particle in ("는", "가", "를", "와", "나") and closed:
            continue
        if len(stem) < 2 and particle in ("가", "도", "로", "의", "과", "나", "만", "당", "와"):
            continue
        return stem, particle
    return token, ""
