"""People: who they are, what they are called, and that somebody always administers."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from likeopt.errors import BadInput, Conflict, NotFound, Unauthorized
from likeopt.storage import access, groups, links, people, revisions
from likeopt.storage.db import Database
from likeopt.storage.people import User
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.tables import users
from tests.fakes import FakeClock
from tests.storage import library


def create(db: Database, clock: FakeClock, email: str, **more: object) -> User:
    fields: dict[str, object] = {"name": email.partition("@")[0], "email": email, "role": "member"}
    return db.write(lambda c: people.create(c, clock, **(fields | more)))  # type: ignore[arg-type]


def changes(db: Database, name: str) -> int:
    """How often followers were told of a change of this counter."""
    return db.read(lambda c: revisions.values(c, [name])[name])


def test_names_and_addresses_are_cleaned(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    made = create(database, clock, " Jose\u0301@Example.ORG ", name="  Jose\u0301 김철수 ")
    assert (made.name, made.email) == ("José 김철수", "josé@example.org")
    assert database.read(lambda c: people.by_email(c, "josé@example.org")) == made
    assert database.read(lambda c: people.get(c, made.id)) == made
    assert database.read(lambda c: people.by_email(c, "other@example.org")) is None


@pytest.mark.parametrize(
    "name",
    ["Kim\u200b", "\u202enaK", "K\u2066im\u2069", "Ki\u00adm", "K\u200dim", "K\u034fim",
     "Kim\u3164", "\ufeffKim", "K\U000e0041im"],
)  # fmt: skip
def test_names_that_look_like_another_are_refused(
    sqlite_database: Database, clock: FakeClock, name: str
) -> None:
    library.prepared(sqlite_database, clock)
    made = create(sqlite_database, clock, "kim@example.org", name="Kim 🧑🏽 金\u3000김")
    team = sqlite_database.write(lambda c: groups.create(c, clock, "Kim"))
    for attempt in (
        lambda c: people.create(c, clock, name=name, email="x@example.org", role="member"),
        lambda c: people.update(c, made.id, name=name),
        lambda c: groups.create(c, clock, name),
        lambda c: groups.rename(c, team.id, name),
    ):
        with pytest.raises(BadInput, match="not seen"):
            sqlite_database.write(attempt)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b c",
        "a@\x00b",
        "<a@b>",
        "\ud800@b",
        "a" * 260 + "@b",
        # Full width, and what would look like another address.
        "a\uff20b",
        "a\u200b@b",
        "\u202ea@b",
        "a@b\u3164",
    ],
)
def test_what_is_no_address_is_refused(
    sqlite_database: Database, clock: FakeClock, email: str
) -> None:
    library.prepared(sqlite_database, clock)
    with pytest.raises(BadInput):
        create(sqlite_database, clock, email, name="A")


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\u3164", "\u115f\u1160", "\u2800 \u00ad"])
def test_a_name_can_be_seen(sqlite_database: Database, clock: FakeClock, name: str) -> None:
    library.prepared(sqlite_database, clock)
    with pytest.raises(BadInput):
        create(sqlite_database, clock, "a@example.org", name=name)


def test_what_the_database_refuses_is_not_repeated(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    secret = "$argon2id$of-somebody"  # pragma: allowlist secret
    row = {"id": LOCAL_USER, "name": "A", "role": "member", "created_at": 0}
    twice = sa.insert(users).values(**row, password_hash=secret)
    with pytest.raises(sa.exc.IntegrityError) as refused:
        database.write(lambda c: c.execute(twice).rowcount)
    # This is logged when nobody expects it.
    assert secret not in str(refused.value)


def test_an_address_belongs_to_one(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    first = create(database, clock, "a@example.org")
    second = create(database, clock, "b@example.org")
    with pytest.raises(Conflict):
        create(database, clock, "A@EXAMPLE.org")
    with pytest.raises(Conflict):
        database.write(lambda c: people.update(c, second.id, email="a@example.org"))
    same = database.write(lambda c: people.update(c, first.id, email="A@example.org", name="Ä"))
    assert (same.email, same.name) == ("a@example.org", "Ä")


def test_the_last_administrator_stays(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    other = create(database, clock, "b@example.org", role="admin")
    database.write(lambda c: people.update(c, LOCAL_USER, role="member"))
    with pytest.raises(Conflict):
        database.write(lambda c: people.update(c, other.id, role="member"))
    with pytest.raises(Conflict):
        database.write(lambda c: people.update(c, other.id, disabled=True))
    kept = database.read(lambda c: people.get(c, other.id))
    assert (kept.role, kept.disabled) == ("admin", False)
    # A disabled administrator does not count.
    database.write(lambda c: people.update(c, LOCAL_USER, role="admin", disabled=True))
    with pytest.raises(Conflict):
        database.write(lambda c: people.update(c, other.id, role="member"))


def test_the_disabled_read_nothing_and_keep_everything(
    database: Database, clock: FakeClock
) -> None:
    library.prepared(database, clock)
    made = create(database, clock, "a@example.org")
    database.write(lambda c: people.set_password(c, clock, made.id, "hash"))
    assert database.read(lambda c: people.password_hash_of(c, "a@example.org")) == (made.id, "hash")
    database.write(lambda c: people.update(c, made.id, disabled=True))
    assert database.read(lambda c: people.password_hash_of(c, "a@example.org")) is None
    with pytest.raises(Unauthorized):
        database.read(lambda c: access.reader_for(c, made.id))
    back = database.write(lambda c: people.update(c, made.id, disabled=False))
    assert back.has_password
    assert database.read(lambda c: access.reader_for(c, made.id)).collections == {"default"}


def test_the_command_line_cannot_be_disabled(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    create(database, clock, "b@example.org", role="admin")
    database.write(lambda c: people.update(c, LOCAL_USER, disabled=True))
    assert database.read(access.local_reader).user_id == LOCAL_USER


def needs_setup(database: Database, *, oidc: bool = True) -> bool:
    return database.read(lambda c: people.needs_setup(c, oidc=oidc))


def test_set_up_is_needed_until_the_local_user_can_sign_in(
    database: Database, clock: FakeClock
) -> None:
    library.prepared(database, clock)
    made = create(database, clock, "a@example.org")
    database.write(lambda c: people.set_password(c, clock, made.id, "hash"))
    assert needs_setup(database)
    database.write(lambda c: people.link_oidc(c, LOCAL_USER, "https://id.example.org 7"))
    assert not needs_setup(database)
    found = database.read(lambda c: people.by_oidc(c, "https://id.example.org 7"))
    assert found is not None
    assert found.id == LOCAL_USER
    with pytest.raises(Conflict):
        database.write(lambda c: people.link_oidc(c, made.id, "https://id.example.org 7"))


def test_no_set_up_is_needed_where_another_administrator_can_sign_in(
    database: Database, clock: FakeClock
) -> None:
    library.prepared(database, clock)
    boss = create(database, clock, "b@example.org", role="admin")
    assert needs_setup(database)
    database.write(lambda c: people.link_oidc(c, boss.id, "https://id.example.org 8"))
    assert not needs_setup(database)
    # The provider was given up: there must be a way back in.
    assert needs_setup(database, oidc=False)
    database.write(lambda c: people.update(c, boss.id, role="member"))
    assert needs_setup(database)


def test_links_of_a_former_administrator_are_void(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    boss = create(database, clock, "b@example.org", role="admin")
    _, token = database.write(
        lambda c: links.create(c, clock, "invite", role="admin", created_by=boss.id)
    )
    database.write(lambda c: people.update(c, boss.id, role="member"))
    with pytest.raises(NotFound):
        database.read(lambda c: links.find(c, clock, token))


def test_every_change_is_announced(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    made = create(database, clock, "a@example.org")
    own, before = revisions.of_person(made.id), changes(database, "access")
    database.write(lambda c: people.update(c, made.id, name="B"))
    database.write(lambda c: people.set_password(c, clock, made.id, "hash"))
    database.write(lambda c: people.link_oidc(c, made.id, "subject"))
    assert changes(database, own) == 3
    # Nobody else is looked up for that.
    assert changes(database, "access") == before


def test_nobody_is_not_found(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    changes: list[Callable[[sa.Connection], object]] = [
        lambda c: people.update(c, "nobody", name="x"),
        lambda c: people.set_password(c, clock, "nobody", "x"),
        lambda c: people.link_oidc(c, "nobody", "x"),
        lambda c: people.get(c, "nobody"),
    ]
    for change in changes:
        with pytest.raises(NotFound):
            database.write(change)
