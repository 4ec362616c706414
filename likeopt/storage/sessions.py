"""Signed-in browsers: what a session is, where it may be kept, and keeping it in the database.

A store opens transactions of its own: never call it inside one.
"""

from typing import Protocol

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import revisions
from likeopt.storage.db import Database
from likeopt.storage.tables import sessions
from likeopt.storage.tokens import new_token, token_hash

DAY_MS = 24 * 60 * 60 * 1000
# A session ends this long after its last use, and this long after sign-in whatever its use.
IDLE_MS = 14 * DAY_MS
LIFETIME_MS = 90 * DAY_MS
# A session in use would otherwise write with every request.
SEEN_RESOLUTION_MS = 5 * 60 * 1000
AGENT_LIMIT = 300
# What the cookie's id of a guest's session begins with.
_GUEST = "g"


class Session(msgspec.Struct, frozen=True):
    """A session. `id` is the SHA-256 of the cookie's id: who lists sessions cannot use them."""

    id: str
    user_id: str
    created_at: int
    seen_at: int
    expires_at: int
    address: str
    agent: str


class SessionStore(Protocol):
    """Keeps sessions. What ends one raises the counter `revisions.of_person`, in the same
    transaction or once it has ended."""

    def create(
        self, user_id: str, *, address: str, agent: str, guest: bool = False
    ) -> tuple[Session, str]:
        """A new session and its cookie's id."""
        ...

    def find(self, cookie_id: str) -> Session | None:
        """The session with this cookie's id, unless it was revoked or has expired."""
        ...

    def touch(self, session: Session) -> Session:
        """Note that the session is in use, at most every 5 minutes; never revives a revoked one."""
        ...

    def list_of(self, user_id: str) -> list[Session]:
        """The person's sessions, last used first."""
        ...

    def revoke(self, user_id: str, session_id: str) -> bool:
        """End one of the person's sessions; whether there was one."""
        ...

    def revoke_all(self, user_id: str, keep: str | None = None) -> int:
        """End all of the person's sessions but the one whose id is `keep`; how many those were."""
        ...


def new_session(
    clock: Clock, user_id: str, address: str, agent: str, guest: bool
) -> tuple[Session, str]:
    """What a store's `create` stores and returns."""
    # The letter keeps an id in a cookie from looking like an API key, which begins with `lo_`: one
    # of 262,144 would, and nobody could use that session.
    cookie_id, now = f"{_GUEST if guest else 's'}{new_token()}", clock.now_ms()
    made = Session(
        id=token_hash(cookie_id),
        user_id=user_id,
        created_at=now,
        seen_at=now,
        expires_at=now + IDLE_MS,
        address=address,
        agent=agent[:AGENT_LIMIT],
    )
    return made, cookie_id


def is_guests(cookie_id: str) -> bool:
    """Whether the session with this cookie's id began with the guest's link."""
    return cookie_id.startswith(_GUEST)


def seen(clock: Clock, session: Session) -> Session:
    """The session as used now, or the same object while that was noted recently enough."""
    now = clock.now_ms()
    if now - session.seen_at < SEEN_RESOLUTION_MS:
        return session
    expires_at = min(now + IDLE_MS, session.created_at + LIFETIME_MS)
    return msgspec.structs.replace(session, seen_at=now, expires_at=expires_at)


class SqlSessions:
    """Sessions in the database: the default."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def create(
        self, user_id: str, *, address: str, agent: str, guest: bool = False
    ) -> tuple[Session, str]:
        """See `SessionStore`. Expired sessions go at the same time."""
        made, cookie_id = new_session(self._clock, user_id, address, agent, guest)

        def store(c: sa.Connection) -> None:
            c.execute(sa.delete(sessions).where(sessions.c.expires_at <= made.created_at))
            c.execute(sa.insert(sessions).values(**msgspec.structs.asdict(made)))

        self._db.write(store)
        return made, cookie_id

    def find(self, cookie_id: str) -> Session | None:
        """See `SessionStore`."""
        found = self._read(sessions.c.id == token_hash(cookie_id))
        return found[0] if found else None

    def touch(self, session: Session) -> Session:
        """See `SessionStore`."""
        used = seen(self._clock, session)
        if used is not session:
            values = {"seen_at": used.seen_at, "expires_at": used.expires_at}
            change = sa.update(sessions).where(sessions.c.id == session.id).values(**values)
            self._db.write(lambda c: c.execute(change).rowcount)
        return used

    def list_of(self, user_id: str) -> list[Session]:
        """See `SessionStore`."""
        return self._read(sessions.c.user_id == user_id)

    def revoke(self, user_id: str, session_id: str) -> bool:
        """See `SessionStore`."""
        one = sa.and_(sessions.c.user_id == user_id, sessions.c.id == session_id)
        return self._revoke(user_id, one) == 1

    def revoke_all(self, user_id: str, keep: str | None = None) -> int:
        """See `SessionStore`."""
        others = sa.and_(sessions.c.user_id == user_id, sessions.c.id != (keep or ""))
        return self._revoke(user_id, others)

    def _revoke(self, user_id: str, which: sa.ColumnElement[bool]) -> int:
        def end(c: sa.Connection) -> int:
            revisions.raise_(c, revisions.of_person(user_id))
            return c.execute(sa.delete(sessions).where(which)).rowcount

        return self._db.write(end)

    def _read(self, which: sa.ColumnElement[bool]) -> list[Session]:
        query = (
            sa.select(sessions)
            .where(which, sessions.c.expires_at > self._clock.now_ms())
            .order_by(sessions.c.seen_at.desc(), sessions.c.id)
        )
        rows = self._db.read(lambda c: c.execute(query).mappings().all())
        return [Session(**row) for row in rows]
