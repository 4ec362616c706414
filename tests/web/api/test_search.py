"""/api/v1/search."""

import urllib.parse
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from likeopt.retrieval.types import Hit, SearchRequest, SearchResponse
from likeopt.services import Services
from likeopt.storage import access, collections, documents
from tests.servers import wait_until
from tests.web.conftest import Client, Server, as_stranger

PATH = "/api/v1/search"


@pytest.fixture(scope="module")
def library(served: Server) -> dict[str, Any]:
    """Two documents that are found by words of their own, and by meaning."""
    added = {
        "ko": served.add("quokka-ko.md", "# 쿼카 안내\n\n쿼카는 로트네스트섬에 산다.".encode()),
        "en": served.add("quokka-en.txt", b"The quokka lives on Rottnest Island."),
    }
    wait_until(lambda: served.json("GET", "/api/v1/indexing")["pending_embeddings"] == 0, "vectors")
    return added


def test_search_in_two_languages(served: Server, library: dict[str, Any]) -> None:
    for language, query in (("ko", "쿼카는 어디에 사나요?"), ("en", "where do quokkas live")):
        response = served.request("GET", f"{PATH}?q={urllib.parse.quote(query)}")
        found = response.json()
        hit = found["hits"][0]
        assert hit["document_id"] == library[language]["id"]
        assert hit["lexical_rank"] == 1
        start, end = hit["highlights"][0]
        assert hit["text"][start:end]
        assert found["generation"] > 0
        assert found["degraded"] == []
        assert "fuse" in found["stages"]
        assert "engine-fuse;dur=" in response.headers["Server-Timing"]
        assert response.headers["Cache-Control"] == "no-store"


def test_filters(served: Server, library: dict[str, Any]) -> None:
    def names(**filters: Any) -> set[str]:
        body = {"query": "quokka 쿼카", "mode": "lexical", "filters": filters}
        hits = served.json("POST", PATH, json=body)["hits"]
        return {hit["document_name"] for hit in hits}

    both = {"quokka-ko.md", "quokka-en.txt"}
    assert names() == both
    assert names(documents=[library["en"]["id"]]) == {"quokka-en.txt"}
    assert names(media_types=["text/markdown"]) == {"quokka-ko.md"}
    assert names(tags=["none has this"]) == set()
    assert names(collections=["default"]) == both
    assert names(updated_after="2020-01-01", updated_before="2099-01-01T00:00:00+09:00") == both
    assert names(updated_after="2099-01-01T00:00:00Z") == set()
    query = f"q=quokka&type=text/plain&document={library['en']['id']}&after=2020-01-01&k=3"
    (hit,) = served.json("GET", f"{PATH}?{query}&mode=lexical")["hits"]
    assert hit["document_name"] == "quokka-en.txt"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"query": ""}, 400, "empty"),
        ({"query": "  \n "}, 400, "empty"),
        ({"query": "\u3164\u200b"}, 400, "empty"),
        ({"query": "x" * 2001}, 413, "2,000"),
        ({"query": "x", "k": 0}, 400, "k must be"),
        ({"query": "x", "k": 101}, 400, "k must be"),
        ({"query": "x", "mode": "magic"}, 400, "`mode` cannot be 'magic'"),
        ({"query": "x", "filters": {"tag": []}}, 400, "`tag` is not known here, in `filters`."),
        (
            {"query": "x", "filters": {"updated_after": "soon"}},
            400,
            "`updated_after` is not a time",
        ),
        *(
            ({"query": "x", "filters": {name: ["x"] * 1001}}, 400, f"<= 1000, in `filters.{name}`")
            for name in ("documents", "collections", "tags", "media_types")
        ),
        ({"query": "x" * (1 << 20)}, 413, "256 KiB"),
    ],
)
def test_bad_search(client: Client, body: dict[str, Any], status: int, says: str) -> None:
    response = client.post(PATH, json=body)
    assert response.status_code == status
    assert says in response.json["detail"]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("k=5", 400, "`q` is missing."),
        ("q=x&k=many", 400, "`k` must be a whole number."),
        ("q=x&after=soon", 400, "`after` is not a time"),
        ("q=x&before=late", 400, "`before` is not a time"),
        (f"q={'x' * 2001}", 413, "2,000"),
        *(
            (f"q=x{f'&{name}=x' * 1001}", 400, f"<= 1000, in `{name}`")
            for name in ("document", "collection", "tag", "type")
        ),
    ],
)
def test_bad_search_by_address(client: Client, query: str, status: int, says: str) -> None:
    response = client.get(f"{PATH}?{query}")
    assert response.status_code == status
    assert says in response.json["detail"]


