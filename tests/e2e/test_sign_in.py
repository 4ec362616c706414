"""From the button on the sign-in page to the OpenID Connect provider and back."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis
from playwright.sync_api import Cookie, Page, expect

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.storage import links, people, secret_key
from likeopt.storage.db import Database
from likeopt.storage.sessions import SqlSessions
from likeopt.web import cookies
from likeopt.web.auth import FRESH_MS
from tests import tls
from tests.e2e.conftest import Open, Visit
from tests.servers import known_to_provider, openid_provider, wait_until
from tests.web.conftest import PASSWORD, PASSWORD_HASH, Server
from tests.web.conftest import serving as serving_config

EACH_ONCE = [("ko", "desktop"), ("en", "phone")]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Of another site than the app, as providers are: cookies must survive that."""
    with openid_provider() as url:
        yield url.replace("127.0.0.1", "localhost")


@contextmanager
def serving(issuer: str, **settings: Any) -> Iterator[Server]:
    """A server that people sign in to with the provider."""
    with tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home:
        config = Config(
            data_dir=Path(home),
            port=0,
            workers=1,
            sample_library=False,
            oidc_issuer=issuer,
            oidc_client_id="like-opt",
            oidc_client_secret="hidden",
            oidc_name="Acme",
        )
        with serving_config(msgspec.structs.replace(config, **settings)) as server:
            wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
            yield server


@pytest.fixture(scope="module")
def server(issuer: str) -> Iterator[Server]:
    with serving(issuer) as server:
        yield server


def written(server: Server, change: Any) -> Any:
    """What `change` makes of the server's database."""
    database = Database(server.config.database)
    try:
        return database.write(change)
    finally:
        database.close()


def invite(server: Server, email: str | None) -> str:
    """The token of an invitation to `email`, or to whoever has it."""
    made: tuple[object, str] = written(
        server, lambda c: links.create(c, Clock(), "invite", email=email, role="member")
    )
    return made[1]


def press(visit: Visit) -> None:
    """The button on the sign-in page."""
    visit.page.get_by_role("link", name=re.compile("Acme")).click()
    expect(visit.page.locator("input[name=sub]")).to_be_visible()


def agree(visit: Visit, sub: str) -> None:
    """Say at the provider who one is."""
    visit.page.locator("input[name=sub]").fill(sub)
    visit.page.get_by_role("button", name="Authorize", exact=True).click()


def opened(open_page: Open, url: str, language: str, size: str) -> Visit:
    """A visit that reaches this machine only."""
    visit = open_page(url, language, size)

    def only_here(route: Any) -> None:
        if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
            route.continue_()
        else:
            # The provider's page asks for a style sheet from elsewhere. That it failed would be
            # complained of at any time, also on the next page.
            route.fulfill(content_type="text/css", body="")

    visit.page.context.route("**/*", only_here)
    return visit


def user(page: Page, url: str) -> Any:
    """Who the server says is signed in."""
    return page.request.get(f"{url}/api/v1/session").json()["user"]


@pytest.mark.parametrize(("language", "size"), EACH_ONCE)
def test_a_member_comes_back_to_where_they_were(
    open_page: Open, server: Server, issuer: str, language: str, size: str
) -> None:
    email = f"ann-{language}@example.org"
    invite(server, email)
    known_to_provider(issuer, f"ann-{language}", email=email, email_verified=True, name="안나")
    visit = opened(open_page, server.url, language, size)
    page = visit.page
    visit.go("/library")
    expect(page.get_by_role("link", name=re.compile("Acme"))).to_be_visible()
    visit.picture("sign-in")
    # With the worker in between, a code must still reach the server once only.
    visit.wait_for_worker()
    press(visit)
    assert urlsplit(page.url).netloc == urlsplit(issuer).netloc
    agree(visit, f"ann-{language}")
    expect(page).to_have_url(f"{server.url}/library")
    assert user(page, server.url)["name"] == "안나"
    visit.go("/account")
    expect(page.locator("main")).to_contain_text(
        visit.say("로그인 서비스로 로그인하므로", "You sign in with the sign-in service")
    )
    visit.picture("account")


