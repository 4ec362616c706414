"""The text of questions: what is accepted, and which language it is in."""

import re
import unicodedata
from typing import Literal

from likeopt.errors import BadInput, TooLarge
from likeopt.storage.text import is_seen

Language = Literal["ko", "en"]

MAX_QUESTION = 8000

_hangul = re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]").findall
_latin = re.compile("[A-Za-z]").findall
# A Hangul syllable says about as much as 2.5 Latin letters, and Korean questions about software
# are full of English names.
_HANGUL_SHARE = 0.15


def clean_question(text: str) -> str:
    """NFC, without control characters and white space around it.

    Raises BadInput if nothing is left or half a surrogate pair is in it, TooLarge if it is longer
    than MAX_QUESTION characters.
    """
    if len(text) > MAX_QUESTION:
        raise TooLarge(f"A question can have at most {MAX_QUESTION:,} characters.")
    kept = "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    )
    if len(kept) != len(text) and any("\ud800" <= char <= "\udfff" for char in text):
        raise BadInput("The question holds half of a surrogate pair: it is not valid Unicode.")
    question = unicodedata.normalize("NFC", kept).strip()
    if not any(is_seen(char) and unicodedata.category(char)[0] in "LNS" for char in question):
        raise BadInput("Ask a question: there is no word in it.")
    return question


def language_of(question: str) -> Language:
    """The language to answer in: Korean as soon as a fair share of the letters is Hangul."""
    hangul, latin = len(_hangul(question)), len(_latin(question))
    return "ko" if hangul and hangul / (hangul + latin) >= _HANGUL_SHARE else "en"
