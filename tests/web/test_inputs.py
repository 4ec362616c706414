"""Bad input: each kind with its own status, code and sentence, and nothing changed."""

import unicodedata
from typing import Any

import pytest

from tests.web.conftest import Client

PATH = "/api/v1/collections"


def post(client: Client, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
    response = client.post(PATH, data=body, content_type=kind)
    return response.status_code, response.json


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b"", 400, "empty_body", "no body"),
        (b"   ", 400, "empty_body", "no body"),
        (b"name=x", 400, "invalid_json", "not JSON"),
        (b'{"name": ', 400, "invalid_json", "not JSON"),
        (b'["x"]', 400, "bad_input", "The body must be an object, not a list."),
        (b'{"name": 5}', 400, "bad_input", "`name` must be a text, not a whole number."),
        (b"{}", 400, "bad_input", "`name` is missing."),
        (b'{"name": "x", "nmae": 1}', 400, "bad_input", "`nmae` is not known here."),
        (b'{"name": "\xff"}', 400, "invalid_utf8", "not valid UTF-8"),
        (b'{"name": "a\\u0000b"}', 400, "null_character", "null character"),
        (b'{"name": "\\ud800x"}', 400, "invalid_json", "not JSON"),
        (b"[" * 100_000, 400, "invalid_json", "nested too deeply"),
        # Not too deep for the decoder, but for what looks at each text afterwards.
        (b"[" * 700 + b"]" * 700, 400, "invalid_json", "nested too deeply"),
        (b'{"name": "' + b"x" * (1 << 20) + b'"}', 413, "too_large", "larger than 256 KiB"),
        (b'{"name": "   "}', 400, "bad_input", "empty"),
        (b'{"name": "' + b"x" * 500 + b'"}', 400, "bad_input", "longer than"),
    ],
)
def test_bad_body(client: Client, body: bytes, status: int, code: str, says: str) -> None:
    got, problem = post(client, body)
    assert (got, problem["code"]) == (status, code), problem
    assert says in problem["detail"]
    assert len(client.get(PATH).json["items"]) == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_json(client: Client, kind: str) -> None:
    got, problem = post(client, b'{"name": "x"}', kind)
    assert (got, problem["code"]) == (415, "unsupported_type")
    assert "Content-Type: application/json" in problem["detail"]


def test_json_may_name_its_charset(client: Client) -> None:
    assert post(client, b'{"name": "x"}', "application/json; charset=utf-8")[0] == 201


def test_text_is_stored_composed(client: Client) -> None:
    decomposed = unicodedata.normalize("NFD", "계약서")
    made = client.post(PATH, json={"name": decomposed}).json
    assert made["name"] == "계약서"
    assert len(made["name"]) == 3


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("limit=ten", "bad_input", "`limit` must be a whole number."),
        ("limit=0", "bad_input", "between 1 and 200"),
        ("limit=1&limit=2", "bad_input", "`limit` is given more than once"),
        ("nothing=1", "bad_input", "`nothing` is not known here."),
        ("state=odd", "bad_input", "`state` cannot be 'odd'."),
        ("cursor=xyz", "bad_input", "cursor"),
        ("q=%ff%fe", "invalid_utf8", "not valid UTF-8"),
        ("q=a%00b", "null_character", "null character"),
    ],
)
def test_bad_query(client: Client, query: str, code: str, says: str) -> None:
    response = client.get(f"/api/v1/documents?{query}")
    assert (response.status_code, response.json["code"]) == (400, code), response.json
    assert says in response.json["detail"]


def test_list_members_may_be_given_several_times(client: Client) -> None:
    response = client.get("/api/v1/search?q=&tag=a&tag=b")
    # The empty query is what is wrong with it.
    assert "empty" in response.json["detail"]
