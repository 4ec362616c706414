"""The OpenAPI 3.1 document, made from the routes and the structs that they decode and encode.

https://spec.openapis.org/oas/v3.1.1
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask
from werkzeug.routing import Rule

from likeopt import __version__
from likeopt.errors import (
    BadInput,
    Forbidden,
    LikeOptError,
    NotFound,
    RequestTimeout,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UnsupportedType,
)
from likeopt.web import auth, cookies
from likeopt.web.endpoint import (
    HASH_PATTERN,
    ID_PATTERN,
    JSON,
    MADE_ID_PATTERN,
    Endpoint,
    Operation,
)
from likeopt.web.errors import Problem

_REF = "#/components/schemas/{name}"

DESCRIPTION = """\
Ask your own documents. Every answer cites the passages it came from.

Errors are problem details (RFC 9457) with a `code` for programs, a `detail` for people and the
`request_id` under which the server logged the request. `retryable` tells whether trying the same
again can help. Times are RFC 3339 in UTC. Lists are pages: give `next_cursor` back as `cursor`.
"""


SECURITY = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.NAME,
        "description": f"Of a signed-in browser; behind TLS it is `{cookies.SECURE_NAME}`. Changes"
        f" need the header `{auth.CSRF_HEADER}` with `csrf` of GET /api/v1/session.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`lo_...`), with the scope that the operation names.",
    },
}


def build(app: Flask) -> dict[str, Any]:
    """The document that describes every route of `app`."""
    routes = sorted(_routes(app), key=lambda route: (route[1].operation.tag, route[0].rule))
    kinds = _kinds([endpoint.operation for _, endpoint in routes])
    schemas, components = msgspec.json.schema_components(list(kinds.values()), ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for rule, endpoint in routes:
        # HEAD and OPTIONS come with every route by themselves.
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            described = _operation(rule, endpoint, schema_of, method)
            paths.setdefault(path_of(rule), {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Like-Opt",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted({e.operation.tag for _, e in routes})],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _routes(app: Flask) -> Iterator[tuple[Rule, Endpoint]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if not isinstance(view, Endpoint):
            raise TypeError(f"{rule.rule} is routed to a view without a description")
        yield rule, view


def _kinds(operations: list[Operation]) -> dict[str, Any]:
    """Every type that a schema is needed for, by its representation (types may be unhashable)."""
    kinds: list[Any] = [Problem]
    for operation in operations:
        kinds += [operation.body, operation.returns]
        if operation.query is not None:
            kinds += [member.type for member in msgspec.structs.fields(operation.query)]
    return {repr(kind): kind for kind in kinds if kind is not None}


def path_of(rule: Rule) -> str:
    """A route as OpenAPI writes it: `/api/v1/documents/{document}`."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _operation(
    rule: Rule, endpoint: Endpoint, schema_of: dict[str, Any], method: str
) -> dict[str, Any]:
    operation = endpoint.operation
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}",
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [
            *_path_parameters(rule),
            *_query_parameters(operation, schema_of),
            *_header_parameters(operation),
        ],
        "responses": _responses(rule, operation, schema_of),
    }
    described["security"] = _security(operation)
    if operation.detail:
        described["description"] = operation.detail
    if operation.example:
        described["x-example"] = operation.example
    if operation.body is not None:
        content: dict[str, Any] = {JSON: {"schema": schema_of[repr(operation.body)]}}
    elif operation.form is not None:
        content = {"multipart/form-data": {"schema": operation.form}}
    else:
        return described
    described["requestBody"] = {"required": True, "content": content}
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Any of these is enough; without any, the operation is everybody's."""
    if operation.access == "public":
        return []
    session: dict[str, list[str]] = {"session": []}
    # OpenAPI 3.1 allows roles for schemes that are not OAuth 2's.
    return [session] if operation.scope == "account" else [session, {"key": [operation.scope]}]


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    found = []
    for converter, name in re.findall(r"<(?:([^:<>]+):)?([^<>]+)>", rule.rule):
        schema: dict[str, Any] = {"type": "string"}
        if converter == "id":
            schema["pattern"] = f"^{ID_PATTERN}$"
        elif converter == "made":
            schema["pattern"] = f"^{MADE_ID_PATTERN}$"
        elif converter == "hash":
            schema["pattern"] = f"^{HASH_PATTERN}$"
        elif converter == "int":
            schema = {"type": "integer", "minimum": 0}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(operation: Operation, schema_of: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    found = []
    for member in msgspec.structs.fields(operation.query):
        schema = dict(schema_of[repr(member.type)])
        parameter = {"name": member.encode_name, "in": "query", "required": member.required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        found.append(parameter | {"schema": schema})
    return found


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]


def _responses(rule: Rule, operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {m: {"schema": schema} for m, schema in operation.media.items()}
    if operation.returns is not None:
        content = {JSON: {"schema": schema_of[repr(operation.returns)]}} | content
    ok: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if content:
        ok["content"] = content
    responses = {str(operation.status): ok}
    if operation.remembered is not None:
        responses["304"] = {"description": "What If-None-Match names is still the answer"}
    shape: dict[str, Any] = {"$ref": _REF.format(name="Problem")}
    if operation.error_type == JSON:
        shape = {"type": "object", "required": ["error"]}
    problem = {operation.error_type: {"schema": shape}}
    for error in sorted(_errors(rule, operation), key=lambda e: (e.status, e.code)):
        said = " ".join((error.__doc__ or "").split())
        known = responses.get(str(error.status))
        text = f"{known['description']} Or: {said}" if known else said
        responses[str(error.status)] = {"description": text, "content": problem}
    if rule.arguments or operation.query is not None:
        # By the server, before there is a request.
        responses["414"] = {"description": "The address is too long.", "content": problem}
    responses["default"] = {"description": "Any other error.", "content": problem}
    return dict(sorted(responses.items()))


def _errors(rule: Rule, operation: Operation) -> set[type[LikeOptError]]:
    errors = set(operation.errors)
    if operation.body is not None:
        errors |= {BadInput, TooLarge, UnsupportedType}
    if operation.body is not None or operation.form is not None:
        errors.add(RequestTimeout)
    if operation.query is not None:
        errors.add(BadInput)
    if rule.arguments:
        # What is not even shaped like an id leads to no view.
        errors.add(NotFound)
    if operation.access != "public":
        errors |= {Unauthorized, Forbidden}
    if operation.limit != "none":
        errors.add(TooManyRequests)
    return errors
