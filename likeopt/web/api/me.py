"""One's own account: name, password, sessions and API keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from flask import Response
from msgspec import Meta

from likeopt.clock import rfc3339
from likeopt.errors import BadInput, Conflict, Forbidden, NotFound, TooManyRequests
from likeopt.shapes import Key, KeyList, Person
from likeopt.storage import api_keys, people
from likeopt.storage.api_keys import Scope
from likeopt.storage.people import User
from likeopt.web import auth, context, cookies
from likeopt.web.context import identity, services
from likeopt.web.endpoint import Endpoints

me = Endpoints("me", tag="Account", prefix="/api/v1/me")

Password = Annotated[str, Meta(min_length=1, max_length=1000)]


class OwnName(msgspec.Struct, forbid_unknown_fields=True):
    """What one is called."""

    name: str


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The password until now, and the one from now on."""

    current: Password
    new: Password


class OwnSession(msgspec.Struct):
    """A browser that is signed in; `current` is the one that asks."""

    id: str
    current: bool
    created_at: str
    seen_at: str
    expires_at: str
    address: str
    agent: str


class OwnSessions(msgspec.Struct):
    """Every browser that is signed in, last used first."""

    items: list[OwnSession]


class Ended(msgspec.Struct):
    """How many sessions were ended."""

    ended: int


class KeyToMake(msgspec.Struct, forbid_unknown_fields=True):
    """What the key is for. `read`: reading and searching. `chat`: asking, and conversations.
    `write`: changing documents and collections. `admin`: what administrators do."""

    name: str
    scopes: list[Scope]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class MadeKey(msgspec.Struct):
    """A new key with its token, which is told this once."""

    key: Key
    token: str


@me.operation(
    "PATCH",
    "",
    summary="Change one's own name",
    body=OwnName,
    returns=Person,
    scope="account",
    example='--json \'{"name": "Kim Minji"}\'',
)
def rename_me(body: OwnName) -> Person:
    def rename(c: Any) -> User:
        changed = people.update(c, identity().user.id, name=body.name)
        context.note(c, "user.update", kind="user", id_=changed.id, name=changed.name)
        return changed

    return Person.of(services().db.write(rename))


@me.operation(
    "POST",
    "/password",
    summary="Change one's own password",
    detail="Every other session ends.",
    body=PasswordChange,
    status=204,
    errors=(Forbidden, Conflict, TooManyRequests),
    scope="account",
)
def change_password(body: PasswordChange) -> Response:
    who = identity()
    browser = services().accounts.change_password(
        who.user.id,
        body.current,
        body.new,
        keep=who.session.id if who.session else None,
        client=context.client(),
    )
    response = Response(status=204)
    cookies.know(response, browser)
    return response


@me.operation(
    "GET", "/sessions", summary="List one's own sessions", returns=OwnSessions, scope="account"
)
def list_sessions() -> OwnSessions:
    who = identity()
    current = who.session.id if who.session else None
    return OwnSessions(
        [
            OwnSession(
                id=one.id,
                current=one.id == current,
                created_at=rfc3339(one.created_at),
                seen_at=rfc3339(one.seen_at),
                expires_at=rfc3339(one.expires_at),
                address=one.address,
                agent=one.agent,
            )
            for one in services().sessions.list_of(who.user.id)
        ]
    )


@me.operation(
    "DELETE",
    "/sessions",
    summary="Sign out everywhere else",
    detail="Only within ten minutes of signing in; later the code is `sign_in_again`.",
    returns=Ended,
    scope="account",
)
def end_other_sessions() -> Ended:
    auth.require_fresh()
    who = identity()
    keep = who.session.id if who.session else None
    ended = services().sessions.revoke_all(who.user.id, keep=keep)
    _note_ended(None, ended)
    return Ended(ended)


@me.operation(
    "DELETE",
    "/sessions/<hash:session_id>",
    summary="End one of one's own sessions",
    detail="Only within ten minutes of signing in; later the code is `sign_in_again`.",
    status=204,
    errors=(NotFound,),
    scope="account",
)
def end_session(session_id: str) -> None:
    auth.require_fresh()
    if not services().sessions.revoke(identity().user.id, session_id):
        raise NotFound("No such session.")
    _note_ended(session_id, 1)


@me.operation("GET", "/keys", summary="List one's own API keys", returns=KeyList, scope="account")
def list_keys() -> KeyList:
    user_id = identity().user.id
    return KeyList(
        [Key.of(one) for one in services().db.read(lambda c: api_keys.list_(c, user_id))]
    )


@me.operation(
    "POST",
    "/keys",
    summary="Make an API key",
    detail="Its token is shown this once. Send it as `Authorization: Bearer lo_...`. Only within"
    " ten minutes of signing in; later the code is `sign_in_again`. Guests make none (`guest_key`):"
    " they have the token of the link.",
    body=KeyToMake,
    returns=MadeKey,
    status=201,
    errors=(Forbidden,),
    scope="account",
    example='--json \'{"name": "Nightly import", "scopes": ["read", "write"]}\'',
)
def create_key(body: KeyToMake) -> MadeKey:
    found, who = services(), identity()
    if who.via == "guest":
        # It would outlast the link, and guest mode itself.
        raise Forbidden(
            "A guest makes no API keys. Programs send the token of the link.", code="guest_key"
        )
    # A key is a way in that outlasts the session it was made in.
    auth.require_fresh()
    if "admin" in body.scopes and who.user.role != "admin":
        raise Forbidden("Only administrators have keys with the scope `admin`.")
    expires_at = None if body.expires_at is None else _millis(body.expires_at)

    def make(c: Any) -> tuple[api_keys.ApiKey, str]:
        made, token = api_keys.create(
            c,
            found.clock,
            who.user.id,
            name=body.name,
            scopes=body.scopes,
            expires_at=expires_at,
        )
        context.note(c, "key.create", kind="key", id_=made.id, name=made.name, scopes=made.scopes)
        return made, token

    made, token = found.db.write(make)
    return MadeKey(Key.of(made), token)


@me.operation(
    "DELETE",
    "/keys/<id:key_id>",
    summary="Revoke one of one's own API keys",
    status=204,
    errors=(NotFound,),
    scope="account",
)
def revoke_key(key_id: str) -> None:
    found, user_id = services(), identity().user.id

    def revoke(c: Any) -> None:
        ended = api_keys.revoke(c, found.clock, user_id, key_id)
        context.note(c, "key.revoke", kind="key", id_=ended.id, name=ended.name)

    found.db.write(revoke)


def _note_ended(session_id: str | None, ended: int) -> None:
    services().db.write(
        lambda c: context.note(c, "session.revoke", kind="session", id_=session_id, ended=ended)
    )


def _millis(moment: datetime) -> int:
    try:
        return round(moment.astimezone(UTC).timestamp() * 1000)
    except (OverflowError, ValueError):
        raise BadInput("`expires_at` is out of range.") from None
