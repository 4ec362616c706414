"""The page: one shell for every address of the single-page app, and its files."""

import hashlib
from typing import Any

import msgspec
from flask import Flask, Response, current_app, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound as PageNotFound

from likeopt.errors import LikeOptError, NotFound
from likeopt.web import auth, cache_control, errors, language, limits, served, shell
from likeopt.web.assets import ENCODINGS, MEDIA_TYPES, Assets, Build
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoint, Endpoints

pages = Endpoints("pages", tag="Pages", prefix="/")

_EXTENSION = "likeopt-assets"
_DESCRIPTIONS = {
    "ko": "내 문서에 묻고, 출처가 달린 답을 받으세요.",
    "en": "Ask your own documents and get answers that cite their sources.",
}
_HTML = {"text/html": {"type": "string"}}
# Set by the page once the hint to connect a model was dismissed.
HINT = "hint"
# Set by the page to `light` or `dark` where one was chosen.
THEME = "theme"
# Pages for whoever comes.
_OPEN = frozenset({"sign-in", "link", "offline"})
# Pages of which the server fills in more, and the shell for that.
_FILLED = {"conversation": "transcript", "document": "reading", "library": "adding"}
# Addresses below these are for programs: they get problems, never a page.
_API_PREFIXES = ("/api/", "/v1/", "/assets/")


def install(app: Flask, assets: Assets) -> None:
    """Serve the page and its files from `app`."""
    app.extensions[_EXTENSION] = assets
    app.register_blueprint(pages)
    app.register_error_handler(PageNotFound, _no_such_address)


@pages.operation("GET", "/", summary="The page, for asking", media=_HTML, access="public")
def index() -> Response:
    return _shell("chat")


@pages.operation(
    "GET", "/c/<made:conversation>", summary="A conversation's page", media=_HTML, access="public"
)
def conversation_page(conversation: str) -> Response:
    return _shell("conversation", own=conversation)


@pages.operation("GET", "/library", summary="The library's page", media=_HTML, access="public")
def library_page() -> Response:
    return _shell("library")


@pages.operation(
    "GET", "/library/<made:document>", summary="A document's page", media=_HTML, access="public"
)
def document_page(document: str) -> Response:
    return _shell("document", own=document)


@pages.operation("GET", "/sign-in", summary="To sign in", media=_HTML, access="public")
def sign_in_page() -> Response:
    return _shell("sign-in")


@pages.operation("GET", "/link", summary="What a one-time link opens", media=_HTML, access="public")
def link_page() -> Response:
    return _shell("link")


@pages.operation("GET", "/account", summary="One's own account", media=_HTML, access="public")
def account_page() -> Response:
    return _shell("account")


@pages.operation("GET", "/admin", summary="Administration", media=_HTML, access="public")
def admin_page() -> Response:
    return _shell("jobs")


@pages.operation("GET", "/admin/jobs", summary="Indexing's page", media=_HTML, access="public")
def jobs_page() -> Response:
    return _shell("jobs")


@pages.operation("GET", "/admin/caches", summary="The caches' page", media=_HTML, access="public")
def caches_page() -> Response:
    return _shell("caches")


@pages.operation(
    "GET", "/admin/settings", summary="The settings' page", media=_HTML, access="public"
)
def settings_page() -> Response:
    return _shell("settings")


@pages.operation("GET", "/admin/people", summary="Who has an account", media=_HTML, access="public")
def people_page() -> Response:
    return _shell("people")


@pages.operation(
    "GET", "/admin/audit", summary="The audit log's page", media=_HTML, access="public"
)
def audit_page() -> Response:
    return _shell("audit")


@pages.operation("GET", "/offline", summary="Without a network", media=_HTML, access="public")
def offline_page() -> Response:
    return _shell("offline")


@pages.operation(
    "GET",
    "/sw.js",
    summary="The page's service worker",
    detail="Keeps the page's files and `/offline` in the browser; nothing that is anybody's.",
    media={"text/javascript": {"type": "string"}},
    errors=(NotFound,),
    access="public",
)
def service_worker() -> Response:
    build = _assets().build()
    config = services().config
    worker = build.manifest.worker if build else None
    if build is None or worker is None:
        raise NotFound("The page has not been built with a service worker.")
    manifest = build.manifest
    entry = [*manifest.entry.js, *manifest.entry.css]
    files = set(entry).union(*manifest.routes.values())
    told = {
        # Another build, another place for its files, or another shell: another worker.
        "version": hashlib.sha256(repr(manifest).encode()).hexdigest()[:16],
        "base": shell.base_of(config.assets_url) + "/",
        "shell": "/offline",
        "entry": entry,
        "files": sorted(files),
    }
    code = build.assets[worker].copies["identity"].decode()
    script = f"const BUILD = {msgspec.json.encode(told).decode()};\n{code}"
    response = Response(script, content_type=MEDIA_TYPES[".js"])
    response.headers["Cache-Control"] = cache_control.REVALIDATED
    # A worker has the policy of its own response, not that of its pages.
    response.headers["Content-Security-Policy"] = shell.policy(config.assets_url)
    response.set_etag(hashlib.sha256(script.encode()).hexdigest()[:16])
    response.make_conditional(request)
    return response


