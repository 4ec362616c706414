"""The page in a hand: Back, the keyboard on the screen, and fingers."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.conftest import Open, Visit, with_model
from tests.stub_openai import StubOpenAI

languages = pytest.mark.parametrize("language", ["ko", "en"])


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, StubOpenAI]]:
    """A server with a language model that says what it is told to."""
    with with_model() as served:
        yield served


NUMBERS = itertools.count(1)


def in_hand(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, said: str
) -> tuple[Visit, Locator]:
    """An answer that has been asked for on a phone."""
    url, stub = model
    stub.say(said)
    visit = open_page(url, language, "phone")
    visit.go("/library")
    visit.page.get_by_role("button", name=visit.say("메뉴", "Menu"), exact=True).tap()
    visit.page.locator(".nav-link").first.tap()
    # Of each test another question: one that has been asked is not answered anew. All of them are
    # about what the documents hold: without that, the model is not asked.
    about = visit.say("데이터 폴더는 어떻게 백업하나요?", "How is the data folder backed up?")
    return visit, visit.ask(f"{about} ({next(NUMBERS)})")


def lengths(page: Page) -> int:
    """How many entries the history has."""
    return int(page.evaluate("history.length"))


def has_open(page: Page, number: int) -> None:
    """Wait until Back would close so many things, one after the other."""
    page.wait_for_function("number => (history.state?.layers ?? 0) === number", arg=number)


@languages
def test_back_closes_what_is_on_top_and_stays_on_the_page(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    visit, answer = in_hand(open_page, model, language, "Back closes [1].")
    page = visit.page
    here = page.url
    assert "/c/" in here
    panel, drawer = page.locator(".source-panel"), page.locator(".sidebar.open")
    chip = answer.locator("button.chip")
    for close in (page.go_back, lambda: panel.locator("header button").tap()):
        chip.tap()
        expect(panel).to_be_visible()
        has_open(page, 1)
        close()
        expect(panel).to_have_count(0)
        expect(chip).to_be_focused()
        has_open(page, 0)
        assert page.url == here
    menu = visit.button(visit.say("메뉴", "Menu"))
    for close in (page.go_back, lambda: page.keyboard.press("Escape")):
        menu.tap()
        expect(drawer).to_be_visible()
        has_open(page, 1)
        close()
        expect(drawer).to_have_count(0)
        has_open(page, 0)
        assert page.url == here
    page.locator("header").get_by_role("button", name=visit.say("관련 작업", "Actions for")).tap()
    page.get_by_role("menuitem", name=visit.say("이름 바꾸기", "Rename")).tap()
    expect(page.get_by_role("dialog")).to_be_visible()
    has_open(page, 1)
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    has_open(page, 0)
    assert page.url == here
    # Nothing of that is left: one step leads to where one was before.
    page.go_back()
    expect(page).to_have_url(f"{visit.url}/library")


def test_back_closes_one_thing_after_the_other(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    visit, answer = in_hand(open_page, model, "ko", "One after the other [1].")
    page = visit.page
    here = page.url
    answer.locator("button.chip").tap()
    has_open(page, 1)
    page.evaluate("window.same = true")
    page.keyboard.press("Control+k")
    expect(page.locator(".sidebar.open")).to_be_visible()
    has_open(page, 2)
    page.go_back()
    expect(page.locator(".sidebar.open")).to_have_count(0)
    expect(page.locator(".source-panel")).to_be_visible()
    has_open(page, 1)
    page.go_back()
    expect(page.locator(".source-panel")).to_have_count(0)
    assert page.url == here
    assert page.evaluate("window.same")
    # Forward has nothing to open again.
    page.go_forward()
    has_open(page, 0)
    assert page.url == here


def test_back_leaves_a_page_that_was_loaded_anew_under_a_source(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    visit, answer = in_hand(open_page, model, "en", "Loaded anew [1].")
    page = visit.page
    answer.locator("button.chip").tap()
    has_open(page, 1)
    page.reload()
    expect(visit.answer()).to_contain_text("Loaded anew")
    expect(page.locator(".source-panel")).to_have_count(0)
    has_open(page, 0)
    page.go_back()
    expect(page).to_have_url(f"{visit.url}/library")


def test_from_the_drawer_and_a_source_leads_one_step(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    visit, answer = in_hand(open_page, model, "en", "One step [1].")
    page = visit.page
    here = page.url
    answer.locator("button.chip").tap()
    has_open(page, 1)
    page.locator(".source-links a").last.tap()
    page.wait_for_url("**/library/*")
    page.go_back()
    expect(page).to_have_url(here)
    expect(answer).to_be_visible()
    expect(page.locator(".source-panel")).to_have_count(0)
    visit.button("Menu").tap()
    page.locator(".nav-link").first.tap()
    expect(page.locator(".welcome")).to_be_visible()
    expect(page.locator(".sidebar.open")).to_have_count(0)
    # To where one is already: closed, and no step more.
    before = lengths(page)
    visit.button("Menu").tap()
    page.locator(".nav-link").first.tap()
    expect(page.locator(".sidebar.open")).to_have_count(0)
    has_open(page, 0)
    assert page.url == f"{visit.url}/"
    page.go_back()
    expect(page).to_have_url(here)
    assert lengths(page) <= before + 1


def test_a_conversation_keeps_its_address_that_comes_behind_the_drawer(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    url, stub = model
    stub.say("Behind the drawer [1].")
    visit = open_page(url, "en", "phone")
    page = visit.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/chat", hold)
    visit.go("/")
    page.locator(".composer textarea").fill("What comes behind the drawer?")
    with page.expect_request("**/api/v1/chat"):
        visit.button("Send").tap()
    visit.button("Menu").tap()
    expect(page.locator(".sidebar.open")).to_be_visible()
    held.pop().continue_()
    visit.answer()
    has_open(page, 0)
    expect(page.locator(".sidebar.open")).to_have_count(0)
    assert "/c/" in page.url
    expect(page.locator("article.answer")).to_contain_text("Behind the drawer")


def test_a_window_in_the_library_leads_to_no_conversation(
    open_page: Open, model: tuple[str, StubOpenAI]
) -> None:
    visit, answer = in_hand(open_page, model, "en", "Nowhere else [1].")
    page = visit.page
    page.set_viewport_size({"width": 1024, "height": 800})
    answer.locator("button.chip").click()
    has_open(page, 1)
    # To where one is already, and then on.
    page.locator(f".history a[href='{page.url.removeprefix(visit.url)}']").click()
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page).to_have_url(f"{visit.url}/library")
    expect(page.locator(".library")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    has_open(page, 1)
    page.keyboard.press("Escape")
    has_open(page, 0)
    expect(page).to_have_url(f"{visit.url}/library")
    expect(page.locator(".library")).to_be_visible()


@languages
def test_enter_begins_a_new_line_and_the_button_sends(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    visit, _ = in_hand(open_page, model, language, "Lines [1].")
    page = visit.page
    field = page.locator(".composer textarea")
    expect(field).to_have_attribute("enterkeyhint", "enter")
    # It tells only of keys that a phone has not.
    expect(page.locator(".composer-hint:not([role])")).to_be_hidden()
    field.tap()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.keyboard.type("2")
    expect(field).to_have_value("1\n2")
    expect(page.locator("article.answer")).to_have_count(1)
    visit.button(visit.say("보내기", "Send")).tap()
    expect(page.locator(".question p").nth(1)).to_have_text("1\n2")
    visit.answer(1)
    # So in a question that is edited.
    visit.button(visit.say("질문 고치기", "Edit question")).last.tap()
    edit = page.locator("form.edit textarea")
    edit.press("Enter")
    expect(edit).to_have_value("1\n2\n")


CITED = {
    "ko": "여비는 **열흘 안에 청구하면** 환급됩니다[1]. 숙박비 한도는 서울에서 **십삼만 원**[1][1]"
    "이고 나머지는 실비입니다 [1], [1]. 영수증을 내야 합니다[1, 1]."
    " 제주는 `128,500원` [1]로 다릅니다.",
    "en": "Money that was spent is **paid back**[1] within ten days[1]. The limit is 137 [1][1],"
    " and for **all other places** [1] it is lower [1], [1]. Receipts (of hotels [1])"
    " are to be kept.",
}
# At how many widths of a text a number, or a sign after one, begins a line.
ASTRAY = """text => {
  const found = [];
  const start = node => {
    const one = document.createRange();
    one.setStart(node, 0);
    one.setEnd(node, 1);
    return one.getBoundingClientRect();
  };
  for (let width = 150; width < 358; width++) {
    text.style.width = `${width}px`;
    const { left, right } = text.getBoundingClientRect();
    for (const chip of text.querySelectorAll(".chip")) {
      const at = chip.getBoundingClientRect();
      if (at.left < left + 8) found.push(`a number, ${width}`);
      if (at.right > right + 1) found.push(`too wide, ${width}`);
      const after = chip.nextSibling;
      if (after?.nodeType === 3 && start(after).left < left + 1) {
        found.push(`${after.data}, ${width}`);
      }
    }
  }
  return found;
}"""


@languages
def test_a_number_stays_on_the_line_of_what_it_proves(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    _, answer = in_hand(open_page, model, language, CITED[language])
    text = answer.locator(".markdown p")
    assert answer.locator("button.chip").count() >= 7
    assert text.evaluate(ASTRAY) == []
    # Nothing that is not seen is copied with it.
    copied = text.evaluate(
        "text => { getSelection().selectAllChildren(text); return `${getSelection()}`; }"
    )
    assert copied.isprintable()


@languages
def test_a_finger_has_room_on_a_number(
    open_page: Open, model: tuple[str, StubOpenAI], language: str
) -> None:
    _, answer = in_hand(open_page, model, language, "One [1][1], and [1].")
    reached = answer.locator("button.chip").evaluate_all(
        """chips => chips.flatMap((chip, number) => {
          const { left, top, width, height } = chip.getBoundingClientRect();
          // Half a pixel less: numbers need not begin at a whole one.
          return [[-11.5, 0], [11, 0], [0, -13], [0, 13]].map(([x, y]) =>
            chips.indexOf(document.elementFromPoint(
              left + width / 2 + x, top + height / 2 + y)) === number);
        })"""
    )
    assert reached == [True] * 12
    area = """chip => ["width", "height"].map(
      side => parseFloat(getComputedStyle(chip, "::after")[side]))"""
    assert min(answer.locator("button.chip").first.evaluate(area)) >= 24
