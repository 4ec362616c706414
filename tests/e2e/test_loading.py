"""How the page comes: nothing jumps, nothing is fetched in vain, and without a network it opens."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import servers
from tests.e2e.conftest import Open, serving

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


def test_without_a_script_the_heading_and_the_field_are_there(open_page: Open, url: str) -> None:
    visit = open_page(url, "ko", "desktop")
    page = visit.page
    page.route("**/assets/*.js", lambda route: route.abort())
    visit.go("/")
    expect(page.get_by_role("heading", name="무엇이 궁금하신가요?")).to_be_visible()
    expect(page.locator(".composer textarea")).to_be_visible()
    visit.picture("shell")
    visit.allow("Failed to load resource")


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
