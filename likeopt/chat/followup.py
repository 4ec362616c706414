"""Follow-up questions as stand-alone ones, because search sees one question at a time.

"And how much does it cost?" finds nothing; with the subject of the question before, it does. A
question that stands alone is left as it is: adding words to it would pull the old subject in.
"""

import re
from threading import Event, Timer

from likeopt.chat.text import language_of
from likeopt.errors import LikeOptError
from likeopt.llm.types import ChatModel, Completion, Turn
from likeopt.storage.messages import Exchange

# A person waits for this before the search even begins.
REWRITE_SECONDS = 2.0
_REWRITTEN_CHARS = 300
_ANSWER_CHARS = 600

# What a question refers back with.
_refers_en = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers)\b"
    # not "IT"; and demonstratives that point: "this policy", "is that so", not "a file that has"
    r"|\b(?:this|these|those)\b(?!\s+(?:is|are)\s+(?:a|an)\b)"
    r"|(?:^|\b(?:is|was|does|did|do|can|about|like|of|for|with|than|after|before)\s)that\b"
    r"|\b(?:the\s+(?:same|former|latter|other|first|second|last|previous|above)"
    r"|above|aforementioned|you\s+(?:said|say|mentioned|mention))\b"
)
_opens_en = re.compile(
    r"(?:and|but|so|then|or|also|what\s+about|how\s+about|what\s+else|what\s+if|why\s+not|else"
    r"|more|tell\s+me\s+more|go\s+on|continue|explain\s+more|for\s+example|such\s+as)\b",
    re.IGNORECASE,
)
_refers_ko = re.compile(
    r"(?:^|\s)(?:그것|그거|그게|그건|그걸|그곳|그때|그중|그분|그들|그런|그렇게|그만큼|그쪽"
    r"|이것|이거|이게|이건|이걸|이곳|이때|이중|이런|이렇게|저것|저거|저게|저건|저런"
    r"|거기|여기|해당|위의|앞의|앞서|방금|아까|둘|나머지)"
    # 그 회의, 이 정책: alone, so that 이용 or 그림 does not count
    r"|(?:^|\s)[그이저]\s+\S"
)
_opens_ko = re.compile(
    r"(?:그럼|그러면|그렇다면|그래서|그런데|근데|그리고|그래도|하지만|또|또는|더|다른|그\s*외|그\s*밖"
    r"|왜\b|왜요|예를\s*들|계속|자세히|좀\s*더|반대로)"
)

