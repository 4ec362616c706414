"""Signing in and out, cookies, other origins, rate limits; for guests see test_guests.py."""

import re
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
import urllib3

from likeopt.config import Config
from likeopt.errors import LikeOptError, StorageFull, StorageUnavailable
from likeopt.retrieval.ingest import Ingest
from likeopt.services import Services
from likeopt.storage import access, api_keys, audit, collections, groups, people
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.tables import documents
from likeopt.storage.watch import Watch
from likeopt.web import cookies
from likeopt.web.app import create_app
from tests import guest
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.web.conftest import CLIENT, PASSWORD, QUICK, Client, file_part, let_in, worker

STATE = "/api/v1/session"
WHO = "owner@example.org"
TLS = {"wsgi.url_scheme": "https"}


@pytest.fixture
def config(config: Config) -> Config:
    return msgspec.structs.replace(config, guest=False)


@pytest.fixture
def services(services: Services) -> Services:
    services.accounts._passwords = QUICK
    return services


def application(services: Services, **settings: Any) -> Any:
    """The application with other settings over the same data."""
    services.config = msgspec.structs.replace(services.config, **settings)
    return create_app(services.config, services, write=lambda _: None)


def sign_in(client: Client, email: str = WHO, password: str = PASSWORD, **more: Any) -> Any:
    return client.post(STATE, json={"email": email, "password": password}, **more)


def noted(services: Services, action: str) -> list[audit.Event]:
    page = services.db.read(lambda c: audit.list_(c, audit.Filters(action=action)))
    return page.items


# -- sessions --------------------------------------------------------------------------------------


def test_sign_in_and_out(client: Client, services: Services) -> None:
    let_in(services, WHO)
    before = client.get(STATE).json
    assert (before["user"], before["via"], before["csrf"]) == (None, None, None)
    assert client.get("/api/v1/info").status_code == 401
    state = sign_in(client).json
    assert (state["user"]["email"], state["via"]) == (WHO, "session")
    assert client.get("/api/v1/info").status_code == 200
    assert client.get(STATE).json["csrf"] == state["csrf"]
    assert client.delete(STATE).status_code == 403
    done = client.delete(STATE, headers={"X-CSRF-Token": state["csrf"]})
    assert done.status_code == 204
    assert re.search(r"likeopt_session=;.*(Max-Age=0|1970)", done.headers["Set-Cookie"])
    assert client.get("/api/v1/info").status_code == 401
    assert [one.address for one in noted(services, "session.end")] == ["127.0.0.1"]


def test_wrong_credentials_are_refused_alike(client: Client, services: Services) -> None:
    let_in(services, WHO)
    wrong = sign_in(client, password="not this one")
    unknown = sign_in(client, email="nobody@example.org")
    for refused in (wrong, unknown):
        assert (refused.status_code, refused.json["code"]) == (401, "wrong_credentials")
        assert "Set-Cookie" not in refused.headers
    assert wrong.json["detail"] == unknown.json["detail"]
    for _ in range(4):
        sign_in(client, password="not this one")
    waits = sign_in(client)
    assert (waits.status_code, waits.json["code"]) == (429, "too_many_requests")
    assert int(waits.headers["Retry-After"]) >= 1


