"""A view together with its description.

`Endpoints` is a blueprint whose views say what they take, return and refuse. From that the input
is decoded before the view runs, its answer is encoded, and `openapi.py` writes the documentation;
so none of the three can differ from the others.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from flask import Blueprint, Response
from werkzeug.routing import BaseConverter

from likeopt.errors import LikeOptError
from likeopt.storage.api_keys import Scope
from likeopt.web import auth, cache_control, inputs, limits, remembered
from likeopt.web.errors import PROBLEM_TYPE
from likeopt.web.limits import Limit
from likeopt.web.remembered import Remembered

JSON = "application/json"
# 32 hex digits, or the name of a row that every installation has, such as `default`.
ID_PATTERN = "[0-9a-z]{1,32}"
MADE_ID_PATTERN = "[0-9a-f]{32}"
HASH_PATTERN = "[0-9a-f]{64}"

View = Callable[..., Any]
Access = Literal["public", "member", "admin"]

_encode = msgspec.json.Encoder().encode


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is, for people and for OpenAPI.

    `body` and `query` are structs; the view gets them decoded as arguments of those names.
    `returns` is the type of its JSON answer. `media` are answers (or, for `form`, requests) that
    are not JSON: media type -> JSON schema. `headers` are those of a request that mean something to
    the view: name -> what. `example` is the argument list of a curl call.

    `access` says who may call it, and `scope` what an API key must allow for it, `account` being
    what none does. `limit` is the rate limit that it counts for. By itself, an operation is for
    members, needs `read` or `write` by its method, or `admin` if it is for administrators, and has
    the default limit if it is not public. `remembered` says how long its answer may be given
    again; it then has an ETag, and is not sent to whoever has it already.
    """

    summary: str
    tag: str
    detail: str = ""
    body: Any = None
    query: Any = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    form: dict[str, Any] | None = None
    returns: Any = None
    status: int = 200
    media: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    errors: tuple[type[LikeOptError], ...] = ()
    cache: str = cache_control.PERSONAL
    example: str = ""
    error_type: str = PROBLEM_TYPE
    access: Access = "member"
    scope: Scope | Literal["account"] = "write"
    limit: Limit = "none"
    remembered: Remembered | None = None


class Endpoint:
    """The callable that Flask routes to."""

    def __init__(self, view: View, operation: Operation) -> None:
        self.view = view
        self.operation = operation

    def __call__(self, **arguments: Any) -> Response:
        """See who asks, decode the input, run the view, encode its answer.

        A Response passes as it is.
        """
        if self.operation.access != "public":
            auth.admit(self.operation.access, self.operation.scope)
        limits.take(self.operation.limit)
        if self.operation.query is not None:
            arguments["query"] = inputs.read_query(self.operation.query)
        if self.operation.body is not None:
            arguments["body"] = inputs.read_json(self.operation.body)
        if self.operation.remembered is not None:
            name = f"{self.view.__module__}.{self.view.__name__}"
            return remembered.respond(name, self.operation.remembered, arguments, self.view)
        answer = self.view(**arguments)
        if isinstance(answer, Response):
            return answer
        status = self.operation.status
        response = Response(b"" if status == 204 else _encode(answer), status, content_type=JSON)
        response.headers["Cache-Control"] = self.operation.cache
        return response


class IdConverter(BaseConverter):
    """`<id:name>` in a rule: what is not even shaped like an id is not found."""

    regex = ID_PATTERN


class MadeIdConverter(BaseConverter):
    """`<made:name>` in a rule: an id of something that every installation makes for itself."""

    regex = MADE_ID_PATTERN


class HashConverter(BaseConverter):
    """`<hash:name>` in a rule: a SHA-256 in hex, such as a session's id."""

    regex = HASH_PATTERN


class Endpoints(Blueprint):
    """A blueprint of described views."""

    def __init__(self, name: str, *, tag: str, prefix: str) -> None:
        super().__init__(name, __name__, url_prefix=prefix)
        self._tag = tag

    def operation(self, method: str, rule: str, **description: Any) -> Callable[[View], View]:
        """Route `method` and `rule` to the decorated view; `description` makes its Operation."""

        def decorate(view: View) -> View:
            needed = "read" if method == "GET" else "write"
            usual = {
                "tag": self._tag,
                "scope": "admin" if description.get("access") == "admin" else needed,
                "limit": "none" if description.get("access") == "public" else "default",
            }
            made = Operation(**(usual | description))
            self.add_url_rule(rule, view.__name__, Endpoint(view, made), methods=[method])
            return view

        return decorate
