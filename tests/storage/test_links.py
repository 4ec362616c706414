"""One-time links: one use, a limited time, and no token in the database."""

import threading
from functools import partial

import pytest
import sqlalchemy as sa

from likeopt.errors import Conflict, NotFound
from likeopt.storage import links, people
from likeopt.storage.db import Database
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.tables import links as table
from tests.fakes import FakeClock
from tests.storage import library

DAY = 24 * 60 * 60


def test_a_link_works_once(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    made, token = database.write(
        lambda c: links.create(
            c, clock, "invite", email="New@Example.org", role="member", created_by=LOCAL_USER
        )
    )
    assert (made.email, made.role, made.expires_at - made.created_at) == (
        "new@example.org",
        "member",
        7 * DAY * 1000,
    )
    assert database.read(lambda c: links.find(c, clock, token)) == made
    assert database.write(lambda c: links.use(c, clock, token)).id == made.id
    for look in (links.find, links.use):
        with pytest.raises(NotFound):
            database.write(partial(look, clock=clock, token=token))


def test_of_two_at_the_same_time_one_wins(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    _, token = database.write(lambda c: links.create(c, clock, "invite", role="member"))
    start, outcomes = threading.Barrier(2), list[str]()

    def race() -> None:
        start.wait()
        try:
            database.write(lambda c: links.use(c, clock, token))
            outcomes.append("used")
        except NotFound:
            outcomes.append("refused")

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "used"]


def test_links_expire(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    _, reset = database.write(lambda c: links.create(c, clock, "reset", user_id=LOCAL_USER))
    _, invite = database.write(lambda c: links.create(c, clock, "invite", role="member"))
    clock.advance(DAY - 1)
    database.read(lambda c: links.find(c, clock, reset))
    clock.advance(1)
    with pytest.raises(NotFound):
        database.write(lambda c: links.use(c, clock, reset))
    clock.advance(6 * DAY - 1)
    assert len(database.read(lambda c: links.invitations(c, clock))) == 1
    clock.advance(1)
    assert database.read(lambda c: links.invitations(c, clock)) == []
    with pytest.raises(NotFound):
        database.write(lambda c: links.use(c, clock, invite))


def test_a_newer_link_replaces_the_older(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)

    def tokens(purpose: links.Purpose, email: str | None, user_id: str | None) -> str:
        return database.write(
            lambda c: links.create(c, clock, purpose, email=email, user_id=user_id, role="member")
        )[1]

    for purpose, email, user_id in (
        ("setup", None, LOCAL_USER),
        ("reset", None, LOCAL_USER),
        ("invite", "a@example.org", None),
    ):
        old = tokens(purpose, email, user_id)  # type: ignore[arg-type]
        new = tokens(purpose, email, user_id)  # type: ignore[arg-type]
        database.read(partial(links.find, clock=clock, token=new))
        with pytest.raises(NotFound):
            database.read(partial(links.find, clock=clock, token=old))
    # Invitations to nobody in particular, and to others, stay.
    tokens("invite", None, None)
    tokens("invite", None, None)
    tokens("invite", "b@example.org", None)
    assert len(database.read(lambda c: links.invitations(c, clock))) == 4


def test_withdrawn_and_void(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    made, token = database.write(lambda c: links.create(c, clock, "invite", role="member"))
    assert database.write(lambda c: links.withdraw(c, made.id)).id == made.id
    reset, other = database.write(lambda c: links.create(c, clock, "reset", user_id=LOCAL_USER))
    with pytest.raises(NotFound):
        database.write(lambda c: links.withdraw(c, reset.id))
    database.write(lambda c: links.void(c, LOCAL_USER))
    for gone in (token, other, "", "nonsense", "\udc80"):
        with pytest.raises(NotFound):
            database.read(partial(links.find, clock=clock, token=gone))


def test_who_has_an_account_is_not_invited(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    database.write(
        lambda c: people.create(c, clock, name="A", email="a@example.org", role="member")
    )
    with pytest.raises(Conflict):
        database.write(
            lambda c: links.create(c, clock, "invite", email="A@Example.org", role="member")
        )


def test_the_database_holds_no_token(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    _, token = database.write(lambda c: links.create(c, clock, "invite", role="member"))
    row = database.read(lambda c: c.execute(sa.select(table)).one())
    assert len(token) == 43
    assert token not in str(row)
