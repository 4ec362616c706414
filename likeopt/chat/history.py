"""Conversations written down: Markdown for people, JSON for programs."""

import re
import unicodedata
from typing import Any

import msgspec

from likeopt.chat.text import Language
from likeopt.clock import rfc3339
from likeopt.storage.conversations import Transcript
from likeopt.storage.messages import Citation, Message

MARKDOWN = "text/markdown; charset=utf-8"
JSON = "application/json"

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "question": "Question",
        "answer": "Answer",
        "extractive": "Sentences of the documents, without a language model.",
        "stopped": "Stopped before the end.",
        "failed": "Broken off.",
        "streaming": "Still being written.",
        "page": "p. {}",
        "gone": "a source that is no longer available",
    },
    "ko": {
        "question": "질문",
        "answer": "답변",
        "extractive": "언어 모델 없이 문서에서 뽑은 문장입니다.",
        "stopped": "중간에 멈췄습니다.",
        "failed": "중간에 끊어졌습니다.",
        "streaming": "아직 작성 중입니다.",
        "page": "{}쪽",
        "gone": "더 이상 볼 수 없는 출처",
    },
}
# Code, where [1] is not a marker; then a marker.
_marked = re.compile(r"(?P<code>```.*?(?:```|\Z)|`[^`\n]+`)|\[(?P<number>\d{1,3})\]", re.DOTALL)
# What file systems and shells give a meaning, on Windows too.
_unsafe = re.compile(r'[\s/\\:*?"<>|\x00-\x1f\x7f.$`\'~&;!#%{}()\[\]]+')
# File names have at most 255 bytes, and a Hangul syllable has three; browsers add " (1)".
_NAME_BYTES = 180


def to_markdown(transcript: Transcript, language: Language = "en") -> str:
    """A conversation as Markdown, its citations as footnotes."""
    words = _WORDS[language]
    head = transcript.conversation
    parts = [f"# {' '.join(head.title.split())}", f"*{rfc3339(head.created_at)}*"]
    notes: list[str] = []
    answers = 0
    for message in transcript.messages:
        if message.role == "user":
            quoted = "\n".join(f"> {line}".rstrip() for line in message.content.splitlines())
            parts += [f"## {words['question']}", quoted]
            continue
        answers += 1
        parts.append(f"## {words['answer']}")
        parts += [f"*{words[key]}*" for key in (message.kind, message.state) if key in words]
        if message.content:
            parts.append(_with_footnotes(message, answers))
        # No text refers to the nearest passages of an answer that was not found.
        if message.kind != "not_found":
            notes += [_footnote(answers, citation, words) for citation in message.citations]
    if notes:
        parts += ["---", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def to_json(transcript: Transcript) -> bytes:
    """A conversation as JSON; times are RFC 3339, UTC."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                **_with_times(transcript.conversation),
                "messages": [_with_times(message) for message in transcript.messages],
            }
        )
    )


def file_name(title: str, suffix: str) -> str:
    """A safe name for an exported conversation: `휴가-규정.md`."""
    name = _unsafe.sub("-", unicodedata.normalize("NFC", title))
    name = "".join(char for char in name if unicodedata.category(char)[0] in "LNMP").strip("-_")
    while len(name.encode()) > _NAME_BYTES:
        name = name[:-1]
    return f"{name.strip('-_') or 'conversation'}.{suffix}"


def _with_footnotes(message: Message, answer: int) -> str:
    """[1] as [^3-1] in the third answer, since footnotes are numbered through a whole file."""
    known = {citation.number for citation in message.citations}

    def replace(match: re.Match[str]) -> str:
        if match["code"] or int(match["number"]) not in known:
            return match[0]
        return f"[^{answer}-{int(match['number'])}]"

    return _marked.sub(replace, message.content)


def _footnote(answer: int, citation: Citation, words: dict[str, str]) -> str:
    mark = f"[^{answer}-{citation.number}]:"
    if not citation.available:
        return f"{mark} ({words['gone']})"
    where = " ".join(citation.document_name.split())
    if citation.page:
        where += f", {words['page'].format(citation.page)}"
    return f"{mark} {where}: “{' '.join(citation.quote.split())}”"


def _with_times(stored: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(stored)
    return fields | {name: rfc3339(fields[name]) for name in ("created_at", "updated_at")}
