"""How fast the page is where it is used, as browsers measured it."""

from typing import Annotated, Literal

import msgspec
from flask import Response, current_app
from msgspec import Meta
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from likeopt.errors import BadInput, Forbidden, TooManyRequests
from likeopt.storage import vitals
from likeopt.storage.vitals import Vital
from likeopt.web import auth, limits, origin
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints
from likeopt.web.openapi import path_of

metrics = Endpoints("metrics", tag="Metrics", prefix="/api/v1/metrics")

# Layouts that shift by more than the page's own height several times over are none.
_WORST_CLS = 10
# Pages of those who are not signed in.
_OPEN = frozenset({"sign-in", "link"})
Millis = Annotated[float, Meta(ge=0, le=600_000)]


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One measured value: milliseconds, or for `CLS` its score.

    `NAV` is a change of page without a load, `API` a request until its answer began. `operation`
    and `status` go with `API` only: the request as `METHOD /path`, ids replaced by anything that
    could be one. `target` is the element that decided the value, by tags and classes; `parts` says
    what the time went to.
    """

    name: Literal["LCP", "INP", "CLS", "FCP", "TTFB", "NAV", "API"]
    value: Millis
    page: Literal[
        "chat",
        "library",
        "sign-in",
        "link",
        "account",
        "jobs",
        "caches",
        "settings",
        "people",
        "audit",
        "missing",
    ]
    way: Literal["load", "reload", "back", "restore", "prerender", "route"] = "load"
    operation: Annotated[str, Meta(max_length=200)] | None = None
    status: Annotated[int, Meta(ge=0, le=599)] | None = None
    target: Annotated[str, Meta(max_length=100, pattern=r"^[a-zA-Z0-9 .>_-]*$")] | None = None
    parts: (
        dict[
            Literal["waiting", "loading", "rendering", "input", "processing", "presentation"],
            Millis,
        ]
        | None
    ) = None


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one page measured since its last report."""

    screen: Literal["phone", "desktop"]
    samples: Annotated[list[Sample], Meta(min_length=1, max_length=50)]


@metrics.operation(
    "POST",
    "",
    summary="Report what a page has measured",
    detail="For the page itself, which sends it with `navigator.sendBeacon`. That sets no headers,"
    " so instead of a CSRF token, `Origin` and `Sec-Fetch-Site` are looked at. What is kept names"
    " no person, session or address. Without a session, only values of the pages `sign-in` and"
    " `link` are kept.",
    access="public",
    limit="metrics",
    body=Report,
    status=204,
    errors=(BadInput, Forbidden, TooManyRequests),
)
def add_metrics(body: Report) -> Response:
    origin.require_own_page()
    found = services()
    measured = [_vital(body.screen, sample) for sample in body.samples]
    if not auth.is_in():
        # Anybody can send this, with an `Origin` of their own making.
        measured = [vital for vital in measured if vital.page in _OPEN]
    if found.config.vitals_percent and measured:
        limits.take_values(len(measured))
        found.db.write(lambda c: vitals.add(c, found.clock, measured))
    return Response(status=204)


def _vital(screen: str, sample: Sample) -> Vital:
    if (sample.name == "API") != (sample.operation is not None and sample.status is not None):
        raise BadInput("`operation` and `status` go with `API`, and with nothing else.")
    if sample.name == "CLS" and sample.value > _WORST_CLS:
        raise BadInput(f"`CLS` is {_WORST_CLS} at most.")
    return Vital(
        name=sample.name,
        value=sample.value,
        page=sample.page,
        screen=screen,
        way=sample.way,
        operation=sample.operation and _route(sample.operation),
        status=sample.status,
        target=sample.target,
        parts={str(part): ms for part, ms in sample.parts.items()} if sample.parts else None,
    )


def _route(operation: str) -> str:
    """The route that a request went to, of which there are only so many."""
    method, _, path = operation.partition(" ")
    try:
        rule, _ = current_app.url_map.bind("").match(path, method=method, return_rule=True)
    except HTTPException:
        raise BadInput("`operation` is no operation of this server.") from None
    if not isinstance(rule, Rule) or not path.startswith(("/api/", "/v1/")):
        raise BadInput("`operation` is no operation of this server.")
    return f"{method} {path_of(rule)}"
