"""Whether the server lives, and what of it works."""

from typing import Literal

import msgspec
from flask import Response

from likeopt.errors import StorageUnavailable
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints
from likeopt.web.readiness import Readiness, latest

health = Endpoints("health", tag="Server", prefix="/")


class Health(msgspec.Struct):
    """The process answers."""

    status: Literal["ok"] = "ok"


@health.operation(
    "GET", "/health", summary="Whether the server lives", returns=Health, access="public"
)
def get_health() -> Health:
    return Health()


@health.operation(
    "GET",
    "/ready",
    summary="What works and what does not",
    detail="Really asks each part, at most once a second; the address of a language model at most"
    " every 30 s.",
    returns=Readiness,
    errors=(StorageUnavailable,),
    access="public",
)
def get_ready() -> Response:
    state = latest(services())
    status = 503 if state.status == "unavailable" else 200
    return Response(msgspec.json.encode(state), status, content_type="application/json")
