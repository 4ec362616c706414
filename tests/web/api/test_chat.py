"""/api/v1/chat: answers as JSON and as events, stopped, resumed, asked again."""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.writer import Writer
from likeopt.llm.openai import OpenAIChat
from likeopt.services import Services
from likeopt.storage import access, answers, conversations, messages
from tests.chat.shelf import Shelf
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Client, Sent, Server, as_stranger, events

PATH = "/api/v1/chat"
STREAM = {"Accept": "text/event-stream"}
QUESTION = "Where does the numbat live?"


@pytest.fixture(scope="module")
def answering(served: Server) -> Server:
    """The server with a document that answers QUESTION."""
    served.add("numbat.txt", b"The numbat lives in Dryandra Woodland. It eats termites.")
    return served


def ask(server: Server, **body: Any) -> Any:
    return server.json("POST", PATH, json={"question": QUESTION} | body)


def test_answer_as_one_object(answering: Server) -> None:
    response = answering.request("POST", PATH, json={"question": QUESTION})
    answer = response.json()
    message = answer["message"]
    assert "Dryandra Woodland" in message["content"]
    assert "[1]" in message["content"]
    assert (message["role"], message["state"], message["kind"]) == (
        "assistant",
        "complete",
        "extractive",
    )
    assert message["parent_id"] == answer["question_id"]
    citation = message["citations"][0]
    assert (citation["number"], citation["document_name"]) == (1, "numbat.txt")
    assert "Dryandra" in citation["quote"]
    # The citation leads to its place in the document.
    page = answering.json(
        "GET",
        f"/api/v1/documents/{citation['document_id']}/text"
        f"?at={citation['start']}&version={citation['version_id']}",
    )
    assert page["text"][citation["start"] : citation["end"]] == citation["quote"]
    assert message["stages"]
    assert "total;dur=" in response.headers["Server-Timing"]
    held = answering.json("GET", f"/api/v1/conversations/{answer['conversation_id']}")
    assert [one["id"] for one in held["messages"]] == [answer["question_id"], message["id"]]
    assert held["messages"][1] == message


