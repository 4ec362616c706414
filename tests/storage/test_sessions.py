"""Sessions, in the database (SQLite and PostgreSQL) and in a real Redis: the same tests."""

from collections.abc import Iterator

import pytest
import redis
import sqlalchemy as sa

from likeopt.errors import StorageUnavailable
from likeopt.storage import api_keys, revisions
from likeopt.storage import sessions as session_module
from likeopt.storage.db import Database
from likeopt.storage.redis_sessions import CONNECTIONS, RedisSessions
from likeopt.storage.sessions import SessionStore, SqlSessions
from likeopt.storage.tables import sessions as table
from tests import servers
from tests.fakes import FakeClock
from tests.storage import library
from tests.web.test_native import run as run_patched

DAY = 24 * 60 * 60


@pytest.fixture(params=["sql", "redis"])
def store(
    request: pytest.FixtureRequest, database: Database, clock: FakeClock
) -> Iterator[SessionStore]:
    library.prepared(database, clock)
    for name in ("ann", "bob"):
        library.member(database, clock, name)
    if request.param == "sql":
        yield SqlSessions(database, clock)
        return
    opened = RedisSessions(request.getfixturevalue("redis_url"), database, clock)
    yield opened
    opened.close()


def create(store: SessionStore, user_id: str = "ann", agent: str = "Firefox") -> tuple[str, str]:
    """(the session's id, the cookie's id)"""
    made, cookie_id = store.create(user_id, address="192.0.2.1", agent=agent)
    return made.id, cookie_id


def announced(database: Database, user_id: str) -> int:
    """How often followers were told that this person's access changed."""
    name = revisions.of_person(user_id)
    return database.read(lambda c: revisions.values(c, [name])[name])


def test_found_by_the_cookie_only(store: SessionStore) -> None:
    made, cookie_id = store.create("ann", address="192.0.2.1", agent="파이어폭스" * 100)
    assert store.find(cookie_id) == made
    assert (made.user_id, made.address) == ("ann", "192.0.2.1")
    assert made.agent.startswith("파이어폭스")
    assert len(made.agent) == 300
    # What lists show is not what opens.
    assert cookie_id != made.id
    for wrong in (made.id, "", cookie_id[:-1], "\udc80", "*"):
        assert store.find(wrong) is None


def test_an_id_is_never_taken_for_an_api_key(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "new_token", lambda: f"{api_keys.PREFIX}{'A' * 40}")
    _, cookie_id = create(store)
    assert not cookie_id.startswith(api_keys.PREFIX)


