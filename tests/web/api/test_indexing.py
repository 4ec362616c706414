"""/api/v1/indexing."""

from collections.abc import Callable
from typing import Any

from likeopt.services import Services
from likeopt.storage import collections
from tests.web.conftest import Client, Server, as_stranger

PATH = "/api/v1/indexing"


def test_what_waits(client: Client, upload: Callable[..., Any]) -> None:
    upload("a.md")
    upload("b.md", b"# B")
    state = client.get(PATH).json
    assert (state["queued"], state["failed"], state["running"]) == (2, 0, [])
    assert state["library_revision"] == 2
    # There is no engine to say what it has.
    assert state["lexical_revision"] is None


def test_caught_up(served: Server) -> None:
    served.add("caught-up.md", b"# Caught up")
    state = served.json("GET", PATH)
    assert state["queued"] == 0
    assert 0 < state["lexical_revision"] <= state["library_revision"]


def test_someone_elses_documents_do_not_count(client: Client, services: Services) -> None:
    stranger = as_stranger(services)
    private = services.db.write(lambda c: collections.create(c, stranger, services.clock, "P"))
    services.ingest.file(as_stranger(services), private.id, "secret.md", b"# Secret")
    assert client.get(PATH).json["queued"] == 0
