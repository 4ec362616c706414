"""Why "not in these documents" may be wrong this time: what could not be looked at."""

from likeopt.chat.text import Language
from likeopt.retrieval.types import Degraded

_UNREAD_ONE: dict[Language, str] = {
    "ko": "아직 파일 1개를 읽고 있습니다. 다 읽은 뒤에 다시 물어보세요.",
    "en": "1 file is still being read: ask again once it is done.",
}
_UNREAD: dict[Language, str] = {
    "ko": "아직 파일 {count:,}개를 읽고 있습니다. 다 읽은 뒤에 다시 물어보세요.",
    "en": "{count:,} files are still being read: ask again once they are done.",
}
_WORDS: dict[Language, str] = {
    "ko": "지금은 단어 검색이 되지 않아 답을 놓쳤을 수 있습니다. 잠시 뒤에 다시 물어보세요.",
    "en": "Search by words does not work at the moment and may have missed it: ask again soon.",
}
_MEANING: dict[Language, str] = {
    "ko": "지금은 의미 검색이 되지 않아 답을 놓쳤을 수 있습니다. 잠시 뒤에 다시 물어보세요.",
    "en": "Search by meaning does not work at the moment and may have missed it: ask again soon.",
}
# Without a reranker the order is another, and the passages are the same.
_OF_PART = {"lexical": _WORDS, "vector": _MEANING, "embedding": _MEANING}


def doubts(language: Language, degraded: list[Degraded], unread: int) -> str:
    """Sentences to say after it, or "": parts of search that failed, and `unread` files."""
    failed = [_OF_PART[one.part][language] for one in degraded if one.part in _OF_PART]
    said = list(dict.fromkeys(failed))
    if unread:
        said.append((_UNREAD_ONE if unread == 1 else _UNREAD)[language].format(count=unread))
    return " ".join(said)
