"""Personal API keys: shown once, stored hashed, each with what it may be used for."""

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import BadInput, NotFound
from likeopt.storage import people, revisions
from likeopt.storage.ids import new_id
from likeopt.storage.people import User
from likeopt.storage.tables import api_keys
from likeopt.storage.text import clean_line
from likeopt.storage.tokens import new_token, token_hash

# read: GET and search. chat: ask, and conversations. write: documents and collections.
Scope = Literal["read", "chat", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PREFIX = "lo_"
NAME_LIMIT = 120
# A key in use would otherwise write to the database with every request.
USE_RESOLUTION_MS = 60_000


class ApiKey(msgspec.Struct, frozen=True):
    """A key without its token. `hint` is the token's first 8 characters after `lo_`."""

    id: str
    user_id: str
    name: str
    hint: str
    scopes: list[Scope]
    created_at: int
    expires_at: int | None
    last_used_at: int | None


_COLUMNS = [api_keys.c[name] for name in ApiKey.__struct_fields__]
# Built once: every request with a key runs it.
_FIND = sa.select(*_COLUMNS).where(
    api_keys.c.token_hash == sa.bindparam("hash"),
    api_keys.c.revoked_at.is_(None),
    sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > sa.bindparam("now")),
)


def create(
    c: sa.Connection,
    clock: Clock,
    user_id: str,
    *,
    name: str,
    scopes: Iterable[Scope],
    expires_at: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the person's and its token, which is told this once."""
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise BadInput(f"A key needs one or more scopes of {', '.join(SCOPES)}.")
    if expires_at is not None and expires_at <= clock.now_ms():
        raise BadInput("The key would have expired already.")
    secret = new_token()
    token = PREFIX + secret
    made = ApiKey(
        id=new_id(clock),
        user_id=user_id,
        name=clean_line(name, what="The key's name", limit=NAME_LIMIT),
        hint=secret[:8],
        scopes=[scope for scope in SCOPES if scope in wanted],
        created_at=clock.now_ms(),
        expires_at=expires_at,
        last_used_at=None,
    )
    row = msgspec.structs.asdict(made) | {"scopes": " ".join(made.scopes)}
    c.execute(sa.insert(api_keys).values(**row, token_hash=token_hash(token)))
    return made, token


def list_(c: sa.Connection, user_id: str) -> list[ApiKey]:
    """The person's keys that are not revoked, newest first; expired ones too."""
    which = sa.and_(api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    query = sa.select(*_COLUMNS).where(which).order_by(api_keys.c.id.desc())
    return [_key(row) for row in c.execute(query).mappings()]


def revoke(c: sa.Connection, clock: Clock, user_id: str, key_id: str) -> ApiKey:
    """End one of the person's keys, and return it; NotFound if they have no such key."""
    ended = _revoke(c, clock, user_id, api_keys.c.id == key_id)
    if not ended:
        raise NotFound("No such key.")
    return ended[0]


def revoke_all(c: sa.Connection, clock: Clock, user_id: str) -> list[ApiKey]:
    """End all of the person's keys, and return them."""
    return _revoke(c, clock, user_id, sa.true())


def _revoke(
    c: sa.Connection, clock: Clock, user_id: str, which: sa.ColumnElement[bool]
) -> list[ApiKey]:
    revisions.raise_(c, revisions.of_person(user_id))
    rows = c.execute(
        sa.update(api_keys)
        .where(which, api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=clock.now_ms())
        .returning(*_COLUMNS)
    ).mappings()
    return [_key(row) for row in rows]


def find(c: sa.Connection, clock: Clock, token: str) -> tuple[ApiKey, User] | None:
    """The key with this token and its owner, unless it is revoked or expired, or they disabled."""
    wanted = {"hash": token_hash(token), "now": clock.now_ms()}
    row = c.execute(_FIND, wanted).mappings().one_or_none()
    if row is None:
        return None
    key = _key(row)
    owner = people.get(c, key.user_id)
    return None if owner.disabled else (key, owner)


def use_is_noted(clock: Clock, key: ApiKey) -> bool:
    """Whether `last_used_at` is less than a minute old, so that `note_use` has nothing to do."""
    last = key.last_used_at
    return last is not None and clock.now_ms() - last < USE_RESOLUTION_MS


def note_use(c: sa.Connection, clock: Clock, key_id: str) -> None:
    """Set `last_used_at`. `find` does not, so that most requests only read."""
    now = clock.now_ms()
    c.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now))


def _key(row: sa.RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": row["scopes"].split()})
