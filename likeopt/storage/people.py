"""People and their accounts. They are disabled, never deleted: what they made keeps its owner."""

from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import Conflict, NotFound
from likeopt.storage import revisions
from likeopt.storage.ids import new_id
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.tables import links, users
from likeopt.storage.text import clean_email, clean_name

Role = Literal["admin", "member"]

NAME_LIMIT = 120


class User(msgspec.Struct, frozen=True):
    """An account. `email` is null only for the local user before the first set-up.

    `email_confirmed`: an administrator chose the address, not whoever opened an invitation.
    """

    id: str
    name: str
    email: str | None
    email_confirmed: bool
    role: Role
    disabled: bool
    created_at: int
    has_password: bool


def get(c: sa.Connection, user_id: str) -> User:
    """One account; NotFound if there is none."""
    found = _read(c, users.c.id == user_id)
    if not found:
        raise NotFound("No such user.")
    return found[0]


def by_email(c: sa.Connection, email: str) -> User | None:
    """The account with this address, as `clean_email` writes it."""
    found = _read(c, users.c.email == email)
    return found[0] if found else None


def by_oidc(c: sa.Connection, subject: str) -> User | None:
    """The account that `link_oidc` gave this subject."""
    found = _read(c, users.c.oidc_subject == subject)
    return found[0] if found else None


def list_(c: sa.Connection) -> list[User]:
    """Every account, by name."""
    return _read(c, sa.true())


def create(
    c: sa.Connection,
    clock: Clock,
    *,
    name: str,
    email: str,
    role: Role,
    email_confirmed: bool = False,
) -> User:
    """A new account, which cannot sign in before it has a password or an OpenID subject.

    Raises Conflict if the address is taken.
    """
    # Nobody remembers anything of somebody who is not there yet.
    revisions.lock(c, "access")
    made = User(
        id=new_id(clock),
        name=clean_name(name, what="The name", limit=NAME_LIMIT),
        email=_free_email(c, email),
        email_confirmed=email_confirmed,
        role=role,
        disabled=False,
        created_at=clock.now_ms(),
        has_password=False,
    )
    row = {name: getattr(made, name) for name in ("id", "name", "email", "role", "created_at")}
    c.execute(sa.insert(users).values(**row, email_confirmed=int(email_confirmed)))
    return made


def update(
    c: sa.Connection,
    user_id: str,
    *,
    name: str | None = None,
    email: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
) -> User:
    """Change what is given; NotFound if there is no such user.

    Only administrators give an `email`, so it counts as confirmed, the one until now included.
    Raises Conflict if the address is taken, or if no enabled administrator would be left. Links
    that a person made who is no longer an administrator stop working.
    """
    revisions.raise_account(c, user_id)
    get(c, user_id)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = clean_name(name, what="The name", limit=NAME_LIMIT)
        revisions.announce(c, "people")
    if email is not None:
        values["email"] = _free_email(c, email, but=user_id)
        values["email_confirmed"] = 1
    if role is not None:
        values["role"] = role
    if disabled is not None:
        values["disabled"] = int(disabled)
    if values:
        c.execute(sa.update(users).where(users.c.id == user_id).values(**values))
    if not _read(c, sa.and_(users.c.role == "admin", users.c.disabled == 0)):
        raise Conflict("This is the last administrator; make somebody else one first.")
    changed = get(c, user_id)
    if changed.disabled or changed.role != "admin":
        unused = sa.and_(links.c.created_by == user_id, links.c.used_at.is_(None))
        c.execute(sa.delete(links).where(unused))
    return changed


def set_password(c: sa.Connection, clock: Clock, user_id: str, password_hash: str) -> None:
    """Replace the password's hash; NotFound if there is no such user."""
    revisions.raise_account(c, user_id)
    get(c, user_id)
    values = {"password_hash": password_hash, "password_changed_at": clock.now_ms()}
    c.execute(sa.update(users).where(users.c.id == user_id).values(**values))


def password_hash_of(c: sa.Connection, email: str) -> tuple[str, str] | None:
    """(user id, hash) of the enabled account with this address and a password."""
    row = c.execute(
        sa.select(users.c.id, users.c.password_hash).where(
            users.c.email == email, users.c.disabled == 0, users.c.password_hash.is_not(None)
        )
    ).one_or_none()
    return None if row is None else (row.id, row.password_hash)


def link_oidc(c: sa.Connection, user_id: str, subject: str) -> None:
    """Let the person sign in as `subject` (issuer and subject) of the OpenID Connect provider.

    Raises Conflict if another account has that subject, NotFound if there is no such user.
    """
    revisions.raise_account(c, user_id)
    get(c, user_id)
    taken = by_oidc(c, subject)
    if taken is not None and taken.id != user_id:
        raise Conflict("This OpenID account belongs to another user.")
    c.execute(sa.update(users).where(users.c.id == user_id).values(oidc_subject=subject))


def oidc_of(c: sa.Connection, user_id: str) -> str | None:
    """The subject that the person may sign in as."""
    query = sa.select(users.c.oidc_subject).where(users.c.id == user_id)
    found: str | None = c.execute(query).scalar_one_or_none()
    return found


def needs_setup(c: sa.Connection, *, oidc: bool) -> bool:
    """Whether there is no administrator: neither the local user, whom the set-up link is for, can
    sign in nor any other; with a provider only where there is one (`oidc`), so that whoever gives
    theirs up gets a link. `schema.is_set_up` asks the same of a file."""
    by_whom = sa.or_(
        users.c.id == LOCAL_USER, sa.and_(users.c.role == "admin", users.c.disabled == 0)
    )
    by_what: sa.ColumnElement[bool] = users.c.password_hash.is_not(None)
    if oidc:
        by_what = sa.or_(by_what, users.c.oidc_subject.is_not(None))
    return c.execute(sa.select(users.c.id).where(by_whom, by_what).limit(1)).first() is None


def _free_email(c: sa.Connection, email: str, but: str | None = None) -> str:
    cleaned = clean_email(email)
    taken = by_email(c, cleaned)
    if taken is not None and taken.id != but:
        raise Conflict("There is an account with this e-mail address already.")
    return cleaned


def _read(c: sa.Connection, which: sa.ColumnElement[bool]) -> list[User]:
    return [
        User(
            id=row.id,
            name=row.name,
            email=row.email,
            email_confirmed=bool(row.email_confirmed),
            role=row.role,
            disabled=bool(row.disabled),
            created_at=row.created_at,
            has_password=row.password_hash is not None,
        )
        for row in c.execute(sa.select(users).where(which).order_by(users.c.name, users.c.id))
    ]
