"""Cookies: signed, out of reach of scripts, and only ever our own."""

import base64
import hashlib
import hmac

from flask import Response, request

from likeopt.storage.sessions import LIFETIME_MS

NAME = "likeopt_session"
# Stays when its person signs out: it lets nobody in (see `likeopt.storage.throttle`).
BROWSER = "likeopt_browser"
YEAR_SECONDS = 365 * 24 * 60 * 60
# Browsers accept this prefix only with Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2), so
# that no other host of the domain, and nobody without TLS, can have set it.
SECURE_NAME = f"__Host-{NAME}"


def sign(key: bytes, purpose: str, value: str) -> str:
    """HMAC-SHA256 of `value` for one purpose, in base64url."""
    mac = hmac.digest(key, f"{purpose}:{value}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def is_signed(key: bytes, purpose: str, value: str, signature: str) -> bool:
    """Whether `signature` is that of `value`, in a time that tells nothing."""
    expected = sign(key, purpose, value)
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def name(base: str = NAME) -> str:
    """The cookie's name on this connection."""
    return f"__Host-{base}" if request.is_secure else base


def read(key: bytes) -> str | None:
    """The id in the request's cookie; None without one, or if its signature is not ours."""
    value, _, signature = request.cookies.get(name(), "").rpartition(".")
    return value if value and is_signed(key, "session", value, signature) else None


def put(response: Response, key: bytes, cookie_id: str) -> None:
    """Have the browser keep the id until the session can have ended."""
    keep(response, NAME, f"{cookie_id}.{sign(key, 'session', cookie_id)}", LIFETIME_MS // 1000)


def browser() -> str:
    """What the browser was told to be known by, if it says the truth; empty without it."""
    return request.cookies.get(name(BROWSER), "")


def know(response: Response, token: str) -> None:
    """Have the browser keep what it is known by at its next sign-in."""
    keep(response, BROWSER, token, YEAR_SECONDS)


def keep(response: Response, base: str, value: str, seconds: int) -> None:
    """Have the browser send `value` back, for so long."""
    response.set_cookie(
        name(base),
        value,
        max_age=seconds,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def forget(response: Response, base: str = NAME) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name(base), secure=request.is_secure, httponly=True, samesite="Lax")
