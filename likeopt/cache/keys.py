"""Keys that mean the same in every process, on every machine and after a restart.

`lo:TENANT:USE:FORMAT:DIGEST`: whose it is, what it is for, how the digest was made, and the digest
of what the value depends on. At most 130 ASCII characters without spaces, of the 250 that
Memcached takes.
"""

import hashlib
import re

import msgspec

# Raise it when the same parts would give another digest.
FORMAT = 1
DIGEST_BYTES = 16
_NAME = re.compile(r"[a-z0-9_-]{1,40}")
# `sorted`: of a set or a dict, the order says nothing.
_parts = msgspec.msgpack.Encoder(order="sorted")


def key(tenant: str, use: str, *parts: object) -> str:
    """The key of what depends on `parts`, which are whatever msgpack can say, sets included.

    `tenant` tells installations that share a server apart, `use` what the value is for; both are
    short names in small letters. 1, 1.0, True and "1" are four different parts, and a tuple is
    the same as a list. Raises TypeError for a part that msgpack cannot say, ValueError for a
    name that is none.
    """
    for name in (tenant, use):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a short name in small letters")
    digest = hashlib.blake2b(_parts.encode(parts), digest_size=DIGEST_BYTES).hexdigest()
    return f"{prefix(tenant, use)}{FORMAT}:{digest}"


def prefix(tenant: str, use: str | None = None) -> str:
    """What all keys of a tenant begin with, or all those for one use."""
    return f"lo:{tenant}:" if use is None else f"lo:{tenant}:{use}:"


def use_of(key: str) -> str:
    """What the value of a key is for."""
    return key.split(":", 3)[2]
