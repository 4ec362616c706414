"""Every error leaves as a problem of RFC 9457, with a code, a sentence and the request's id.

Below `/v1/`, where clients of OpenAI's API call, the same error leaves in that API's shape.
"""

import logging
import math
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from likeopt.chat.events import Failed
from likeopt.errors import BadInput, LikeOptError
from likeopt.web import middleware, refusals

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
OPENAI_PREFIX = "/v1/"

# What HTTP itself refuses: code and, where ours says more than Werkzeug's, a sentence.
_HTTP_CODES: dict[int, tuple[str, str]] = {
    400: ("bad_input", ""),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not answer to this method."),
    411: ("length_required", ""),
    413: ("too_large", "The request's body is larger than allowed here."),
    415: ("unsupported_type", ""),
    416: ("range_not_satisfiable", ""),
}


class Problem(msgspec.Struct, kw_only=True):
    """RFC 9457 problem details. Some problems carry further members."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retryable: bool = False


def details(error: LikeOptError, request_id: str) -> dict[str, Any]:
    """The members of the problem that `error` is."""
    members: dict[str, Any] = {
        "type": f"/api/docs#{error.instance_code}",
        "title": error.instance_code.replace("_", " ").capitalize(),
        "status": error.status,
        "detail": error.message,
        "code": error.instance_code,
        "request_id": request_id,
        "retryable": error.retryable,
    }
    if error.retry_after is not None:
        members["retry_after"] = error.retry_after
    return error.details | members


def of_event(event: Failed) -> LikeOptError:
    """The exception that the last event of a failed answer stands for."""
    error = LikeOptError(event.detail, code=event.code, retry_after=event.retry_after)
    vars(error).update(status=event.status, retryable=event.retryable)
    return error


def respond(members: dict[str, Any]) -> Response:
    """A response for a problem; in OpenAI's shape below `/v1/`."""
    body: dict[str, Any] = members
    kind = PROBLEM_TYPE
    if request.path.startswith(OPENAI_PREFIX):
        kind = "application/json"
        family = "invalid_request_error" if members["status"] < 500 else "server_error"
        body = {
            "error": {
                "message": members["detail"],
                "type": family,
                "param": None,
                "code": members["code"],
                "request_id": members["request_id"],
            }
        }
    response = Response(msgspec.json.encode(body), members["status"], content_type=kind)
    if "retry_after" in members:
        # Whole seconds (RFC 9110, 10.2.3), rounded up so that nobody comes too early.
        response.headers["Retry-After"] = str(math.ceil(members["retry_after"]))
    if response.status_code == 401:
        # What may be tried instead (RFC 9110, 11.6.1); browsers ask nobody for a bearer token.
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def codes() -> list[tuple[str, int, bool, str]]:
    """(code, status, retryable, meaning) of every class of error, for the documentation."""
    kinds: list[type[LikeOptError]] = [LikeOptError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return sorted(
        (kind.code, kind.status, kind.retryable, " ".join((kind.__doc__ or "").split()))
        for kind in kinds
    )


def install(app: Flask) -> None:
    """Answer every error of `app` with a problem."""
    app.register_error_handler(LikeOptError, _on_ours)
    app.register_error_handler(HTTPException, on_http)
    # gunicorn reads a body's chunks when they are asked for, which is inside a view.
    app.register_error_handler(ParseException, _on_malformed)
    app.register_error_handler(NoMoreData, _on_malformed)
    app.register_error_handler(Exception, _on_unexpected)


def _on_ours(error: LikeOptError) -> Response:
    exchange = middleware.exchange()
    if error.status >= 500:
        fields = {"request_id": exchange.request_id, "code": error.instance_code}
        log.warning("%s", error.message, extra={"fields": fields})
    else:
        refusals.note(error)
    return respond(details(error, exchange.request_id))


def _on_malformed(_error: Exception) -> Response:
    return _on_ours(BadInput("The request's body is not valid HTTP.", code="malformed_request"))


def on_http(error: HTTPException) -> Any:
    """The problem that an error of HTTP itself is."""
    if isinstance(error, RequestRedirect):
        return error
    status = error.code or 500
    code, sentence = _HTTP_CODES.get(status, (_phrase(status).lower().replace(" ", "_"), ""))
    response = respond(
        {
            "type": f"/api/docs#{code}",
            "title": _phrase(status),
            "status": status,
            "detail": sentence or error.description or _phrase(status),
            "code": code,
            "request_id": middleware.exchange().request_id,
            "retryable": False,
        }
    )
    for name, value in error.get_headers():
        # Allow of a 405, Content-Range of a 416.
        if name in ("Allow", "Content-Range"):
            response.headers[name] = value
    return response


def _on_unexpected(error: Exception) -> Response:
    request_id = middleware.exchange().request_id
    log.error("unexpected error", exc_info=error, extra={"fields": {"request_id": request_id}})
    ours = LikeOptError(
        "Something went wrong on the server. It is in the log under this request's id."
    )
    return respond(details(ours, request_id))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
