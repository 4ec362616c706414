import json

import pytest

from likeopt.chat.history import file_name, to_json, to_markdown
from likeopt.storage.conversations import Conversation, Transcript
from likeopt.storage.messages import Citation, Message

NOW = 1_767_225_600_000


def message(role: str, content: str, **more: object) -> Message:
    fields: dict[str, object] = {
        "id": "a" * 32,
        "conversation_id": "c" * 32,
        "role": role,
        "content": content,
        "state": "complete",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Message(**(fields | more))  # type: ignore[arg-type]


def citation(number: int, **more: object) -> Citation:
    fields: dict[str, object] = {
        "number": number,
        "document_id": "d" * 32,
        "document_name": "규정.pdf",
        "version_id": 1,
        "chunk_id": 2,
        "page": 3,
        "start": 0,
        "end": 20,
        "quote": "연차는\n15일입니다.",
    }
    return Citation(**(fields | more))  # type: ignore[arg-type]


TRANSCRIPT = Transcript(
    Conversation("c" * 32, "Leave & lunch", NOW, NOW),
    [
        message("user", "How many days?\n# not a heading"),
        message("assistant", "15 days [1]. Not a source: [7], `a[1]`.", citations=[citation(1)]),
        message(
            "assistant",
            "15 [1][2]",
            kind="extractive",
            state="stopped",
            citations=[
                citation(1, page=None),
                citation(2, available=False, document_name="", quote=""),
            ],
        ),
    ],
)


def test_markdown_has_footnotes_for_what_is_cited() -> None:
    assert to_markdown(TRANSCRIPT) == (
        "# Leave & lunch\n\n*2026-01-01T00:00:00.000Z*\n\n"
        "## Question\n\n> How many days?\n> # not a heading\n\n"
        "## Answer\n\n15 days [^1-1]. Not a source: [7], `a[1]`.\n\n"
        "## Answer\n\n*Sentences of the documents, without a language model.*\n\n"
        "*Stopped before the end.*\n\n15 [^2-1][^2-2]\n\n---\n\n"
        "[^1-1]: 규정.pdf, p. 3: “연차는 15일입니다.”\n"
        "[^2-1]: 규정.pdf: “연차는 15일입니다.”\n"
        "[^2-2]: (a source that is no longer available)\n"
    )


def test_markdown_in_korean() -> None:
    text = to_markdown(TRANSCRIPT, "ko")
    assert "## 질문" in text
    assert "규정.pdf, 3쪽" in text


def test_json_holds_everything() -> None:
    found = json.loads(to_json(TRANSCRIPT))
    assert found["title"] == "Leave & lunch"
    assert found["created_at"] == "2026-01-01T00:00:00.000Z"
    assert [one["role"] for one in found["messages"]] == ["user", "assistant", "assistant"]
    assert found["messages"][1]["citations"][0]["quote"] == "연차는\n15일입니다."
    assert "연차".encode() in to_json(TRANSCRIPT)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("휴가 규정은?", "휴가-규정은.md"),
        ("../../etc/passwd", "etc-passwd.md"),
        ('a/b\\c:d*e?"f<g>|h\r\nSet-Cookie: x', "a-b-c-d-e-f-g-h-Set-Cookie-x.md"),
        ("👩‍👧 …", "….md"),
        ("   ", "conversation.md"),
        ("가" * 200, "가" * 60 + ".md"),
        ("\u202egnp.exe", "gnp-exe.md"),
    ],
)
def test_file_names_are_safe(title: str, name: str) -> None:
    assert file_name(title, "md") == name
