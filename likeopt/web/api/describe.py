"""The API's description: for programs (OpenAPI) and for people (a page)."""

import base64
import hashlib
from functools import cache
from typing import Any

import msgspec
from flask import Flask, Response, current_app, render_template, request

from likeopt.web import cache_control, errors, language, openapi
from likeopt.web.endpoint import Endpoints

describe = Endpoints("describe", tag="Server", prefix="/api")

# The words of the page around the descriptions, which are in English like the code.
WORDS = {
    "ko": {
        "title": "Like-Opt API",
        "contents": "목차",
        "request": "요청",
        "response": "응답",
        "parameters": "매개변수",
        "required": "필수",
        "status": "상태",
        "schemas": "데이터 형식",
        "members": "항목",
        "example": "예",
        "machine": "프로그램을 위한 OpenAPI 문서",
        "errors": "오류 코드",
        "errors_text": "모든 오류는 RFC 9457 형식이며, 아래 코드 중 하나를 가집니다.",
        "retry": "다시 시도하면 될 수 있음",
    },
    "en": {
        "title": "Like-Opt API",
        "contents": "Contents",
        "request": "Request",
        "response": "Response",
        "parameters": "Parameters",
        "required": "required",
        "status": "Status",
        "schemas": "Data types",
        "members": "Members",
        "example": "Example",
        "machine": "OpenAPI document for programs",
        "errors": "Error codes",
        "errors_text": "Every error has the form of RFC 9457, with one of these codes.",
        "retry": "trying again can help",
    },
}

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1rem }
nav ul { columns: 2; column-gap: 3rem; padding-left: 1rem }
@media (max-width: 40rem) { nav ul { columns: 1 } }
nav li { break-inside: avoid; overflow-wrap: anywhere }
section { border-top: 1px solid #8886; margin-top: 2rem }
code, pre { font: .875rem/1.4 ui-monospace, monospace }
pre { background: #8882; padding: .75rem; overflow-x: auto; border-radius: .25rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid #8883; overflow-wrap: anywhere }
.verb { font-weight: 700 }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


@describe.operation(
    "GET",
    "/v1/openapi.json",
    summary="This description, as OpenAPI 3.1",
    media={"application/json": {"type": "object"}},
    access="public",
)
def openapi_json() -> Response:
    body = _document_json(_application())
    response = Response(body, content_type="application/json")
    response.set_etag(hashlib.sha256(body).hexdigest()[:16])
    response.headers["Cache-Control"] = cache_control.REVALIDATED
    response.make_conditional(request)
    return response


@describe.operation(
    "GET",
    "/docs",
    summary="This description, for people",
    media={"text/html": {"type": "string"}},
    access="public",
)
def docs_page() -> Response:
    lang = language.of_request()
    html = render_template(
        "docs.html",
        lang=lang,
        words=WORDS[lang],
        style=STYLE,
        api=_document(_application()),
        codes=errors.codes(),
        origin=request.host_url.rstrip("/"),
        describe_schema=describe_schema,
    )
    response = Response(html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Vary"] = language.VARY
    response.headers["Cache-Control"] = cache_control.REVALIDATED
    response.set_etag(hashlib.sha256(html.encode()).hexdigest()[:16])
    response.make_conditional(request)
    return response


def describe_schema(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words: `list of Document`, `string or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(describe_schema(one) for one in schema[several])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array" and "prefixItems" in schema:
        return f"[{', '.join(describe_schema(one) for one in schema['prefixItems'])}]"
    if kind == "array":
        return f"list of {describe_schema(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {describe_schema(schema['additionalProperties'])}"
    return str(schema.get("format", kind))


def _application() -> Flask:
    found: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    return found


@cache
def _document(app: Flask) -> dict[str, Any]:
    return openapi.build(app)


@cache
def _document_json(app: Flask) -> bytes:
    return msgspec.json.encode(_document(app))
