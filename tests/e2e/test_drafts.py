"""That what somebody has typed is there until it is sent, and there for nobody else."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Route, expect

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


def test_a_question_that_arrived_unheard_is_not_asked_again(open_page: Open, place: Place) -> None:
    """Its connection breaks before the page is told of it, which is then loaded anew."""
    visit = open_page(place.server.url, "ko", "desktop")
    page, cookie = visit.page, arrive(visit, place, "/")
    mine = headers(place.server, cookie)

    def messages(at: str) -> list[str]:
        found = place.server.json("GET", f"/api/v1/conversations/{at}", headers=mine)["messages"]
        return [one["content"] for one in found if one["role"] == "user"]

    def conversations() -> list[str]:
        found = place.server.json("GET", "/api/v1/conversations", headers=mine)["items"]
        return [one["id"] for one in found]

    def unheard(route: Route) -> None:
        route.fetch()
        route.abort()

    before = len(conversations())
    for number, where in enumerate(("/", place.pages[1])):
        question = f"Unheard {number}?"
        visit.go(where)
        page.route("**/api/v1/chat", unheard)
        field(visit).fill(question)
        visit.button("보내기").click()
        expect(page.locator(".turn").last.get_by_role("alert")).to_be_visible()
        page.unroute("**/api/v1/chat")
        page.reload()
        expect(field(visit)).to_have_value(question)
        visit.button("보내기").click()
        # The answer that there is, and the question once.
        visit.answer(number)
        expect(page.locator(".turn")).to_have_count(number + 1)
        expect(page).to_have_url(re.compile("/c/"))
        assert messages(page.url.rpartition("/")[2]).count(question) == 1
        assert len(conversations()) == before + 1
    visit.complaints.clear()  # of what broke


def sign_in(visit: Visit, email: str) -> None:
    visit.page.locator("input[name=email]").fill(email)
    visit.page.locator("input[name=password]").fill(PASSWORD)
    visit.button(visit.say("로그인", "Sign in")).click()


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
