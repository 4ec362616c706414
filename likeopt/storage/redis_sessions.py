"""Sessions in Redis: looked up without the database, by several servers.

`likeopt:session:<id>` holds one as JSON and expires with it; `likeopt:sessions:<user id>` is the
set of a person's session ids, of which some may have expired. The set does not expire, so a Redis
that evicts by `volatile-ttl` never forgets whose sessions there are: it could not end them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import redis

from likeopt.clock import Clock
from likeopt.errors import StorageUnavailable
from likeopt.storage import revisions
from likeopt.storage.db import Database
from likeopt.storage.sessions import Session, new_session, seen
from likeopt.storage.tokens import token_hash

TIMEOUT_SECONDS = 5.0
# A look-up is one command: see likeopt/cache/redis_client.py.
CONNECTIONS = 8


class RedisSessions:
    """See `SessionStore`. The person's counter is raised in `db`, after Redis has forgotten.

    Who looks a session up after that finds none; who did so before has a stamp that is over.
    """

    def __init__(self, url: str, db: Database, clock: Clock) -> None:
        # Nothing connects before the first command. Who finds every connection in use waits for one
        # as long as for Redis.
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self._redis: Any = redis.Redis.from_pool(pool)
        self._db = db
        self._clock = clock

    def create(
        self, user_id: str, *, address: str, agent: str, guest: bool = False
    ) -> tuple[Session, str]:
        """See `SessionStore`."""
        made, cookie_id = new_session(self._clock, user_id, address, agent, guest)
        with _available(), self._redis.pipeline() as together:
            together.set(_one(made.id), msgspec.json.encode(made), px=self._left_ms(made))
            together.sadd(_of(user_id), made.id)
            together.persist(_of(user_id))
            together.execute()
        return made, cookie_id

    def find(self, cookie_id: str) -> Session | None:
        """See `SessionStore`."""
        with _available():
            return self._alive(self._redis.get(_one(token_hash(cookie_id))))

    def touch(self, session: Session) -> Session:
        """See `SessionStore`."""
        used = seen(self._clock, session)
        if used is not session:
            with _available():
                # Only if it is still there (XX): it may have been revoked in the meantime.
                value, left = msgspec.json.encode(used), self._left_ms(used)
                self._redis.set(_one(used.id), value, px=left, xx=True)
        return used

    def list_of(self, user_id: str) -> list[Session]:
        """See `SessionStore`."""
        with _available():
            ids = [member.decode() for member in self._redis.smembers(_of(user_id))]
            stored = self._redis.mget([_one(session_id) for session_id in ids]) if ids else []
            found = [self._alive(value) for value in stored]
            gone = [id_ for id_, session in zip(ids, found, strict=True) if session is None]
            if gone:
                self._redis.srem(_of(user_id), *gone)
        listed = [session for session in found if session is not None]
        return sorted(listed, key=lambda session: (-session.seen_at, session.id))

    def revoke(self, user_id: str, session_id: str) -> bool:
        """See `SessionStore`."""
        # By what the session says itself, should the set be lost: signing out always works.
        with _available():
            found = self._alive(self._redis.get(_one(session_id)))
        own = found is not None and found.user_id == user_id
        return self._revoke(user_id, [session_id] if own else []) == 1

    def revoke_all(self, user_id: str, keep: str | None = None) -> int:
        """See `SessionStore`."""
        with _available():
            ids = [member.decode() for member in self._redis.smembers(_of(user_id))]
        return self._revoke(user_id, [session_id for session_id in ids if session_id != keep])

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()

    def _revoke(self, user_id: str, ids: list[str]) -> int:
        """End sessions that are known to be the person's."""
        ended = 0
        if ids:
            with _available(), self._redis.pipeline() as together:
                together.delete(*map(_one, ids))
                together.srem(_of(user_id), *ids)
                ended = together.execute()[0]
        # Raised also when nothing was found: this may be the second try, after the first one
        # failed right here.
        self._db.write(lambda c: revisions.raise_(c, revisions.of_person(user_id)))
        return ended

    def _alive(self, stored: bytes | None) -> Session | None:
        if stored is None:
            return None
        session = msgspec.json.decode(stored, type=Session)
        return session if self._left_ms(session) > 0 else None

    def _left_ms(self, session: Session) -> int:
        return session.expires_at - self._clock.now_ms()


def _one(session_id: str) -> str:
    return f"likeopt:session:{session_id}"


def _of(user_id: str) -> str:
    return f"likeopt:sessions:{user_id}"


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        # Not the message: it can hold the address with its password.
        logging.getLogger(__name__).warning("Redis unavailable: %s", type(error).__name__)
        raise StorageUnavailable("The session store does not answer. Try again soon.") from None
