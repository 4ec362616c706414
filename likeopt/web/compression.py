"""Compressing answers where no proxy does: zstd, brotli or gzip, whichever the client takes.

A proxy that would rather compress by itself asks for nothing compressed (`proxy_set_header
Accept-Encoding ""` in nginx); then this costs a comparison. The page's files are compressed when it
is built, and never here.

Levels, on 21 KB of a list of conversations (microseconds, share that is left): zstd 3 79 / 0.21,
brotli 3 150 / 0.22, brotli 5 413 / 0.20, gzip 5 269 / 0.21. On 173 KB: 560, 1,360, 3,920, 2,560 µs.

BREACH (https://breachattack.com): whoever can have a browser send requests with somebody's cookie
and sees how long the answers are could guess a secret in them, if what they send stands beside it.
So what another site's page has asked for stays as it is; browsers say so in `Sec-Fetch-Site`, which
pages cannot change. The session's CSRF token, keys and links stand in answers under MIN_BYTES.
"""

import sys
import zlib
from collections.abc import Callable

import brotli
from flask import Flask, Response, request

from likeopt.web.native import in_native_thread

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Below it a header costs about what is saved, and the answer fits in one packet anyway.
MIN_BYTES = 1024
# From here on gzip, the slowest, could hold the loop for a millisecond.
LOOP_BYTES = 32 << 10
TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/manifest+json",
        "application/problem+json",
        "text/html",
        "text/javascript",
        "text/markdown",
        "text/plain",
    }
)
_OTHER_SITES = frozenset({"cross-site", "same-site"})
# In our order of preference.
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstd.compress(data, 3),
    "br": lambda data: bytes(brotli.compress(data, quality=3)),
    "gzip": lambda data: zlib.compress(data, 5, wbits=31),
}


def install(app: Flask) -> None:
    """Have `app` compress what is worth it."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    # A stream has no length: its events must leave one by one.
    if response.is_streamed or response.direct_passthrough or response.status_code == 206:
        return response
    if response.mimetype not in TEXT_TYPES or "Content-Encoding" in response.headers:
        return response
    if (response.content_length or 0) < MIN_BYTES:
        return response
    response.vary.add("Accept-Encoding")
    coding = _coding()
    if coding is None:
        return response
    data = response.get_data()
    code = CODERS[coding]
    packed = in_native_thread(lambda: code(data)) if len(data) >= LOOP_BYTES else code(data)
    response.set_data(packed)
    response.headers["Content-Encoding"] = coding
    etag, weak = response.get_etag()
    if etag is not None and not weak:
        # The same content in other bytes (RFC 9110, 8.8.1); still matches If-None-Match.
        response.set_etag(etag, weak=True)
    return response


def _coding() -> str | None:
    """What the client takes and we like best; None for nothing."""
    if request.headers.get("Sec-Fetch-Site") in _OTHER_SITES:
        return None
    accepted = request.accept_encodings
    best = max((accepted[name] for name in CODERS), default=0)
    if not best:
        return None
    return next(name for name in CODERS if accepted[name] == best)
