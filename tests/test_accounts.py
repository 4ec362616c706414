"""Signing in, one-time links and passwords, as the web layer calls them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from likeopt.accounts import Accounts, Client, SignedIn
from likeopt.config import Config
from likeopt.errors import (
    BadInput,
    ConfigError,
    Conflict,
    Forbidden,
    NotFound,
    StorageUnavailable,
    TooManyRequests,
    Unauthorized,
)
from likeopt.passwords import Passwords
from likeopt.services import Services
from likeopt.storage import api_keys, audit, links, people
from likeopt.storage.audit import Filters
from likeopt.storage.db import Database, run_here
from likeopt.storage.links import Purpose
from likeopt.storage.people import Role, User
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.redis_sessions import RedisSessions
from likeopt.storage.sessions import Session, SqlSessions
from tests.fakes import FakeClock
from tests.storage import library

GOOD = "correct horse battery"
OTHER = "봄바람이 분다 산들산들"
HERE = Client("192.0.2.1", "Firefox", "req-1")


class CountingPasswords(Passwords):
    """Cheap hashes; `checks` counts the passwords compared."""

    def __init__(self) -> None:
        super().__init__(run_here, passes=1, memory_kib=8, lanes=1)
        self.checks = 0

    def matches(self, encoded: str, password: str) -> bool:
        self.checks += 1
        return super().matches(encoded, password)


class World:
    """The accounts of a new installation."""

    def __init__(self, db: Database, clock: FakeClock) -> None:
        library.prepared(db, clock)
        self.db, self.clock = db, clock
        self.sessions = SqlSessions(db, clock)
        self.passwords = CountingPasswords()
        self.accounts = Accounts(db, self.sessions, clock, self.passwords, oidc=True)

    def link(
        self,
        purpose: Purpose,
        *,
        user_id: str | None = None,
        email: str | None = None,
        role: Role | None = None,
    ) -> str:
        return self.db.write(
            lambda c: links.create(c, self.clock, purpose, user_id=user_id, email=email, role=role)
        )[1]

    def member(self, email: str = "ann@example.org", password: str = GOOD) -> SignedIn:
        token = self.link("invite", email=email, role="member")
        return self.accounts.accept_link(token, name="Ann", password=password, client=HERE)

    def sign_in(self, email: str = "ann@example.org", password: str = GOOD) -> SignedIn:
        return self.accounts.sign_in(email, password, HERE)

    def refused(self, email: str, password: str) -> str:
        """The message and code that a refused sign-in shows."""
        with pytest.raises((Unauthorized, TooManyRequests)) as error:
            self.sign_in(email, password)
        return f"{error.value.instance_code} {error.value.message} {error.value.retry_after}"

    def log(self, *names: str) -> list[tuple[object, ...]]:
        """The audit log, oldest first: the action, then the fields with these names."""
        items = self.db.read(lambda c: audit.list_(c, Filters(), limit=200)).items
        return [
            (event.action, *(getattr(event, name) for name in names)) for event in reversed(items)
        ]

    def user(self, user_id: str) -> User:
        return self.db.read(lambda c: people.get(c, user_id))


@pytest.fixture
def world(database: Database, clock: FakeClock) -> World:
    return World(database, clock)


# -- the first administrator ---------------------------------------------------------------------


def test_the_local_user_becomes_the_first_administrator(world: World) -> None:
    old = world.accounts.setup_link()
    token = world.accounts.setup_link()
    assert old
    assert token
    with pytest.raises(NotFound):
        world.accounts.accept_link(
            old, name="김관리", email="Boss@Example.org", password=GOOD, client=HERE
        )
    made = world.accounts.accept_link(
        token, name=" 김관리 ", email="Boss@Example.org", password=GOOD, client=HERE
    )
    user = world.user(LOCAL_USER)
    assert (user.name, user.email, user.role) == ("김관리", "boss@example.org", "admin")
    assert made.user == user
    assert world.sessions.find(made.cookie_id) == made.session
    assert world.accounts.setup_link() is None
    assert world.sign_in("BOSS@example.org ").user.id == LOCAL_USER


def test_who_signs_in_elsewhere_needs_no_set_up(world: World) -> None:
    token = world.accounts.setup_link()
    assert token
    world.db.write(lambda c: people.link_oidc(c, LOCAL_USER, "https://id.example.org 1"))
    assert world.accounts.setup_link() is None
    with pytest.raises(NotFound):
        world.accounts.accept_link(
            token, name="X", email="x@example.org", password=GOOD, client=HERE
        )


def test_services_make_the_link_of_a_new_installation_only(
    config: Config, clock: FakeClock
) -> None:
    services = Services(config, clock=clock)
    services.prepare()
    token = services.setup_link()
    assert token
    services.accounts.accept_link(
        token, name="A", email="a@example.org", password=GOOD, client=HERE
    )
    assert services.setup_link() is None
    services.close()
    # And then without so much as opening the database.
    again = Services(config, clock=clock)
    assert again.setup_link() is None
    assert "db" not in vars(again)


def test_services_make_no_link_beside_another_administrator(
    config: Config, clock: FakeClock
) -> None:
    services = Services(config, clock=clock)
    services.prepare()
    boss = services.db.write(
        lambda c: people.create(c, clock, name="B", email="b@example.org", role="admin")
    )
    assert services.setup_link()
    services.db.write(lambda c: people.link_oidc(c, boss.id, "https://id.example.org 1"))
    services.close()
    with_provider = msgspec.structs.replace(config, oidc_issuer="https://id.example.org")
    again = Services(with_provider, clock=clock)
    assert again.setup_link() is None
    assert "db" not in vars(again)
    # Without the provider, nobody could sign in.
    with closing(Services(config, clock=clock)) as without:
        assert without.setup_link()


# -- links ---------------------------------------------------------------------------------------


def test_an_invitation_makes_an_account(world: World) -> None:
    made = world.member()
    assert (made.user.name, made.user.email, made.user.role) == ("Ann", "ann@example.org", "member")
    # Sent to an address, it is for that address; else the person names one.
    token = world.link("invite", email="b@example.org", role="admin")
    second = world.accounts.accept_link(
        token, name="B", email="evil@example.org", password=GOOD, client=HERE
    )
    assert (second.user.email, second.user.role) == ("b@example.org", "admin")
    open_link = world.link("invite", role="member")
    third = world.accounts.accept_link(
        open_link, name="C", email="C@example.org", password=GOOD, client=HERE
    )
    assert third.user.email == "c@example.org"


def test_a_link_that_could_not_be_used_still_works(world: World) -> None:
    world.member()
    token = world.link("invite", role="member")
    for fields, problem in (
        ({"email": "b@example.org", "password": "short"}, BadInput),
        ({"email": "not an address", "password": GOOD}, BadInput),
        ({"email": "ANN@example.org", "password": GOOD}, Conflict),
    ):
        with pytest.raises(problem):
            world.accounts.accept_link(token, name="B", client=HERE, **fields)
    world.accounts.accept_link(token, name="B", email="b@example.org", password=GOOD, client=HERE)


def test_a_reset_ends_what_was_signed_in(world: World) -> None:
    before = world.member()
    token = world.link("reset", user_id=before.user.id)
    spare = world.link("reset", user_id=before.user.id)
    with pytest.raises(NotFound):
        world.accounts.accept_link(token, password=OTHER, client=HERE)
    made = world.accounts.accept_link(spare, password=OTHER, client=HERE)
    assert world.sessions.find(before.cookie_id) is None
    assert [session.id for session in world.sessions.list_of(before.user.id)] == [made.session.id]
    assert "wrong_credentials" in world.refused("ann@example.org", GOOD)
    assert world.sign_in(password=OTHER).user.name == "Ann"


def test_a_reset_ends_keys_and_a_changed_password_does_not(world: World) -> None:
    user = world.member().user
    _, token = world.db.write(
        lambda c: api_keys.create(c, world.clock, user.id, name="kept", scopes=["read"])
    )
    world.accounts.change_password(user.id, GOOD, OTHER, keep=None, client=HERE)
    assert world.db.read(lambda c: api_keys.find(c, world.clock, token)) is not None
    reset = world.link("reset", user_id=user.id)
    world.accounts.accept_link(reset, password=GOOD, client=HERE)
    assert world.db.read(lambda c: api_keys.find(c, world.clock, token)) is None
    assert ("key.revoke", "Ann", "kept") in world.log("actor_name", "object_name")


def test_a_session_store_that_fails_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the link would be used up and who has taken a session would keep it."""

    def away(user_id: str, keep: str | None = None) -> int:
        raise StorageUnavailable("Redis is away")

    here, taken = world.member(), world.sign_in()
    reset = world.link("reset", user_id=here.user.id)
    with monkeypatch.context() as patched:
        patched.setattr(world.sessions, "revoke_all", away)
        with pytest.raises(StorageUnavailable):
            world.accounts.accept_link(reset, password=OTHER, client=HERE)
        with pytest.raises(StorageUnavailable):
            world.accounts.change_password(here.user.id, GOOD, OTHER, keep=None, client=HERE)
    assert "wrong_credentials" in world.refused("ann@example.org", OTHER)
    world.accounts.accept_link(reset, password=OTHER, client=HERE)
    assert world.sessions.find(taken.cookie_id) is None