@pages.operation(
    "GET",
    "/app.webmanifest",
    summary="What the app is called where it is installed",
    media={"application/manifest+json": {"type": "object"}},
    access="public",
)
def web_manifest() -> Response:
    build = _assets().build()
    base = shell.base_of(services().config.assets_url)
    lang = language.of_request()
    icons = build.manifest.icons if build else {}
    sizes = {"192": "192x192", "512": "512x512", "maskable": "512x512"}
    told = {
        "id": "/",
        "name": "Like-Opt",
        "lang": lang,
        "description": _DESCRIPTIONS[lang],
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#ffffff",
        "icons": [
            {
                "src": f"{base}/{icons[kind]}",
                "sizes": size,
                "type": "image/png",
                "purpose": "maskable" if kind == "maskable" else "any",
            }
            for kind, size in sizes.items()
            if kind in icons
        ],
    }
    body = msgspec.json.encode(told)
    response = Response(body, content_type="application/manifest+json")
    response.headers["Cache-Control"] = cache_control.REVALIDATED
    response.headers["Vary"] = language.VARY
    response.set_etag(hashlib.sha256(body).hexdigest()[:16])
    response.make_conditional(request)
    return response


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
    if found.immutable and services().config.assets_url:
        # A CDN hands this on to pages whose origin is not its own; there is nothing private in it.
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    # Copies in different encodings are different bytes, so their strong tags differ.
    response.set_etag(f"{found.etag}-{wanted}")
    response.make_conditional(request)
    return response


def _assets() -> Assets:
    found: Assets = current_app.extensions[_EXTENSION]
    return found


def _shell(route: str, status: int = 200, own: str = "") -> Response:
    """The page of a route; `own` is the id of what it shows, where text of that stands in it."""
    build = _assets().build()
    lang = language.of_request()
    config = services().config
    if build is None:
        html = render_template("unbuilt.html", lang=lang)
        response = Response(html, 503, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = shell.policy("")
    else:
        seen = route if _is_in(route) else "sign-in"
        if seen == "chat" and config.llm == "extractive" and request.cookies.get(HINT) != "off":
            seen = "chat-extractive"
        text = _text_of(build, seen, own, lang) if seen == route else None
        data = _data_of(seen)
        if text and route == "document":
            data.append(f"/api/v1/documents/{own}/text?at=0")
        theme = request.cookies.get(THEME, "")
        if theme not in ("light", "dark"):
            theme = ""
        page = shell.draw(build, seen, lang, theme, config, data, text)
        is_personal = bool(text and own)
        response = Response(page.html, status, content_type="text/html; charset=utf-8")
        response.headers["Cache-Control"] = (
            cache_control.PERSONAL_PAGE if is_personal else cache_control.REVALIDATED
        )
        response.headers["Content-Security-Policy"] = page.policy
        if page.link:
            response.headers["Link"] = page.link
        if not is_personal:
            response.set_etag(page.etag)
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Vary"] = language.VARY
    if status == 200:
        response.make_conditional(request)
    return response


def _text_of(build: Build, route: str, own: str, lang: language.Language) -> shell.Text | None:
    """What only the server can draw of a page's first sight, if its visitor may see that."""
    name = _FILLED.get(route, "")
    found = build.manifest.shells.get(name)
    if found is None:
        return None
    try:
        reader = auth.reader_of_page()
        if reader is None:
            return None
        limits.take("default")
        every = services()
        html: str | None
        if route == "conversation":
            html = served.conversation(every.db, every.run, reader, own, found, lang)
        elif route == "document":
            html = served.document(every.db, reader, own, found, lang)
        else:
            html = served.adding(every.db, reader, every.config.max_upload_mb, found, lang)
    except LikeOptError:
        # Not theirs, too often, or the database is away. The page can be had, and will say so.
        return None
    return None if html is None else shell.Text(name, html)


def _data_of(route: str) -> list[str]:
    """What a page asks the API for before it can show anything, as its scripts spell it."""
    if route == "offline":
        return []
    if route in _OPEN:
        return ["/api/v1/session"]
    id_ = request.path.rpartition("/")[2]
    own = {
        "conversation": [f"/api/v1/conversations/{id_}"],
        "library": ["/api/v1/documents?limit=50", "/api/v1/collections"],
        "document": [f"/api/v1/documents/{id_}", "/api/v1/collections"],
    }
    return ["/api/v1/session", "/api/v1/info", *own.get(route, [])]


def _is_in(route: str) -> bool:
    """Whether this page is what its visitor is about to see; who has no session signs in first."""
    try:
        return route in _OPEN or auth.is_in()
    except LikeOptError:
        # The database is away. The page can be had, and will say so.
        return True


def _no_such_address(error: PageNotFound) -> Any:
    """A person who follows a wrong link gets the page, which says so; a program a problem. Who
    wrote a slash behind a page's address is led to it."""
    reads = request.method in ("GET", "HEAD")
    if reads and (path := _without_slash()):
        query = request.query_string.decode("latin-1")
        return redirect(f"{path}?{query}" if query else path, 308)
    for_person = (
        reads
        and not request.path.startswith(_API_PREFIXES)
        and "text/html" in request.headers.get("Accept", "")
    )
    return _shell("missing", 404) if for_person else errors.on_http(error)


def _without_slash() -> str | None:
    """The address of the page that this is, but for the slash at its end."""
    path, slash = request.path[:-1], request.path[-1:]
    adapter = current_app.create_url_adapter(request)
    if slash != "/" or adapter is None:
        return None
    try:
        endpoint, _ = adapter.match(path)
    except HTTPException:
        return None
    view = current_app.view_functions[endpoint]
    return path if isinstance(view, Endpoint) and view.operation.media is _HTML else None
