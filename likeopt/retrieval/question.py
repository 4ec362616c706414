"""What a question is about: its words without those that only make it a question.

"연차는 며칠인가요?" is about 연차. Its other bigrams (차는, 며칠, 칠인, 인가, 가요) stand in no
document that answers it and, being rare, would weigh the most; and so would "how" and "explain".
"""

import re

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
    더 자세히 다른 또 좀 것 수 때 경우 방법 예
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
