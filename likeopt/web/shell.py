"""The page as it is served: what it shows before its scripts run, and what to fetch ahead.

The build has drawn each page's frame in both languages, with the style it needs; both stand in the
page itself, so that its largest text is painted without another round trip. The style is allowed
by its hash. Hints to fetch the page's files stand in the `Link` header, which a proxy may send
ahead as `103 Early Hints`, and in the page, for what its scripts would only ask for later.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import render_template

from likeopt.config import Config
from likeopt.web.assets import Build
from likeopt.web.language import Language

ASSETS = "/assets"
# Routes whose page has the code of another one.
_CODE = {
    "chat-extractive": "chat",
    "conversation": "chat",
    "document": "library",
    "missing": "chat",
    "offline": "chat",
}


class Text(NamedTuple):
    """Somebody's own text in a page: the shell that it was filled into, and all of its markup."""

    shell: str
    html: str


class Page(NamedTuple):
    """A page, and the headers that go with it."""

    html: str
    etag: str
    policy: str
    link: str


def base_of(assets_url: str) -> str:
    """Where browsers fetch the page's files from, without a slash at the end."""
    return assets_url.rstrip("/") or ASSETS


def policy(assets_url: str, style: str = "") -> str:
    """The page's Content-Security-Policy: nothing but this server and where its files are."""
    own = "'self'"
    parts = urlsplit(assets_url)
    if parts.netloc:
        own += f" {parts.scheme}://{parts.netloc}"
    allowed = own
    if style:
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        allowed = f"{own} 'sha256-{digest}'"
    return (
        f"default-src 'none'; script-src {own}; style-src {allowed}; img-src {own} data:;"
        f" font-src {own}; connect-src {own}; frame-src 'self'; worker-src 'self';"
        " manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def draw(
    build: Build,
    route: str,
    lang: Language,
    theme: str,
    config: Config,
    data: Sequence[str] = (),
    text: Text | None = None,
) -> Page:
    """The page of `route` in this language and `theme`, which is empty for the system's; `data` is
    what its scripts will ask the API for, and `text` stands in the place of what the build has
    drawn."""
    manifest = build.manifest
    base = base_of(config.assets_url)
    shell = manifest.shells.get(text.shell if text else route)
    style = shell.css if shell else ""
    # Everything else may be elsewhere, and the browser then has to fetch it as from there.
    apart = base != ASSETS
    # Without a network there is nothing to fetch ahead.
    code = _CODE.get(route, route)
    files = manifest.routes.get(route) or manifest.routes.get(code, [])
    more = [] if route == "offline" else files
    html = render_template(
        "shell.html",
        lang=lang,
        theme=theme,
        manifest=manifest,
        base=base,
        apart=apart,
        preload=more,
        data=data,
        style=style,
        content=text.html if text else shell.html[lang] if shell else "",
        vitals=config.vitals_percent,
        page=code,
    )
    all_ = [*manifest.entry.css, *manifest.entry.js, *more]
    crossing = "; crossorigin" if apart else ""
    link = ", ".join(
        f"<{base}/{name}>; rel=preload; as={'style' if name.endswith('.css') else 'script'}"
        f"{crossing}"
        for name in all_
    )
    etag = hashlib.sha256(html.encode()).hexdigest()[:16]
    return Page(html, etag, policy(config.assets_url, style), "" if route == "offline" else link)
