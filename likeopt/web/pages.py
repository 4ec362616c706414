"""The page: one shell for every address of the single-page app, and its files."""

import hashlib
from typing import Any

from flask import Flask, Response, current_app, render_template, request
from werkzeug.exceptions import NotFound as PageNotFound

from likeopt.errors import NotFound
from likeopt.web import cache_control, errors, language
from likeopt.web.assets import ENCODINGS, Assets
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints

pages = Endpoints("pages", tag="Pages", prefix="/")

_EXTENSION = "likeopt-assets"
_HTML = {"text/html": {"type": "string"}}
# Addresses below these are for programs: they get problems, never a page.
_API_PREFIXES = ("/api/", "/v1/", "/assets/")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)


def install(app: Flask, assets: Assets) -> None:
    """Serve the page and its files from `app`."""
    app.extensions[_EXTENSION] = assets
    app.register_blueprint(pages)
    app.register_error_handler(PageNotFound, _no_such_address)


@pages.operation("GET", "/", summary="The page, for asking", media=_HTML, access="public")
def index() -> Response:
    return _shell("chat")


@pages.operation(
    "GET", "/c/<id:conversation>", summary="A conversation's page", media=_HTML, access="public"
)
def conversation_page(conversation: str) -> Response:  # noqa: ARG001  (the page reads its address)
    return _shell("chat")


@pages.operation("GET", "/library", summary="The library's page", media=_HTML, access="public")
def library_page() -> Response:
    return _shell("library")


@pages.operation(
    "GET", "/library/<id:document>", summary="A document's page", media=_HTML, access="public"
)
def document_page(document: str) -> Response:  # noqa: ARG001  (the page reads its address)
    return _shell("library")


@pages.operation("GET", "/sign-in", summary="To sign in", media=_HTML, access="public")
def sign_in_page() -> Response:
    return _shell("sign-in")


@pages.operation("GET", "/link", summary="What a one-time link opens", media=_HTML, access="public")
def link_page() -> Response:
    return _shell("link")


@pages.operation("GET", "/account", summary="One's own account", media=_HTML, access="public")
def account_page() -> Response:
    return _shell("account")


@pages.operation("GET", "/people", summary="Who has an account", media=_HTML, access="public")
def people_page() -> Response:
    return _shell("people")


@pages.operation("GET", "/audit", summary="The audit log's page", media=_HTML, access="public")
def audit_page() -> Response:
    return _shell("audit")


@pages.operation(
    "GET",
    "/assets/<path:name>",
    summary="A file of the page",
    detail="Hashed files never change under their address and may be kept for ever.",
    media={"application/octet-stream": {"type": "string", "format": "binary"}},
    errors=(NotFound,),
    access="public",
)
def asset(name: str) -> Response:
    build = _assets().build()
    found = build.assets.get(name) if build else None
    if found is None:
        raise NotFound("There is no such file. The page may be of an older version: reload it.")
    accepted = request.accept_encodings
    wanted = next((e for e in ENCODINGS if e in found.copies and accepted[e] > 0), "identity")
    response = Response(found.copies[wanted], content_type=found.media_type)
    if wanted != "identity":
        response.headers["Content-Encoding"] = wanted
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = (
        cache_control.IMMUTABLE if found.immutable else cache_control.REVALIDATED
    )
    # Copies in different encodings are different bytes, so their strong tags differ.
    response.set_etag(f"{found.etag}-{wanted}")
    response.make_conditional(request)
    return response


def _assets() -> Assets:
    found: Assets = current_app.extensions[_EXTENSION]
    return found


def _shell(route: str, status: int = 200) -> Response:
    build = _assets().build()
    lang = language.of_request()
    if build is None:
        html = render_template("unbuilt.html", lang=lang)
        response = Response(html, 503, content_type="text/html; charset=utf-8")
    else:
        manifest = build.manifest
        preload = manifest.routes.get(route, [])
        percent = services().config.vitals_percent
        html = render_template(
            "shell.html", lang=lang, manifest=manifest, preload=preload, vitals=percent
        )
        response = Response(html, status, content_type="text/html; charset=utf-8")
        response.headers["Cache-Control"] = cache_control.REVALIDATED
        response.set_etag(hashlib.sha256(html.encode()).hexdigest()[:16])
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Vary"] = language.VARY
    if status == 200:
        response.make_conditional(request)
    return response


def _no_such_address(error: PageNotFound) -> Any:
    """A person who follows a wrong link gets the page, which says so; a program a problem."""
    for_person = (
        request.method in ("GET", "HEAD")
        and not request.path.startswith(_API_PREFIXES)
        and "text/html" in request.headers.get("Accept", "")
    )
    return _shell("chat", 404) if for_person else errors.on_http(error)
