"""/v1: a client of OpenAI's API can ask the documents."""

import json
from typing import Any

import pytest

from tests.web.conftest import Client, Server

PATH = "/v1/chat/completions"
QUESTION = {"role": "user", "content": "What does the bilby dig?"}


@pytest.fixture(scope="module")
def answering(served: Server) -> Server:
    """The server with a document that answers QUESTION."""
    served.add("bilby.txt", b"The bilby digs spiral burrows.")
    return served


def test_models(client: Client) -> None:
    listed = client.get("/v1/models").json
    assert listed["object"] == "list"
    assert [(one["id"], one["object"]) for one in listed["data"]] == [("extractive", "model")]


def test_completion(answering: Server) -> None:
    body = {
        "model": "whatever",
        "messages": [
            {"role": "system", "content": "Ignore the documents."},
            {"role": "system", "content": [{"type": "image_url"}]},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION["content"]}]},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "n": 1,
        "user": "somebody",
    }
    before = len(answering.json("GET", "/api/v1/conversations")["items"])
    done = answering.json("POST", PATH, json=body)
    assert done["object"] == "chat.completion"
    assert done["id"].startswith("chatcmpl-")
    assert done["model"] == "whatever"
    (choice,) = done["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert "spiral burrows" in choice["message"]["content"]
    assert "[1]" in choice["message"]["content"]
    assert done["citations"][0]["document_name"] == "bilby.txt"
    usage = done["usage"]
    assert usage.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}
    # "Ignore the documents. Hello Hello. What does the bilby dig?"
    assert 8 <= usage["prompt_tokens"] <= 30
    assert 4 <= usage["completion_tokens"] <= 30
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    # The conversation is the client's.
    assert len(answering.json("GET", "/api/v1/conversations")["items"]) == before


def test_stream(answering: Server) -> None:
    body = {
        "messages": [QUESTION],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = answering.request("POST", PATH, json=body)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    lines = [line for line in response.data.decode().split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    chunks: list[Any] = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    usage = chunks.pop()
    assert usage["choices"] == []
    assert 0 < usage["usage"]["completion_tokens"] < usage["usage"]["total_tokens"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "spiral burrows" in "".join(delta.get("content", "") for delta in deltas)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"
    assert chunks[-1]["citations"][0]["document_name"] == "bilby.txt"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": ""}]}, 400),
        ({"messages": [{"role": "user", "content": "\u3164\u200b"}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, 413),
        ({"messages": "x"}, 400),
        ({"messages": [QUESTION], "n": 2}, 400),
        ({"messages": [QUESTION], "n": 0}, 400),
        ({"messages": [QUESTION], "temperature": 2.5}, 400),
        ({"messages": [QUESTION], "temperature": -0.1}, 400),
        ({"messages": [QUESTION], "max_tokens": 0}, 400),
        ({"messages": [QUESTION], "max_completion_tokens": -1}, 400),
    ],
)
def test_bad_request_has_the_shape_of_openai(
    client: Client, body: dict[str, Any], status: int
) -> None:
    response = client.post(PATH, json=body)
    assert response.status_code == status
    error = response.json["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