def test_cookie_is_out_of_reach(client: Client, services: Services) -> None:
    let_in(services, WHO)
    plain = sign_in(client).headers["Set-Cookie"]
    assert plain.startswith("likeopt_session=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    assert "Domain" not in plain
    response = sign_in(client, environ_overrides=TLS)
    assert response.headers["Set-Cookie"].startswith("__Host-likeopt_session=")
    assert "Secure" in response.headers["Set-Cookie"].split("; ")
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    # Behind TLS, a cookie that could have been set without it counts for nothing.
    client.delete_cookie(cookies.SECURE_NAME)
    assert client.get("/api/v1/info", environ_overrides=TLS).status_code == 401


def test_signature_is_looked_at_before_anything_else(client: Client, services: Services) -> None:
    made = let_in(services, WHO)
    for value in (made.cookie_id, f"{made.cookie_id}.{'A' * 43}", ".", "x.y", "한글.b"):
        client.set_cookie(cookies.NAME, value)
        assert client.get("/api/v1/info").status_code == 401


def test_every_sign_in_has_a_new_id_and_ends_the_one_before(
    client: Client, services: Services
) -> None:
    made = let_in(services, WHO)
    sign_in(client)
    first = client.get_cookie(cookies.NAME)
    sign_in(client)
    second = client.get_cookie(cookies.NAME)
    assert first.value != second.value
    # The browser's former session has ended; that of another browser has not.
    assert len(services.sessions.list_of(made.user.id)) == 2


def test_signed_in_requests_are_looked_up_twice_at_most(client: Client, services: Services) -> None:
    other = let_in(services, "other@example.org")
    let_in(services, WHO)
    sign_in(client)
    found: list[str] = []
    find = services.sessions.find

    def counted(cookie: str) -> Any:
        found.append(cookie)
        return find(cookie)

    services.sessions.find = counted  # type: ignore[method-assign, assignment]
    # A copy is made once the watch has looked.
    wait_until(lambda: services.watch.stamp("access") is not None, "the watch")
    for _ in range(5):
        response = client.get("/api/v1/info")
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
    # The first time says whose it is, and so what the copy of the second depends on.
    assert len(found) == 2
    # Who else signs out has nobody looked up, nor has a change of what several may read.
    services.sessions.revoke(other.user.id, other.session.id)
    services.db.write(lambda c: groups.create(c, services.clock, "Lab"))
    assert client.get("/api/v1/info").status_code == 200
    assert len(found) == 2


def test_what_no_stamp_is_known_of_is_looked_up_each_time(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = let_in(services, WHO)
    sign_in(client)
    monkeypatch.setattr(Watch, "confirmed", lambda *_: None)
    # As another machine would, whose change has not been noticed yet.
    services.db._spread = lambda _: 0.0
    for _ in range(2):
        assert client.get("/api/v1/info").status_code == 200
    services.sessions.revoke_all(made.user.id)
    assert client.get("/api/v1/info").status_code == 401


def test_sessions_are_listed_and_ended(client: Client, services: Services) -> None:
    other = let_in(services, WHO)
    state = sign_in(client, headers={"User-Agent": "Browser/1"}).json
    own, former = client.get("/api/v1/me/sessions").json["items"]
    assert (own["current"], own["agent"], former["current"]) == (True, "Browser/1", False)
    assert other.cookie_id not in client.get("/api/v1/me/sessions").text
    headers = {"X-CSRF-Token": state["csrf"]}
    path = f"/api/v1/me/sessions/{former['id']}"
    assert client.delete(path, headers=headers).status_code == 204
    assert client.delete(path, headers=headers).status_code == 404
    services.accounts.open_session(other.user.id, CLIENT, how="password")
    assert client.delete("/api/v1/me/sessions", headers=headers).json == {"ended": 1}
    assert len(client.get("/api/v1/me/sessions").json["items"]) == 1


@pytest.mark.parametrize("error", [StorageUnavailable("Away"), StorageFull("Full")])
def test_reading_goes_on_when_its_use_cannot_be_noted(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch, error: LikeOptError
) -> None:
    made = let_in(services, WHO)
    sign_in(client)
    _, token = services.db.write(
        lambda c: api_keys.create(c, services.clock, made.user.id, name="import", scopes=["read"])
    )

    def failing(_: object) -> None:
        raise error

    monkeypatch.setattr(services.sessions, "touch", failing)
    assert client.get("/api/v1/me/sessions").status_code == 200
    program = client.application.test_client()
    bearer = {"Authorization": f"Bearer {token}"}
    with monkeypatch.context() as patched:
        patched.setattr(services.db, "write", failing)
        assert program.get("/api/v1/documents", headers=bearer).status_code == 200
    assert noted(services, "key.use") == []
    # Noted as soon as it can be.
    assert program.get("/api/v1/documents", headers=bearer).status_code == 200
    assert len(noted(services, "key.use")) == 1


def test_what_was_seen_counts_for_a_tenth_of_a_second(services: Services) -> None:
    clock = FakeClock()
    watch = Watch(services.db, clock, services.board)
    try:
        wait_until(lambda: watch.stamp("access") is not None, "the watch")
        watch.close()
        clock.advance(0.1)
        assert watch.stamp("access") is not None
        clock.advance(0.01)
        assert watch.stamp("access") is None
    finally:
        watch.close()


def test_signing_out_everywhere_reaches_other_processes(config: Config, services: Services) -> None:
    """How quickly is measured by bench/session.py."""
    here = let_in(services, WHO)
    elsewhere = services.accounts.open_session(here.user.id, CLIENT, how="password")
    key = services.secret_key
    with (
        worker(config) as (first, _),
        worker(config) as (second, _),
        urllib3.PoolManager() as http,
    ):

        def ask(base: str, who: Any, method: str = "GET") -> int:
            headers = {
                "Cookie": f"{cookies.NAME}={who.cookie_id}."
                f"{cookies.sign(key, 'session', who.cookie_id)}",
                "X-CSRF-Token": cookies.sign(key, "csrf", who.session.id),
            }
            return http.request(method, f"{base}/api/v1/me/sessions", headers=headers).status

        for _ in range(20):
            assert ask(second, elsewhere) == 200
        assert ask(first, here, "DELETE") == 200
        wait_until(lambda: ask(second, elsewhere) == 401, "the end of the session", seconds=5)
        assert ask(second, here) == ask(first, here) == 200


# -- links -----------------------------------------------------------------------------------------


def test_first_administrator_comes_through_the_link(client: Client, services: Services) -> None:
    assert client.get(STATE).json["needs_setup"] is True
    token = services.setup_link()
    body = {"token": token}
    meaning = client.post("/api/v1/link", json=body).json
    assert (meaning["purpose"], meaning["name"], meaning["email"]) == ("setup", None, None)
    body |= {"name": "Kim", "email": WHO, "password": PASSWORD}
    accepted = client.post("/api/v1/link/accept", json=body)
    assert accepted.json["user"]["id"] == LOCAL_USER
    assert accepted.json["needs_setup"] is False
    assert client.get("/api/v1/users").status_code == 200
    assert client.post("/api/v1/link/accept", json=body).status_code == 404
    assert services.setup_link() is None


def test_an_administrator_without_the_link_is_one(client: Client, services: Services) -> None:
    let_in(services, "member@example.org")
    assert client.get(STATE).json["needs_setup"] is True
    token = services.setup_link()
    let_in(services, WHO, role="admin")
    assert client.get(STATE).json["needs_setup"] is False
    assert services.setup_link() is None
    body = {"token": token, "name": "Kim", "email": "kim@example.org", "password": PASSWORD}
    refused = client.post("/api/v1/link/accept", json=body)
    assert (refused.status_code, services.db.read(lambda c: people.needs_setup(c, oidc=True))) == (
        404,
        False,
    )


def test_invited_member_and_reset(client: Client, services: Services, access_log: Any) -> None:
    let_in(services, WHO, role="admin")
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    made = client.post("/api/v1/invitations", json={"role": "member"}, headers=headers).json
    origin, token = made["link"].split("/link#")
    assert origin == "http://localhost"
    invited = client.application.test_client()
    body = {"token": token, "name": "Lee", "email": "lee@example.org", "password": PASSWORD}
    member = invited.post("/api/v1/link/accept", json=body).json
    assert member["user"]["role"] == "member"
    assert invited.get("/api/v1/users").status_code == 403
    path = f"/api/v1/users/{member['user']['id']}"
    reset = client.post(f"{path}/reset", headers=headers).json["link"].split("#")[1]
    body = {"token": reset, "password": f"new {PASSWORD}"}
    anybody = client.application.test_client()
    assert anybody.post("/api/v1/link/accept", json=body).status_code == 200
    # Whoever had the old password is out.
    wait_until(lambda: invited.get("/api/v1/info").status_code == 401, "the end of the session")
    assert token not in str(access_log)
    assert reset not in str(access_log)


def test_disabled_person_is_out(client: Client, services: Services) -> None:
    let_in(services, WHO, role="admin")
    member = let_in(services, "lee@example.org")
    their = client.application.test_client()
    sign_in(their, "lee@example.org")
    assert their.get("/api/v1/info").status_code == 200
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    path = f"/api/v1/users/{member.user.id}"
    assert client.patch(path, json={"disabled": True}, headers=headers).json["disabled"]
    wait_until(lambda: their.get("/api/v1/info").status_code == 401, "the end of their sessions")
    assert sign_in(their, "lee@example.org").status_code == 401
    (entry,) = noted(services, "user.update")
    assert (entry.object_id, entry.detail) == (member.user.id, {"to": {"disabled": True}})


def test_who_is_enabled_again_has_to_sign_in(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(services, WHO, role="admin")
    member = let_in(services, "lee@example.org")
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    path = f"/api/v1/users/{member.user.id}"

    def away(_: str) -> int:
        raise StorageUnavailable("Redis is away")

    with monkeypatch.context() as patched:
        patched.setattr(services.sessions, "revoke_all", away)
        refused = client.patch(path, json={"disabled": True}, headers=headers)
        assert refused.status_code == 503
        # It has no way to end them now, so they stay disabled.
        refused = client.patch(path, json={"disabled": False}, headers=headers)
        assert refused.status_code == 503
    assert services.sessions.find(member.cookie_id) is not None
    assert client.patch(path, json={"disabled": False}, headers=headers).json["disabled"] is False
    assert services.sessions.find(member.cookie_id) is None


# -- keys ------------------------------------------------------------------------------------------


def test_key_is_shown_once_used_and_revoked(client: Client, services: Services) -> None:
    let_in(services, WHO)
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    body = {"name": "import", "scopes": ["read"]}
    made = client.post("/api/v1/me/keys", json=body, headers=headers).json
    assert made["token"].startswith(f"lo_{made['key']['hint']}")
    assert made["token"] not in client.get("/api/v1/me/keys").text
    program = client.application.test_client()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert program.get("/api/v1/documents", headers=bearer).status_code == 200
    assert client.get("/api/v1/me/keys").json["items"][0]["last_used_at"]
    (entry,) = noted(services, "key.use")
    assert (entry.via, entry.object_id) == ("key", made["key"]["id"])
    path = f"/api/v1/me/keys/{made['key']['id']}"
    assert client.delete(path, headers=headers).status_code == 204
    wait_until(
        lambda: program.get("/api/v1/documents", headers=bearer).status_code == 401, "the end"
    )


def test_administrators_see_and_revoke_the_keys_of_others(
    client: Client, services: Services
) -> None:
    let_in(services, WHO, role="admin")
    member = let_in(services, "lee@example.org")
    key, token = services.db.write(
        lambda c: api_keys.create(c, services.clock, member.user.id, name="import", scopes=["read"])
    )
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    program = client.application.test_client()
    bearer = {"Authorization": f"Bearer {token}"}
    assert program.get("/api/v1/documents", headers=bearer).status_code == 200
    path = f"/api/v1/users/{member.user.id}/keys"
    listed = client.get(path)
    assert [one["id"] for one in listed.json["items"]] == [key.id]
    assert token not in listed.text
    assert client.delete(f"{path}/{key.id}", headers=headers).status_code == 204
    wait_until(
        lambda: program.get("/api/v1/documents", headers=bearer).status_code == 401, "the end"
    )
    assert client.get(path).json["items"] == []
    (entry,) = noted(services, "key.revoke")
    assert (entry.object_id, entry.object_name) == (key.id, "import")
    assert entry.detail == {"owner": member.user.id}
    assert client.delete(f"{path}/{key.id}", headers=headers).status_code == 404
    assert client.get(f"/api/v1/users/{'0' * 32}/keys").status_code == 404


def test_member_makes_no_key_for_administrators(client: Client, services: Services) -> None:
    let_in(services, WHO)
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    body = {"name": "k", "scopes": ["admin"]}
    assert client.post("/api/v1/me/keys", json=body, headers=headers).status_code == 403


# -- other sites -----------------------------------------------------------------------------------


def test_browser_that_only_knows_origin_changes_nothing_from_elsewhere(services: Services) -> None:
    client = guest.client(application(services, guest=True))
    for origin, status in (
        ("http://elsewhere.example", 403),
        ("null", 403),
        ("http://localhost", 201),
    ):
        response = client.post(
            "/api/v1/collections", json={"name": "x"}, headers={"Origin": origin}
        )
        assert response.status_code == status


def test_only_configured_origins_may_call_with_a_key(services: Services) -> None:
    client = application(services, cors_origins="https://wiki.example").test_client()
    made = let_in(services, WHO)
    _, token = services.db.write(
        lambda c: api_keys.create(
            c, services.clock, made.user.id, name="k", scopes=["read", "write"]
        )
    )
    ours = {"Origin": "https://wiki.example", "Sec-Fetch-Site": "cross-site"}
    asks = {"Access-Control-Request-Method": "POST"}
    preflight = client.options("/api/v1/collections", headers=ours | asks)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://wiki.example"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    bearer = {"Authorization": f"Bearer {token}"}
    done = client.post("/api/v1/collections", json={"name": "x"}, headers=ours | bearer)
    assert done.status_code == 201
    assert done.headers["Access-Control-Allow-Origin"] == "https://wiki.example"
    assert "Origin" in done.headers.getlist("Vary")
    assert "Access-Control-Allow-Credentials" not in done.headers
    # Without a key, and from elsewhere even with one.
    assert client.post("/api/v1/collections", json={"name": "x"}, headers=ours).status_code == 403
    theirs = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    refused = client.post("/api/v1/collections", json={"name": "x"}, headers=theirs | bearer)
    assert refused.status_code == 403
    for response in (refused, client.options("/api/v1/collections", headers=theirs | asks)):
        assert "Access-Control-Allow-Origin" not in response.headers


def test_without_configured_origins_nobody_is_told_anything(client: Client) -> None:
    response = client.get("/health", headers={"Origin": "https://wiki.example"})
    assert "Access-Control" not in str(response.headers)


def test_only_as_many_proxies_are_believed(services: Services) -> None:
    told = {"X-Forwarded-For": "203.0.113.9, 203.0.113.5", "X-Forwarded-Proto": "https"}
    let_in(services, WHO)
    sign_in(application(services).test_client(), headers=told)
    sign_in(application(services, trusted_proxies=1).test_client(), headers=told)
    behind, direct = noted(services, "session.create")[:2]
    assert (direct.address, behind.address) == ("127.0.0.1", "203.0.113.5")


# -- limits ----------------------------------------------------------------------------------------


def test_requests_over_the_limit_wait(services: Services) -> None:
    client = application(services, rate_limit=3, rate_limit_chat=1).test_client()
    first = client.get(STATE)
    assert first.headers["RateLimit-Policy"] == '"default";q=3;w=60'
    assert first.headers["RateLimit"] == '"default";r=2;t=20'
    made = let_in(services, WHO)
    sign_in(client)
    # Counted for the address before, for the person now.
    for _ in range(3):
        assert client.get("/api/v1/info").status_code == 200
    refused = client.get("/api/v1/info")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert refused.headers["RateLimit"].startswith('"default";r=0;t=')
    # A key of theirs brings no more.
    _, token = services.db.write(
        lambda c: api_keys.create(c, services.clock, made.user.id, name="import", scopes=["read"])
    )
    bearer = {"Authorization": f"Bearer {token}"}
    program = client.application.test_client()
    assert program.get("/api/v1/documents", headers=bearer).status_code == 429
    # Another person still has theirs, and a load balancer needs none.
    let_in(services, "lee@example.org")
    other = client.application.test_client()
    assert sign_in(other, "lee@example.org").status_code == 200
    assert other.get("/api/v1/info").status_code == 200
    assert "RateLimit" not in other.get("/health").headers


def test_neighbours_in_one_ipv6_network_share_an_allowance(services: Services) -> None:
    client = application(services, rate_limit=1).test_client()
    # One household has all of a /64, and another of the provider's customers the next.
    for address, status in (
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
        ("::ffff:192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
    ):
        response = client.get(STATE, environ_base={"REMOTE_ADDR": address})
        assert response.status_code == status, address


def test_allowance_comes_back(services: Services) -> None:
    from likeopt.web.limits import Meter

    clock = FakeClock()
    meter = Meter(clock)
    assert [meter.take("a", 2) > 0 for _ in range(3)] == [True, True, False]
    assert meter.take("b", 2) > 0
    clock.advance(30)
    assert [meter.take("a", 2) > 0 for _ in range(2)] == [True, False]
    # However many others there are, nobody gets more than their own.
    for number in range(1000):
        assert meter.take(f"c{number}", 1) > 0
        assert meter.take(f"c{number}", 1) <= 0


# -- the log ---------------------------------------------------------------------------------------


def test_audit_log_is_searched_and_exported(client: Client, services: Services) -> None:
    let_in(services, WHO, role="admin")
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    client.post("/api/v1/groups", json={"name": "=cmd()"}, headers=headers)
    (made,) = client.get("/api/v1/audit?action=group.").json["items"]
    assert (made["action"], made["object_name"], made["via"]) == (
        "group.create",
        "=cmd()",
        "session",
    )
    assert client.get("/api/v1/audit?action=group.&until=2020-01-01").json["items"] == []
    first = client.get("/api/v1/audit?limit=1").json
    second = client.get(f"/api/v1/audit?limit=1&cursor={first['next_cursor']}").json
    assert second["items"][0]["id"] < first["items"][0]["id"]
    lines = client.get("/api/v1/audit/export").text.splitlines()
    assert msgspec.json.decode(lines[0])["action"] == "audit.export"
    table = client.get("/api/v1/audit/export?format=csv&action=group.create").text
    assert table.startswith("\ufeffid,at,action")
    # A spreadsheet must not run what somebody called a group.
    assert ",'=cmd()," in table


def test_who_is_disabled_while_a_file_is_checked_adds_nothing(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = let_in(services, WHO, role="admin")
    let_in(services, "other@example.org", role="admin")
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    examine = Ingest._examine

    def slow(*arguments: Any) -> None:
        examine(*arguments)
        services.db.write(lambda c: people.update(c, made.user.id, disabled=True))

    monkeypatch.setattr(Ingest, "_examine", slow)
    form = {"file": file_part("a.md", b"# A")}
    refused = client.post("/api/v1/documents", data=form, headers=headers)
    assert refused.status_code == 401
    assert services.db.read(lambda c: c.execute(sa.select(documents.c.id)).all()) == []


def test_export_of_the_log_ends_with_the_administrator(client: Client, services: Services) -> None:
    made = let_in(services, WHO, role="admin")
    let_in(services, "other@example.org", role="admin")
    sign_in(client)
    sent = iter(client.get("/api/v1/audit/export").response)
    assert b"audit.export" in next(sent)
    services.db.write(lambda c: people.update(c, made.user.id, role="member"))
    with pytest.raises(ConnectionResetError):
        next(sent)


def test_sharing_a_collection(client: Client, services: Services) -> None:
    made = let_in(services, WHO)
    other = let_in(services, "lee@example.org")

    def own(c: Any) -> str:
        reader = access.reader_for(c, made.user.id)
        return collections.create(c, reader, services.clock, "Mine").id

    collection = services.db.write(own)
    headers = {"X-CSRF-Token": sign_in(client).json["csrf"]}
    their = client.application.test_client()
    sign_in(their, "lee@example.org")
    assert len(their.get("/api/v1/collections").json["items"]) == 1
    path = f"/api/v1/collections/{collection}/readers"
    readers = {"everyone": False, "users": [other.user.id], "groups": []}
    assert client.put(path, json=readers, headers=headers).json == readers
    assert len(their.get("/api/v1/collections").json["items"]) == 2
    assert their.get(path).status_code == 403
    client.put(path, json=readers | {"users": []}, headers=headers)
    assert len(their.get("/api/v1/collections").json["items"]) == 1
    assert [one.object_name for one in noted(services, "collection.share")] == ["Mine", "Mine"]
    wrong = client.put(path, json=readers | {"users": ["nobody"]}, headers=headers)
    assert wrong.status_code == 400