def test_who_signs_in_while_the_password_changes_is_signed_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke_all = world.sessions.revoke_all
    late: list[SignedIn] = []

    def overtaken(user_id: str, keep: str | None = None) -> int:
        ended = revoke_all(user_id, keep)
        if not late:
            late.append(world.sign_in())
        return ended

    here = world.member()
    monkeypatch.setattr(world.sessions, "revoke_all", overtaken)
    world.accounts.change_password(here.user.id, GOOD, OTHER, keep=here.session.id, client=HERE)
    assert world.sessions.find(late[0].cookie_id) is None
    assert world.sessions.find(here.cookie_id) is not None


def test_the_disabled_stay_outside(world: World) -> None:
    user = world.member().user
    token = world.link("reset", user_id=user.id)
    world.db.write(lambda c: people.update(c, user.id, disabled=True))
    with pytest.raises(Unauthorized):
        world.accounts.accept_link(token, password=OTHER, client=HERE)
    with pytest.raises(Unauthorized):
        world.accounts.open_session(user.id, HERE, how="oidc")
    nobody = world.refused("nobody@example.org", GOOD)
    assert world.refused("ann@example.org", GOOD) == nobody


# -- signing in ----------------------------------------------------------------------------------


def test_nobody_learns_who_has_an_account(world: World) -> None:
    world.member()
    disabled = world.member("off@example.org").user
    invited = world.db.write(
        lambda c: people.create(c, world.clock, name="N", email="new@example.org", role="member")
    )
    world.db.write(lambda c: people.update(c, disabled.id, disabled=True))
    assert not invited.has_password
    seen = []
    for email in ("ann@", "off@", "new@", "nobody@"):
        before = world.passwords.checks
        # 4 of each, which is below what an address may fail; then from elsewhere.
        answers = [world.refused(f"{email}example.org", "wrong password") for _ in range(4)]
        elsewhere = Client("198.51.100.7", "")
        for _ in range(3):
            try:
                world.accounts.sign_in(f"{email}example.org", "wrong password", elsewhere)
            except (Unauthorized, TooManyRequests) as error:
                answers.append(f"{error.instance_code} {error.message} {error.retry_after}")
        # The same answers after the same work: one comparison for each.
        seen.append((answers, world.passwords.checks - before))
    assert seen[0][1] == 5
    assert seen == [seen[0]] * 4
    assert "too_many_requests" in seen[0][0][-1]


