"""Every page for those who see, hear or move differently: axe, the keyboard, and screen readers."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Route, expect

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.storage import links, people
from likeopt.storage.db import Database
from tests import servers
from tests.e2e.conftest import Open, Visit, with_model
from tests.retrieval.parse.make_files import make_scanned_pdf
from tests.stub_openai import StubOpenAI
from tests.web.conftest import PASSWORD, PASSWORD_HASH
from tests.web.conftest import serving as serving_config

AXE = (servers.ROOT / "frontend/node_modules/axe-core/axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ANSWER = """Money is **repaid** [1].

| Place | Limit |
|---|--:|
| Seoul | 137 |

```py
def limit(place: str) -> int:  # in thousands
    return {"Seoul": 137}[place] + 0x1F
```

$$\\frac{a}{b} = \\sum_{i=1}^{n} x_i$$

- `x` and \\(y\\)

1. Later:
   - [ ] open
   - [x] done
"""
WIDE = """As follows [1].

| Department | Destination | Accommodation | Transport | Reimbursement | Currency | Responsible |
|---|---|---|--:|--:|---|---|
| Engineering | Switzerland | Apartment | 1,250 | 2,480 | Francs | Administration |
"""


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, StubOpenAI]]:
    """A server with a language model that says what it is told to."""
    with with_model() as served:
        yield served


def complaints(visit: Visit) -> list[str]:
    """What axe finds wrong with the page as it is now, one line for each element."""
    # By the debugging protocol: the page's own policy lets no script in.
    if not visit.page.evaluate("'axe' in window"):
        visit.page.evaluate(AXE)
    # What appears slowly would be measured half transparent.
    visit.page.evaluate(
        "Promise.all(document.getAnimations().map(one => one.finished.catch(_ => _)))"
    )
    found: Any = visit.page.evaluate(
        "rules => axe.run({runOnly: rules, resultTypes: ['violations']})", RULES
    )
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def is_sound(visit: Visit, state: str) -> None:
    """Neither theme has anything wrong."""
    for theme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        visit.picture(f"{state}-{theme}")
        assert complaints(visit) == [], (state, theme)


@pytest.mark.parametrize(("language", "size"), [("ko", "desktop"), ("en", "phone")])
def test_the_chat_and_the_library_in_every_state(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, size: str
) -> None:
    url, stub = model
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    page.locator("button.sample").first.wait_for()
    is_sound(visit, "welcome")
    stub.say(ANSWER)
    page.locator("button.sample").first.click()
    answer = visit.answer()
    expect(answer.locator("math mfrac")).to_be_visible()
    expect(answer.locator(".hl-kwd").first).to_be_visible()
    is_sound(visit, "answer")
    answer.locator(".took").click()
    is_sound(visit, "times")
    page.keyboard.press("Escape")
    answer.locator("button.chip").first.click()
    expect(page.locator(".source-panel mark")).to_be_visible()
    is_sound(visit, "source")
    page.keyboard.press("Escape")
    visit.button(visit.say("질문 고치기", "Edit question")).click()
    # axe takes a button that is scrolled half under the question field for too small a target.
    page.locator(".chat-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    is_sound(visit, "edit")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.locator("header").get_by_role("button", name=visit.say("관련 작업", "Actions for")).click()
    is_sound(visit, "menu")
    page.keyboard.press("Escape")
    visit.go("/library")
    expect(page.locator("li.document").first).to_be_visible()
    is_sound(visit, "library")
    page.locator("li.document a").first.click()
    expect(page.locator(".viewer-text")).to_be_visible()
    is_sound(visit, "document")
    visit.go("/c/" + "0" * 32)
    expect(page.locator(".panel[role=alert]")).to_be_visible()
    expect(page).to_have_title(re.compile(visit.say("찾을 수 없습니다", "There is nothing here")))
    is_sound(visit, "missing")
    page.locator(".panel[role=alert] a").click()
    expect(page.locator(".welcome")).to_be_visible()
    visit.allow("404")


@pytest.mark.parametrize(("language", "size"), [("ko", "phone"), ("en", "desktop")])
def test_the_chat_while_it_is_written_broken_off_and_without_a_network(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, size: str
) -> None:
    url, stub = model
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    reply = stub.say("Half of **it**, ", "and the rest [1].", hold=1)
    page.locator(".composer textarea").fill(
        visit.say("검색 결과의 순위는 어떻게 정하나요?", "How are search results ranked?")
    )
    visit.button(visit.say("보내기", "Send")).click()
    expect(page.locator("article.answer")).to_contain_text("Half of")
    is_sound(visit, "writing")
    reply.release()
    visit.answer()
    stub.say("It begins ", "and never ends.", drop=1)
    visit.ask(visit.say("모델은 어떻게 연결하나요?", "How do I connect a model?"))
    expect(page.locator(".failure")).to_be_visible()
    is_sound(visit, "broken-off")
    page.context.set_offline(True)
    expect(page.locator(".offline")).to_be_visible()
    # As above: no button half under the question field.
    page.locator(".chat-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    is_sound(visit, "offline")
    page.context.set_offline(False)
    visit.allow("ERR_INTERNET_DISCONNECTED|Failed to fetch")


@pytest.mark.parametrize(("language", "size"), [("ko", "phone"), ("en", "desktop")])
def test_the_pages_of_accounts(open_page: Open, language: str, size: str) -> None:
    with tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home:
        config = Config(data_dir=Path(home), port=0, workers=1, guest=False, sample_library=False)
        with serving_config(config) as server:
            token = made_ready(config)
            visit = open_page(server.url, language, size)
            page = visit.page
            visit.go("/sign-in")
            expect(page.locator("input[type=password]")).to_be_visible()
            # Why one is not let in is heard only if the place for it is known before.
            expect(page.get_by_role("alert")).to_have_count(2)
            is_sound(visit, "sign-in")
            page.locator("input[type=email]").fill("kim@example.org")
            page.locator("input[type=password]").fill(PASSWORD)
            page.locator("button[type=submit]").click()
            expect(page.locator(".composer")).to_be_visible()
            expect(page.locator("[aria-live=polite]")).to_have_count(1)
            is_sound(visit, "empty-library")
            for path in ("account", "admin/people", "admin/audit"):
                visit.go(f"/{path}")
                expect(page.locator("main h1")).to_be_visible()
                expect(page.locator(".lines").first).to_be_visible()
                is_sound(visit, path.rpartition("/")[2])
            is_sound_in_administration(visit)
            page.context.clear_cookies()
            visit.go(f"/link#{token}")
            expect(page.locator("input[type=password]").first).to_be_visible()
            is_sound(visit, "link")


def is_sound_in_administration(visit: Visit) -> None:
    """Its pages of jobs, caches and settings, empty and full."""
    page = visit.page
    visit.go("/admin/jobs")
    expect(page.locator(".sheet .panel-title")).to_be_visible()
    is_sound(visit, "no-jobs")
    scanned: FilePayload = {
        "name": "scan.pdf",
        "mimeType": "application/pdf",
        "buffer": make_scanned_pdf(),
    }
    visit.go("/library")
    page.locator("input[type=file]").first.set_input_files(scanned)
    expect(page.locator("li.document .status.failed")).to_be_visible()
    visit.go("/admin/jobs")
    expect(page.locator("li.job .bad")).to_be_visible()
    is_sound(visit, "jobs")
    visit.go("/admin/caches")
    expect(page.locator(".numbers")).to_be_visible()
    is_sound(visit, "caches")
    page.get_by_role("button", name=visit.say("비우기", "Clear"), exact=True).first.click()
    is_sound(visit, "clear")
    page.get_by_role("dialog").get_by_role("button").last.click()
    expect(page.locator(".result li").first).to_be_visible()
    is_sound(visit, "cleared")
    visit.go("/admin/settings")
    expect(page.locator("li.setting").first).to_be_visible()
    is_sound(visit, "settings")


def made_ready(config: Config) -> str:
    """An administrator, and the token of an invitation."""
    database = Database(config.database)

    def write(c: Any) -> str:
        made = people.create(
            c, Clock(), name="Kim", email="kim@example.org", role="admin", email_confirmed=True
        )
        people.set_password(c, Clock(), made.id, PASSWORD_HASH)
        return links.create(c, Clock(), "invite", email="lee@example.org", role="member")[1]

    try:
        return database.write(write)
    finally:
        database.close()


def test_the_keyboard_alone_asks_edits_and_looks_things_up(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    url, stub = model
    visit = open_page(url, "en", "desktop")
    page = visit.page
    visit.go("/")
    field = page.locator(".composer textarea")
    expect(field).to_be_focused()
    stub.say("First [1].")
    page.keyboard.type("Where are my documents stored?")
    page.keyboard.press("Enter")
    visit.answer()
    # What is typed into the field stays text.
    page.keyboard.type("/?")
    expect(field).to_have_value("/?")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    # The chip's card comes with the focus and goes with Escape.
    chip = page.locator("button.chip").first
    for _ in range(40):
        if chip.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    card = page.locator("#citation-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text(".md")
    expect(chip).to_have_attribute("aria-describedby", "citation-card")
    visit.picture("card")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Search history")
    visit.picture("shortcuts")
    assert complaints(visit) == []
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(chip).to_be_focused()
    page.keyboard.press("/")
    expect(field).to_be_focused()
    page.keyboard.press("ArrowUp")
    edit = page.get_by_role("textbox", name="Your question", exact=True)
    expect(edit).to_be_focused()
    expect(edit).to_be_in_viewport(ratio=1)
    stub.say("Second [1].")
    page.keyboard.press("Control+a")
    page.keyboard.type("How do I make a backup?")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_text(re.compile("How do I make a backup"))
    expect(visit.answer()).to_contain_text("Second")
    expect(page.locator("article.answer")).to_have_count(1)
    page.keyboard.press("Control+k")
    expect(page.locator(".history input")).to_be_focused()
    page.keyboard.press("Control+Shift+O")
    expect(page.locator(".welcome")).to_be_visible()


def test_what_one_thinks_of_an_answer_stays(open_page: Open, model: tuple[str, StubOpenAI]) -> None:
    url, stub = model
    stub.say("Good [1].")
    visit = open_page(url, "ko", "desktop")
    page = visit.page
    visit.go("/")
    page.locator("button.sample").last.click()
    visit.answer()
    with page.expect_response("**/feedback"):
        visit.button("좋은 답변").click()
    expect(visit.button("좋은 답변")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(visit.button("좋은 답변")).to_have_attribute("aria-pressed", "true")
    visit.picture("rated")


def test_screen_readers_hear_the_answer_once(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    url, stub = model
    reply = stub.say("Part one. ", "Part **two** [1].", hold=1)
    visit = open_page(url, "en", "desktop")
    page = visit.page
    visit.go("/")
    # What the server draws before any script has no such region.
    expect(page.locator("[aria-live=polite]")).to_have_count(1)
    page.evaluate(
        """() => {
          window.heard = [];
          const region = document.querySelector("[aria-live=polite]");
          new MutationObserver(() => heard.push(region.textContent)).observe(region, {
            childList: true, characterData: true, subtree: true });
        }"""
    )
    # Nobody has asked this before: it is written anew.
    page.locator("button.sample").nth(1).click()
    expect(page.locator("article.answer")).to_contain_text("Part one")
    reply.release()
    visit.answer()
    expect(page.locator("[aria-live=polite]")).to_contain_text("The answer is complete.")
    heard = page.evaluate("heard")
    assert heard[-1] == "The answer is complete. Part one. Part two ."
    assert len(heard) <= 3  # searching, perhaps the place in the queue, and the answer


@pytest.mark.parametrize("language", ["ko", "en"])
def test_on_a_phone_the_welcome_begins_at_its_top(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    visit = open_page(model[0], language, "phone")
    visit.page.set_viewport_size({"width": 360, "height": 560})
    visit.go("/")
    visit.page.locator("button.sample").first.wait_for()
    expect(visit.page.locator(".welcome h2")).to_be_in_viewport(ratio=1)
    top = visit.page.locator(".chat-scroll").evaluate("box => box.scrollTop")
    assert top == 0
    visit.picture("welcome")


def test_on_a_phone_a_wide_table_scrolls_and_its_words_stay_whole(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    url, stub = model
    stub.say(WIDE)
    visit = open_page(url, "en", "phone")
    page = visit.page
    page.set_viewport_size({"width": 360, "height": 740})
    visit.go("/")
    table = visit.ask("What should a backup of my documents hold?").locator(".scroll")
    expect(table.locator("td")).to_have_count(7)
    assert table.evaluate("box => box.scrollWidth > box.clientWidth")
    cut = """cells => cells.filter(cell => {
      const words = document.createRange();
      words.selectNodeContents(cell);
      return new Set([...words.getClientRects()].map(line => line.top)).size > 1;
    }).map(cell => cell.textContent)"""
    assert table.locator("th, td").evaluate_all(cut) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(".chat-scroll").evaluate("box => box.scrollWidth <= box.clientWidth")
    visit.picture("wide-table")


def test_the_history_is_read_from_its_top_and_keeps_the_keyboard(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    def answer(route: Route) -> None:
        if route.request.method == "DELETE":
            return route.fulfill(status=204)
        time = "2026-01-02T03:04:05Z"
        items = [
            {"id": f"{n:032x}", "title": f"Copy {n}", "created_at": time, "updated_at": time}
            for n in range(40)
        ]
        return route.fulfill(json={"items": items, "next_cursor": None})

    visit = open_page(model[0], "en", "desktop")
    page = visit.page
    page.route(re.compile("/api/v1/conversations"), answer)
    visit.go("/")
    field = page.locator(".history input")
    field.fill("c")
    rows = page.locator(".history-row")
    expect(rows).to_have_count(40)
    box = page.locator(".history-list")
    box.evaluate("box => box.scrollTo(0, 500)")
    with page.expect_response(re.compile("/conversations.*co")):
        field.fill("co")
    expect(rows.first).to_be_in_viewport()
    for number, after in ((3, rows.nth(3).locator("> a")), (39, field)):
        page.get_by_role("button", name=f"Actions for “Copy {number}”", exact=True).click()
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        expect(after).to_be_focused()


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_menu_goes_from_end_to_end_and_lets_the_keyboard_go_on(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    visit = open_page(model[0], language, "desktop")
    page = visit.page
    visit.go("/")
    page.locator("button.sample").last.click()
    visit.answer()
    menu, items = page.locator("header .page-actions button").first, page.get_by_role("menuitem")
    for key, focused in (("End", -1), ("Home", 0), ("ArrowUp", -1), ("ArrowDown", 0)):
        if not items.count():
            menu.press("Enter")
            expect(items.first).to_be_focused()
        page.keyboard.press(key)
        expect(items.nth(focused)).to_be_focused()
    after = "(before) => before.compareDocumentPosition(document.activeElement)"
    for key, side in (("Tab", 4), ("Shift+Tab", 2)):  # Node.DOCUMENT_POSITION_FOLLOWING, PRECEDING
        if not items.count():
            menu.press("Enter")
            expect(items.first).to_be_focused()
        page.keyboard.press(key)
        expect(items).to_have_count(0)
        expect(menu).not_to_be_focused()
        assert menu.evaluate(after) == side
        assert not page.evaluate("document.activeElement.closest('[role=menu]')")