_word = re.compile(r"[^\W_][\w.+#'’/-]*")
# Ends of questions; of verbs only what leaves a stem of two syllables (역할 does not end in 할).
_ending = re.compile(
    r"(?:인가요?|입니까|이에요|예요|이야|야)$"
    r"|(?<=\w\w)(?:(?:하|되)?나요|(?:하|되)?니|한가요?|은가요?|[합됩]니까|습니까|하려면|으려면|려면"
    r"|해야|하는|되는|하기|하면|할|인지|[일할을]까요?)$"
)
# Particles after two syllables or more (휴가 and 마을 end in none), or those that end no noun.
_particle = re.compile(
    r"(?<=\w\w)(?:으로부터|이라는|이란|에서는|에서도|에게서|으로는|에서|에게|한테|까지|부터|처럼|보다"
    r"|으로|이나|라는|란|은|는|이|가|을|를|의|에|로|와|과|도|만)$"
    r"|(?<=\w)[는를]$"
)
# Words that make a question and name nothing.
_EMPTY_WORDS = """
    a an and any are as at be been but by can could did do does doing for from had has have he her
    him his how i if in into is it its me more most much many my no not of on or our please she
    should so some tell than that the their them then there these they this those to us was we were
    what when where which while who whom whose why will with would you your about explain describe
    give show list long often else also example
    무엇 뭐 뭐가 뭘 뭔 어디 어디서 언제 누구 누가 왜 어떻게 어떤 어느 얼마 얼마나 몇 며칠
    있나요 있어 있어요 있습니까 있는 없나요 없어 하나요 되나요 돼요 합니까 됩니까 하는 하려면
    알려줘 알려주세요 설명해줘 설명해주세요 설명 말해줘 해줘 해주세요 대해 대해서 대한 관련
    그 이 저 그것 그거 그게 그건 이것 이거 이게 이건 거기 여기 그럼 그러면 그리고 그런데 근데
    더 자세히 다른 또 좀 것 수 때 경우 방법 예 쓸 할 될 볼
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())


def content_words(text: str) -> list[str]:
    """The words of a question that name something, as written, without Korean particles."""
    found: dict[str, str] = {}
    for word in _word.findall(text):
        bare = word if word.isascii() else _particle.sub("", _ending.sub("", word))
        if bare and word.lower() not in _EMPTY and bare.lower() not in _EMPTY:
            found.setdefault(bare.lower(), bare)
    return list(found.values())


def depends(question: str) -> bool:
    """Whether a question can only be understood with what was said before."""
    if _refers_en.search(_lower_but_it(question)) or _refers_ko.search(question):
        return True
    if _opens_en.match(question) or _opens_ko.match(question):
        return True
    # "얼마예요?" names nothing; "가격은?" and "In euros?" one thing, and ask nothing about it.
    named, words = len(content_words(question)), len(question.split())
    return not named or (named == 1 and words <= (1 if language_of(question) == "ko" else 2))


def extended(question: str, exchanges: list[Exchange]) -> str:
    """A question that depends on `exchanges`, with what it refers to, without a model: the content
    words of the last question, and if that one depended too, those of the last one that did not."""
    last = exchanges[-1]
    if _understood(last):
        about = last.query
    else:
        earlier = [exchange for exchange in exchanges if _understood(exchange)]
        # Before the oldest at hand there was another: what was searched for it has its subject.
        about = f"{last.question} {(earlier or exchanges[:1])[-1].query}"
    said = {word.lower() for word in content_words(question)}
    subject = [word for word in content_words(about) if word.lower() not in said]
    # A long question before has its subject in its first words or its last; 12 hold both.
    return " ".join([question, *subject[:12]])


def _understood(exchange: Exchange) -> bool:
    """Whether what was searched holds no more than the question meant: it stood alone, or a model
    rewrote it."""
    return not depends(exchange.question) or not exchange.query.startswith(exchange.question)


_INSTRUCTIONS = (
    "Rewrite the last question so that it can be understood without the conversation. Keep its"
    " language and its meaning. Reply with the rewritten question only."
)


def request(question: str, exchanges: list[Exchange]) -> Completion:
    """What a model is told to rewrite a question."""
    before = "\n".join(
        f"Q: {exchange.question[:_ANSWER_CHARS]}\nA: {exchange.answer[:_ANSWER_CHARS]}"
        for exchange in exchanges
    )
    turns = [
        Turn("system", _INSTRUCTIONS),
        Turn("user", f"{before}\n\nLast question: {question}"),
    ]
    return Completion(turns, max_tokens=96, stop=["\n"])


def rewritten(question: str, exchanges: list[Exchange], model: ChatModel) -> str:
    """What the model makes of a question that depends on `exchanges`, or "" if it fails, takes
    longer than REWRITE_SECONDS or says no single question."""
    stream = model.stream(request(question, exchanges))
    late = Event()

    def give_up() -> None:
        late.set()
        stream.close()

    timer = Timer(REWRITE_SECONDS, give_up)
    timer.start()
    try:
        text = "".join(stream).strip()
    except LikeOptError:
        # The answer itself will show what is wrong with the model; searching can go on.
        return ""
    finally:
        timer.cancel()
        stream.close()
    if late.is_set() or not text or len(text) > _REWRITTEN_CHARS or "\n" in text:
        return ""
    return text.strip('"“”')


def _lower_but_it(text: str) -> str:
    """Lower case, except IT the trade."""
    return re.sub(r"\bIT\b", "-", text).lower()