@pytest.mark.parametrize(("language", "size"), EACH_ONCE)
def test_who_is_refused_is_told_why(
    open_page: Open, server: Server, issuer: str, language: str, size: str
) -> None:
    known_to_provider(issuer, "nobody", email="nobody@example.org", email_verified=True)
    known_to_provider(issuer, "shy", email="shy@example.org", email_verified=False)
    visit = opened(open_page, server.url, language, size)
    page = visit.page
    alert = page.get_by_role("alert").first
    visit.go("/sign-in")
    press(visit)
    page.get_by_role("button", name="Deny").click()
    expect(alert).to_contain_text(visit.say("본인 확인", "did not confirm who you are"))
    visit.picture("denied")
    for sub, korean, english in (
        ("nobody", "아직 계정이 없습니다", "You have no account here yet"),
        ("shy", "주소가 확인되지 않았습니다", "is verified"),
    ):
        press(visit)
        agree(visit, sub)
        expect(alert).to_contain_text(visit.say(korean, english))
        # A reload, or a page that is handed on, does not repeat it.
        assert page.url == f"{server.url}/sign-in"
        visit.picture(sub)
    assert user(page, server.url) is None


@pytest.mark.parametrize(("language", "size"), EACH_ONCE)
def test_an_administrator_confirms_an_address_that_was_typed(
    open_page: Open, server: Server, issuer: str, language: str, size: str
) -> None:
    email, boss = f"typed-{language}@example.org", f"boss-{language}@example.org"

    def add(c: Any) -> None:
        made = people.create(c, Clock(), name="Boss", email=boss, role="admin")
        people.set_password(c, Clock(), made.id, PASSWORD_HASH)

    written(server, add)
    accepted = {"token": invite(server, None), "password": PASSWORD, "email": email}
    server.json("POST", "/api/v1/link/accept", json=accepted | {"name": f"Typed {language}"})
    known_to_provider(issuer, f"typed-{language}", email=email, email_verified=True)
    visit = opened(open_page, server.url, language, size)
    visit.go("/sign-in")
    press(visit)
    agree(visit, f"typed-{language}")
    expect(visit.page.get_by_role("alert").first).to_contain_text(
        visit.say("본인의 것인지 확인되지 않았습니다", "nobody has confirmed that it is yours")
    )
    visit.picture("unconfirmed")

    admin = opened(open_page, server.url, language, size)
    page = admin.page
    admin.go("/admin/people")
    page.locator("input[name=email]").fill(boss)
    page.locator("input[name=password]").fill(PASSWORD)
    admin.button(admin.say("로그인", "Sign in")).click()
    line = page.get_by_role("listitem").filter(has_text=email)
    mark = line.locator(".tag.warn")
    expect(mark).to_have_text(admin.say("확인되지 않은 주소", "Address not confirmed"))
    admin.picture("people")
    line.get_by_role("button").click()
    page.get_by_role("menuitem", name=admin.say("이메일 주소 확인", "Confirm e-mail")).click()
    expect(page.get_by_role("dialog")).to_contain_text(email)
    admin.picture("confirm")
    page.get_by_role("dialog").get_by_role(
        "button", name=admin.say("이메일 주소 확인", "Confirm e-mail address")
    ).click()
    expect(mark).to_have_count(0)

    press(visit)
    agree(visit, f"typed-{language}")
    expect(visit.page).to_have_url(f"{server.url}/")
    assert user(visit.page, server.url)["email"] == email


class Earlier(Clock):
    """Shows the time of a little more than ten minutes ago."""

    def now_ms(self) -> int:
        return super().now_ms() - FRESH_MS - 1000


def signed_in_long_ago(visit: Visit, server: Server, email: str) -> None:
    """Have the browser keep a session of more than ten minutes ago, beside one elsewhere."""
    database = Database(server.config.database)
    who = database.read(lambda c: people.by_email(c, email))
    assert who is not None
    sessions = SqlSessions(database, Earlier())
    sessions.create(who.id, address="127.0.0.1", agent="elsewhere")
    _, id_ = sessions.create(who.id, address="127.0.0.1", agent="tests")
    database.close()
    key = secret_key.read_or_make(server.config.data_dir).encode()
    value = f"{id_}.{cookies.sign(key, 'session', id_)}"
    visit.page.context.add_cookies([{"name": cookies.NAME, "value": value, "url": server.url}])


