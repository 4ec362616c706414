"""Sending a stored file: ranges, conditions, names (RFC 9110 and RFC 6266)."""

import codecs
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import Range

from likeopt.retrieval.images import PICTURES
from likeopt.retrieval.parse import kinds
from likeopt.web import cache_control
from likeopt.web.lease import Lease

BLOCK_BYTES = 1 << 18

# A file is somebody's content: it may run nothing, load nothing and reach nothing, and in a
# browser it has an origin of its own.
CLOSED = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'"
)
SANDBOX = f"sandbox; {CLOSED}"
# The viewer of Chromium stays empty in a sandbox, or when it may not embed itself. It runs a PDF's
# scripts, if at all, in a process of its own that knows no page and no origin.
POLICIES = {kinds.PDF: f"{CLOSED}; object-src 'self'"}
# What a browser shows without a program of its own; HTML without its scripts.
SHOWN = kinds.TEXTS | {kinds.PDF} | PICTURES
HEAD_BYTES = 1 << 16

Run = Callable[[Callable[[], Any]], Any]


def send(  # noqa: PLR0913  (what a file is, and how it is asked for)
    opened: BinaryIO,
    run: Run,
    lease: Lease,
    *,
    size: int,
    etag: str,
    name: str,
    media_type: str,
    download: bool,
) -> Response:
    """A response with `opened`, which it closes; `run` is where blocking reads belong. It breaks
    off when the `lease` is lost.

    Unless it is a `download`, a text comes as one that browsers show: they save CSV and the like.

    Several ranges at once are answered with the whole file, as RFC 9110, 14.2 allows.
    """
    download = download or media_type not in SHOWN
    policy = POLICIES.get(media_type, SANDBOX)
    if not download and media_type in kinds.TEXTS:
        media_type = kinds.HTML if media_type == kinds.HTML else kinds.TEXT
        if _is_utf8(run(partial(opened.read, HEAD_BYTES))):
            # Browsers guess every character set but this one.
            media_type += "; charset=utf-8"
    start, stop, status = 0, size, 200
    asked = _single_range(request.range)
    if request.if_none_match.contains(etag):
        status = 304
    elif asked is not None and _still_the_same(request.headers.get("If-Range"), etag):
        found = asked.range_for_length(size)
        status = 416 if found is None else 206
        start, stop = found or (0, 0)
    if status in (200, 206) and request.method == "GET":
        body = _blocks(opened, run, lease, start, stop)
        response = Response(body, status, content_type=media_type)
        # For a client that goes before the first block; `_blocks` itself closes at its end.
        response.call_on_close(opened.close)
    else:
        opened.close()
        response = Response(b"", status, content_type=media_type)
    response.set_etag(etag)
    headers = response.headers
    headers["Accept-Ranges"] = "bytes"
    headers["Cache-Control"] = cache_control.PRIVATE_REVALIDATED
    headers["Content-Disposition"] = disposition(name, attachment=download)
    headers["Content-Security-Policy"] = policy
    if status == 304:
        del headers["Content-Type"]
        return response
    headers["Content-Length"] = str(stop - start)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    elif status == 416:
        headers["Content-Range"] = f"bytes */{size}"
    return response


def disposition(name: str, *, attachment: bool) -> str:
    """Content-Disposition with the whole name for today's clients and an ASCII one for others."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    kind = "attachment" if attachment else "inline"
    if plain == name:
        return f'{kind}; filename="{plain}"'
    # RFC 8187: attr-char is what needs no escape.
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # its end may be half a character
    except UnicodeDecodeError:
        return False
    return True


def _single_range(asked: Range | None) -> Range | None:
    return asked if asked and asked.units == "bytes" and len(asked.ranges) == 1 else None


def _still_the_same(condition: str | None, etag: str) -> bool:
    """Whether If-Range allows a part. Only the strong tag does: there is no date that could."""
    return condition is None or condition.strip() == f'"{etag}"'


def _blocks(opened: BinaryIO, run: Run, lease: Lease, start: int, stop: int) -> Iterator[bytes]:
    with opened:
        opened.seek(start)
        left = stop - start
        while left:
            wanted = min(BLOCK_BYTES, left)
            block: bytes = run(partial(opened.read, wanted))
            if not block:
                return
            lease.check()
            left -= len(block)
            yield block
