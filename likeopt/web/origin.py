"""Pages of other sites read and change nothing here through their visitors' browsers."""

import ipaddress
import re
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, request

from likeopt.config import Config
from likeopt.errors import Forbidden, Misdirected
from likeopt.web import auth

# RFC 3986's host and port; an address of IPv6 stands in brackets.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*))(?::\d*)?")


def install(app: Flask, config: Config) -> None:
    """Have `app` refuse requests that are meant for another host, and writes from another site.

    A page of another site can have its own name point to 127.0.0.1 ("DNS rebinding"): its
    visitor's browser then takes this server for a part of that site, and shows the page
    everything. Only the `Host` header, which a page cannot change, tells that name from ours.
    """
    named = [name.strip() for name in config.allowed_hosts.split(",")]
    named.append(urlsplit(config.public_url).hostname or "")
    allowed = frozenset(name.lower() for name in ("localhost", config.host, *named) if name)

    def refuse_other_names() -> None:
        # HTTP/1.0 may leave it out; browsers never do.
        host = request.environ.get("HTTP_HOST", "")
        if host and not _is_ours(host, allowed):
            raise Misdirected(
                "This server does not answer to the name in the request's address. An"
                " administrator can add it to LIKEOPT_ALLOWED_HOSTS."
            )

    app.before_request(refuse_other_names)
    app.before_request(partial(_refuse_other_sites, config.origins))


def _is_ours(host: str, allowed: frozenset[str]) -> bool:
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    name = (parts[1] or parts[2]).lower().removesuffix(".")
    if name in allowed:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_other_sites(origins: frozenset[str]) -> None:
    """Let no page of another site change anything; those of `origins` may, with an API key.

    Browsers say where a request comes from and pages cannot change it
    (https://www.w3.org/TR/fetch-metadata/). Over plain HTTP to another machine, and before 2023 in
    Safari, they send only `Origin`; clients that are no browsers send neither.
    """
    if request.method in auth.SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site == "same-origin":
        return
    origin = request.headers.get("Origin")
    # Without the scheme: a proxy that is not believed may have spoken TLS.
    elsewhere = origin is not None and _netloc(origin) != request.host.lower()
    if not elsewhere and site not in ("cross-site", "same-site"):
        return
    if not (origin in origins and auth.bearer() is not None):
        raise Forbidden("This request came from a page of another site.", code="other_site")


def require_own_page() -> None:
    """Forbidden unless a page of this server sends the request, as its browser says.

    For what carries no CSRF token because browsers send it when a page is closed
    (`navigator.sendBeacon` sets no headers). What comes from other sites is refused before.
    """
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site") != "same-origin" and origin is None:
        raise Forbidden("Only pages of this server may send this.", code="other_site")


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty for what no browser sends."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
