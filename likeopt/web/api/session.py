"""Signing in and out, and the links that let somebody in for the first time."""

from typing import Annotated, Literal

import msgspec
from flask import Response
from msgspec import Meta

from likeopt.accounts import SignedIn
from likeopt.clock import rfc3339
from likeopt.errors import BadInput, Conflict, NotFound, TooManyRequests, Unauthorized
from likeopt.storage import links, people
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.sessions import is_guests
from likeopt.web import auth, context, cookies, guests
from likeopt.web.context import Identity, services
from likeopt.web.endpoint import JSON, Endpoints

session = Endpoints("session", tag="Sign-in", prefix="/api/v1")

# A password has at most 200 characters; nobody needs to hash more to say that one is wrong.
Password = Annotated[str, Meta(min_length=1, max_length=1000)]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody signs in with."""

    email: Annotated[str, Meta(max_length=320)]
    password: Password


class Me(msgspec.Struct):
    """Who is signed in."""

    id: str
    name: str
    email: str | None
    role: people.Role
    has_password: bool


class SessionState(msgspec.Struct):
    """Who is asking, and what a page needs to go on.

    `csrf` is what changes must carry in the header X-CSRF-Token. `guest`: sign-in is skipped on
    this server, for whoever opens the link in its terminal. `needs_setup`: nobody can sign in
    before the link in the terminal was opened. `oidc` is the name of the provider that one can
    sign in with at /api/v1/oidc/start.
    """

    user: Me | None
    via: Literal["session", "key", "guest"] | None
    csrf: str | None
    guest: bool
    needs_setup: bool
    oidc: str | None


class LinkToken(msgspec.Struct, forbid_unknown_fields=True):
    """The part of a link after `#`."""

    token: Annotated[str, Meta(max_length=100)]


class LinkMeaning(msgspec.Struct):
    """What a link is for. `name` and `email` are known already unless they are null."""

    purpose: links.Purpose
    name: str | None
    email: str | None
    role: people.Role | None
    expires_at: str


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """`name` is needed but for a reset, `email` where the link names none."""

    token: Annotated[str, Meta(max_length=100)]
    password: Password
    name: str = ""
    email: Annotated[str, Meta(max_length=320)] = ""


@session.operation(
    "GET",
    "/session",
    summary="Who is signed in",
    returns=SessionState,
    access="public",
    limit="default",
)
def get_session() -> SessionState:
    try:
        return _state(auth.of_app().identify())
    except Unauthorized:
        return _state(None)


@session.operation(
    "POST",
    "/session",
    summary="Sign in",
    detail="The answer sets the session's cookie, and one by which the browser is known next time."
    " Failures are slowed down.",
    body=Credentials,
    returns=SessionState,
    errors=(Unauthorized, TooManyRequests),
    access="public",
    limit="default",
    example='--json \'{"email": "you@example.org", "password": "..."}\'',
)
def sign_in(body: Credentials) -> Response:
    made = services().accounts.sign_in(body.email, body.password, context.client())
    return signed_in(made)


@session.operation(
    "POST",
    "/session/guest",
    summary="Come in where sign-in is skipped",
    detail="The token stands in the link that the terminal shows. The answer sets the session's"
    " cookie.",
    body=LinkToken,
    returns=SessionState,
    errors=(Unauthorized,),
    access="public",
    limit="default",
)
def enter_as_guest(body: LinkToken) -> Response:
    if not guests.is_token(services(), body.token):
        raise Unauthorized(
            "This is not the link of this server. Open the one that its terminal shows.",
            code="guest_link",
        )
    guests.require_local()
    return signed_in(services().accounts.open_session(LOCAL_USER, context.client(), how="guest"))


@session.operation(
    "DELETE",
    "/session",
    summary="Sign out",
    detail="The token of the guest's link has no session that this could end (`no_session`).",
    status=204,
    errors=(Conflict,),
    scope="account",
)
def sign_out() -> Response:
    who = context.identity()
    if who.session is None:
        raise Conflict(
            "There is no session to end. The token of the link ends with another `secret.key`"
            " (or LIKEOPT_SECRET_KEY).",
            code="no_session",
        )
    id_ = who.session.id
    services().sessions.revoke(who.user.id, id_)
    services().db.write(lambda c: context.note(c, "session.end", kind="session", id_=id_))
    response = Response(status=204)
    cookies.forget(response)
    return response


@session.operation(
    "POST",
    "/link",
    summary="What a one-time link is for",
    body=LinkToken,
    returns=LinkMeaning,
    errors=(NotFound,),
    access="public",
    limit="default",
)
def look_at_link(body: LinkToken) -> LinkMeaning:
    found = services()
    link = found.db.read(lambda c: links.find(c, found.clock, body.token))
    name, email = None, link.email
    if link.purpose == "reset":
        user = found.db.read(lambda c: people.get(c, str(link.user_id)))
        name, email = user.name, user.email
    return LinkMeaning(link.purpose, name, email, link.role, rfc3339(link.expires_at))


@session.operation(
    "POST",
    "/link/accept",
    summary="Accept a one-time link",
    detail="Sets the password and signs in.",
    body=Acceptance,
    returns=SessionState,
    errors=(BadInput, Unauthorized, NotFound, Conflict),
    access="public",
    limit="default",
)
def accept_link(body: Acceptance) -> Response:
    made = services().accounts.accept_link(
        body.token,
        password=body.password,
        name=body.name,
        email=body.email,
        client=context.client(),
    )
    return signed_in(made)


def signed_in(made: SignedIn) -> Response:
    """The state of a session that has just begun."""
    via: Literal["guest", "session"] = "guest" if is_guests(made.cookie_id) else "session"
    who = Identity(made.user, via, session=made.session)
    response = Response(msgspec.json.encode(_state(who)), content_type=JSON)
    auth.begin(response, made.cookie_id, made.browser)
    return response


def _state(who: Identity | None) -> SessionState:
    found = services()
    me = None
    if who is not None:
        user = who.user
        me = Me(user.id, user.name, user.email, user.role, user.has_password)
    # Once somebody is signed in, somebody could be.
    signed_in = who is not None and who.via != "guest"
    oidc = bool(found.config.oidc_issuer)
    return SessionState(
        user=me,
        via=who.via if who else None,
        csrf=auth.of_app().csrf_token(who) if who else None,
        guest=found.config.guest,
        needs_setup=not signed_in and found.db.read(lambda c: people.needs_setup(c, oidc=oidc)),
        oidc=found.config.oidc_name if oidc else None,
    )
