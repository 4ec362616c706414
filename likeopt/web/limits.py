"""How many requests a minute a person, by whatever keys and sessions, or an address may send.

GCRA (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm): of each sender, only the moment
is kept at which its allowance is whole again. The moments stand in memory that all workers of a
server share because they are forked after it is made: counting takes some microseconds and no
round trip. Two workers that count the same sender in the same microsecond may miss one request.
"""

import hashlib
import math
import mmap
import secrets
import struct
from typing import Literal

from flask import Flask, current_app, g, request

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import TooManyRequests
from likeopt.storage.throttle import network_of
from likeopt.web import middleware
from likeopt.web.context import Identity

Limit = Literal["none", "default", "chat", "metrics"]

WINDOW_SECONDS = 60.0
# Reports a minute of one address, behind which an office may be: a visit sends a few an hour.
METRICS_A_MINUTE = 300
# Values in them: at 50 a report, one address replaced all that is kept within 7 minutes.
VALUES_A_MINUTE = 500
# Senders remembered: 8,192 sets of 4, 512 KiB. Of five in one set, the one forgotten is whose
# allowance is whole first.
SETS = 1 << 13
WAYS = 4
_ENTRY = struct.Struct("<8sd")

_EXTENSION = "likeopt-limits"


class Meter:
    """Counts requests by sender. Make it before forking."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memory = mmap.mmap(-1, SETS * WAYS * _ENTRY.size)
        # Nobody can choose names that fall into somebody else's set.
        self._secret = secrets.token_bytes(16)

    def take(self, sender: str, per_minute: int, count: int = 1) -> float:
        """Count a request, or `count` of them at once. Returns the seconds until the sender's
        allowance is whole again; negative, how long to wait for what is over it and was not
        counted."""
        tag = hashlib.blake2b(sender.encode(), digest_size=8, key=self._secret).digest()
        offset, whole_at = self._find(tag)
        now = self._clock.monotonic()
        # A moment beyond the window is of another boot or of nobody.
        left = max(0.0, whole_at - now) + count * WINDOW_SECONDS / per_minute
        if left > WINDOW_SECONDS:
            return WINDOW_SECONDS - left
        _ENTRY.pack_into(self._memory, offset, tag, now + left)
        return left

    def _find(self, tag: bytes) -> tuple[int, float]:
        """Where the sender's entry is or should be, and its moment."""
        first = int.from_bytes(tag) % SETS * WAYS * _ENTRY.size
        oldest = (math.inf, first)
        for way in range(WAYS):
            offset = first + way * _ENTRY.size
            found, whole_at = _ENTRY.unpack_from(self._memory, offset)
            if found == tag:
                return offset, whole_at
            oldest = min(oldest, (whole_at, offset))
        return oldest[1], 0.0


class Limits:
    """The limits that the settings name."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._meter = Meter(clock)
        self._quotas: dict[str, int] = {
            "default": config.rate_limit,
            "chat": config.rate_limit_chat,
            "metrics": METRICS_A_MINUTE,
        }

    def take_values(self, count: int) -> None:
        """Count values that a page has measured, by their address, whoever sends them."""
        left = self._meter.take(f"values {sender_of(None)}", VALUES_A_MINUTE, count)
        if left < 0:
            raise TooManyRequests(
                f"More than {VALUES_A_MINUTE} values a minute. Wait a moment.", retry_after=-left
            )

    def take(self, limit: Limit, who: Identity | None) -> None:
        """Count this request; TooManyRequests if it is over its sender's limit.

        A guest has none: they would only limit themselves.
        """
        quota = self._quotas.get(limit, 0)
        if not quota or (who is not None and who.via == "guest"):
            return
        left = self._meter.take(f"{limit} {sender_of(who)}", quota)
        remaining = 0 if left < 0 else math.floor((WINDOW_SECONDS - left) * quota / WINDOW_SECONDS)
        reset = math.ceil(abs(left))
        # https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (version 10)
        middleware.exchange().more += [
            ("RateLimit-Policy", f'"{limit}";q={quota};w={WINDOW_SECONDS:.0f}'),
            ("RateLimit", f'"{limit}";r={remaining};t={reset}'),
        ]
        if left < 0:
            raise TooManyRequests(
                f"More than {quota} requests a minute. Wait a moment.", retry_after=-left
            )


def sender_of(who: Identity | None) -> str:
    """Whose allowance a request takes from: that of a person, whose keys share it (anybody may
    make any number of them), or of an address."""
    if who is None:
        return f"address {network_of(request.remote_addr or '')}"
    return f"user {who.user.id}"


def take(limit: Limit) -> None:
    """Count the current request; see `Limits.take`."""
    if limit != "none":
        found: Limits = current_app.extensions[_EXTENSION]
        found.take(limit, g.get("identity"))


def take_values(count: int) -> None:
    """Count measured values of the current request; see `Limits.take_values`."""
    found: Limits = current_app.extensions[_EXTENSION]
    found.take_values(count)


def install(app: Flask, config: Config, clock: Clock) -> None:
    """Give `app` its limits; before a server forks."""
    app.extensions[_EXTENSION] = Limits(config, clock)
