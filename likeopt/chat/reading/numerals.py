"""Korean numerals as digits: 세 번, 삼십 일, 10만 원, 1억 2천만."""

import re
from decimal import Decimal

_COUNTERS = """
    번 명 시 시간 개 달 살 잔 장 권 대 마리 사람 주 차례 분 배 쪽 해 병 알 정 회 건 곳 단계
    일 월 년 초 개월 원 조 항 호 층 퍼센트 가지
"""
_counter = "|".join(sorted(_COUNTERS.split(), key=len, reverse=True))
_ONES = "하나:1 한:1 두:2 세:3 네:4 다섯:5 여섯:6 일곱:7 여덟:8 아홉:9 열:10 스무:20"
_DECADES = "열:10 스물:20 서른:30 마흔:40 쉰:50 예순:60 일흔:70 여든:80 아흔:90"
_NATIVE = {
    word: int(value)
    for pair in f"{_ONES} {_DECADES}".split()
    for word, _, value in (pair.partition(":"),)
}
_DIGITS = {digit: value for value, digit in enumerate("일이삼사오육칠팔구", 1)}
_TENS = {"십": 10, "백": 100, "천": 1000}
_MYRIADS = {"만": 10**4, "억": 10**8, "조": 10**12}

# Only before what they count: 세 is "three" in 세 번, and a tax elsewhere.
_native = re.compile(
    r"(?<![가-힣])(열|스물|서른|마흔|쉰|예순|일흔|여든|아흔)?"
    r"(한|두|세|네|다섯|여섯|일곱|여덟|아홉|열|스무)?"
    rf"(?=\s*(?:{_counter})(?:[은는이가을를의에만도까부]|\s|$|\?))"
)
# With 십 or more: 이월 is carrying over, 사 a company.
_sino = re.compile(
    r"(?<![가-힣\d.])((?:[일이삼사오육칠팔구]?[십백천만억])+[일이삼사오육칠팔구]?)"
    rf"(?=\s*(?:{_counter})(?:[인입이까부미초]|(?![가-힣]{{2}})))"
)
_mixed = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?([십백천]?)([만억])?(?=\s?(?:\d|[가-힣]|$))")
_one = re.compile(r"(?<![가-힣])하나(?=[의에은는로]?(?:\s|$|\?))")
_ordinal = re.compile(r"제(?=\d)")


def digits(text: str) -> str:
    """Numbers in words as digits, and those with 만 and 억 written out."""
    text = _native.sub(_of_native, text)
    text = _ordinal.sub("", _one.sub("1", text))
    return _mixed.sub(_of_mixed, _sino.sub(lambda match: str(_value(match[1])), text))


def _of_native(match: re.Match[str]) -> str:
    tens, ones = match.groups()
    return str(_NATIVE.get(tens, 0) + _NATIVE.get(ones, 0)) if tens or ones else ""


def _of_mixed(match: re.Match[str]) -> str:
    number, tens, myriads = match.groups()
    if not tens and not myriads:
        return match[0]
    value = Decimal(number.replace(",", ""))
    return f"{value * _TENS.get(tens, 1) * _MYRIADS.get(myriads, 1):f}"


def _value(text: str) -> int:
    total = part = digit = 0
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _TENS:
            part += (digit or 1) * _TENS[char]
            digit = 0
        else:
            total += (part + digit or 1) * _MYRIADS[char]
            part = digit = 0
    return total + part + digit
