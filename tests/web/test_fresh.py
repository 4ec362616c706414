"""What decides who can sign in needs a sign-in of the last ten minutes."""

from typing import Any

import msgspec
import pytest

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.sessions import SqlSessions
from likeopt.web import cookies
from likeopt.web.app import create_app
from likeopt.web.auth import FRESH_MS
from tests import guest
from tests.web.conftest import PASSWORD, QUICK, Client, let_in

WHO = "boss@example.org"
STATE = "/api/v1/session"


class Earlier(Clock):
    """Shows the time of a little more than ten minutes ago."""

    def now_ms(self) -> int:
        return super().now_ms() - FRESH_MS - 1000


@pytest.fixture
def config(config: Config) -> Config:
    return msgspec.structs.replace(config, guest=False)


def test_old_session_must_sign_in_once_more(client: Client, services: Services) -> None:
    services.accounts._passwords = QUICK
    boss = let_in(services, WHO, role="admin")
    other = let_in(services, "lee@example.org")
    old = SqlSessions(services.db, Earlier())
    _, cookie_id = old.create(boss.user.id, address="127.0.0.1", agent="tests")
    signature = cookies.sign(services.secret_key, "session", cookie_id)
    client.set_cookie(cookies.NAME, f"{cookie_id}.{signature}")
    headers = {"X-CSRF-Token": client.get(STATE).get_json()["csrf"]}
    person = f"/api/v1/users/{other.user.id}"
    key = {"name": "kept", "scopes": ["read"]}

    def guarded() -> list[Any]:
        moved = client.patch(person, json={"email": "x@example.org"}, headers=headers)
        return [
            moved,
            client.patch(person, json={"role": "admin"}, headers=headers),
            client.post(f"{person}/reset", headers=headers),
            client.post("/api/v1/invitations", json={"role": "admin"}, headers=headers),
            client.post("/api/v1/me/keys", json=key, headers=headers),
            client.delete(f"/api/v1/me/sessions/{boss.session.id}", headers=headers),
            client.delete("/api/v1/me/sessions", headers=headers),
        ]

    for refused in guarded():
        assert (refused.status_code, refused.json["code"]) == (403, "sign_in_again")
    assert client.patch(person, json={"name": "Lee"}, headers=headers).json["email"] == (
        "lee@example.org"
    )
    assert len(client.get("/api/v1/me/sessions").json["items"]) == 2

    again = client.post(STATE, json={"email": WHO, "password": PASSWORD})
    headers = {"X-CSRF-Token": again.get_json()["csrf"]}
    assert [one.status_code for one in guarded()] == [200, 200, 201, 201, 201, 204, 200]
    # The session of before ended with the new sign-in (ASVS 7.2.4).
    (only,) = client.get("/api/v1/me/sessions").json["items"]
    assert only["current"]


def test_guest_opens_the_link_once_more(services: Services) -> None:
    services.config = msgspec.structs.replace(services.config, guest=True)
    client = create_app(services.config, services, write=lambda _: None).test_client()
    old = SqlSessions(services.db, Earlier())
    _, cookie_id = old.create(LOCAL_USER, address="127.0.0.1", agent="tests", guest=True)
    signature = cookies.sign(services.secret_key, "session", cookie_id)
    client.set_cookie(cookies.NAME, f"{cookie_id}.{signature}")
    headers = {"X-CSRF-Token": client.get(STATE).get_json()["csrf"]}
    refused = client.delete("/api/v1/me/sessions", headers=headers)
    # Not `sign_in_again`, for which the page asks for a password: a guest has none.
    assert (refused.status_code, refused.get_json()["code"]) == (403, "open_link_again")
    again = client.post(guest.LINK, json={"token": guest.TOKEN})
    headers = {"X-CSRF-Token": again.get_json()["csrf"]}
    assert client.delete("/api/v1/me/sessions", headers=headers).status_code == 200
