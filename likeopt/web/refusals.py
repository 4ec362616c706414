"""What somebody was refused stands in the audit log, as often as it cannot be flooded with.

Signing in notes its own refusals, with more detail (`audit.refuse`); requests of people who are not
signed in and show nothing are in the access log only, as every request is.
"""

import logging
import mmap

from flask import Flask, current_app, g, request

from likeopt.clock import Clock
from likeopt.errors import (
    Forbidden,
    LikeOptError,
    Misdirected,
    NotFound,
    TooManyRequests,
    Unauthorized,
)
from likeopt.storage import audit
from likeopt.web import auth, context, limits
from likeopt.web.context import Identity

log = logging.getLogger(__name__)

_EXTENSION = "likeopt-refusals"
_GUEST_CODES = ("guest_refused", "guest_link")
# The first is noted where it is found; the others only ask to come in once more.
_NOT_NOTED = ("wrong_password", "sign_in_again", "open_link_again")


def install(app: Flask, clock: Clock) -> None:
    """Count for `app`; before a server forks."""
    app.extensions[_EXTENSION] = _Meter(clock)


class _Meter:
    """Counts without the database: who shows a key that is none costs no transaction. Two workers
    that leave something out in the same microsecond may count one."""

    def __init__(self, clock: Clock) -> None:
        self._meter = limits.Meter(clock)
        # Of strangers, and of whom the server knows.
        self._left_out = memoryview(mmap.mmap(-1, 16)).cast("Q")

    def take(self, who: Identity | None) -> int | None:
        """How many were left out since the last one that was written; None: so is this one."""
        known = who is not None
        if (
            self._meter.take(f"refusals {limits.sender_of(who)}", audit.BY_SENDER) < 0
            or self._meter.take(f"refusals {known}", audit.IN_ALL) < 0
        ):
            self.leave_out(who, 1)
            return None
        left_out = self._left_out[known]
        self._left_out[known] = 0
        return left_out

    def leave_out(self, who: Identity | None, count: int) -> None:
        """For the next one that is written to tell."""
        self._left_out[who is not None] += count


def note(error: LikeOptError) -> None:
    """Write into the audit log that the current request ends with `error`, if that is a refusal
    of what its sender may not do."""
    who: Identity | None = g.get("identity")
    if not _is_refusal(error, who):
        return
    meter: _Meter = current_app.extensions[_EXTENSION]
    left_out = meter.take(who)
    if left_out is None:
        return
    where = context.client()
    rule = request.url_rule.rule if request.url_rule else ""
    arguments = request.view_args or {}
    entry = audit.Entry(
        action="access.refuse",
        via=who.via if who else "key" if auth.bearer() else "session",
        actor_id=who.user.id if who else None,
        actor_name=who.user.name if who else "",
        object_kind="operation",
        object_id=next((str(value)[:64] for value in arguments.values()), None),
        object_name=f"{request.method[:10]} {rule}",
        address=where.address,
        request_id=where.request_id,
        detail={"code": error.instance_code}
        | ({"key": who.key.id} if who and who.key else {})
        | ({"left_out": left_out} if left_out else {}),
    )
    services = context.services()
    try:
        services.db.write(lambda c: audit.write(c, services.clock, entry))
    except LikeOptError as failed:
        # The answer is still the refusal.
        meter.leave_out(who, left_out + 1)
        log.warning(
            "refusal not noted: %s", failed, extra={"fields": {"request_id": where.request_id}}
        )


def _is_refusal(error: LikeOptError, who: Identity | None) -> bool:
    if isinstance(error, Unauthorized):
        return auth.bearer() is not None or error.instance_code in _GUEST_CODES
    if isinstance(error, NotFound):
        # What is not theirs does not exist for them; that it does not exist at all looks the same.
        return who is not None and bool(request.view_args)
    other = error.instance_code in _NOT_NOTED
    return isinstance(error, Forbidden | TooManyRequests | Misdirected) and not other
