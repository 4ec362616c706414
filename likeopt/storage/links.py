"""One-time links: to become the first administrator, to accept an invitation, to set a password."""

from typing import Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import Conflict, NotFound
from likeopt.storage import people
from likeopt.storage.ids import new_id
from likeopt.storage.people import Role
from likeopt.storage.tables import links
from likeopt.storage.text import clean_email
from likeopt.storage.tokens import new_token, token_hash

Purpose = Literal["setup", "invite", "reset"]

DAY_MS = 24 * 60 * 60 * 1000
LIFETIME_MS: dict[Purpose, int] = {"setup": DAY_MS, "invite": 7 * DAY_MS, "reset": DAY_MS}


class Link(msgspec.Struct, frozen=True):
    """A link without its token. Of an invitation, `user_id` is null; of a reset, `role`."""

    id: str
    purpose: Purpose
    user_id: str | None
    email: str | None
    role: Role | None
    created_by: str | None
    created_at: int
    expires_at: int
    used_at: int | None


_COLUMNS = [links.c[name] for name in Link.__struct_fields__]


def create(
    c: sa.Connection,
    clock: Clock,
    purpose: Purpose,
    *,
    user_id: str | None = None,
    email: str | None = None,
    role: Role | None = None,
    created_by: str | None = None,
) -> tuple[Link, str]:
    """A new link and its token, which is told this once. Older links for the same end are void.

    A set-up and a reset name a `user_id`; an invitation a `role`, and an `email` or none.
    Raises Conflict for an invitation to somebody who has an account.
    """
    if email is not None:
        email = clean_email(email)
        if purpose == "invite" and people.by_email(c, email) is not None:
            raise Conflict("There is an account with this e-mail address already.")
    if purpose != "invite":
        _void(c, sa.and_(links.c.purpose == purpose, links.c.user_id == user_id))
    elif email is not None:
        _void(c, sa.and_(links.c.purpose == purpose, links.c.email == email))
    now = clock.now_ms()
    made = Link(
        id=new_id(clock),
        purpose=purpose,
        user_id=user_id,
        email=email,
        role=role,
        created_by=created_by,
        created_at=now,
        expires_at=now + LIFETIME_MS[purpose],
        used_at=None,
    )
    token = new_token()
    row = msgspec.structs.asdict(made)
    c.execute(sa.insert(links).values(**row, token_hash=token_hash(token)))
    return made, token


def find(c: sa.Connection, clock: Clock, token: str) -> Link:
    """The link of a token; NotFound if it is unknown, used or expired."""
    row = c.execute(sa.select(*_COLUMNS).where(_usable(clock, token))).mappings().one_or_none()
    return _link(row)


def use(c: sa.Connection, clock: Clock, token: str) -> Link:
    """`find`, and the link is used: of two at the same time, one gets NotFound."""
    query = (
        sa.update(links)
        .where(_usable(clock, token))
        .values(used_at=clock.now_ms())
        .returning(*_COLUMNS)
    )
    return _link(c.execute(query).mappings().one_or_none())


def use_invitation(c: sa.Connection, clock: Clock, email: str) -> Link | None:
    """The open invitation sent to this address, used by this call; None if there is none."""
    query = sa.update(links).where(
        links.c.purpose == "invite",
        links.c.email == email,
        links.c.used_at.is_(None),
        links.c.expires_at > clock.now_ms(),
    )
    row = c.execute(query.values(used_at=clock.now_ms()).returning(*_COLUMNS)).mappings().first()
    return None if row is None else _link(row)


def invitations(c: sa.Connection, clock: Clock) -> list[Link]:
    """Those that can still be accepted, newest first."""
    query = sa.select(*_COLUMNS).where(
        links.c.purpose == "invite", links.c.used_at.is_(None), links.c.expires_at > clock.now_ms()
    )
    return [_link(row) for row in c.execute(query.order_by(links.c.id.desc())).mappings()]


def withdraw(c: sa.Connection, link_id: str) -> Link:
    """Make an unused invitation void, and return it; NotFound if there is none."""
    which = sa.and_(links.c.id == link_id, links.c.purpose == "invite", links.c.used_at.is_(None))
    return _link(
        c.execute(sa.delete(links).where(which).returning(*_COLUMNS)).mappings().one_or_none()
    )


def void(c: sa.Connection, user_id: str) -> None:
    """Make every unused link that sets this person's password void."""
    _void(c, links.c.user_id == user_id)


def _void(c: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    c.execute(sa.delete(links).where(which, links.c.used_at.is_(None)))


def _usable(clock: Clock, token: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        links.c.token_hash == token_hash(token),
        links.c.used_at.is_(None),
        links.c.expires_at > clock.now_ms(),
    )


def _link(row: sa.RowMapping | None) -> Link:
    if row is None:
        raise NotFound("This link was used, has expired, or never existed. Ask for a new one.")
    return Link(**row)
