"""What an answer depends on, as a key: equal keys, and the same answer is right for both.

Not the version of the library, but the very passages that the model is given: while documents are
added, an answer whose passages stay the same stays right, and one whose passages changed gets
another key. Nothing that a reader sees of an answer is left out: names and pages are in it too.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection

import msgspec

from likeopt.chat import prompt
from likeopt.chat.text import Language
from likeopt.storage.messages import Citation

# Raise it with every change of what an answer is made of, or of how it is written down; not of what
# the model is told, which is in the key itself.
FORMAT = 2

_spaces = re.compile(r"\s+")
_end = re.compile(r"[\s?!.,;:。．、！？…~]+$")
_quotes = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'"})
# Words that mean another thing in capitals, and units in others (mW, MW; Mb, MB); a Korean particle
# may follow them, and a number stand before.
_names = re.compile(
    r"(?<![A-Za-z])(?:IT|US|WHO|AIDS|CAN|MAY|UN|[a-z][A-Z][a-z]?|[KMGT]b)(?![A-Za-z])"
)


def normal(question: str) -> str:
    """A question without what makes no difference to its answer: case, white space, the form of
    Unicode and of quotes, and the punctuation at its end.

    Punctuation inside stays, since C++ is not C, and 3.5 is not 35.
    """
    text = unicodedata.normalize("NFC", question).translate(_quotes)
    text = _end.sub("", _spaces.sub(" ", text).strip())
    if text != text.upper():
        text = _names.sub(lambda match: f"\0{match[0]}", text)
    return text.casefold()


def answer_key(  # noqa: PLR0913  (all that an answer depends on)
    built: prompt.Prompt,
    citations: list[Citation],
    *,
    model: str,
    query: str,
    language: Language,
    max_tokens: int,
    temperature: float,
    scope: Collection[str],
) -> str:
    """The key of the answer that the `model` of this identity gives to the prompt: 32 hexadecimal
    digits.

    `query` is what was searched: readers are told, and it may hold words of a conversation that
    reaches further back than the prompt. `citations` are all sources as they are shown; `scope` the
    ids of the collections that its reader may read.
    """
    parts = [
        FORMAT,
        prompt.fixed(language),
        model,
        language,
        max_tokens,
        temperature,
        sorted(scope),
        [(turn.role, turn.content) for turn in built.history],
        built.passages,
        normal(built.asked),
        normal(query),
        citations,
    ]
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).hexdigest()
