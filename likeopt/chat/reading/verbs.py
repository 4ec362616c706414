"""Korean verbs and adjectives of everyday questions, known by all their stems.

Without a lexicon 창고 would be a form of 창, and 가지 one of 가다. Those made of a noun and 하다
or 되다 need none. Endings are those of the standard grammar of Korean, as far as questions use
them.
"""

import re
from functools import lru_cache

from likeopt.chat.reading.hangul import letters

_VERBS = """
    바꾸 쓰 내 받 보내 열 닫 가 오 먹 마시 읽 듣 보 사 팔 타 내리 오르 늘 줄 남 걸리 들 끝나 지우
    없애 켜 끄 올리 내려받 내보내 고치 만들 옮기 잇 붙이 떼 넣 빼 꺼내 찾 맡 맡기 알리 묻 답하 막
    뜨 나 나오 들어오 들어가 떠나 머물 자 입 벗 신 앉 서 걷 뛰 돌 돌리 누르 잠그 잠기 풀 풀리 틀리
    맞 잃 잃어버리 잊 잊어버리 놓치 늦 이르 빠르 느리 크 작 싸 비싸 길 짧 높 낮 많 적 좋 나쁘 같
    다르 새롭 시끄럽 무겁 가볍 뜨겁 차갑 덥 춥 가깝 멀 넓 좁 두껍 얇 차 비 채우 비우 나누 모으
    합치 더하 뽑 고르 정하 지키 어기 갚 빌리 빌려주 주 얻 벌 부르 떨어지 태우 데려가 가져가 가져오
    가지 생기 일어나 멈추 미루 당기 쉬 마치 치우 씻 닦 말리 데우 식히 자르 붓 섞 담 싣 살 죽 다치
    아프 낫 돕 배우 가르치 이기 지나 넘 모자라 남기 줄이 늘리 미치 따르 물리 떼이 돌려받 돌려주
    드나들 이루 겪 끊 끊기 이어지 늘어나 줄어들 비추 보이 들리 열리 닫히 막히 쌓 쌓이 싶 모르 알
    깨지 부러지 새 흐르 얼 녹 타오르 꽂 뽑히 걸 끼 두 키우
"""
_ENDINGS = """
    나요 나 냐 니 는 는지 는지요 는데 는데요 는가 는가요 은 은가요 은지 을 을까 을까요 을지 습니까
    습니다 면 으면 려면 으려면 려고 으려고 으러 러 고 지 죠 지요 지만 기 게 도록 어 아 어요 아요
    어도 아도 어서 아서 어야 아야 음 던 며 으며 거나 다 요 도 서 야 세요 으세요 여 여요 여야 여도
    여서 기로
"""
_JOINED = ["ㄴ", "ㄹ", "ㅁ", "ㄴㄱㅏㅛ", "ㄴㄱㅏ", "ㄴㅈㅣ", "ㄹㄲㅏㅛ", "ㄹㄲㅏ", "ㄹㅈㅣ",
           "ㅂㄴㅣㄲㅏ", "ㅂㄴㅣㄷㅏ"]  # fmt: skip
# Endings that no noun has.
_STRONG = frozenset(
    map(letters, ["나요", "는지", "습니까", "으면", "려면", "으려면", "을까요", "어야", "아야",
                  "어요", "아요", "어도", "아도", "는가요", "은가요"])
) | {"ㄴㄱㅏㅛ", "ㄹㄲㅏㅛ", "ㅂㄴㅣㄲㅏ"}  # fmt: skip

_tense = "(?:(?:ㅏ|ㅓ)?ㅆ(?:ㅓㅆ)?|ㅡ?ㅅㅣ|ㄱㅔㅆ)?"
_all = sorted([*map(letters, _ENDINGS.split()), *_JOINED], key=len, reverse=True)
_ending = re.compile(f"(?P<tense>\\.?{_tense})\\.?(?P<ending>{'|'.join(_all)})").fullmatch
_hada = re.compile(r"(?P<verb>ㅎㅏ|ㅎㅐ|ㄷㅚ|ㄷㅗㅐ)(?P<rest>.*)").fullmatch
# Nouns that look like a form of 하다 or 되다, or of another verb.
_nouns = re.compile(
    r"[가-힣]*(?:[기권제상하시무]한|역할|분할|[피손오방침재이]해|[이지영]하)"
    r"|[불길말물날달글발팔손문신잠몸]"
).fullmatch


def _stems() -> dict[str, str]:
    """Letters of every stem that a verb has before some ending, to the verb."""
    found: dict[str, str] = {}
    for verb in _VERBS.split():
        stem = letters(verb)
        forms = [stem]
        if stem.endswith("ㄹ"):
            forms.append(stem[:-1])
        if stem.endswith("ㄹㅡ"):
            forms.append(stem[:-1] + "ㄹ")
        elif stem.endswith("ㅡ"):
            forms.append(stem[:-1])
        if verb[-1] in "롭럽겁볍갑덥춥깝껍돕":
            forms += [stem[:-1] + "ㅜ", stem[:-1] + "ㅗ"]
        if verb in ("듣", "걷", "싣"):
            forms.append(stem[:-1] + "ㄹ")
        if verb in ("잇", "붓", "낫"):
            forms.append(stem[:-1])
        for form in forms:
            found.setdefault(form, verb)
    return found


_STEMS = _stems()


@lru_cache(4096)
def verb(word: str, *, last: bool) -> tuple[str, str, bool, bool] | None:
    """A word as a verb: noun or "", verb as 쓰다 (하다 and 되다 for those), past?, adnominal?

    `last`: it ends its sentence, so that a bare stem may stand for it. None if it is no verb.
    """
    if _nouns(word):
        return None
    for cut in range(len(word)):
        found = _hada(letters(word[cut:]))
        if found and (rest := _rest(found["rest"])) is not None:
            past, ending = rest
            if cut == 1 and (len(ending) < 2 or ending == "ㄷㅗ"):
                continue
            name = "하다" if found["verb"].startswith("ㅎ") else "되다"
            return word[:cut], name, past, ending in ("ㄴ", "ㄹ", "ㄴㅡㄴ")
    return _native(letters(word), last=last)


def _rest(text: str) -> tuple[bool, str] | None:
    if not text:
        return False, ""
    found = _ending(text)
    return (
        ("ㅆ" in found["tense"] and "ㄱㅔㅆ" not in found["tense"], found["ending"])
        if found
        else None
    )


def _native(word: str, *, last: bool) -> tuple[str, str, bool, bool] | None:
    for cut in range(len(word), 0, -1):
        known = _STEMS.get(word[:cut])
        if known is None:
            continue
        rest = _rest(word[cut:])
        if rest is None or (not rest[1] and not last):
            continue
        return "", f"{known}다", rest[0], rest[1] in ("ㄴ", "ㄹ", "ㅡㄴ", "ㅡㄹ", "ㄴㅡㄴ")
    for cut in range(2, len(word)):
        found = _ending(word[cut:])
        if found and found["ending"] in _STRONG:
            return "", f"{word[:cut]}다", "ㅆ" in found["tense"], False
    return None
