"""Bytes of a text file to text.

Statistical detectors guess wrongly on short texts (charset-normalizer 3.5 reads "연차" in CP949 as
Big5, and half an UTF-8 character as Japanese), and a wrong guess is indexed as rubbish that nobody
notices. So only character sets whose result can be checked are tried, and all else is refused.
"""

import codecs
import re
import unicodedata
from itertools import islice

from likeopt.retrieval.parse.failures import Unreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32"})
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_SAMPLE = 5000  # characters outside ASCII looked at

# The most frequent characters of each language: a fifth or more of any real text, and at most a
# twentieth of one read in the wrong character set.
_KOREAN = frozenset(
    "이다는의가에을하고지한로기은사를도서자시어나정인으리수대해스일아그있보들게안부제니만면장여주과전"
    "구라상공조원비동소적연성와위유문신개경요오세했계것할합습관생무거된된우까되방용학화국중모선진진호"
)
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_KANA = frozenset(map(chr, range(0x3040, 0x3100)))
_SIMPLIFIED = frozenset("的一是不了在人有我他这中大来上国个到说们为和地出也时年得就那要下以生会")
_TRADITIONAL = frozenset("的一是不了在人有我他這中大來上國個到說們為和地出也時年得就那要下以生會")
_WESTERN = re.compile(
    r"(?<=[A-Za-z])[À-ÖØ-öø-ÿŒœŠšŽžŸ]|[À-ÖØ-öø-ÿŒœŠšŽžŸ](?=[A-Za-z])"
    r"|[‘’“”«»–—…•€£§°±·×÷©®™½¼¾²³µ¡¿ªº]"
)


def decode(data: bytes) -> str:
    """The text of `data`: UTF-8, UTF-16 or UTF-32, CP949 (EUC-KR), Shift_JIS, EUC-JP, GB 18030,
    Big5 or Windows-1252. Raises Unreadable (unknown_charset)."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data, encoding)
    if b"\0" in data:
        return _strict(data, _wide(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start
    if not _mostly_utf8(data):
        for encoding in ("cp949", "cp932", "euc_jp", "gb18030", "big5", "cp1252"):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                continue
            if _plausible(text, encoding):
                return text
    raise Unreadable("unknown_charset", f"the byte at position {position:,} is the first wrong one")


def _strict(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        detail = f"it claims {encoding} but is not at byte {error.start:,}"
        raise Unreadable("unknown_charset", detail) from None
    if encoding in _WIDE and not _is_language(text):
        raise Unreadable("unknown_charset", f"it claims {encoding} and holds something else")
    return text


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: ASCII characters show as zeros in every other byte."""
    sample = data[: 2 * _SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(data) % 2 == 0 and max(even, odd) > len(sample) / 20 and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    raise Unreadable("unknown_charset", "it holds binary data")


def _is_language(text: str) -> bool:
    """Whether UTF-16 or UTF-32 makes sense of the bytes: nearly any even number of them is valid.

    Of 65,536 code units 30,000 are ideographs, and 10,000 are nothing that a text holds.
    """
    foreign = [match[0] for match in islice(_FOREIGN.finditer(text), _SAMPLE)]
    odd = sum(unicodedata.category(c) in ("Cn", "Co", "Cc") for c in foreign)
    if odd > len(foreign) / 50:
        return False
    if sum(bool(_HAN.match(c)) for c in foreign) <= len(foreign) / 5:
        return True
    return any(
        sum(c in common for c in foreign) > 0.08 * len(foreign)
        for common in (_KOREAN, _SIMPLIFIED, _TRADITIONAL, _KANA)
    )


def _mostly_utf8(data: bytes) -> bool:
    """Whether it is UTF-8 with damage, as no other text has that many valid sequences."""
    text = data[: 40 * _SAMPLE].decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(1 for _ in islice(_FOREIGN.finditer(text), 8 * _SAMPLE)) - wrong
    return right > wrong


def _plausible(text: str, encoding: str) -> bool:
    foreign = [match[0] for match in islice(_FOREIGN.finditer(text), _SAMPLE)]
    count = len(foreign)
    if encoding == "cp1252":
        return sum(1 for _ in islice(_WESTERN.finditer(text), count)) > 0.8 * count
    if encoding == "cp949":
        hangul = [c for c in foreign if "가" <= c <= "힣"]
        if len(hangul) < 12:  # too short for frequencies
            odd = sum("一" <= c <= "龥" or "ㄱ" <= c <= "ㆎ" for c in foreign)
            return odd == 0 or len(hangul) > 4 * odd
        return sum(c in _KOREAN for c in hangul) > 0.15 * len(hangul)
    if encoding in ("cp932", "euc_jp"):
        return sum(c in _KANA for c in foreign) > 0.25 * count
    common = _SIMPLIFIED if encoding == "gb18030" else _TRADITIONAL
    return sum(c in common for c in foreign) > 0.08 * count