def end_the_others(visit: Visit) -> None:
    """What needs a sign-in of the last ten minutes."""
    visit.button(visit.say("다른 곳에서 모두 로그아웃", "Sign out everywhere else")).click()


@pytest.mark.parametrize(("language", "size"), EACH_ONCE)
def test_who_has_no_password_confirms_at_the_provider(
    open_page: Open, server: Server, issuer: str, language: str, size: str
) -> None:
    email = f"again-{language}@example.org"
    invite(server, email)
    known_to_provider(issuer, f"again-{language}", email=email, email_verified=True)
    visit = opened(open_page, server.url, language, size)
    page = visit.page
    visit.go("/sign-in")
    press(visit)
    agree(visit, f"again-{language}")
    expect(page).to_have_url(f"{server.url}/")
    signed_in_long_ago(visit, server, email)
    visit.go("/account")
    lines = page.get_by_role("listitem").filter(has_text=visit.say("현재", "This one"))
    expect(lines).to_have_count(1)
    end_the_others(visit)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(visit.say("돌아오니", "come back to this page"))
    visit.allow("403")
    visit.picture("dialog")
    dialog.get_by_role("button", name=visit.say("취소", "Cancel")).click()
    expect(dialog).to_have_count(0)
    end_the_others(visit)
    visit.allow("403")
    dialog.get_by_role("button", name=re.compile("Acme")).click()
    # Who is not let in there is told so, and may try again.
    page.get_by_role("button", name="Deny").click()
    visit.allow("403|Failed to load resource")
    expect(page.get_by_role("alert").first).to_contain_text(
        visit.say("본인 확인", "did not confirm who you are")
    )
    visit.go("/account")
    end_the_others(visit)
    dialog.get_by_role("button", name=re.compile("Acme")).click()
    agree(visit, f"again-{language}")
    visit.allow("403|Failed to load resource")
    expect(page).to_have_url(f"{server.url}/account")
    end_the_others(visit)
    expect(page.locator(".toasts")).to_contain_text(visit.say("로그아웃했습니다", "Signed out in"))
    assert len(page.request.get(f"{server.url}/api/v1/me/sessions").json()["items"]) == 1


@pytest.mark.parametrize(("language", "size"), EACH_ONCE)
def test_who_has_a_password_types_it_once_more(
    open_page: Open, server: Server, language: str, size: str
) -> None:
    email = f"typist-{language}@example.org"
    accepted = {"token": invite(server, email), "password": PASSWORD, "name": "Typist"}
    server.json("POST", "/api/v1/link/accept", json=accepted)
    visit = opened(open_page, server.url, language, size)
    page = visit.page
    signed_in_long_ago(visit, server, email)
    visit.go("/account")
    end_the_others(visit)
    dialog = page.get_by_role("dialog")
    field = dialog.locator("input[type=password]")
    expect(field).to_be_focused()
    visit.picture("dialog")
    # Escape leaves all as it is, and a wrong password is not taken.
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    end_the_others(visit)
    field.fill("not the one at all")
    page.keyboard.press("Enter")
    expect(page.locator(".toasts")).to_contain_text(visit.say("올바르지 않습니다", "is wrong"))
    assert len(page.request.get(f"{server.url}/api/v1/me/sessions").json()["items"]) == 3
    end_the_others(visit)
    field.fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".toasts")).to_contain_text(visit.say("로그아웃했습니다", "Signed out in"))
    assert len(page.request.get(f"{server.url}/api/v1/me/sessions").json()["items"]) == 1
    visit.allow("40[13]|Failed to load resource")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_key_needs_the_password_once_more(open_page: Open, server: Server, size: str) -> None:
    """The question stands above the form, which then goes on with what was typed."""
    email = f"keymaker-{size}@example.org"
    accepted = {"token": invite(server, email), "password": PASSWORD, "name": "Keymaker"}
    server.json("POST", "/api/v1/link/accept", json=accepted)
    visit = opened(open_page, server.url, "en", size)
    page = visit.page
    signed_in_long_ago(visit, server, email)
    visit.go("/account")
    visit.button("Create key").click()
    dialogs = page.get_by_role("dialog")
    dialogs.get_by_role("textbox").fill("nightly import")
    dialogs.get_by_role("button", name="Create key").click()
    password = dialogs.locator("input[type=password]")
    expect(password).to_be_focused()
    # Whoever thinks better of it still has what they typed.
    page.keyboard.press("Escape")
    expect(password).to_have_count(0)
    expect(dialogs.get_by_role("alert")).to_contain_text("Sign in once more")
    dialogs.get_by_role("button", name="Create key").click()
    password.fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialogs.get_by_role("heading", name="Your new key")).to_be_visible()
    # The form's place in the history is given back meanwhile, and takes nothing with it.
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    expect(dialogs.get_by_role("heading", name="Your new key")).to_be_visible()
    keys = page.request.get(f"{server.url}/api/v1/me/keys").json()["items"]
    assert [key["name"] for key in keys] == ["nightly import"]
    visit.allow("403|Failed to load resource")


