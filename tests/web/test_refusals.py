"""What somebody was refused is in the audit log, and nobody can flood it."""

from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.services import Services
from likeopt.storage import audit
from likeopt.storage.audit import BY_SENDER, IN_ALL
from likeopt.storage.people import Role
from likeopt.web import cookies
from tests.fakes import FakeClock
from tests.web.conftest import Client, let_in

ADMIN_ONLY = "/api/v1/users"
NOBODYS = f"/api/v1/documents/{'0' * 32}"


@pytest.fixture
def config(config: Config) -> Config:
    return msgspec.structs.replace(config, guest=False)


@pytest.fixture
def services(signing_in: Services) -> Services:
    return signing_in


def refused(services: Services, action: str = "access.refuse") -> list[audit.Event]:
    filters = audit.Filters(action=action)
    return services.db.read(lambda c: audit.list_(c, filters, limit=200)).items


def enter(client: Client, services: Services, email: str, role: Role = "member") -> Any:
    """Someone's session in this client, and their id."""
    made = let_in(services, email, role=role)
    signed = cookies.sign(services.secret_key, "session", made.cookie_id)
    client.set_cookie(cookies.NAME, f"{made.cookie_id}.{signed}")
    assert client.get("/api/v1/info").status_code == 200
    return made.user


def test_who_was_refused_what(client: Client, services: Services) -> None:
    user = enter(client, services, "member@example.org")
    assert client.get(ADMIN_ONLY, headers={"X-Request-ID": "r7"}).status_code == 403
    assert client.get(NOBODYS).status_code == 404
    assert client.delete("/api/v1/session").status_code == 403
    csrf, missing, forbidden = refused(services)
    assert (forbidden.actor_id, forbidden.actor_name) == (user.id, "member")
    assert (forbidden.object_name, forbidden.detail) == (f"GET {ADMIN_ONLY}", {"code": "forbidden"})
    assert (forbidden.address, forbidden.request_id, forbidden.via) == (
        "127.0.0.1",
        "r7",
        "session",
    )
    assert (missing.object_id, missing.detail) == ("0" * 32, {"code": "not_found"})
    assert (csrf.object_name, csrf.detail) == ("DELETE /api/v1/session", {"code": "csrf"})


def test_what_nobody_known_was_refused(client: Client, services: Services) -> None:
    # A key that is none, and a page of another site; not a page that does not exist, nor who has
    # not signed in yet.
    token = f"lo_{'A' * 43}"
    assert client.get(NOBODYS, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    body = {"email": "a@example.org", "password": "x"}
    other = client.post("/api/v1/session", json=body, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert client.get("/nothing").status_code == 404
    assert client.get(NOBODYS).status_code == 401
    site, key = refused(services)
    assert (key.via, key.actor_id, key.address) == ("key", None, "127.0.0.1")
    assert site.detail == {"code": "other_site"}
    assert token not in msgspec.json.encode([site, key]).decode()


def test_nobody_floods_the_log(client: Client, services: Services, clock: FakeClock) -> None:
    enter(client, services, "member@example.org")
    for _ in range(BY_SENDER * 3):
        assert client.get(ADMIN_ONLY).status_code == 403
    assert len(refused(services)) == BY_SENDER
    # From a hundred addresses neither; and the other refusals do not take what is for the known.
    stranger = {"Authorization": f"Bearer lo_{'A' * 43}"}
    client.delete_cookie(cookies.NAME)
    for number in range(100):
        away = {"REMOTE_ADDR": f"192.0.2.{number}"}
        answer = client.get(NOBODYS, headers=stranger, environ_overrides=away)
        assert answer.status_code == 401
    assert len(refused(services)) == BY_SENDER + IN_ALL
    enter(client, services, "other@example.org")
    assert client.get(ADMIN_ONLY).status_code == 403
    assert refused(services)[0].actor_name == "other"
    # And none is hidden: the next one of strangers, or of the known, tells how many there were.
    client.delete_cookie(cookies.NAME)
    clock.advance(60)
    assert client.get(NOBODYS, headers=stranger).status_code == 401
    counts = [event.detail.get("left_out", 0) for event in refused(services)]
    assert counts == [80, BY_SENDER * 2] + [0] * (IN_ALL + BY_SENDER)


@pytest.mark.parametrize("addresses", [1, 250], ids=["one address", "many addresses"])
def test_nobody_floods_the_log_with_sign_ins(
    client: Client, services: Services, clock: FakeClock, addresses: int
) -> None:
    let_in(services, "owner@example.org")
    admin = client.application.test_client()
    enter(admin, services, "boss@example.org", role="admin")

    def guess(number: int) -> int:
        # Names that nobody has, and now and then one that somebody has.
        email = f"{number}@example.org" if number % 10 else "owner@example.org"
        response = client.post(
            "/api/v1/session",
            json={"email": email, "password": "guess"},
            environ_overrides={"REMOTE_ADDR": f"192.0.2.{number % addresses}"},
        )
        return int(response.status_code)

    tried = [guess(number) for number in range(500)]
    assert set(tried) == {401, 429}
    wrong = tried.count(401)
    most = BY_SENDER if addresses == 1 else IN_ALL
    assert wrong > 2 * BY_SENDER
    log = admin.get("/api/v1/audit?action=session.refuse&limit=200").json["items"]
    assert len(log) == most
    assert {event["address"] for event in log} == {
        f"192.0.2.{number % addresses}" for number in range(most)
    }
    # Those that had to wait did not try anything; that they came is there too.
    waits = [one for one in refused(services) if one.detail["code"] == "too_many_requests"]
    assert 0 < len(waits) <= IN_ALL
    # Later, it is told how many there were.
    clock.advance(60)
    assert client.post("/api/v1/session", json={"email": "", "password": "x"}).status_code == 401
    newest, before = refused(services, "session.refuse")[:2]
    assert (newest.detail, before.detail) == ({"left_out": wrong - most}, {})
    clock.advance(60)
    assert client.post("/api/v1/session", json={"email": "", "password": "x"}).status_code == 401
    assert refused(services, "session.refuse")[0].detail == {}


def test_refusal_is_answered_though_it_cannot_be_noted(
    client: Client, services: Services, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, services, "member@example.org")
    for _ in range(BY_SENDER + 3):
        assert client.get(ADMIN_ONLY).status_code == 403

    def locked(work: Any) -> Any:
        raise StorageUnavailable("The database is locked.")

    clock.advance(60)
    with monkeypatch.context() as patch:
        patch.setattr(services.db, "write", locked)
        assert client.get(ADMIN_ONLY).status_code == 403
    # It is counted as those before it.
    assert client.get(ADMIN_ONLY).status_code == 403
    assert refused(services)[0].detail == {"code": "forbidden", "left_out": 4}
