"""What a view may reach: the services, and who is asking."""

from typing import Any, Literal

import msgspec
from flask import Flask, current_app, g, request

from likeopt.accounts import Client
from likeopt.errors import Unauthorized
from likeopt.services import Services
from likeopt.storage import access, audit
from likeopt.storage.api_keys import ApiKey
from likeopt.storage.people import User
from likeopt.storage.reader import Reader
from likeopt.storage.sessions import Session
from likeopt.web import cookies, middleware

_EXTENSION = "likeopt"


class Identity(msgspec.Struct, frozen=True):
    """Who is asking, and how they proved it."""

    user: User
    via: Literal["session", "key", "guest"]
    session: Session | None = None
    key: ApiKey | None = None


def services() -> Services:
    """The services of the application that handles this request."""
    return services_of(current_app)


def services_of(app: Flask) -> Services:
    """The services of an application."""
    found: Services = app.extensions[_EXTENSION]
    return found


def identity() -> Identity:
    """Who is asking; Unauthorized in what is open to everybody."""
    found: Identity | None = g.get("identity")
    if found is None:
        raise Unauthorized("Sign in first.")
    return found


def reader(c: Any) -> Reader:
    """Who is asking, with what they may read in the snapshot of the connection `c`."""
    return access.reader_for(c, identity().user.id)


def client() -> Client:
    """Where this request comes from."""
    return Client(
        address=request.remote_addr or "",
        agent=request.headers.get("User-Agent", ""),
        request_id=middleware.exchange().request_id,
        browser=cookies.browser(),
    )


def note(
    c: Any,
    action: str,
    *,
    kind: str,
    id_: str | None = None,
    name: str | None = None,
    who: Identity | None = None,
    **detail: Any,
) -> None:
    """Write into the audit log, in the transaction of what it tells."""
    who = who or identity()
    where = client()
    if who.key is not None:
        detail["key"] = who.key.id
    entry = audit.Entry(
        action=action,
        via=who.via,
        actor_id=who.user.id,
        actor_name=who.user.name,
        object_kind=kind,
        object_id=id_,
        object_name=name,
        address=where.address,
        request_id=where.request_id,
        detail=detail,
    )
    audit.write(c, services().clock, entry)


def install(app: Flask, services: Services) -> None:
    """Give `app` its services."""
    app.extensions[_EXTENSION] = services
