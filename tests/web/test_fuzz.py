"""Every operation of the OpenAPI document with made-up input, as stranger, member, administrator.

Half of the requests are as the document has them, half break one of its rules at least, and half of
both name things that exist. The whole server runs: engine, worker and database.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import schemathesis
import urllib3
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from likeopt.accounts import SignedIn
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, answers, api_keys, collections, groups, links, messages
from likeopt.storage import conversations as talks
from likeopt.web import cookies
from tests.retrieval.parse.make_files import make_pdf
from tests.servers import wait_until
from tests.web.conftest import CLIENT, let_in, serving

# Requests for each operation and role. All together take up to two minutes on two cores.
EXAMPLES = 40
MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "retryable"}
# What a Python stack trace, or an exception's text, has in it.
TRACES = ("Traceback", 'File "', "sqlalchemy", "msgspec.", "site-packages")


class World(NamedTuple):
    """A running server and who is known there."""

    url: str
    services: Services
    people: dict[str, SignedIn]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("f")
    config = Config(
        data_dir=folder, port=0, sample_library=False, rate_limit=0, rate_limit_chat=0, workers=1
    )
    with serving(config) as server:
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine", seconds=60)
        services = Services(config)
        people = {
            "member": let_in(services, "member@example.org"),
            "administrator": let_in(services, "admin@example.org", role="admin"),
        }
        yield World(server.url, services, people, _things(services, people["administrator"]))
        services.close()


def _things(services: Services, admin: SignedIn) -> dict[str, str]:
    """One of each thing that a path can name."""
    clock = services.clock

    def make(c: Any) -> dict[str, str]:
        reader = access.reader_for(c, admin.user.id)
        conversation, question = talks.add_question(c, reader, clock, None, "Why?")
        answer = messages.start_answer(c, clock, question)
        done = messages.Outcome(content="So.", state="complete", kind="extractive")
        answers.finish(c, clock, {answer.id: {}}, done)
        return {
            "collection_id": collections.create(c, reader, clock, "Private").id,
            "conversation_id": conversation.id,
            "message_id": answer.id,
            "key_id": api_keys.create(c, clock, admin.user.id, name="k", scopes=["read"])[0].id,
            "link_id": links.create(c, clock, "invite", role="member")[0].id,
            "group_id": groups.create(c, clock, "g").id,
            "user_id": admin.user.id,
        }

    ids = services.db.write(make)
    reader = services.db.read(lambda c: access.reader_for(c, admin.user.id))
    added = services.ingest.file(reader, "default", "a.md", b"# Everybody's")
    drawn = services.ingest.file(reader, "default", "a.pdf", make_pdf("Everybody's"))
    return ids | {"document_id": added.document.id, "image_id": f"{drawn.document.id}-p1"}


def _credentials(world: World, role: str) -> dict[str, str]:
    """Headers of a new session: an operation before may have ended the last one."""
    who = world.people.get(role)
    if who is None:
        return {}
    new = world.services.accounts.open_session(who.user.id, CLIENT, how="password")
    key = world.services.secret_key
    value = f"{new.cookie_id}.{cookies.sign(key, 'session', new.cookie_id)}"
    token = cookies.sign(key, "csrf", new.session.id)
    return {"Cookie": f"{cookies.NAME}={value}", "X-CSRF-Token": token}


def _faults(operation: Any, case: Any, response: Any) -> Iterator[str]:
    """What is wrong with a response."""
    documented = operation.definition.raw["responses"].keys() - {"default"}
    if response.status_code >= 500:
        yield "a server's error"
    if str(response.status_code) not in documented:
        yield "not documented"
    if response.status_code < 400:
        try:
            case.validate_response(response, checks=_checks(response))
        except FailureGroup as failures:
            yield f"not as documented ({failures.exceptions})"
        return
    members = response.json()
    if case.path.startswith("/v1/"):
        members = members["error"]
    elif not members.keys() >= MEMBERS or members["status"] != response.status_code:
        yield "not the one error shape"
    if members.get("request_id") != response.headers["x-request-id"][0]:
        yield "without its request's id"
    if any(trace in response.text for trace in TRACES):
        yield "tells of the server's insides"


def _checks(response: Any) -> list[Any]:
    """What a good response is held against. The schema of a stream is that of its events' data,
    which differs by their kind: `tests/web/api/test_chat.py` looks at those."""
    streamed = response.headers.get("content-type", [""])[0].startswith("text/event-stream")
    return [content_type_conformance] + ([] if streamed else [response_schema_conformance])


def _fuzz(world: World, operation: Any, headers: dict[str, str]) -> list[str]:
    """Faults that made-up requests for one operation bring to light."""
    found: list[str] = []
    allowed = operation.as_strategy()
    forbidden = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=allowed | forbidden, known=st.booleans())
    def run(case: Any, known: bool) -> None:
        if headers:
            # Not the made-up ones, which only a stranger sends.
            case.cookies, case.headers = {}, {}
        if known:
            existing = {n: world.ids[n] for n in case.path_parameters or {} if n in world.ids}
            case.path_parameters = (case.path_parameters or {}) | existing
        response = case.call(base_url=world.url, headers=headers, timeout=30)
        text = response.content[:200].decode("utf-8", "replace")
        said = f"{operation.label} -> {response.status_code} {text}"
        found.extend(
            f"{fault}: {said}\n{case.as_curl_command()}"
            for fault in _faults(operation, case, response)
        )

    run()
    return found


@pytest.mark.parametrize("role", ["stranger", "member", "administrator"])
def test_no_input_breaks_an_operation(world: World, role: str) -> None:
    document = urllib3.request("GET", f"{world.url}/api/v1/openapi.json").json()
    found_in: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    operations = [one.ok() for one in found_in]
    operations.sort(key=lambda one: one.method.lower() == "delete")
    found: list[str] = []
    for operation in operations:
        found += _fuzz(world, operation, _credentials(world, role))
    assert len(operations) > 60
    assert not found, "\n".join(found)
