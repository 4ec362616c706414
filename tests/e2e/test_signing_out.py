"""That people can leave from wherever they are, and what is then left of them in the browser."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import expect

from likeopt.accounts import SignedIn
from likeopt.services import Services
from likeopt.storage import access
from likeopt.web import cookies
from tests.e2e.conftest import Open, Visit, with_accounts
from tests.e2e.test_admin import PAGES, is_idle, signed
from tests.servers import wait_until
from tests.web.conftest import CLIENT, Server, let_in

NAME, FACT = "Quarterly.md", "the wallaby earns 4711 euros"


class Place(NamedTuple):
    """A server with an administrator, and pages of theirs."""

    server: Server
    services: Services
    who: SignedIn
    pages: list[str]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with with_accounts() as (server, services):
        who = let_in(services, "admin@example.org", role="admin")
        reader = services.db.read(lambda c: access.reader_for(c, who.user.id))
        added = services.ingest.file(reader, "default", NAME, f"# Pay\n\nIn May {FACT}.".encode())
        wait_until(lambda: is_idle(services), "the document")
        headers = {"Cookie": f"{cookies.NAME}={signed(services, who)}"}
        headers["X-CSRF-Token"] = cookies.sign(services.secret_key, "csrf", who.session.id)
        asked = {"question": "What does the wallaby earn?"}
        answer = server.json("POST", "/api/v1/chat", json=asked, headers=headers)
        pages = ["/", f"/c/{answer['conversation_id']}", "/library"]
        pages += [f"/library/{added.document.id}", "/account"]
        yield Place(server, services, who, pages + [f"/admin/{page}" for page in PAGES])


def arrive(visit: Visit, place: Place, path: str) -> str:
    """Open a page with a new session, and return its cookie."""
    made = place.services.accounts.open_session(place.who.user.id, CLIENT, how="password")
    cookie = signed(place.services, made)
    # As the server sets it.
    kept = {"name": cookies.NAME, "value": cookie, "url": visit.url, "httpOnly": True}
    visit.page.context.add_cookies([kept])  # type: ignore[list-item]
    visit.go(path)
    return cookie


def leave(visit: Visit, size: str) -> None:
    page = visit.page
    if size == "phone":
        visit.button(visit.say("메뉴", "Menu")).click()
    page.get_by_role("button").filter(has_text="admin").locator("visible=true").click()
    page.get_by_role("menuitem", name=visit.say("로그아웃", "Sign out")).click()
    expect(page).to_have_url(f"{visit.url}/sign-in")
    expect(page.locator("input[name=password]")).to_be_visible()
    # Who signs out is not told that the session has ended.
    expect(page.locator(".gate-hint:not(:empty)")).to_have_count(0)


@pytest.mark.parametrize(("language", "size"), [("en", "desktop"), ("ko", "phone")])
def test_one_signs_out_from_every_page(
    open_page: Open, place: Place, language: str, size: str
) -> None:
    visit = open_page(place.server.url, language, size)
    for path in place.pages:
        cookie = arrive(visit, place, path)
        assert status(place, cookie) == 200
        leave(visit, size)
        # Not only forgotten by this browser.
        assert status(place, cookie) == 401, path


def test_a_source_that_covers_the_page_holds_nobody_back(open_page: Open, place: Place) -> None:
    visit = open_page(place.server.url, "en", "desktop")
    arrive(visit, place, place.pages[1])
    other = visit.page.context.new_page()
    other.goto(visit.url + place.pages[1])
    for page in (visit.page, other):
        page.set_viewport_size({"width": 1024, "height": 800})
        page.locator("article button.chip").first.click()
        expect(page.locator(".source-panel mark").first).to_be_visible()
    visit.page.get_by_role("button").filter(has_text="admin").locator("visible=true").click()
    visit.page.get_by_role("menuitem", name="Sign out").click()
    for page in (visit.page, other):
        expect(page).to_have_url(f"{visit.url}/sign-in")
        expect(page.locator("input[name=password]")).to_be_visible()
        expect(page.get_by_text("wallaby")).to_have_count(0)


def test_other_tabs_are_left_at_once(open_page: Open, place: Place) -> None:
    visit = open_page(place.server.url, "en", "desktop")
    arrive(visit, place, place.pages[1])
    others = [visit.page.context.new_page() for _ in place.pages[1:4]]
    for page, path in zip(others, place.pages[1:4], strict=True):
        page.goto(visit.url + path)
        expect(page.get_by_role("button").filter(has_text="admin").first).to_be_visible()
    others[0].locator(".composer textarea").fill("And the wallaby's wife?")
    leave(visit, "desktop")
    for page in others:
        expect(page).to_have_url(f"{visit.url}/sign-in")
        expect(page.locator("input[name=password]")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0


def status(place: Place, cookie: str) -> int:
    headers = {"Cookie": f"{cookies.NAME}={cookie}"}
    return place.server.request("GET", "/api/v1/info", headers=headers).status


# All that pages and the service worker can keep, as one text.
KEPT = """async () => {
  const kept = [{...localStorage}, {...sessionStorage}, document.cookie];
  kept.push(await indexedDB.databases());
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      kept.push(request.url, /html|json/.test(response.headers.get("Content-Type"))
        ? await response.text() : "");
    }
  }
  return JSON.stringify(kept);
}"""
NAMES = "[...Object.keys(localStorage), ...Object.keys(sessionStorage)].sort()"


def test_nothing_that_was_read_stays_in_the_browser(open_page: Open, place: Place) -> None:
    visit = open_page(place.server.url, "en", "desktop")
    page = visit.page
    cookie = arrive(visit, place, "/library")
    visit.wait_for_worker()
    conversation, document = place.pages[1], place.pages[3]
    visit.go(document)
    expect(page.locator("main")).to_contain_text(FACT)
    visit.go(conversation)
    expect(page.locator("main")).to_contain_text(FACT)
    # What the page does remember.
    page.get_by_role("button", name=re.compile("^Appearance")).click()
    secrets = [FACT, NAME, "wallaby", "admin@example.org", cookie.partition(".")[0]]
    for _ in range(2):
        kept: str = page.evaluate(KEPT)
        assert "/assets/" in kept
        assert [one for one in secrets if one in kept] == []
        names: list[Any] = page.evaluate(NAMES)
        assert "likeopt.theme" in names
        known = ("collection", "connect-hint", "single-keys", "theme")
        assert set(names) <= {f"likeopt.{name}" for name in known}
        if page.url.endswith("/sign-in"):
            break
        leave(visit, "desktop")
    # Nor is it drawn again for who goes back.
    page.go_back()
    expect(page.locator("input[name=password]")).to_be_visible()
    assert FACT not in page.content()
    visit.allow("401")