@pytest.mark.parametrize(
    ("accept", "stream", "streamed"),
    [
        ("text/event-stream", None, True),
        ("application/json", True, True),
        ("text/event-stream", False, False),
        ("application/json", None, False),
        ("*/*", None, False),
        ("text/event-stream;q=0.5, application/json", None, False),
    ],
)
def test_client_chooses(
    answering: Server, accept: str, stream: bool | None, streamed: bool
) -> None:
    body = {"question": QUESTION} | ({} if stream is None else {"stream": stream})
    response = answering.request("POST", PATH, json=body, headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("text/event-stream") is streamed


def test_answer_as_events(answering: Server) -> None:
    response = answering.request("POST", PATH, json={"question": QUESTION}, headers=STREAM)
    headers = response.headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    assert "Content-Encoding" not in headers
    assert "Content-Length" not in headers
    sent = events(response.data)
    names = [one.event for one in sent]
    assert names[:2] == ["start", "sources"]
    assert names[-1] == "done"
    assert set(names[2:-1]) == {"delta"}
    assert [one.id for one in sent] == sorted({one.id for one in sent})
    start, sources, done = sent[0].data, sent[1].data, sent[-1].data
    assert start.keys() == {"conversation_id", "question_id", "message_id", "title"}
    assert sources["citations"][0]["document_name"] == "numbat.txt"
    text = "".join(one.data["text"] for one in sent if one.event == "delta")
    assert text.strip() == done["message"]["content"]
    assert done["message"]["id"] == start["message_id"]
    assert done["message"]["created_at"].endswith("Z")


def test_dropped_stream_goes_on_where_it_was(answering: Server) -> None:
    first = answering.request(
        "POST", PATH, json={"question": QUESTION}, headers=STREAM, preload_content=False
    )
    seen = events(read_until(first, b"event: sources"))
    first.drain_conn()
    first.close()
    path = f"{PATH}/{seen[0].data['message_id']}/stream"
    rest = events(
        answering.request("GET", path, headers=STREAM | {"Last-Event-ID": str(seen[-1].id)}).data
    )
    assert rest[-1].event == "done"
    assert all(one.id > seen[-1].id for one in rest)
    assert not {one.event for one in rest} & {"start", "sources"}
    # Who comes for the first time gets all of it.
    whole = events(answering.request("GET", path, headers=STREAM).data)
    assert [whole[0].event, whole[-1].event] == ["start", "done"]
    assert whole[-1].data == rest[-1].data


def read_until(response: Any, mark: bytes) -> bytes:
    """The stream up to the end of the event that holds `mark`."""
    got = b""
    pieces: Iterator[bytes] = response.stream(64)
    while mark not in got or not got.endswith(b"\n\n"):
        got += next(pieces)
    return got


def test_follow_up_and_regenerate(answering: Server) -> None:
    first = ask(answering)
    second = ask(answering, conversation_id=first["conversation_id"], question="What does it eat?")
    assert second["conversation_id"] == first["conversation_id"]
    again = answering.json("POST", PATH, json={"regenerate": first["message"]["id"]})
    assert again["question_id"] == first["question_id"]
    assert again["message"]["id"] != first["message"]["id"]
    held = answering.json("GET", f"/api/v1/conversations/{first['conversation_id']}")
    answers = [m for m in held["messages"] if m["parent_id"] == first["question_id"]]
    assert len(answers) == 2


def test_answer_that_is_not_in_the_library(answering: Server) -> None:
    message = ask(answering, question="What did the zeppelin cost in Bratislava?")["message"]
    assert message["kind"] == "not_found"
    assert message["citations"] == []
    korean = ask(answering, question="브라티슬라바 체펠린 비행선의 요금은?", language="ko")[
        "message"
    ]
    assert "찾지 못했습니다" in korean["content"]


def test_filters_narrow_what_is_answered_from(answering: Server) -> None:
    message = ask(answering, filters={"tags": ["none has this"]})["message"]
    assert message["kind"] == "not_found"
    # Also when it is asked again, unless that says otherwise.
    again = {"regenerate": message["id"]}
    message = answering.json("POST", PATH, json=again)["message"]
    assert message["kind"] == "not_found"
    message = answering.json("POST", PATH, json=again | {"filters": {}})["message"]
    assert message["kind"] == "extractive"


def test_stop_a_finished_answer_does_nothing(answering: Server) -> None:
    message = ask(answering)["message"]
    path = f"{PATH}/{message['id']}"
    assert answering.request("POST", f"{path}/stop").status == 202
    held = events(answering.request("GET", f"{path}/stream", headers=STREAM).data)
    assert held[-1].data["message"]["state"] == "complete"


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({}, 400, "bad_input", "`question` is missing"),
        ({"question": ""}, 400, "bad_input", ""),
        ({"question": " \n"}, 400, "bad_input", ""),
        ({"question": "\u3164\u200b"}, 400, "bad_input", "no word in it"),
        (
            {"question": 5},
            400,
            "bad_input",
            "`question` must be a text or null, not a whole number.",
        ),
        ({"question": "x" * 8001}, 413, "too_large", "8,000"),
        ({"question": "x" * (1 << 20)}, 413, "too_large", "256 KiB"),
        ({"question": "x", "conversation_id": "f" * 32}, 404, "not_found", ""),
        ({"question": "x", "conversation_id": "../../etc"}, 404, "not_found", ""),
        ({"regenerate": "f" * 32}, 404, "not_found", ""),
        ({"regenerate": "f" * 32, "question": "x"}, 400, "bad_input", "`regenerate` goes without"),
        ({"question": "x", "language": "fr"}, 400, "bad_input", "`language` cannot be 'fr'."),
        (
            {"question": "x", "stream": "yes"},
            400,
            "bad_input",
            "`stream` must be true or false or null, not a text.",
        ),
        ({"question": "x", "filters": {"what": 1}}, 400, "bad_input", "in `filters`"),
        ({"question": "x", "filters": {"tags": ["x"] * 1001}}, 400, "bad_input", "<= 1000"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_bad_question(
    client: Client, body: dict[str, Any], status: int, code: str, says: str, accept: str
) -> None:
    response = client.post(PATH, json=body, headers={"Accept": accept})
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    assert says in response.json["detail"]
    assert client.get("/api/v1/conversations").json["items"] == []


def test_bad_return_to_a_stream(answering: Server) -> None:
    path = f"{PATH}/{ask(answering)['message']['id']}/stream"
    for bad in ("x", "-1", "1.5", "9" * 40):
        refused = answering.json("GET", path, headers={"Last-Event-ID": bad}, status=400)
        assert "Last-Event-ID" in refused["detail"]
    last = events(answering.request("GET", path, headers=STREAM).data)[-1]

    def after(number: int) -> list[Sent]:
        headers = STREAM | {"Last-Event-ID": str(number)}
        return events(answering.request("GET", path, headers=headers).data)

    assert after(last.id) == []
    # Numbers that never were: the end, at once.
    for number in (last.id + 1, 10**9, 10**18 - 1):
        assert [one.data for one in after(number)] == [last.data]


def test_someone_elses_conversation_does_not_exist(client: Client, services: Services) -> None:
    stranger = as_stranger(services)

    def hold(c: Any) -> tuple[str, str, str]:
        held, question = conversations.add_question(c, stranger, services.clock, None, "Secret?")
        answer = messages.start_answer(c, services.clock, question)
        return held.id, question.id, answer.id

    theirs, question, answer = services.db.write(hold)
    unknown = "e" * 32
    for member, body in [
        ("conversation_id", {"question": "And?"}),
        ("regenerate", {}),
    ]:
        for id_ in (theirs, question, answer):
            refused = client.post(PATH, json=body | {member: id_})
            missing = client.post(PATH, json=body | {member: unknown})
            assert refused.status_code == missing.status_code == 404
            assert refused.json["detail"] == missing.json["detail"]
    for method, rest in (("GET", "stream"), ("POST", "stop")):
        refused = client.open(f"{PATH}/{answer}/{rest}", method=method)
        missing = client.open(f"{PATH}/{unknown}/{rest}", method=method)
        assert refused.status_code == missing.status_code == 404
        assert refused.json["detail"] == missing.json["detail"]
    kept = services.db.read(lambda c: conversations.get(c, stranger, theirs))
    assert len(kept.messages) == 2
    assert services.db.read(lambda c: answers.wanted(c, [answer]))


def test_without_an_engine_the_answer_fails_honestly(client: Client, services: Services) -> None:
    services.config = msgspec.structs.replace(services.config, search_deadline_ms=50)
    response = client.post(PATH, json={"question": QUESTION})
    assert response.status_code == 503
    assert response.json["code"] == "engine_unavailable"
    # What was stored of it can be found, and asked again.
    held = client.get(f"/api/v1/conversations/{response.json['conversation_id']}").json
    ids = [message["id"] for message in held["messages"]]
    assert ids == [response.json["question_id"], response.json["message_id"]]
    streamed = events(client.post(PATH, json={"question": QUESTION}, headers=STREAM).data)
    assert [one.event for one in streamed] == ["start", "error"]
    failed = streamed[-1].data
    assert failed["problem"]["code"] == "engine_unavailable"
    assert failed["problem"]["retryable"] is True
    assert failed["message"]["state"] == "failed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {"question": "How many days of leave?"}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "How many days of leave?"}]},
        ),
    ],
)
def test_a_model_that_dies_leaves_no_reader_without_an_answer(
    client: Client, services: Services, path: str, body: dict[str, Any]
) -> None:
    with StubOpenAI() as stub:
        shelf = Shelf(services.db, services.db.read(access.local_reader), services.clock)
        shelf.add("leave.txt", "Full-time employees get 15 days of leave.")
        model = OpenAIChat(stub.url, "", "stub", clock=services.clock)
        services.chat = Chat(
            services.db, services.clock, Writer(shelf.search, model, services.clock)
        )
        stub.say("Managers get", " yachts", drop=1)
        answer = client.post(path, json=body)
        assert answer.status_code == 200
        text = "Full-time employees get 15 days of leave. [1]"
        assert text in answer.text
        assert '"document_name":"leave.txt"' in answer.text
        # Whoever sees the words as they come keeps those that came, and is told.
        stub.say("Managers get", " yachts", drop=1)
        seen = client.post(path, json=body | {"stream": True}).text
        assert "Managers get" in seen
        assert '"code":"model_unavailable"' in seen


def test_a_question_sent_again_has_its_first_answer(answering: Server) -> None:
    def send(key: str, accept: str = "application/json", status: int = 200, **body: Any) -> Any:
        headers = {"Idempotency-Key": key, "Accept": accept}
        sent = answering.request("POST", PATH, json={"question": QUESTION} | body, headers=headers)
        assert sent.status == status, sent.data
        return sent

    key = secrets.token_hex(16)
    first = send(f'"{key}"').json()
    # Without the quotes it is the same, and however it is to be told.
    assert send(key).json() == first
    told = events(send(key, "text/event-stream", stream=True).data)
    assert told[0].event == "start"
    assert told[0].data["question_id"] == first["question_id"]
    assert told[-1].data["message"] == first["message"]
    held = answering.json("GET", f"/api/v1/conversations/{first['conversation_id']}")
    assert len(held["messages"]) == 2
    refused = send(key, status=422, question="What does it eat?").json()
    assert refused["code"] == "key_reused"
    assert "another question" in refused["detail"]
    assert send(secrets.token_hex(16)).json()["question_id"] != first["question_id"]
    send("k" * 255)
    for unusable in ("", '""', "k" * 256):
        assert "Idempotency-Key" in send(unusable, status=400).json()["detail"]
