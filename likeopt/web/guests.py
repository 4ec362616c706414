"""The guest: whoever has opened the link that the terminal shows, where sign-in is skipped.

That a request comes from a browser on this machine cannot be seen: nginx, since 1.29.7, speaks to
what is behind it as one does (HTTP/1.1 and kept alive), and a bare `proxy_pass` names the server's
own address as the host and adds no header. So the guest shows a secret: the link's, for which a
browser gets a session like anybody's, and which a program sends as a bearer's token. What can be
seen of a proxy is refused besides.
"""

import hmac
from urllib.parse import urlsplit

from flask import request

from likeopt.config import is_loopback
from likeopt.errors import Unauthorized
from likeopt.services import Services
from likeopt.storage.secret_key import guest_token

# What proxies add: with any of these, a request did not come from this machine.
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_token(services: Services, token: str) -> bool:
    """Whether sign-in is skipped on this server and this is what its link carries."""
    if not services.config.guest:
        return False
    expected = guest_token(services.secret_key).encode()
    return hmac.compare_digest(expected, token.encode("utf-8", "replace"))


def require_local() -> None:
    """Refuse a guest who is not at this machine, or comes from another site's page.

    Behind a proxy every address is loopback, so what a proxy adds is refused too; `Host` is what
    tells a page whose name was made to lead here (DNS rebinding).
    """
    environ = request.environ
    forwarded = any(name in environ for name in _FORWARDED) or any(
        name.startswith("HTTP_X_FORWARDED") for name in environ
    )
    origin = request.headers.get("Origin")
    if (
        forwarded
        # What nginx speaks to a server behind it unless told otherwise, with none of the headers
        # above and the server's own address as the host; no browser does.
        or environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        or not is_loopback(request.remote_addr or "")
        or _host_of(f"//{request.headers.get('Host', '')}") not in _LOCAL_NAMES
        or (origin is not None and origin != request.host_url.rstrip("/"))
    ):
        raise Unauthorized(
            "Guests must sit at this machine: open the server's own address, without a proxy.",
            code="guest_refused",
        )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