def test_passwords_are_hidden_and_may_be_pasted(open_page: Open, server: Server) -> None:
    visit = opened(open_page, server.url, "en", "desktop")
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    known, token = "paster@example.org", invite(server, None)
    accepted = {"token": invite(server, known), "password": PASSWORD, "name": "Paster"}
    server.json("POST", "/api/v1/link/accept", json=accepted)

    def paste(kinds: list[str]) -> None:
        fields = page.locator("input[autocomplete$=password]")
        expect(fields).to_have_count(len(kinds))
        page.evaluate("text => navigator.clipboard.writeText(text)", PASSWORD)
        for field, kind in zip(fields.all(), kinds, strict=True):
            expect(field).to_have_attribute("type", "password")
            # What a password manager looks for.
            expect(field).to_have_attribute("autocomplete", kind)
            field.focus()
            page.keyboard.press("Control+V")
            expect(field).to_have_value(PASSWORD)

    visit.go(f"/link#{token}")
    paste(["new-password"])
    visit.go("/sign-in")
    paste(["current-password"])
    page.locator("input[name=email]").fill(known)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/")
    visit.go("/account")
    paste(["current-password", "new-password"])


def named(page: Page, name: str) -> Cookie | None:
    """A cookie that the browser keeps."""
    return next((one for one in page.context.cookies() if one["name"] == name), None)


@pytest.fixture
def behind_tls(
    issuer: str, postgres_url: str, redis_url: str, tmp_path: Path
) -> Iterator[tuple[Server, str]]:
    """A server with PostgreSQL and Redis, and its address at a proxy."""
    settings = {"database_url": postgres_url, "redis_url": redis_url, "trusted_proxies": 1}
    with (
        serving(issuer, **settings) as server,
        tls.proxy(server.url, tls.certificate(tmp_path)) as url,
    ):
        yield server, url


def test_behind_tls_with_postgresql_and_redis(
    behind_tls: tuple[Server, str], open_page: Open, issuer: str
) -> None:
    server, url = behind_tls
    known_to_provider(issuer, "tess", email="tess@example.org", email_verified=True)
    store = redis.Redis.from_url(server.config.redis_url)
    invite(server, "tess@example.org")
    visit = opened(open_page, url, "en", "desktop")
    page = visit.page
    visit.go("/library")
    press(visit)
    begun = named(page, "__Host-likeopt_oidc")
    assert begun is not None
    assert (begun["secure"], begun["httpOnly"], begun["sameSite"]) == (True, True, "Lax")
    before = store.dbsize()
    agree(visit, "tess")
    expect(page).to_have_url(f"{url}/library")
    assert user(page, url)["email"] == "tess@example.org"
    kept = named(page, "__Host-likeopt_session")
    assert kept is not None
    assert (kept["secure"], kept["httpOnly"], kept["sameSite"]) == (True, True, "Lax")
    assert named(page, "__Host-likeopt_oidc") is None
    assert store.dbsize() > before
    database = Database(server.config.database)
    tess = database.read(lambda c: people.by_oidc(c, f"{issuer} tess"))
    database.close()
    assert tess is not None
    assert tess.email == "tess@example.org"
    # Without TLS, the server's own address knows neither cookie.
    plain = f"__Host-likeopt_session={kept['value']}"
    state = server.json("GET", "/api/v1/session", headers={"Cookie": plain})
    assert state["user"] is None
    page.get_by_role("button").filter(has_text="tess@example.org").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(f"{url}/sign-in")
    assert store.dbsize() <= before
    store.close()
