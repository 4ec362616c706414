"""API keys: shown once, scoped, ended by revocation, expiry and a disabled owner."""

import pytest
import sqlalchemy as sa

from likeopt.errors import BadInput, NotFound
from likeopt.storage import api_keys, people, revisions
from likeopt.storage.api_keys import ApiKey, Scope
from likeopt.storage.db import Database
from likeopt.storage.tables import api_keys as table
from tests.fakes import FakeClock
from tests.storage import library


@pytest.fixture
def db(database: Database, clock: FakeClock) -> Database:
    library.prepared(database, clock)
    library.member(database, clock, "ann")
    return database


def create(
    db: Database, clock: FakeClock, *scopes: Scope, expires_at: int | None = None
) -> tuple[ApiKey, str]:
    return db.write(
        lambda c: api_keys.create(
            c, clock, "ann", name=" CI ", scopes=scopes, expires_at=expires_at
        )
    )


def found(db: Database, clock: FakeClock, token: str) -> str | None:
    """The name of the owner of the key with this token."""
    pair = db.read(lambda c: api_keys.find(c, clock, token))
    return None if pair is None else pair[1].name


def test_a_key_is_its_owner_with_less_rights(db: Database, clock: FakeClock) -> None:
    made, token = create(db, clock, "chat", "read")
    assert token.startswith("lo_" + made.hint)
    assert (len(token), made.name, made.scopes) == (46, "CI", ["read", "chat"])
    assert db.read(lambda c: api_keys.list_(c, "ann")) == [made]
    assert found(db, clock, token) == "ann"
    for wrong in ("", "lo_", token[3:], token[:-1], token + "x", token.swapcase(), "\udc80"):
        assert found(db, clock, wrong) is None
    assert token[3:] not in str(db.read(lambda c: c.execute(sa.select(table)).all()))


def test_revoked(db: Database, clock: FakeClock) -> None:
    made, token = create(db, clock, "read")
    with pytest.raises(NotFound):
        db.write(lambda c: api_keys.revoke(c, clock, "local", made.id))
    assert found(db, clock, token) == "ann"
    own = revisions.of_person("ann")
    before = db.read(lambda c: revisions.values(c, ["access", own]))
    db.write(lambda c: api_keys.revoke(c, clock, "ann", made.id))
    after = db.read(lambda c: revisions.values(c, ["access", own]))
    assert after == before | {own: before[own] + 1}
    assert found(db, clock, token) is None
    assert db.read(lambda c: api_keys.list_(c, "ann")) == []
    with pytest.raises(NotFound):
        db.write(lambda c: api_keys.revoke(c, clock, "ann", made.id))


def test_expired_and_disabled(db: Database, clock: FakeClock) -> None:
    _, forever = create(db, clock, "read")
    _, token = create(db, clock, "read", expires_at=clock.now_ms() + 1000)
    assert found(db, clock, token) == "ann"
    clock.advance(1)
    assert found(db, clock, token) is None
    assert found(db, clock, forever) == "ann"
    db.write(lambda c: people.update(c, "ann", disabled=True))
    assert found(db, clock, forever) is None


def test_use_is_noted_once_a_minute(db: Database, clock: FakeClock) -> None:
    made, _ = create(db, clock, "read")
    assert not api_keys.use_is_noted(clock, made)
    db.write(lambda c: api_keys.note_use(c, clock, made.id))
    (used,) = db.read(lambda c: api_keys.list_(c, "ann"))
    assert used.last_used_at == clock.now_ms()
    clock.advance(59)
    assert api_keys.use_is_noted(clock, used)
    clock.advance(1)
    assert not api_keys.use_is_noted(clock, used)


def test_what_is_refused(db: Database, clock: FakeClock) -> None:
    with pytest.raises(BadInput):
        create(db, clock)
    with pytest.raises(BadInput):
        create(db, clock, "everything")  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        create(db, clock, "read", expires_at=clock.now_ms())
