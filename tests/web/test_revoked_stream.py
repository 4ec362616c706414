"""The whole server: an answer being streamed ends for who may no longer read its sources."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from likeopt.config import Config
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import PASSWORD, Server, serving


def accept(server: Server, token: str, name: str) -> dict[str, str]:
    """Accept a link in a browser of its own; the headers that it sends from then on."""
    body = {"token": token, "name": name, "email": f"{name}@example.org", "password": PASSWORD}
    response = server.request("POST", "/api/v1/link/accept", json=body)
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    return {"Cookie": cookie, "X-CSRF-Token": response.json()["csrf"]}


def found(server: Server, headers: dict[str, str]) -> Any:
    response = server.request("GET", "/api/v1/search?q=quokka&mode=lexical", headers=headers)
    return response.status == 200 and response.json()["hits"]


def follow(server: Server, headers: dict[str, str], path: str) -> Iterator[str]:
    """The lines of an answer's stream, from whichever worker the connection ends up at."""
    stream = server.request("GET", path, headers=headers, preload_content=False)
    return (line.decode() for line in stream)


def test_stream_ends_when_the_collection_is_no_longer_shared(config: Config) -> None:
    with StubOpenAI() as model:
        config = msgspec.structs.replace(
            config, guest=False, llm="openai", llm_url=model.url, llm_model="stub", workers=2
        )
        with serving(config) as server:
            wait_until(lambda: len(server.said) == 3, "the link")
            owner = accept(server, server.said[2].partition("#")[2], "owner")
            made = server.json("POST", "/api/v1/invitations", json={}, headers=owner, status=201)
            member = accept(server, made["link"].partition("#")[2], "member")
            who = server.json("GET", "/api/v1/session", headers=member)["user"]["id"]
            made = server.json(
                "POST", "/api/v1/collections", json={"name": "X"}, headers=owner, status=201
            )
            readers = f"/api/v1/collections/{made['id']}/readers"
            shared = {"everyone": False, "users": [who], "groups": []}
            server.json("PUT", readers, json=shared, headers=owner)
            fields = {"file": ("q.txt", b"The quokka smiles."), "collection": made["id"]}
            server.json("POST", "/api/v1/documents", fields=fields, headers=owner, status=202)
            wait_until(lambda: bool(found(server, member)), "the document")

            answer = model.say("It ", "smiles [1].", hold=1)
            stream = server.request(
                "POST",
                "/api/v1/chat",
                json={"question": "What does the quokka do?", "stream": True},
                headers=member,
                preload_content=False,
            )
            lines = (line.decode() for line in stream)
            begun = json.loads(next(x for x in lines if x.startswith("data:"))[5:])
            assert any(line.startswith("event: delta") for line in lines)
            path = f"/api/v1/chat/{begun['message_id']}/stream"
            # Which worker a connection ends up at is chance: of twelve, some are at the other one.
            far = [follow(server, member, path) for _ in range(12)]
            for one in far:
                assert any(line.startswith("event: delta") for line in one)
            conversation = f"/api/v1/conversations/{begun['conversation_id']}"
            wait_until(
                lambda: '"It' in server.request("GET", conversation, headers=member).data.decode(),
                "the text so far in the database",
            )
            # The model says nothing more: only the change itself can end the streams.
            server.json("PUT", readers, json=shared | {"users": []}, headers=owner)
            for rest in map(list, (lines, *far)):
                assert "event: error\n" in rest
                problem = json.loads(next(x for x in rest if "problem" in x).removeprefix("data: "))
                assert problem["problem"]["code"] == "access_revoked"
                assert "quokka" not in str(rest)
            # Nor is what was written so far shown to who asks for it, from whichever worker.
            for asked in (conversation, f"{conversation}/export", path, path, path):
                response = server.request("GET", asked, headers=member).data.decode()
                assert "access_revoked" in response or asked.endswith("/export")
                assert "It " not in response
            assert not server.json("GET", "/api/v1/conversations?q=It", headers=member)["items"]
            answer.release()
            assert not found(server, member)
