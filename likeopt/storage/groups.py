"""Groups of people, which collections can name as readers. Administrators manage them."""

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import BadInput, Conflict, NotFound
from likeopt.storage import revisions
from likeopt.storage.ids import new_id
from likeopt.storage.tables import group_members, groups, users
from likeopt.storage.text import clean_name

NAME_LIMIT = 120


class Group(msgspec.Struct, frozen=True):
    """A group; `members` are sorted ids of users."""

    id: str
    name: str
    members: list[str]


def list_(c: sa.Connection) -> list[Group]:
    """Every group, by name."""
    members: dict[str, list[str]] = {}
    for row in c.execute(sa.select(group_members).order_by(group_members.c.user_id)):
        members.setdefault(row.group_id, []).append(row.user_id)
    rows = c.execute(sa.select(groups.c.id, groups.c.name).order_by(groups.c.name))
    return [Group(row.id, row.name, members.get(row.id, [])) for row in rows]


def get(c: sa.Connection, group_id: str) -> Group:
    """One group; NotFound if there is none."""
    found = next((group for group in list_(c) if group.id == group_id), None)
    if found is None:
        raise NotFound("No such group.")
    return found


def create(c: sa.Connection, clock: Clock, name: str) -> Group:
    """A new group without members; Conflict if the name is taken."""
    revisions.raise_(c, "access")
    made = Group(new_id(clock), _free_name(c, name), [])
    row = {"id": made.id, "name": made.name, "created_at": clock.now_ms()}
    c.execute(sa.insert(groups).values(**row))
    return made


def rename(c: sa.Connection, group_id: str, name: str) -> Group:
    """Give the group another name; NotFound, or Conflict if the name is taken."""
    revisions.raise_(c, "access")
    get(c, group_id)
    cleaned = _free_name(c, name, but=group_id)
    c.execute(sa.update(groups).where(groups.c.id == group_id).values(name=cleaned))
    return get(c, group_id)


def delete(c: sa.Connection, group_id: str) -> None:
    """Delete the group: its members no longer read what they read through it."""
    revisions.raise_(c, "access")
    if c.execute(sa.delete(groups).where(groups.c.id == group_id)).rowcount == 0:
        raise NotFound("No such group.")


def set_members(c: sa.Connection, group_id: str, user_ids: Iterable[str]) -> Group:
    """Replace the members; NotFound for an unknown group, BadInput for an unknown user."""
    revisions.raise_(c, "access")
    get(c, group_id)
    ids = set(user_ids)
    known = c.execute(sa.select(users.c.id).where(users.c.id.in_(ids))).scalars()
    if unknown := ids.difference(known):
        raise BadInput(f"There is no user {min(unknown)!r}.")
    c.execute(sa.delete(group_members).where(group_members.c.group_id == group_id))
    if ids:
        rows = [{"group_id": group_id, "user_id": user_id} for user_id in sorted(ids)]
        c.execute(sa.insert(group_members), rows)
    return get(c, group_id)


def _free_name(c: sa.Connection, name: str, but: str | None = None) -> str:
    cleaned = clean_name(name, what="The group's name", limit=NAME_LIMIT)
    taken = c.execute(sa.select(groups.c.id).where(groups.c.name == cleaned)).scalar_one_or_none()
    if taken not in (None, but):
        raise Conflict("There is a group with this name already.")
    return cleaned
