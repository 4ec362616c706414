"""A server without sign-in in the browser: its link lets in, its address alone does not."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests import guest
from tests.e2e.conftest import SIZES, Open, serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(LIKEOPT_SAMPLE_LIBRARY="false") as url:
        yield url


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_link_in_the_terminal_lets_in(
    open_page: Open, server: str, language: str, size: str
) -> None:
    visit = open_page(server, language, size)
    page = visit.page
    page.context.clear_cookies()
    visit.go("/library")
    expect(page).to_have_url(f"{server}/sign-in?next=%2Flibrary")
    hint = page.locator(".gate-hint:not(:empty)")
    expect(hint).to_have_count(1)
    expect(hint).to_contain_text(
        visit.say(
            "서버의 터미널에 표시된 링크를 열어 주세요",
            "open the link that it printed in its terminal",
        )
    )
    visit.picture("without-the-link")
    visit.go("/link#lo_guest_of-another-server")
    expect(page.get_by_role("alert")).to_contain_text(
        visit.say("이 서버의 링크가 아닙니다", "not the link of this server")
    )
    visit.picture("another-link")
    visit.allow(r"401")
    # Over the page of the other one: only what stands after `#` changes.
    visit.go(f"/link#{guest.TOKEN}")
    expect(page).to_have_url(f"{server}/")
    expect(page.locator(".composer")).to_be_visible()
    # The next start of the browser needs no link.
    visit.go("/library")
    expect(page).to_have_url(f"{server}/library")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if size == "phone":
        visit.button(visit.say("메뉴", "Menu")).click()
    page.get_by_role("button", name=visit.say("로그인 없이", "Guest of this machine")).click()
    page.get_by_role("menuitem", name=visit.say("다른 곳에서", "everywhere else")).click()
    expect(page.get_by_text(visit.say("로그아웃했습니다", "Signed out in"))).to_be_visible()
    page.get_by_role("button", name=visit.say("로그인 없이", "Guest of this machine")).click()
    page.get_by_role("menuitem", name=visit.say("로그아웃", "Sign out"), exact=True).click()
    expect(page).to_have_url(f"{server}/sign-in")
    expect(hint).to_be_visible()
    visit.go("/library")
    expect(page).to_have_url(f"{server}/sign-in?next=%2Flibrary")
