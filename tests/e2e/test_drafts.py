"""That what somebody has typed is there until it is sent, and there for nobody else."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from likeopt.web import cookies
from tests.e2e.conftest import Open, Visit, with_accounts
from tests.e2e.test_admin import signed
from tests.e2e.test_signing_out import Place, arrive, leave
from tests.web.conftest import PASSWORD, Server, let_in

KIM, LEE = "kim-admin@example.org", "lee@example.org"
TYPED = "What does the wallaby\nearn in June?"


def headers(server: Server, cookie: str) -> dict[str, str]:
    """What a change by this session carries."""
    mine = {"Cookie": f"{cookies.NAME}={cookie}"}
    return mine | {"X-CSRF-Token": server.json("GET", "/api/v1/session", headers=mine)["csrf"]}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A server with two people, and pages of one: a new conversation and one that has begun."""
    with with_accounts() as (server, services):
        who = let_in(services, KIM, role="admin")
        let_in(services, LEE)
        place = Place(server, services, who, ["/"])
        asked = {"question": "First question?"}
        mine = headers(server, signed(services, who))
        answer = server.json("POST", "/api/v1/chat", json=asked, headers=mine)
        place.pages.append(f"/c/{answer['conversation_id']}")
        yield place


def field(visit: Visit) -> Locator:
    return visit.page.locator(".composer textarea:enabled")


def test_each_conversation_has_its_own_over_a_reload(open_page: Open, place: Place) -> None:
    visit = open_page(place.server.url, "ko", "desktop")
    page = visit.page
    arrive(visit, place, "/")
    other = page.get_by_role("link", name="First question?")
    fresh = page.get_by_role("link", name="새 질문")
    field(visit).fill("새로 묻기")
    other.click()
    expect(page).to_have_url(f"{visit.url}{place.pages[1]}")
    expect(field(visit)).to_have_value("")
    field(visit).fill(TYPED)
    page.reload()
    expect(field(visit)).to_have_value(TYPED)
    visit.picture("draft")
    fresh.click()
    expect(field(visit)).to_have_value("새로 묻기")
    page.reload()
    expect(field(visit)).to_have_value("새로 묻기")
    # Sent, it is nowhere any more; what is not stays.
    visit.button("보내기").click()
    visit.answer()
    page.reload()
    visit.answer()
    expect(field(visit)).to_have_value("")
    fresh.click()
    expect(field(visit)).to_have_value("")
    other.click()
    expect(field(visit)).to_have_value(TYPED)
    page.reload()
    expect(field(visit)).to_have_value(TYPED)
    leave(visit, "desktop")
    assert page.evaluate("sessionStorage.length") == 0


def sign_in(visit: Visit, email: str) -> None:
    visit.page.locator("input[name=email]").fill(email)
    visit.page.locator("input[name=password]").fill(PASSWORD)
    visit.button(visit.say("로그인", "Sign in")).click()


def test_a_question_that_comes_back_into_the_field_is_asked_once(
    open_page: Open, place: Place
) -> None:
    visit = open_page(place.server.url, "en", "desktop")
    page = visit.page
    arrive(visit, place, "/")
    rows = page.locator(".history-row", has_text="Who feeds the quokka?")
    # The server takes it, and the connection breaks before it can say so.
    page.route("**/api/v1/chat", lambda route: (route.fetch(), route.abort()))
    field(visit).fill("Who feeds the quokka?")
    page.keyboard.press("Enter")
    expect(page.locator(".failure")).to_be_visible()
    visit.allow("api/v1/chat")
    page.reload()
    expect(field(visit)).to_have_value("Who feeds the quokka?")
    expect(rows).to_have_count(1)
    page.unroute("**/api/v1/chat")
    page.keyboard.press("Enter")
    expect(visit.answer()).to_be_visible()
    expect(page).to_have_url(re.compile("/c/"))
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.locator("article.answer")).to_have_count(1)


@pytest.mark.parametrize(
    ("language", "size", "number", "email"),
    [("ko", "desktop", 0, KIM), ("en", "phone", 1, KIM), ("en", "desktop", 0, LEE)],
)
def test_a_question_that_the_session_did_not_outlive_is_there_after_the_next_sign_in(
    open_page: Open, place: Place, language: str, size: str, number: int, email: str
) -> None:
    visit = open_page(place.server.url, language, size)
    page = visit.page
    cookie = arrive(visit, place, place.pages[number])
    field(visit).fill(TYPED)
    mine = headers(place.server, cookie)
    assert place.server.request("DELETE", "/api/v1/session", headers=mine).status == 204
    visit.button(visit.say("보내기", "Send")).click()
    expect(page.locator("input[name=password]")).to_be_visible()
    why = page.get_by_text(
        visit.say("로그인이 만료되었습니다. 다시 로그인", "Your session has ended. Sign in again.")
    )
    expect(why).to_be_visible()
    visit.picture("ended")
    page.reload()
    expect(page.locator("input[name=password]")).to_be_visible()
    expect(why).to_have_count(0)
    sign_in(visit, email)
    expect(field(visit)).to_have_value(TYPED if email == KIM else "")
    assert page.url == visit.url + place.pages[number]
    # Of somebody else's there is nothing, not even out of sight.
    assert page.evaluate("sessionStorage.length") == (1 if email == KIM else 0)
    visit.allow("401")
