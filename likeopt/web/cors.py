"""Pages of other origins that may call the API with a key (https://fetch.spec.whatwg.org/).

Only those in the settings, and never with a visitor's cookie.
"""

from flask import Flask, Response, request

from likeopt.web.middleware import Exchange, Headers, Hook

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
RESPONSE_HEADERS = "Content-Disposition, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
PREFLIGHT_SECONDS = 600


def hook(origins: frozenset[str]) -> Hook:
    """Tells browsers that pages of `origins` may read the response."""

    def allow(exchange: Exchange, headers: Headers, _elapsed: float) -> None:
        headers.append(("Vary", "Origin"))
        origin = exchange.environ.get("HTTP_ORIGIN")
        if origin in origins:
            headers.append(("Access-Control-Allow-Origin", origin))
            headers.append(("Access-Control-Expose-Headers", RESPONSE_HEADERS))

    return allow


def install(app: Flask, origins: frozenset[str]) -> None:
    """Answer what browsers ask before they send a request of these origins."""

    def preflight() -> Response | None:
        asked = "Access-Control-Request-Method" in request.headers
        if request.method != "OPTIONS" or not asked or request.headers.get("Origin") not in origins:
            return None
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    app.before_request(preflight)