def test_slowed_down_and_let_in_again(world: World) -> None:
    world.member()
    for _ in range(5):
        assert "wrong_credentials" in world.refused("Ann@example.org", "wrong password")
    with pytest.raises(TooManyRequests) as refused:
        world.sign_in()
    assert refused.value.retry_after == 2
    world.clock.advance(2)
    world.sign_in()
    assert "wrong_credentials" in world.refused("ann@example.org", "wrong password")
    world.sign_in()


def test_guesses_at_the_same_time_do_not_pass_together(world: World) -> None:
    world.member()
    outcomes: list[str] = []

    def guess() -> None:
        outcomes.append(world.refused("ann@example.org", "wrong password"))

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The fifth failure closes the door; one more may have been inside at that moment.
    assert sum("wrong_credentials" in outcome for outcome in outcomes) in (5, 6)


@pytest.mark.parametrize("email", ["", "a", "\ud800@example.org", "a\x00@b", "x" * 100_000])
def test_any_text_may_be_tried(world: World, email: str) -> None:
    assert "wrong_credentials" in world.refused(email, "\ud800")


def test_each_sign_in_is_a_session_of_its_own(world: World) -> None:
    first = world.member()
    second = world.sign_in()
    assert first.cookie_id != second.cookie_id
    listed = world.sessions.list_of(first.user.id)
    assert {session.id for session in listed} == {first.session.id, second.session.id}
    assert {(session.address, session.agent) for session in listed} == {("192.0.2.1", "Firefox")}


# -- passwords -----------------------------------------------------------------------------------


