"""/health and /ready."""

import re

import msgspec

from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.retrieval.types import Degraded, EngineStatus
from likeopt.services import Services
from likeopt.web import readiness
from likeopt.web.app import create_app
from tests.fakes import FakeClock
from tests.servers import free_port, wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Client, Server


def test_process_that_lives_says_so(client: Client) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_whole_server_is_ready(served: Server) -> None:
    state = served.json("GET", "/ready")
    assert state["status"] == "ready", state
    assert {name: part["status"] for name, part in state["parts"].items()} == {
        "database": "ready",
        "engine": "ready",
        "worker": "ready",
        "model": "ready",
    }
    # Everybody may ask: nothing is counted, no model is named.
    assert not re.search(r"\d|extractive", str(state))


def test_strangers_are_not_told_what_a_part_said() -> None:
    key = "Incorrect API key provided: sk-1234"
    status = EngineStatus(0, 0, 0, 0, 0, 0, "", "local", [Degraded("embedding", key)])
    assert readiness._engine(status).detail == "Does not work: embedding. The log says why."


def test_what_is_found_by_meaning_is_counted_before_its_index_is_built(served: Server) -> None:
    served.add("by-meaning.md", b"# Counted by meaning")
    found = served.json
    wait_until(lambda: found("GET", "/api/v1/indexing")["pending_embeddings"] == 0, "vectors")
    services = Services(served.config)

    def counted() -> bool:
        status = services.engine.status()
        return status.chunks == status.embedded > 0

    wait_until(counted, "passages found by meaning")
    services.close()


def test_without_an_engine_questions_cannot_be_answered(client: Client) -> None:
    response = client.get("/ready")
    assert response.status_code == 503
    parts = response.json["parts"]
    assert response.json["status"] == "unavailable"
    assert parts["database"]["status"] == "ready"
    assert parts["engine"]["status"] == "unavailable"
    assert parts["worker"]["status"] == "unavailable"
    assert "not running" in parts["engine"]["detail"]


def test_model_that_is_not_loaded_only_degrades(config: Config) -> None:
    part = readiness.model(msgspec.structs.replace(config, llm="local-small"))
    assert part.status == "degraded"
    assert "own sentences" in part.detail


def _endpoint(config: Config, url: str) -> Config:
    return msgspec.structs.replace(config, llm="openai", llm_url=url, llm_model="m", llm_key="k")


def test_address_of_a_model_is_asked(config: Config) -> None:
    with StubOpenAI() as stub:
        assert readiness.model(_endpoint(config, stub.url)).status == "ready"
    gone = readiness.model(_endpoint(config, stub.url))
    assert gone.status == "degraded"
    assert "does not answer" in gone.detail
    assert "own sentences" in gone.detail


def test_model_that_is_gone_degrades_the_server(config: Config, services: Services) -> None:
    asked = _endpoint(config, f"http://127.0.0.1:{free_port()}/v1")
    services.config = asked
    client: Client = create_app(asked, services, write=lambda _: None).test_client()
    part = client.get("/ready").json["parts"]["model"]
    assert (part["status"], "does not answer" in part["detail"]) == ("degraded", True)


def test_parts_are_asked_once_a_second(config: Config) -> None:
    clock = FakeClock()
    services = Services(config, clock=clock)
    asked = []

    class Broken:
        def read(self, work: object) -> None:
            asked.append(work)
            raise StorageUnavailable("The database does not answer.")

        def close(self) -> None:
            """Nothing is open."""

    class Silent:
        def status(self, *, deadline_ms: int) -> None:
            raise StorageUnavailable("Not here either.")

    vars(services).update(db=Broken(), engine=Silent())
    client: Client = create_app(config, services, write=lambda _: None).test_client()
    for _ in range(3):
        assert client.get("/ready").status_code == 503
    assert len(asked) == 1
    clock.advance(1.1)
    detail = client.get("/ready").json["parts"]["database"]["detail"]
    assert detail == "The database does not answer."
    assert len(asked) == 2
