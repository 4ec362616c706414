"""How the page comes: nothing jumps, nothing is fetched in vain, and without a network it opens."""

import json
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests import guest, servers
from tests.e2e.conftest import Open, serving, with_model
from tests.servers import wait_until

# Collected from the first moment on; the browser itself says what moved and what was largest.
WATCH = """
window.shifts = []; window.largest = [];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries())
    if (!hadRecentInput) window.shifts.push([value, ...sources.map(({ node }) =>
      node?.outerHTML?.slice(0, 80) ?? node?.textContent)]);
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const { element } of list.getEntries()) window.largest.push(element?.textContent ?? "");
}).observe({ type: "largest-contentful-paint", buffered: true });
"""
# Chromium complains of an unused preload some seconds after the load.
QUIET_MS = 5000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """Where one has to sign in."""
    with (
        tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home,
        servers.like_opt(Path(home), {"LIKEOPT_SAMPLE_LIBRARY": "false"}) as url,
    ):
        yield url


# Where each word of the page's text stands that can be seen, as text -> left, top, bottom.
WORDS = """() => {
  const found = {};
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    for (const { 0: word, index } of data.matchAll(/\\p{L}+/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, index);
      range.setEnd(texts.currentNode, index + word.length);
      const { left, top, bottom, width } = range.getBoundingClientRect();
      if (bottom < 56 || top > innerHeight || width < 2) continue;
      if (!parentElement.checkVisibility()) continue;
      (found[word] ??= []).push([left, top, bottom]);
    }
  }
  return found;
}"""
LARGEST = """new Promise((done) => new PerformanceObserver((list) =>
  done(list.getEntries().at(-1).size)).observe({ type: "largest-contentful-paint", buffered: true })
)"""
# All that an answer is made of but formulas, which the server does not draw.
MARKDOWN = """Everything is kept in the data folder [1]. The **originals** are *files* [2].

### How a copy is made

1. Stop the server, so that nothing is half written [1].
2. Copy the whole folder, the database among it: `cp -a`
   - with the index
   - without it

```sh title="copy"
likeopt serve &
cp -a data backup-2026-01-31 # before the update
```

| what | where | lost |
|---|:-:|--:|
| database | `likeopt.db` | all |
| originals [2] | files | 0 |

> A copy of the database alone is not enough, and neither is one of the index: they know the words
> and the meaning of each passage, but not the file that it was taken from.
It names ~~files~~ originals that would be missing; see [this](https://example.org/a_b).

그래서 폴더 전체를 복사해야 합니다 [1, 2]. <b>HTML</b> & {{title}} stay text [9]."""


def settle(page: Page) -> None:
    """Until the load is so long ago that the browser has said what it has to say."""
    page.wait_for_function(
        "(ms) => { const { loadEventEnd } = performance.getEntriesByType('navigation')[0];"
        " return loadEventEnd > 0 && performance.now() > loadEventEnd + ms; }",
        arg=QUIET_MS,
        polling=500,
    )


def served(page: Page, url: str, language: str) -> str:
    """The page as the server sends it, without a script."""
    response = page.request.get(url, headers={"Accept-Language": language})
    return response.text()


