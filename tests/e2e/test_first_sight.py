"""What is largest on a page is in the served HTML, where the app then has it too."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from likeopt.storage import access
from likeopt.web import cookies
from tests.e2e.conftest import Open, Visit, with_accounts
from tests.e2e.test_admin import PAGES, is_idle, signed
from tests.e2e.test_loading import LARGEST, WATCH, WORDS, served, settle
from tests.servers import wait_until
from tests.web.conftest import Server, let_in


class Place(NamedTuple):
    """A server, and the cookies of an administrator and of a member, who may add nowhere; name
    of a document -> its page."""

    server: Server
    admin: str
    member: str
    documents: dict[str, str]


# Of more than one part, with all that can stand above a text.
LINES = [
    f"{n}. 데이터 폴더를 통째로 복사합니다. Copy the whole folder, with the database in it."
    for n in range(300)
]
DOCUMENTS = {
    "guide.txt": "\n".join(LINES).encode(),
    "folder.html": f"<h1>Folder</h1><p>{'</p><p>'.join(LINES)}</p>".encode(),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with with_accounts() as (server, services):
        admin = let_in(services, "a-rather-long-name-of-somebody@example.org", role="admin")
        member = let_in(services, "minji@example.org")
        reader = services.db.read(lambda c: access.reader_for(c, admin.user.id))
        services.ingest.file(reader, "default", "backup.md", b"# Backup\n\nCopy all of it.")
        pages = {}
        for name, text in DOCUMENTS.items():
            tags = ["law", "a tag that is rather long"]
            made = services.ingest.file(reader, "default", name, text, tags=tags).document
            pages[name] = f"/library/{made.id}"
        wait_until(lambda: is_idle(services), "the documents")
        yield Place(server, signed(services, admin), signed(services, member), pages)


def visit_as(open_page: Open, place: Place, cookie: str, language: str, size: str) -> Visit:
    visit = open_page(place.server.url, language, size)
    visit.page.context.add_cookies(
        [{"name": cookies.NAME, "value": cookie, "url": place.server.url}]
    )
    visit.page.add_init_script(WATCH)
    return visit


@pytest.mark.parametrize(
    ("language", "size"), [("ko", "phone"), ("en", "phone"), ("en", "desktop")]
)
@pytest.mark.parametrize(
    "path", ["/library", *DOCUMENTS, "/account", *(f"/admin/{page}" for page in PAGES)]
)
def test_largest_text_is_served_and_stays_where_it_is(
    open_page: Open, place: Place, path: str, language: str, size: str
) -> None:
    path = place.documents.get(path, path)
    bare = visit_as(open_page, place, place.admin, language, size)
    bare.page.route("**/assets/*.js", lambda route: route.abort())
    bare.go(path)
    expect(bare.page.locator("main h1")).to_be_visible()
    before = bare.page.evaluate(WORDS)
    largest = bare.page.evaluate(LARGEST)
    bare.page.context.close()
    bare.allow("Failed to load resource|preload")
    visit = visit_as(open_page, place, place.admin, language, size)
    page = visit.page
    visit.go(path)
    expect(page.locator("#app .page-actions")).to_be_attached()
    settle(page)
    after = page.evaluate(WORDS)
    moved = {
        (word, *place)
        for word, places in before.items()
        for place in places
        if not any(is_near(place, now) for now in after.get(word, []))
    }
    assert len(before) > 10
    assert moved == set()
    # A number of what goes on may change: 0.0001, where 0.1 is still good.
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, *_ in shifts) < 0.001, shifts
    texts = page.evaluate("window.largest")
    # A long text is cut off below what can be seen.
    assert texts[-1][:1000] in served(page, f"{place.server.url}{path}", language)
    assert page.evaluate(LARGEST) == largest


def is_near(before: list[float], after: list[float]) -> bool:
    return all(abs(one - other) <= 1 for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_who_may_add_nowhere_is_not_told_to(open_page: Open, place: Place, size: str) -> None:
    visit = visit_as(open_page, place, place.member, "en", size)
    assert "Drop files" not in served(visit.page, f"{place.server.url}/library", "en")
    visit.go("/library")
    expect(visit.page.locator(".add-bar")).to_have_count(0)
    settle(visit.page)
    assert visit.page.evaluate("window.shifts") == []