def test_filter_by_what_does_not_exist(
    client: Client, services: Services, upload: Callable[..., Any]
) -> None:
    stranger = as_stranger(services)
    private = services.db.write(lambda c: collections.create(c, stranger, services.clock, "P"))
    theirs = services.ingest.file(as_stranger(services), private.id, "secret.md", b"# Secret")
    gone = upload("gone.md")["id"]
    client.delete(f"/api/v1/documents/{gone}")
    own = upload("own.md")["id"]
    for document in (gone, theirs.document.id, "f" * 32, "x"):
        for response in (
            client.post(PATH, json={"query": "x", "filters": {"documents": [own, document]}}),
            client.get(f"{PATH}?q=x&document={own}&document={document}"),
            client.post(
                "/api/v1/chat", json={"question": "x", "filters": {"documents": [document]}}
            ),
        ):
            assert response.status_code == 404, response.text
            assert response.json["detail"] == f"There is no document {document}."
    for collection in (private.id, "nope"):
        for response in (
            client.get(f"{PATH}?q=x&collection={collection}"),
            client.post(
                "/api/v1/chat", json={"question": "x", "filters": {"collections": [collection]}}
            ),
        ):
            assert response.status_code == 404
            assert response.json["detail"] == f"There is no collection {collection}."
    # What exists is searched, as far as there is an engine.
    assert client.get(f"{PATH}?q=x&document={own}&collection=default").status_code == 503


def test_what_is_taken_away_while_the_engine_searches_is_not_found(
    client: Client, services: Services, upload: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = as_stranger(services)
    made = services.db.write(lambda c: collections.create(c, stranger, services.clock, "P"))
    stranger = as_stranger(services)
    shared = collections.Readers(everyone=True, users=[], groups=[])
    services.db.write(lambda c: collections.set_readers(c, stranger, made.id, shared))
    theirs = services.ingest.file(stranger, made.id, "theirs.md", b"# Theirs").document.id
    own, gone = upload("own.md")["id"], upload("gone.md")["id"]
    meanwhile: list[Callable[[Any], Any]] = []

    def search(_: SearchRequest) -> SearchResponse:
        for change in meanwhile:
            services.db.write(change)
        hits = [
            Hit(n, id_, 1, "c", "n", "text/plain", 0, "t", "", 0, 1, None, 1.0)
            for n, id_ in enumerate((theirs, gone, own))
        ]
        return SearchResponse(hits, 1, 0, [], {})

    monkeypatch.setattr(services.engine, "search", search)

    def found() -> list[str]:
        return [hit["document_id"] for hit in client.get(f"{PATH}?q=x").json["hits"]]

    assert found() == found() == [theirs, gone, own]
    private = collections.Readers(everyone=False, users=[], groups=[])
    meanwhile.append(lambda c: collections.set_readers(c, stranger, made.id, private))
    assert found() == [gone, own]
    owner = services.db.read(access.local_reader)
    meanwhile[:] = [lambda c: documents.delete(c, owner, services.clock, gone)]
    assert found() == [own]


def test_search_without_an_engine_is_an_honest_503(client: Client, services: Services) -> None:
    services.config = msgspec.structs.replace(services.config, search_deadline_ms=50)
    response = client.get(f"{PATH}?q=hello")
    assert response.status_code == 503
    assert response.json["code"] == "engine_unavailable"
    assert response.json["retryable"] is True
    assert response.headers["Retry-After"] == "1"
