"""The session's cookie: signed, out of reach of scripts, and only ever our own."""

import base64
import hashlib
import hmac

from flask import Response, request

from likeopt.storage.sessions import LIFETIME_MS

NAME = "likeopt_session"
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
    response.set_cookie(
        name(),
        f"{cookie_id}.{sign(key, 'session', cookie_id)}",
        max_age=LIFETIME_MS // 1000,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def forget(response: Response) -> None:
    """Have the browser forget the id."""
    response.delete_cookie(name(), secure=request.is_secure, httponly=True, samesite="Lax")