def test_changing_the_password_ends_the_other_sessions(world: World) -> None:
    here, there = world.member(), world.sign_in()
    reset = world.link("reset", user_id=here.user.id)
    world.accounts.change_password(here.user.id, GOOD, OTHER, keep=here.session.id, client=HERE)
    assert world.sessions.find(here.cookie_id) is not None
    assert world.sessions.find(there.cookie_id) is None
    assert "wrong_credentials" in world.refused("ann@example.org", GOOD)
    world.sign_in(password=OTHER)
    with pytest.raises(NotFound):
        world.accounts.accept_link(reset, password=GOOD, client=HERE)


def test_a_sign_in_that_began_before_the_change_is_refused(world: World) -> None:
    """It knows the password until now, and is compared when everybody else is signed out."""
    user = world.member().user
    reset = world.link("reset", user_id=user.id)

    def compare(encoded: str, password: str) -> bool:
        world.passwords.matches = matches  # type: ignore[method-assign]
        matched = matches(encoded, password)
        world.accounts.accept_link(reset, password=OTHER, client=HERE)
        return matched

    matches = world.passwords.matches
    world.passwords.matches = compare  # type: ignore[method-assign]
    assert "wrong_credentials" in world.refused("ann@example.org", GOOD)
    # The one of the new password.
    assert len(world.sessions.list_of(user.id)) == 1
    world.sign_in(password=OTHER)


def test_who_is_disabled_while_signing_in_stays_outside(world: World) -> None:
    user = world.member().user
    world.sessions.revoke_all(user.id)
    create = world.sessions.create

    def late(user_id: str, **where: Any) -> tuple[Session, str]:
        world.db.write(lambda c: people.update(c, user_id, disabled=True))
        world.sessions.revoke_all(user_id)
        return create(user_id, **where)

    world.sessions.create = late  # type: ignore[method-assign]
    assert "wrong_credentials" in world.refused("ann@example.org", GOOD)
    assert world.sessions.list_of(user.id) == []


def test_changing_needs_the_current_password(world: World) -> None:
    user = world.member().user

    def change(current: str, new: str = OTHER) -> None:
        world.accounts.change_password(user.id, current, new, keep=None, client=HERE)

    with pytest.raises(BadInput):
        change(GOOD, "short")
    for _ in range(5):
        with pytest.raises(Forbidden):
            change("wrong password")
    with pytest.raises(TooManyRequests):
        change(GOOD)
    world.clock.advance(2)
    change(GOOD)
    world.db.write(lambda c: people.link_oidc(c, LOCAL_USER, "x"))
    with pytest.raises(Conflict):
        world.accounts.change_password(LOCAL_USER, "", OTHER, keep=None, client=HERE)


# -- the log -------------------------------------------------------------------------------------


def test_it_is_all_in_the_audit_log_and_no_secret_is(world: World) -> None:
    token = world.accounts.setup_link()
    assert token
    made = world.accounts.accept_link(
        token, name="Boss", email="boss@example.org", password=GOOD, client=HERE
    )
    world.refused("boss@example.org", "wrong password")
    world.refused(GOOD, GOOD)
    world.accounts.change_password(LOCAL_USER, GOOD, OTHER, keep=None, client=HERE)
    world.sign_in("boss@example.org", OTHER)
    assert world.log("via", "actor_name", "object_name", "detail") == [
        ("link.create", "system", "", None, {}),
        ("link.use", "link", "Boss", None, {"purpose": "setup"}),
        ("session.create", "session", "Boss", None, {"how": "setup"}),
        ("session.refuse", "session", "", "boss@example.org", {}),
        # Somebody typed the password where the address belongs.
        ("session.refuse", "session", "", None, {}),
        ("password.change", "session", "Boss", None, {}),
        ("session.create", "session", "Boss", None, {"how": "password"}),
    ]
    assert {row[1:] for row in world.log("address", "request_id")[1:]} == {("192.0.2.1", "req-1")}
    everything = str(world.db.read(lambda c: audit.list_(c, Filters())))
    for secret in (GOOD, OTHER, "wrong password", token, made.cookie_id):
        assert secret not in everything


# -- where sessions are kept ---------------------------------------------------------------------


@pytest.fixture
def services(config: Config, redis_url: str) -> Iterator[Services]:
    built = Services(msgspec.structs.replace(config, redis_url=redis_url))
    yield built
    built.close()


def test_sessions_are_in_redis_if_there_is_one(services: Services) -> None:
    services.prepare()
    assert isinstance(services.sessions, RedisSessions)
    made = services.accounts.open_session(LOCAL_USER, HERE, how="oidc")
    assert services.sessions.find(made.cookie_id) == made.session


def test_redis_needs_its_extra(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "likeopt.storage.redis_sessions", None)
    with pytest.raises(ConfigError, match="extra `redis`"):
        _ = services.sessions
