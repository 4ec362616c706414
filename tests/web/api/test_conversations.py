"""/api/v1/conversations: the history of one person."""

from typing import Any

import pytest

from likeopt.services import Services
from likeopt.storage import access, answers, conversations, messages
from likeopt.storage.messages import Citation, Outcome
from likeopt.storage.reader import Reader
from tests.web.conftest import Client, as_stranger

PATH = "/api/v1/conversations"
CITATION = Citation(1, "f" * 32, "gone.pdf", 1, 1, 3, 10, 20, "what it said")


def hold(services: Services, reader: Reader, question: str, answer: str) -> str:
    """A conversation of one question and its answer."""

    def write(c: Any) -> str:
        held, asked = conversations.add_question(c, reader, services.clock, None, question)
        begun = messages.start_answer(c, services.clock, asked)
        outcome = Outcome(
            content=answer,
            state="complete",
            kind="extractive",
            stages={"search": 1.5},
            citations=[CITATION],
        )
        answers.finish(c, services.clock, {begun.id: {}}, outcome)
        return held.id

    return services.db.write(write)


@pytest.fixture
def mine(services: Services) -> str:
    reader = services.db.read(access.local_reader)
    return hold(services, reader, "출장비는 어떻게 정산하나요?", "영수증을 제출합니다 [1].")


def test_read_a_conversation(client: Client, mine: str) -> None:
    held = client.get(f"{PATH}/{mine}").json
    assert held["title"] == "출장비는 어떻게 정산하나요?"
    assert held["created_at"].endswith("Z")
    question, answer = held["messages"]
    assert (question["role"], question["content"]) == ("user", held["title"])
    assert (answer["role"], answer["kind"]) == ("assistant", "extractive")
    assert answer["parent_id"] == question["id"]
    assert answer["stages"] == {"search": 1.5}
    (citation,) = answer["citations"]
    # The document no longer exists: its place in the answer stays, its content does not.
    assert citation["number"] == 1
    assert citation["available"] is False
    assert (citation["quote"], citation["document_name"]) == ("", "")


def test_list_search_and_page(client: Client, services: Services, mine: str) -> None:
    reader = services.db.read(access.local_reader)
    other = hold(services, reader, "Where is the office?", "In Seoul [1].")
    assert [one["id"] for one in client.get(PATH).json["items"]] == [other, mine]
    first = client.get(f"{PATH}?limit=1").json
    second = client.get(f"{PATH}?limit=1&cursor={first['next_cursor']}").json
    assert [one["id"] for one in first["items"] + second["items"]] == [other, mine]
    # In a question, in an answer, whatever the case.
    for words, found in (("출장비", [mine]), ("SEOUL", [other]), ("nowhere", [])):
        items = client.get(PATH, query_string={"q": words}).json["items"]
        assert [one["id"] for one in items] == found


def test_rename(client: Client, mine: str) -> None:
    path = f"{PATH}/{mine}"
    assert client.patch(path, json={"title": "정산"}).json["title"] == "정산"
    for bad in ("", "x" * 500, "a\nb\x07"):
        assert client.patch(path, json={"title": bad}).status_code == 400
    assert client.get(path).json["title"] == "정산"


def test_delete(client: Client, mine: str) -> None:
    assert client.delete(f"{PATH}/{mine}").status_code == 204
    assert client.get(f"{PATH}/{mine}").status_code == 404
    assert client.delete(f"{PATH}/{mine}").status_code == 404


def test_export(client: Client, mine: str) -> None:
    markdown = client.get(f"{PATH}/{mine}/export")
    assert markdown.content_type == "text/markdown; charset=utf-8"
    assert "영수증을 제출합니다 [^1-1]." in markdown.text
    assert "출장비는 어떻게 정산하나요?" in markdown.text
    disposition = markdown.headers["Content-Disposition"]
    assert disposition.startswith("attachment;")
    assert ".md" in disposition
    as_json = client.get(f"{PATH}/{mine}/export?format=json")
    assert as_json.content_type == "application/json"
    assert "영수증을 제출합니다 [1]." in as_json.text
    assert as_json.json
    assert client.get(f"{PATH}/{mine}/export?format=pdf").status_code == 400


def test_what_one_thinks_of_an_answer_is_kept_and_a_question_is_taken_back(
    client: Client, mine: str
) -> None:
    question, answer = client.get(f"{PATH}/{mine}").json["messages"]
    assert answer["feedback"] is None
    rating = f"/api/v1/messages/{answer['id']}/feedback"
    assert client.put(rating, json={"feedback": "down"}).status_code == 204
    assert client.get(f"{PATH}/{mine}").json["messages"][1]["feedback"] == "down"
    for wrong in ({"feedback": "great"}, {}, {"feedback": 1}):
        assert client.put(rating, json=wrong).status_code == 400
    assert client.delete(f"/api/v1/messages/{answer['id']}").status_code == 404
    assert client.delete(f"/api/v1/messages/{question['id']}").status_code == 204
    assert client.get(f"{PATH}/{mine}").json["messages"] == []


def test_someone_elses_conversation_does_not_exist(
    client: Client, services: Services, mine: str
) -> None:
    stranger = as_stranger(services)
    theirs = hold(services, stranger, "A secret question", "A secret answer")
    unknown = "e" * 32
    for method, rest, body in [
        ("GET", "", None),
        ("GET", "/export", None),
        ("PATCH", "", {"title": "mine now"}),
        ("DELETE", "", None),
    ]:
        both = (f"{PATH}/{id_}{rest}" for id_ in (theirs, unknown))
        answers = [client.open(path, method=method, json=body) for path in both]
        assert [a.status_code for a in answers] == [404, 404], (method, rest)
        assert answers[0].json["detail"] == answers[1].json["detail"]
    assert [one["id"] for one in client.get(PATH).json["items"]] == [mine]
    assert client.get(f"{PATH}?q=secret").json["items"] == []
    kept = services.db.read(lambda c: conversations.get(c, stranger, theirs))
    assert kept.conversation.title == "A secret question"
