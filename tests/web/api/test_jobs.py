"""/api/v1/jobs: indexing in all collections, for administrators."""

from collections.abc import Callable
from typing import Any

import pytest

from likeopt.services import Services
from likeopt.storage import audit, collections
from tests.web.conftest import Client, as_stranger

PATH = "/api/v1/jobs"


@pytest.fixture
def private(services: Services) -> str:
    """A stranger's document, of which the administrator may read nothing."""
    stranger = as_stranger(services)
    own = services.db.write(lambda c: collections.create(c, stranger, services.clock, "Private"))
    added = services.ingest.file(as_stranger(services), own.id, "secret.md", b"# Secret")
    return added.document.id


def test_what_waits_in_all_collections(
    client: Client, private: str, upload: Callable[..., Any]
) -> None:
    upload("mine.md")
    answer = client.get(PATH, query_string={"state": "queued", "limit": 1}).json
    assert answer["counts"] == {"running": 0, "queued": 2, "failed": 0}
    (first,) = answer["items"]
    assert first["id"] == f"{private}-index"
    assert (first["document"], first["collection"], first["owner"]) == ("secret.md", "Private", "S")
    assert (first["state"], first["kind"], first["not_before"]) == ("queued", "index", None)
    rest = client.get(PATH, query_string={"state": "queued", "cursor": answer["next_cursor"]}).json
    assert [(one["document"], one["collection_id"]) for one in rest["items"]] == [
        ("mine.md", "default")
    ]
    assert first["collection_id"] != "default"
    assert rest["next_cursor"] is None
    assert client.get(PATH).json["items"] == []


def test_cancelled_and_read_again_by_an_administrator(
    client: Client, services: Services, private: str
) -> None:
    assert client.post(f"{PATH}/{private}/cancel").status_code == 204
    (failed,) = client.get(PATH, query_string={"state": "failed"}).json["items"]
    assert (failed["document_id"], failed["error_code"]) == (private, "cancelled")
    assert client.post(f"{PATH}/{private}/retry").status_code == 204
    assert client.get(PATH).json["counts"] == {"running": 0, "queued": 1, "failed": 0}
    # Steering it opens nothing.
    assert client.get(f"/api/v1/documents/{private}").status_code == 404
    done = services.db.read(lambda c: audit.list_(c, audit.Filters(object_id=private))).items
    assert {(one.action, one.object_name) for one in done} >= {
        ("document.cancel", "secret.md"),
        ("document.reindex", "secret.md"),
    }


def test_an_unchanged_answer_is_not_sent_again(client: Client, private: str) -> None:
    first = client.get(PATH, query_string={"state": "queued"})
    again = {"If-None-Match": first.headers["ETag"]}
    assert client.get(PATH, query_string={"state": "queued"}, headers=again).status_code == 304
    client.post(f"{PATH}/{private}/cancel")
    assert client.get(PATH, query_string={"state": "queued"}, headers=again).status_code == 200


@pytest.mark.parametrize(
    "query", [{"state": "done"}, {"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"owner": "me"}]
)
def test_bad_queries_are_refused(client: Client, query: dict[str, Any]) -> None:
    assert client.get(PATH, query_string=query).status_code == 400


def test_no_such_document(client: Client) -> None:
    for what in ("retry", "cancel"):
        assert client.post(f"{PATH}/{'0' * 32}/{what}").status_code == 404