def test_each_sign_in_gets_a_new_id(store: SessionStore) -> None:
    first, second = create(store), create(store)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_use_keeps_a_session_for_ninety_days_at_most(store: SessionStore, clock: FakeClock) -> None:
    _, cookie_id = create(store)
    for _ in range(89 // 13):
        clock.advance(13 * DAY)
        session = store.find(cookie_id)
        assert session is not None
        store.touch(session)
    clock.advance(90 * DAY - 6 * 13 * DAY - 1)
    session = store.find(cookie_id)
    assert session is not None
    store.touch(session)
    clock.advance(1)
    assert store.find(cookie_id) is None
    assert store.list_of("ann") == []


def test_an_unused_session_ends_after_two_weeks(store: SessionStore, clock: FakeClock) -> None:
    _, cookie_id = create(store)
    clock.advance(14 * DAY - 1)
    assert store.find(cookie_id) is not None
    clock.advance(1)
    assert store.find(cookie_id) is None


def test_use_is_noted_every_five_minutes(store: SessionStore, clock: FakeClock) -> None:
    _, cookie_id = create(store)
    first = store.find(cookie_id)
    assert first is not None
    clock.advance(299)
    assert store.touch(first) is first
    clock.advance(1)
    again = store.touch(first)
    assert again.seen_at == clock.now_ms()
    assert store.find(cookie_id) == again


def test_own_sessions_are_listed_last_used_first(store: SessionStore, clock: FakeClock) -> None:
    _, cookie_id = create(store, agent="old")
    clock.advance(600)
    create(store, agent="new")
    create(store, "bob")
    assert [session.agent for session in store.list_of("ann")] == ["new", "old"]
    clock.advance(600)
    session = store.find(cookie_id)
    assert session is not None
    store.touch(session)
    assert [session.agent for session in store.list_of("ann")] == ["old", "new"]


def test_revoked(store: SessionStore, database: Database, clock: FakeClock) -> None:
    kept, kept_cookie = create(store)
    ended, ended_cookie = create(store)
    session = store.find(ended_cookie)
    assert session is not None
    # Nobody ends a session of somebody else.
    assert not store.revoke("bob", ended)
    assert store.find(ended_cookie) is not None
    assert store.revoke("ann", ended)
    assert announced(database, "ann") == announced(database, "bob") == 1
    assert not store.revoke("ann", ended)
    # A request that was under way does not bring it back.
    clock.advance(600)
    store.touch(session)
    assert store.find(ended_cookie) is None
    assert [session.id for session in store.list_of("ann")] == [kept]
    assert store.find(kept_cookie) is not None


def test_signed_out_everywhere(store: SessionStore, database: Database) -> None:
    kept, kept_cookie = create(store)
    others = [create(store)[1] for _ in range(3)]
    _, bobs = create(store, "bob")
    everybody = database.read(lambda c: revisions.current(c, "access"))
    assert store.revoke_all("ann", keep=kept) == 3
    assert (announced(database, "ann"), announced(database, "bob")) == (1, 0)
    # Nobody else is looked up for that.
    assert database.read(lambda c: revisions.current(c, "access")) == everybody
    assert [store.find(cookie) for cookie in others] == [None, None, None]
    assert store.find(kept_cookie) is not None
    assert store.revoke_all("ann") == 1
    assert store.find(kept_cookie) is None
    assert store.find(bobs) is not None


def test_expired_rows_do_not_stay(database: Database, clock: FakeClock) -> None:
    library.prepared(database, clock)
    store = SqlSessions(database, clock)
    create(store, "local")
    clock.advance(15 * DAY)
    create(store, "local")
    count = sa.select(sa.func.count()).select_from(table)
    assert database.read(lambda c: c.execute(count).scalar_one()) == 1


def test_redis_forgets_by_itself(
    sqlite_database: Database, clock: FakeClock, redis_url: str
) -> None:
    store = RedisSessions(redis_url, sqlite_database, clock)
    create(store)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        left = {key.split(":")[1]: client.pttl(key) for key in client.scan_iter("*")}
        assert 0 < left["session"] <= 14 * DAY * 1000
        # Redis evicts by `volatile-ttl` what expires: never whose sessions there are.
        assert left["sessions"] == -1
        # That goes with the last of them, once somebody looks.
        client.delete(*client.scan_iter("likeopt:session:*"))
        assert store.list_of("ann") == []
        assert client.keys() == []
    store.close()


def test_signing_out_works_when_redis_forgot_whose_sessions_there_are(
    sqlite_database: Database, clock: FakeClock, redis_url: str
) -> None:
    library.prepared(sqlite_database, clock)
    store = RedisSessions(redis_url, sqlite_database, clock)
    own, cookie_id = create(store)
    with redis.Redis.from_url(redis_url) as client:
        client.delete("likeopt:sessions:ann")
    assert not store.revoke("bob", own)
    assert store.find(cookie_id) is not None
    assert store.revoke("ann", own)
    assert store.find(cookie_id) is None
    store.close()


def test_redis_that_does_not_answer(sqlite_database: Database, clock: FakeClock) -> None:
    store = RedisSessions(
        f"redis://:secret@127.0.0.1:{servers.free_port()}/0", sqlite_database, clock
    )
    with pytest.raises(StorageUnavailable) as refused:
        store.find("x")
    store.close()
    assert "secret" not in str(refused.value)


# As in a web worker, where greenlets take turns. Arguments: the address of Redis, its process id.
AT_ONCE = """
import os, signal, sys
import gevent
from likeopt.clock import Clock
from likeopt.errors import StorageUnavailable
from likeopt.storage.redis_sessions import RedisSessions
store = RedisSessions(sys.argv[1], None, Clock())
made = [store.create("ann", address="192.0.2.1", agent="")[1] for _ in range(300)]
alone = [store.find(cookie) for cookie in made]
def all_at_once():
    looking = [gevent.spawn(store.find, cookie) for cookie in made]
    gevent.joinall(looking)
    return [one.value for one in looking] == alone
print(None in alone, all_at_once())
# Nobody answers, and those who wait for that or for a connection are killed, or give up.
os.kill(int(sys.argv[2]), signal.SIGSTOP)
killed = [gevent.spawn(store.find, cookie) for cookie in made[:100]]
late = [gevent.spawn(gevent.with_timeout, 0.1, store.find, cookie, timeout_value="late")
        for cookie in made[100:200]]
gevent.joinall(late)
gevent.killall(killed)
print({one.value for one in late})
os.kill(int(sys.argv[2]), signal.SIGCONT)
print(all_at_once(), store._redis.info("clients")["connected_clients"])
"""


def test_hundreds_of_requests_at_once_are_all_known() -> None:
    with servers.redis_process(servers.free_port()) as (process, url):
        said = run_patched(AT_ONCE, url, str(process.pid))
    assert said.splitlines() == ["False True", "{'late'}", f"True {CONNECTIONS}"]