@pytest.mark.parametrize(
    ("path", "language", "size"),
    [
        ("/", "ko", "desktop"),
        ("/", "en", "phone"),
        ("/library", "ko", "phone"),
        ("/library", "en", "desktop"),
    ],
)
def test_page_is_there_at_once_and_nothing_moves(
    open_page: Open, url: str, path: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    page.add_init_script(WATCH)
    visit.go(path)
    expect(page.locator("#app .page-actions")).to_be_attached()
    expect(page.locator("textarea:enabled, .library").first).to_be_visible()
    settle(page)
    shifts = page.evaluate("window.shifts")
    # A row's marks change while its file is indexed: 0.00003, where 0.1 is still good.
    assert sum(value for value, *_ in shifts) < 0.001, shifts
    if path == "/":
        (largest,) = set(page.evaluate("window.largest")[-1:])
        assert largest in served(page, url, language)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_row_keeps_its_place_while_its_file_is_read(
    open_page: Open, url: str, language: str
) -> None:
    """Not a moment of it, which a test may miss, but each of the states that follow each other."""
    visit = open_page(url, language, "desktop")
    page = visit.page
    state: dict[str, object] = {}

    def reading(route: Route) -> None:
        body = route.fetch().json()
        body["items"] = [item | state for item in body["items"]]
        route.fulfill(json=body)

    page.route("**/api/v1/documents?*", reading)
    job = {"kind": "index", "running": True, "attempts": 1, "reason": None}
    reading_it = job | {"step": "parse", "done": 0, "total": 0}
    states: list[tuple[str, dict[str, object]]] = [
        ("waiting", {"state": "queued", "job": None}),
        ("reading", {"state": "indexing", "job": reading_it}),
        ("reading", {"state": "indexing", "job": reading_it | {"step": "write", "total": 1264}}),
        ("reading", {"state": "indexing", "job": None}),
        ("ready", {"state": "ready", "chunks": 1264, "embedded": 1164}),
        ("ready", {"state": "ready", "chunks": 1264, "embedded": 1264}),
    ]
    places = (
        "all => all.map((one) => one.getBoundingClientRect()).map(({ y, height }) => [y, height])"
    )
    found = []
    for shown, now in states:
        state.update(now)
        visit.go("/library")
        expect(page.locator(f".document > .status.{shown}").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        rows = page.locator(".document").evaluate_all(places)
        texts = page.locator(".document > .status > p").evaluate_all(places)
        found.append((rows, [y for y, _ in texts]))
    assert found[1:] == found[:-1]


def test_without_a_script_the_heading_and_the_field_are_there(open_page: Open, url: str) -> None:
    visit = open_page(url, "ko", "desktop")
    page = visit.page
    page.route("**/assets/*.js", lambda route: route.abort())
    visit.go("/")
    expect(page.get_by_role("heading", name="무엇이 궁금하신가요?")).to_be_visible()
    expect(page.locator(".composer textarea")).to_be_visible()
    visit.picture("shell")
    visit.allow("Failed to load resource")


# The page's ground, and the colour of the bar that the browser has around it.
GROUND = """[getComputedStyle(document.body).backgroundColor,
  [...document.querySelectorAll("meta[name=theme-color]")].find(({ media }) =>
    matchMedia(media).matches).content]"""
LIGHT = ["rgb(255, 255, 255)", "#ffffff"]
DARK = ["rgb(22, 24, 23)", "#161817"]


def test_chosen_theme_is_there_before_any_script(open_page: Open, url: str) -> None:
    visit = open_page(url, "en", "desktop")  # on a system that is dark
    page = visit.page
    # Chosen in a release that told the server nothing.
    page.add_init_script("localStorage['likeopt.theme'] ??= 'light'")
    visit.go("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(GROUND) == LIGHT
    scripts = page.context.new_cdp_session(page)
    scripts.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.reload()
    # What only scripts draw.
    expect(page.get_by_role("button", name="Appearance")).to_have_count(0)
    assert page.evaluate(GROUND) == LIGHT
    visit.picture("light")
    scripts.send("Emulation.setScriptExecutionDisabled", {"value": False})
    page.reload()
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Appearance: Light").click()
    assert page.evaluate(GROUND) == DARK
    page.get_by_role("button", name="Appearance: Dark").click()
    # As the system is again.
    assert page.evaluate(GROUND) == LIGHT
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == DARK
    assert not [one for one in page.context.cookies() if one["name"] == "theme"]
    visit.allow("preload")


def test_app_is_installed_in_the_language_that_was_chosen(open_page: Open, url: str) -> None:
    visit = open_page(url, "ko", "desktop")
    page = visit.page
    visit.go("/")
    page.get_by_role("button", name="English").click()
    page.reload()
    # As the browser itself fetches it, with the cookies that it sends then.
    found = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert (json.loads(found["data"])["lang"], found["errors"]) == ("en", [])


def test_who_has_to_sign_in_fetches_nothing_of_the_chat(open_page: Open, closed: str) -> None:
    visit = open_page(closed, "en", "desktop")
    page = visit.page
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.add_init_script(WATCH)
    visit.go("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_visible()
    page.wait_for_url("**/sign-in")
    settle(page)
    assert not [address for address in fetched if "/chat." in address]
    assert page.evaluate("window.shifts") == []


def test_without_a_network_the_page_opens_and_comes_back(open_page: Open, url: str) -> None:
    visit = open_page(url, "ko", "phone")
    page = visit.page
    visit.go("/")
    visit.wait_for_worker()
    page.context.set_offline(True)
    visit.go("/library")
    expect(page.get_by_role("heading", name="오프라인 상태입니다")).to_be_visible()
    visit.picture("offline")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="라이브러리")).to_be_visible()
    visit.picture("back")
    kept = page.evaluate(
        "caches.keys().then(async (names) => (await Promise.all(names.map(async (name) =>"
        " (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)"
        "))).flat())"
    )
    assert "/offline" in kept
    assert [path for path in kept if path != "/offline" and not path.startswith("/assets/")] == []
    visit.allow("ERR_INTERNET_DISCONNECTED|Failed to load resource|Failed to fetch")


def test_speed_of_a_visit_is_reported_when_it_ends(open_page: Open, url: str) -> None:
    visit = open_page(url, "en", "desktop")
    page = visit.page
    # The browser does not show what a beacon carries.
    page.add_init_script(
        "window.sent = []; const send = navigator.sendBeacon.bind(navigator);"
        "navigator.sendBeacon = (address, blob) =>"
        " { blob.text().then((text) => window.sent.push(text)); return send(address, blob); }"
    )
    with page.expect_response("**/vitals.*.js"):
        visit.go("/")
    expect(page.locator("textarea:enabled")).to_be_visible()
    page.get_by_role("link", name="Library").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    # A change of page is over, and told of, with the frame after it.
    for _ in range(2):
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    with page.context.expect_event("response", lambda r: r.url.endswith("/api/v1/metrics")) as sent:
        # Put aside, as when one goes to another tab.
        page.evaluate(
            "Object.defineProperty(document, 'visibilityState', { value: 'hidden' });"
            "Object.defineProperty(document, 'hidden', { value: true });"
            "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))"
        )
    assert sent.value.status == 204
    page.wait_for_function("window.sent.length > 0")
    reports = [json.loads(text) for text in page.evaluate("window.sent")]
    names = {sample["name"] for report in reports for sample in report["samples"]}
    assert names >= {"LCP", "FCP", "TTFB", "CLS", "NAV"}


@pytest.fixture(scope="module")
def conversation() -> Iterator[tuple[str, str]]:
    """A server with a model, and the address of a conversation of three questions there."""
    with with_model() as (url, stub):
        here: dict[str, str] = {}
        for answer in ("It has a folder [1].", "Short [1].", MARKDOWN):
            stub.say(answer)
            question = f"What is kept in the data folder?\n{len(here)} {len(answer)}"
            made = ask(url, {"question": question, "stream": False, **here})
            here = {"conversation_id": made["conversation_id"]}
        yield url, f"/c/{here['conversation_id']}"


def ask(url: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"} | guest.HEADERS
    request = urllib.request.Request(f"{url}/api/v1/chat", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.mark.parametrize(
    ("language", "size"), [("ko", "phone"), ("en", "phone"), ("en", "desktop")]
)
def test_conversation_is_there_before_its_scripts_and_each_word_stays(
    open_page: Open, conversation: tuple[str, str], language: str, size: str
) -> None:
    url, path = conversation
    bare = open_page(url, language, size)
    bare.page.route("**/assets/*.js", lambda route: route.abort())
    bare.go(path)
    expect(bare.page.get_by_text("그래서 폴더 전체를")).to_be_visible()
    bare.picture("served")
    before = bare.page.evaluate(WORDS)
    largest = bare.page.evaluate(LARGEST)
    bare.page.context.close()
    bare.allow("Failed to load resource|preload")
    visit = open_page(url, language, size)
    page = visit.page
    page.add_init_script(WATCH)
    visit.go(path)
    expect(page.locator("textarea:enabled")).to_be_visible()
    settle(page)
    visit.picture("shown")
    after = page.evaluate(WORDS)
    # A list ends at a whole pixel for a script that scrolls there, and at a part of one by itself.
    moved = {
        word: (at, after.get(word))
        for word, at in before.items()
        if is_far(at, after.get(word, []))
    }
    assert moved == {}
    assert {"missing", "HTML", "title"} <= set(before)
    assert page.evaluate("window.shifts") == []
    # What is largest was painted before any script; it may be cut off a row of pixels higher.
    assert abs(page.evaluate(LARGEST) - largest) <= page.evaluate("innerWidth")


def is_far(before: list[list[float]], after: list[list[float]]) -> bool:
    """Whether a word is no longer where it was, by more than a pixel."""
    return len(before) != len(after) or any(
        abs(one - other) > 1
        for place, now in zip(before, after, strict=True)
        for one, other in zip(place, now, strict=True)
    )


def test_press_on_what_the_server_has_drawn_is_not_lost(
    open_page: Open, conversation: tuple[str, str]
) -> None:
    url, path = conversation
    visit = open_page(url, "en", "desktop")
    page = visit.page
    held: list[Callable[[], None]] = []
    page.route("**/api/v1/session", lambda route: held.append(route.continue_))
    visit.go(path)
    page.locator("article.answer").first.locator(".markdown .chip").click()
    assert page.locator("textarea:disabled").is_visible()
    assert page.locator(".source-panel").count() == 0
    (go_on,) = held
    go_on()
    expect(page.locator(".source-panel mark").first).to_be_in_viewport()
    # Narrower now and so longer, the conversation stays at its end.
    left = "({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight"
    scroller = page.locator(".chat-scroll")
    wait_until(lambda: scroller.evaluate(left) <= 1, "the end of the conversation", seconds=30)
    # What was fetched ahead had to wait.
    visit.allow("preload")
