"""One shape for every error."""

import logging

import pytest
from flask import Flask

from likeopt.errors import Busy, LikeOptError
from likeopt.web import errors
from tests.web.conftest import Client

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "retryable"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/documents/NOT-AN-ID", 404, "not_found"),
        ("GET", "/api/v1/documents/" + "0" * 32, 404, "not_found"),
        ("PUT", "/api/v1/documents", 405, "method_not_allowed"),
        ("GET", "/assets/../../etc/passwd", 404, "not_found"),
        ("GET", "/assets/nothing.js", 404, "not_found"),
        ("POST", "/assets/nothing.js", 405, "method_not_allowed"),
        ("TRACE", "/", 405, "method_not_allowed"),
        ("TRACE", "/api/v1/info", 405, "method_not_allowed"),
        ("TRACE", "/assets/nothing.js", 405, "method_not_allowed"),
    ],
)
def test_refusals_are_problems(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    response = client.open(path, method=method, headers={"X-Request-ID": "r9"})
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    problem = response.json
    assert problem.keys() >= MEMBERS
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == "r9"
    assert problem["type"] == f"/api/docs#{code}"
    assert problem["detail"].endswith(".")


def test_refused_method_says_what_is_allowed(client: Client) -> None:
    allowed = client.put("/api/v1/documents").headers["Allow"]
    assert {"GET", "POST"} <= {method.strip() for method in allowed.split(",")}


def test_person_with_a_wrong_address_gets_the_page(client: Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    page = client.get("/no/such/page", headers=browser)
    assert page.content_type.startswith("text/html")
    assert page.status_code in (404, 503)
    assert client.get("/api/v1/nothing", headers=browser).json["code"] == "not_found"


def test_unexpected_error_tells_the_log_and_not_the_client(
    app: Flask, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError("a secret detail")

    with caplog.at_level(logging.ERROR):
        response = client.get("/broken", headers={"X-Request-ID": "r5"})
    assert response.status_code == 500
    assert response.json["code"] == "internal_error"
    assert response.json["request_id"] == "r5"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    (record,) = caplog.records
    assert record.exc_info
    assert vars(record)["fields"] == {"request_id": "r5"}


def test_error_says_when_to_come_back(app: Flask, client: Client) -> None:
    @app.get("/busy")
    def busy() -> str:
        raise Busy("Too much to do.", retry_after=1.2)

    response = client.get("/busy")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json["retryable"] is True
    assert response.json["retry_after"] == 1.2


def test_errors_below_v1_have_the_shape_of_openai(client: Client) -> None:
    for response in (client.get("/v1/nothing"), client.post("/v1/chat/completions", json={})):
        assert response.content_type == "application/json"
        assert response.json["error"]["message"]
        assert response.json["error"]["type"] == "invalid_request_error"


def test_every_code_is_documented_once(client: Client) -> None:
    codes = [code for code, *_ in errors.codes()]
    assert len(codes) == len(set(codes))
    page = client.get("/api/docs").text
    for code in codes:
        assert f'id="{code}"' in page


def test_relayed_failure_keeps_its_status() -> None:
    from likeopt.chat.events import Failed

    event = Failed("busy", 503, "Later.", retryable=True, retry_after=3.0)
    error = errors.of_event(event)
    assert (error.status, error.retryable, error.instance_code) == (503, True, "busy")
    # Only this one.
    assert LikeOptError.status == 500
