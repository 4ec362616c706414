"""Secrets handed out once: what is stored of them cannot be turned back."""

import hashlib
import secrets


def new_token() -> str:
    """43 base64url characters that hold 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored and looked up: SHA-256 in hex. 256 random bits need no salt or slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
