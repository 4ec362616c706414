"""The page in a real browser, on a real server with the sample documents.

Each picture of a test goes to test-results/, to be looked at.
"""

import json
import re
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, Locator, Page, expect, sync_playwright

from likeopt.config import Config
from likeopt.services import Services
from tests import guest, servers
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Server
from tests.web.conftest import serving as serving_config

PICTURES = servers.ROOT / "test-results"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
LOCALES = {"ko": "ko-KR", "en": "en-US"}
# Indexing shares the cores with the browser.
PATIENCE_MS = 30_000


class Visit:
    """A page in one language and size, and what a person does on it."""

    def __init__(self, page: Page, url: str, name: str, language: str) -> None:
        self.page = page
        self.url = url
        self.language = language
        self.korean = language == "ko"
        self._name = name
        self._pictures = 0
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._on_console)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def say(self, korean: str, english: str) -> str:
        """The text in the language of the page."""
        return korean if self.korean else english

    def go(self, path: str) -> None:
        """Open a page of the app."""
        self.page.goto(self.url + path)

    def button(self, name: str) -> Locator:
        """The button that is called so and can be seen."""
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true")

    def ask(self, question: str) -> Locator:
        """Ask in the field and return the complete answer."""
        before = self.page.locator("article.answer").count()
        self.page.locator(".composer textarea").fill(question)
        self.button(self.say("보내기", "Send")).click()
        return self.answer(before)

    def answer(self, number: int = 0) -> Locator:
        """The answer of this number, when it is complete."""
        answer = self.page.locator("article.answer").nth(number)
        expect(answer).to_have_attribute("aria-busy", "false")
        return answer

    def picture(self, state: str) -> None:
        """Keep how the page looks now; nothing may stick out at the side."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        self._pictures += 1
        self.page.screenshot(
            path=PICTURES / f"{self._name}-{self._pictures}-{state}.png", animations="disabled"
        )
        assert wide <= 0, f"{state}: the page is {wide} px too wide"

    def wait_for_worker(self) -> None:
        """Wait until requests of the page go through its service worker."""
        self.page.evaluate(
            "navigator.serviceWorker.controller !== null || new Promise((done) =>"
            " navigator.serviceWorker.addEventListener('controllerchange', () => done(true)))"
        )

    def allow(self, pattern: str) -> None:
        """Forget complaints of the console that a test has caused on purpose."""
        self.complaints = [text for text in self.complaints if not re.search(pattern, text)]


Open = Callable[..., Visit]


@pytest.fixture(scope="session")
def chromium() -> Iterator[BrowserType]:
    """What starts browsers; there can be only one of its kind at a time."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="session")
def browser(chromium: BrowserType) -> Iterator[Browser]:
    """The system's Chromium: Playwright brings none."""
    try:
        program = servers.chromium()
    except servers.MissingServer as missing:
        pytest.skip(str(missing))
    # What a context ignores does not reach the script of a service worker.
    browser = chromium.launch(executable_path=program, args=["--ignore-certificate-errors"])
    yield browser
    browser.close()


@contextmanager
def serving(**settings: str) -> Iterator[str]:
    """A server with the sample documents, which can be found by words."""
    with (
        tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home,
        servers.like_opt(
            Path(home), {"LIKEOPT_SAMPLE_LIBRARY": "true"} | guest.SETTINGS | settings
        ) as url,
    ):
        servers.wait_until(lambda: is_read(url), "the sample documents")
        yield url


@contextmanager
def with_model(**settings: str) -> Iterator[tuple[str, StubOpenAI]]:
    """A server with a language model that says what it is told to."""
    with StubOpenAI() as stub:
        settings |= {"LIKEOPT_LLM": "openai", "LIKEOPT_LLM_MODEL": "stub"}
        with serving(LIKEOPT_LLM_URL=stub.url, **settings) as url:
            yield url, stub


@contextmanager
def with_accounts() -> Iterator[tuple[Server, Services]]:
    """A server where one has to sign in, and what lets people in there."""
    with tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home:
        config = Config(data_dir=Path(home), port=0, workers=1, guest=False, sample_library=False)
        with serving_config(config) as server, closing(Services(config)) as services:
            servers.wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
            yield server, services


def is_read(url: str) -> bool:
    """Whether every document added so far can be found by words."""
    request = urllib.request.Request(f"{url}/api/v1/indexing", headers=guest.HEADERS)
    with urllib.request.urlopen(request) as response:
        now = json.load(response)
    reading = now["queued"] or any(job["kind"] == "index" for job in now["running"])
    return not reading and now["lexical_revision"] == now["library_revision"]


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open the app at `url`, dark in English and light in Korean; at the end, the console must not
    have complained."""
    expect.set_options(timeout=PATIENCE_MS)
    PICTURES.mkdir(exist_ok=True)
    visits: list[Visit] = []
    name = re.sub(r"\W+", "-", request.node.name).strip("-").removeprefix("test_")

    def open_(url: str, language: str, size: str) -> Visit:
        width, height = SIZES[size]
        context = browser.new_context(
            locale=LOCALES[language],
            viewport={"width": width, "height": height},
            has_touch=size == "phone",
            is_mobile=size == "phone",
            color_scheme="dark" if language == "en" else "light",
            ignore_https_errors=url.startswith("https:"),
        )
        context.set_default_timeout(PATIENCE_MS)
        # Where people sign in, it is the link of no server.
        context.request.post(f"{url}{guest.LINK}", data={"token": guest.TOKEN})
        visits.append(Visit(context.new_page(), url, name, language))
        return visits[-1]

    yield open_
    for visit in visits:
        if visit.page.context.pages:
            visit.page.screenshot(path=PICTURES / f"{name}-end.png")
        visit.page.context.close()
        assert visit.complaints == []
