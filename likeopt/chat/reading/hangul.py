"""Hangul syllables as letters, so that endings can be taken off where a syllable holds both."""

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
# 바꿔 is 바꾸 + 어, 봐 is 보 + 아, 켜 is 키 + 어; what is spoken together is written apart here.
_APART = str.maketrans({"ㅘ": "ㅗㅏ", "ㅝ": "ㅜㅓ", "ㅕ": "ㅣㅓ", "ㅙ": "ㅗㅐ", "ㅞ": "ㅜㅔ"})


def letters(text: str) -> str:
    """The letters of Hangul text; a final ㅇ is N. Other text as it is.

    Silent ㅇ is left out, or a dot behind a final consonant: 불은 is ㅂㅜㄹ.ㅡㄴ, and 부른
    ㅂㅜㄹㅡㄴ.
    """
    found: list[str] = []
    closed = False
    for char in text:
        if not "가" <= char <= "힣":
            found.append(char)
            continue
        code = ord(char) - 0xAC00
        initial, vowel, final = code // 588, code % 588 // 28, code % 28
        if _INITIALS[initial] != "ㅇ":
            found.append(_INITIALS[initial])
        elif found and closed:
            found.append(".")
        found.append(_VOWELS[vowel].translate(_APART))
        if final:
            found.append("N" if _FINALS[final] == "ㅇ" else _FINALS[final])
        closed = bool(final)
    return "".join(found)


def final(char: str) -> str:
    """The final consonant of a syllable, "" if it has none or is no syllable."""
    if not "가" <= char <= "힣":
        return ""
    return _FINALS[(ord(char) - 0xAC00) % 28].strip()
