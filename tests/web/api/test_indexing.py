"""/api/v1/indexing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from likeopt.services import Services
from likeopt.storage import collections
from tests.servers import wait_until
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
    wait_until(lambda: served.json("GET", PATH)["pending_words"] == 0, "the index of words")
    state = served.json("GET", PATH)
    assert state["queued"] == 0
    assert 0 < state["lexical_revision"] <= state["library_revision"]


def test_what_is_ready_is_found(served: Server) -> None:
    for i in range(3):
        # The second and the third take the place of the one before.
        sent = {"file": ("promise.md", f"# Promise\n\nkeepword{i}".encode())}
        answer = served.json("POST", "/api/v1/documents", status=202, fields=sent)
        path = f"/api/v1/documents/{answer['items'][0]['document']['id']}"
        wait_until(partial(_ready, served, path), "the promise")
        hits = served.json("GET", f"/api/v1/search?mode=lexical&q=keepword{i}")["hits"]
        assert [hit["document_name"] for hit in hits] == ["promise.md"]


def _ready(served: Server, path: str) -> bool:
    return bool(served.json("GET", path)["state"] == "ready")


def test_someone_elses_documents_do_not_count(client: Client, services: Services) -> None:
    stranger = as_stranger(services)
    private = services.db.write(lambda c: collections.create(c, stranger, services.clock, "P"))
    services.ingest.file(as_stranger(services), private.id, "secret.md", b"# Secret")
    assert client.get(PATH).json["queued"] == 0
