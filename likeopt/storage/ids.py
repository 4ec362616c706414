"""Identifiers."""

import secrets

from likeopt.clock import Clock


def new_id(clock: Clock) -> str:
    """32 hex digits: 48 bits of milliseconds, so that rows written together lie together in the
    B-tree, then 80 random bits, so that nobody can guess one (the layout of UUIDv7, RFC 9562)."""
    return f"{clock.now_ms():012x}{secrets.token_hex(10)}"
