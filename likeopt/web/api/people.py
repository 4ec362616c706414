"""Who has an account, who is invited, and groups: what administrators manage."""

from typing import Annotated, Any

import msgspec
from flask import request
from msgspec import Meta

from likeopt.clock import rfc3339
from likeopt.errors import BadInput, Conflict, NotFound
from likeopt.shapes import Key, KeyList, Person
from likeopt.storage import api_keys, links
from likeopt.storage import groups as teams
from likeopt.storage import people as stored
from likeopt.storage.people import Role, User
from likeopt.web import auth, context
from likeopt.web.context import identity, services
from likeopt.web.endpoint import Endpoints

people = Endpoints("people", tag="People", prefix="/api/v1")


class PersonList(msgspec.Struct):
    """Every account, by name."""

    items: list[Person]


class PersonChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays. Disabling someone signs them out.

    An `email`, be it the same, is confirmed by this: whoever the OpenID Connect provider knows by
    it may sign in to the account.
    """

    name: str | None = None
    email: str | None = None
    role: Role | None = None
    disabled: bool | None = None


class NewLink(msgspec.Struct):
    """A one-time link, which is told this once."""

    link: str
    expires_at: str


class SignedOut(msgspec.Struct):
    """How many sessions were ended."""

    ended: int


class Invitation(msgspec.Struct):
    """An invitation that can still be accepted; without `email`, by whoever has its link."""

    id: str
    email: str | None
    role: Role
    created_by: str | None
    created_at: str
    expires_at: str

    @classmethod
    def of(cls, link: links.Link) -> "Invitation":
        """As the API shows it."""
        return cls(
            id=link.id,
            email=link.email,
            role=link.role or "member",
            created_by=link.created_by,
            created_at=rfc3339(link.created_at),
            expires_at=rfc3339(link.expires_at),
        )


class InvitationList(msgspec.Struct):
    """Invitations, newest first."""

    items: list[Invitation]


class InvitationToMake(msgspec.Struct, forbid_unknown_fields=True):
    """Who is invited, and as what."""

    email: Annotated[str, Meta(max_length=320)] | None = None
    role: Role = "member"


class MadeInvitation(msgspec.Struct):
    """An invitation with its link, which is told this once."""

    invitation: Invitation
    link: str


class Group(msgspec.Struct):
    """A group; `members` are ids of people."""

    id: str
    name: str
    members: list[str]


class GroupList(msgspec.Struct):
    """Every group, by name."""

    items: list[Group]


class GroupName(msgspec.Struct, forbid_unknown_fields=True):
    """What a group is called."""

    name: str


class GroupChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: str | None = None
    members: Annotated[list[str], Meta(max_length=10_000)] | None = None


class Named(msgspec.Struct):
    """Someone, or a group."""

    id: str
    name: str


class Directory(msgspec.Struct):
    """Whom a collection can be shared with."""

    users: list[Named]
    groups: list[Named]


@people.operation("GET", "/directory", summary="People and groups by name", returns=Directory)
def get_directory() -> Directory:
    everyone, groups = services().db.read(lambda c: (stored.list_(c), teams.list_(c)))
    return Directory(
        [Named(one.id, one.name) for one in everyone if not one.disabled],
        [Named(one.id, one.name) for one in groups],
    )


# -- accounts --------------------------------------------------------------------------------------


@people.operation(
    "GET",
    "/users",
    summary="List the accounts",
    returns=PersonList,
    access="admin",
)
def list_users() -> PersonList:
    return PersonList([Person.of(one) for one in services().db.read(stored.list_)])


@people.operation(
    "PATCH",
    "/users/<id:user_id>",
    summary="Change an account",
    detail="An address or a role only within ten minutes of signing in; later the code is"
    " `sign_in_again`.",
    body=PersonChange,
    returns=Person,
    errors=(NotFound, Conflict),
    access="admin",
    example='--json \'{"role": "admin"}\'',
)
def change_user(user_id: str, body: PersonChange) -> Person:
    if body.email is not None or body.role is not None:
        auth.require_fresh()
    found = services()
    if body.disabled is False and found.db.read(lambda c: stored.get(c, user_id)).disabled:
        # Those of before are still there if the session store failed when they were disabled.
        found.sessions.revoke_all(user_id)
    changes = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not None}

    def change(c: Any) -> User:
        changed = stored.update(c, user_id, **changes)
        context.note(c, "user.update", kind="user", id_=user_id, name=changed.name, to=changes)
        return changed

    changed = found.db.write(change)
    if changed.disabled:
        found.sessions.revoke_all(user_id)
    return Person.of(changed)


@people.operation(
    "POST",
    "/users/<id:user_id>/reset",
    summary="Make a link that sets a new password",
    detail="For 24 hours; the password until now works until the link is used, which also ends"
    " the person's sessions and API keys. Only within ten minutes of signing in; later the code is"
    " `sign_in_again`.",
    returns=NewLink,
    status=201,
    errors=(NotFound, Conflict),
    access="admin",
)
def reset_password(user_id: str) -> NewLink:
    auth.require_fresh()
    by = identity().user.id

    def make(c: Any) -> tuple[links.Link, str]:
        user = stored.get(c, user_id)
        if user.email is None:
            raise Conflict("This account cannot sign in yet; it has a set-up link of its own.")
        made = links.create(c, services().clock, "reset", user_id=user_id, created_by=by)
        context.note(c, "link.create", kind="user", id_=user_id, name=user.name, purpose="reset")
        return made

    link, token = services().db.write(make)
    return NewLink(_address(token), rfc3339(link.expires_at))


@people.operation(
    "POST",
    "/users/<id:user_id>/sign-out",
    summary="Sign someone out everywhere",
    returns=SignedOut,
    errors=(NotFound,),
    access="admin",
)
def sign_user_out(user_id: str) -> SignedOut:
    user = services().db.read(lambda c: stored.get(c, user_id))
    ended = services().sessions.revoke_all(user.id)
    services().db.write(
        lambda c: context.note(
            c, "session.revoke", kind="user", id_=user.id, name=user.name, ended=ended
        )
    )
    return SignedOut(ended)


@people.operation(
    "GET",
    "/users/<id:user_id>/keys",
    summary="List someone's API keys",
    detail="Without their tokens, which nobody is told again.",
    returns=KeyList,
    errors=(NotFound,),
    access="admin",
)
def list_user_keys(user_id: str) -> KeyList:
    def read(c: Any) -> list[api_keys.ApiKey]:
        return api_keys.list_(c, stored.get(c, user_id).id)

    return KeyList([Key.of(one) for one in services().db.read(read)])


@people.operation(
    "DELETE",
    "/users/<id:user_id>/keys/<id:key_id>",
    summary="Revoke one of someone's API keys",
    status=204,
    errors=(NotFound,),
    access="admin",
)
def revoke_user_key(user_id: str, key_id: str) -> None:
    def revoke(c: Any) -> None:
        ended = api_keys.revoke(c, services().clock, user_id, key_id)
        context.note(c, "key.revoke", kind="key", id_=ended.id, name=ended.name, owner=user_id)

    services().db.write(revoke)


# -- invitations -----------------------------------------------------------------------------------


@people.operation(
    "GET",
    "/invitations",
    summary="List the open invitations",
    returns=InvitationList,
    access="admin",
)
def list_invitations() -> InvitationList:
    found = services()
    return InvitationList(
        [Invitation.of(one) for one in found.db.read(lambda c: links.invitations(c, found.clock))]
    )


@people.operation(
    "POST",
    "/invitations",
    summary="Invite someone",
    detail="Nothing is sent: give the link to them. It works for 7 days, once. Only within ten"
    " minutes of signing in; later the code is `sign_in_again`.",
    body=InvitationToMake,
    returns=MadeInvitation,
    status=201,
    errors=(Conflict,),
    access="admin",
    example='--json \'{"email": "minji@example.org", "role": "member"}\'',
)
def invite(body: InvitationToMake) -> MadeInvitation:
    auth.require_fresh()
    clock, by = services().clock, identity().user.id

    def make(c: Any) -> tuple[links.Link, str]:
        made, token = links.create(
            c, clock, "invite", email=body.email, role=body.role, created_by=by
        )
        context.note(c, "link.create", kind="link", id_=made.id, name=made.email, purpose="invite")
        return made, token

    link, token = services().db.write(make)
    return MadeInvitation(Invitation.of(link), _address(token))


@people.operation(
    "DELETE",
    "/invitations/<id:link_id>",
    summary="Withdraw an invitation",
    status=204,
    errors=(NotFound,),
    access="admin",
)
def withdraw_invitation(link_id: str) -> None:
    def withdraw(c: Any) -> None:
        link = links.withdraw(c, link_id)
        context.note(c, "link.withdraw", kind="link", id_=link.id, name=link.email)

    services().db.write(withdraw)


# -- groups ----------------------------------------------------------------------------------------


@people.operation("GET", "/groups", summary="List the groups", returns=GroupList, access="admin")
def list_groups() -> GroupList:
    return GroupList([_group(one) for one in services().db.read(teams.list_)])


@people.operation(
    "POST",
    "/groups",
    summary="Make a group",
    body=GroupName,
    returns=Group,
    status=201,
    errors=(BadInput, Conflict),
    access="admin",
    example='--json \'{"name": "Finance"}\'',
)
def create_group(body: GroupName) -> Group:
    def make(c: Any) -> teams.Group:
        made = teams.create(c, services().clock, body.name)
        context.note(c, "group.create", kind="group", id_=made.id, name=made.name)
        return made

    return _group(services().db.write(make))


@people.operation(
    "PATCH",
    "/groups/<id:group_id>",
    summary="Rename a group or replace its members",
    body=GroupChange,
    returns=Group,
    errors=(BadInput, NotFound, Conflict),
    access="admin",
    example='--json \'{"members": ["local"]}\'',
)
def change_group(group_id: str, body: GroupChange) -> Group:
    def change(c: Any) -> teams.Group:
        changed = teams.get(c, group_id)
        if body.name is not None:
            changed = teams.rename(c, group_id, body.name)
        if body.members is not None:
            changed = teams.set_members(c, group_id, body.members)
        context.note(
            c, "group.update", kind="group", id_=group_id, name=changed.name, members=body.members
        )
        return changed

    return _group(services().db.write(change))


@people.operation(
    "DELETE",
    "/groups/<id:group_id>",
    summary="Delete a group",
    detail="Its members no longer read what they read through it.",
    status=204,
    errors=(NotFound,),
    access="admin",
)
def delete_group(group_id: str) -> None:
    def delete(c: Any) -> None:
        former = teams.get(c, group_id)
        teams.delete(c, group_id)
        context.note(c, "group.delete", kind="group", id_=group_id, name=former.name)

    services().db.write(delete)


def _group(found: teams.Group) -> Group:
    return Group(found.id, found.name, found.members)


def _address(token: str) -> str:
    """The link's whole address. What follows `#` is sent to no server, and so is in no log."""
    origin = services().config.public_url or request.host_url.rstrip("/")
    return f"{origin}/link#{token}"
