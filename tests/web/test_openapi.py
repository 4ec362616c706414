"""The description of the API holds every route, and is valid."""

import re
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from likeopt.web import openapi
from tests.web.conftest import Client


@pytest.fixture
def document(client: Client) -> Any:
    return client.get("/api/v1/openapi.json").json


def test_document_is_valid_openapi(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described(app: Flask, document: Any) -> None:
    described = {
        (method, re.sub(r"\{(\w+)\}", "<>", path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    routed = {
        (method.lower(), re.sub(r"<[^>]+>", "<>", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routed == described


def test_operations_say_what_they_take_and_give(document: Any) -> None:
    ids = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert operation["summary"], path
            assert "default" in operation["responses"]
            declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))
    assert len(ids) == len(set(ids))


def test_schema_is_what_is_sent(client: Client, document: Any) -> None:
    schema = document["components"]["schemas"]["Collection"]
    sent = client.get("/api/v1/collections").json["items"][0]
    assert sent.keys() == schema["properties"].keys()


def test_route_without_a_description_is_a_mistake(app: Flask) -> None:
    app.add_url_rule("/bare", "bare", lambda: "")
    with pytest.raises(TypeError, match="/bare"):
        openapi.build(app)


def test_document_may_be_kept_and_asked_about(client: Client) -> None:
    first = client.get("/api/v1/openapi.json")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""


def test_page_for_people(client: Client, document: Any) -> None:
    response = client.get("/api/docs")
    page = response.text
    for path, operations in document["paths"].items():
        assert path in page
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
    assert "<script" not in page
    assert "give <code>next_cursor</code> back" in page
    assert "http://localhost/api/v1/search" in page
    # Nothing from elsewhere, and no style but this one.
    assert re.search(r"style-src 'sha256-[^']+'", response.headers["Content-Security-Policy"])
    assert not re.search(r'(?:src|href)="(?!#|/)', page)
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page))


def test_page_speaks_korean_and_english(client: Client) -> None:
    korean = client.get("/api/docs", headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.5"})
    english = client.get("/api/docs", headers={"Accept-Language": "fr,en;q=0.5"})
    assert '<html lang="ko">' in korean.text
    assert "매개변수" in korean.text
    assert '<html lang="en">' in english.text
    assert "Parameters" in english.text
    assert korean.headers["Vary"].startswith("Accept-Language, Cookie")
    assert korean.headers["ETag"] != english.headers["ETag"]
