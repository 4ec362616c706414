"""Pages and pictures of documents: where they stand, how large, and that nothing jumps."""

import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from tests import guest
from tests.e2e.conftest import PATIENCE_MS, Open, Visit, is_read, serving
from tests.e2e.test_accessibility import is_sound
from tests.e2e.test_loading import WATCH
from tests.retrieval.parse import make_files as make
from tests.servers import wait_until

FILLER = {
    "en": "The rules of this chapter hold for every trip that is paid by the office. ",
    "ko": "이 장의 규정은 회사가 비용을 내는 모든 출장에 적용한다. 예외는 미리 승인받아야 한다. ",
}
TITLE = {"en": "Travel policy", "ko": "출장 여비 규정"}
CITED = {
    "en": "Receipts are handed in within fourteen days after the return to the bureau of costs.",
    "ko": "영수증은 복귀한 날부터 열나흘 안에 경비 담당 부서에 제출하여야 한다.",
}
QUESTION = {
    "en": "Within how many days are receipts handed in?",
    "ko": "영수증은 언제까지 제출하나요?",
}
everywhere = pytest.mark.parametrize(
    ("language", "size"),
    [("ko", "desktop"), ("en", "phone"), ("en", "desktop"), ("ko", "phone")],
)
each_once = pytest.mark.parametrize(("language", "size"), [("ko", "desktop"), ("en", "phone")])


def policy(language: str) -> bytes:
    """Three pages; what is asked for stands low on the second."""
    filler = FILLER[language]
    paragraphs = [f"{number}. {filler * 3}" for number in range(1, 9)]
    second = [*paragraphs, CITED[language], paragraphs[0]]
    return make.make_pdf(
        [
            f"# {TITLE[language]}\n\n" + "\n\n".join(paragraphs),
            "# 2\n\n" + "\n\n".join(second),
            "# 3\n\n" + filler,
        ]
    )


def chart(colour: str, size: tuple[int, int] = (900, 600)) -> bytes:
    """A picture as in a report."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for at in range(8):
        left, top = size[0] * (at + 1) // 10, size[1] * (8 - (at * 5) % 8) // 10
        draw.rectangle((left, top, left + size[0] // 14, size[1] * 9 // 10), fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def report() -> bytes:
    """A Word document with pictures: two that can be shown, and one of too many pixels."""
    huge = io.BytesIO()
    Image.new("1", (8000, 8000)).save(huge, "PNG")
    pictures = (chart("#0f6f67"), chart("#b3261e", (300, 500)), huge.getvalue())
    names = {f"word/media/image{n}.png": data for n, data in enumerate(pictures, 1)}
    text = "# Report\n\n" + "\n\n".join([FILLER["en"] * 4] * 6)
    return make.replace_in_zip(make.make_docx(text), names)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(LIKEOPT_SAMPLE_LIBRARY="false") as url:
        yield url


def add(visit: Visit, name: str, content: bytes) -> str:
    """The id of a document that can be searched, by meaning too: its marks change no more."""
    file: FilePayload = {"name": name, "mimeType": "application/pdf", "buffer": content}
    address = f"{visit.url}/api/v1/documents"
    added = visit.page.request.post(address, multipart={"file": file}, headers=guest.HEADERS)
    wait_until(lambda: is_read(visit.url), name, seconds=60)
    found: str = added.json()["items"][0]["document"]["id"]

    def is_found() -> bool:
        document = visit.page.request.get(f"{visit.url}/api/v1/documents/{found}").json()
        embedded = document["embedded"] == document["chunks"] > 0
        return bool(embedded and document["state"] == "ready")

    wait_until(is_found, f"the vectors of {name}", seconds=120)
    return found


def cite(visit: Visit) -> str:
    """Ask about a new document and open the citation. Its id."""
    language = visit.language
    document = add(visit, f"{TITLE[language]}.pdf", policy(language))
    visit.page.add_init_script(WATCH)
    visit.go(f"/?document={document}")
    visit.ask(QUESTION[language])
    # What is written while one looks on is no part of this.
    visit.page.evaluate("window.shifts = []")
    visit.page.locator("article.answer .chip").first.click()
    return document


def is_drawn(image: Locator, of: str = "") -> None:
    """Wait until a picture (of this page) has been loaded and is shown."""
    # In one look, for another size or page may be on its way.
    drawn = """(one, of) => one.className === 'loaded' && one.complete && one.naturalWidth > 0
        && one.currentSrc.includes(of)"""
    wait_until(lambda: bool(image.evaluate(drawn, of)), "the picture", seconds=PATIENCE_MS / 1000)


def pixels(image: Locator) -> int:
    """The width of the one that the browser chose."""
    chosen = image.evaluate("one => one.currentSrc")
    found = re.search(r"[?&]w=(\d+)", chosen)
    assert found, chosen
    return int(found[1])


def nothing_moved(page: Page) -> None:
    shifts = page.evaluate("window.shifts")
    assert shifts == [], "\n".join(map(str, shifts))


def middle_is_inside(inner: Locator, outer: Locator) -> bool:
    one, other = inner.bounding_box(), outer.bounding_box()
    assert one
    assert other
    middle = one["y"] + one["height"] / 2
    return other["y"] <= middle <= other["y"] + other["height"]


@everywhere
def test_a_citation_shows_its_page_with_the_passage_marked(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    document = cite(visit)
    stage = page.locator(".source-panel .page-stage")
    image = stage.locator("img")
    is_drawn(image, f"{document}-p2")
    # Right-sized: no more than twice what the screen can show.
    wide = stage.evaluate("one => one.clientWidth * devicePixelRatio")
    assert wide <= pixels(image) <= 2 * wide
    mark = stage.locator(".picture-mark")
    assert any(middle_is_inside(one, stage) for one in mark.all())
    expect(page.locator(".source-panel mark")).to_be_in_viewport()
    is_sound(visit, "page")
    # Back and forth: the picture goes with the text.
    nav = page.locator(".source-panel nav")
    nav.get_by_role("button", name=visit.say("이전 쪽", "Previous page")).click()
    expect(page.locator(".viewer-text")).to_contain_text(TITLE[language])
    is_drawn(image, f"{document}-p1")
    expect(mark).to_have_count(0)
    nav.get_by_role("button", name=visit.say("다음 쪽", "Next page")).click()
    is_drawn(image)
    expect(mark.first).to_be_attached()
    nothing_moved(page)


@each_once
def test_a_page_is_enlarged(open_page: Open, url: str, language: str, size: str) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    document = cite(visit)
    is_drawn(page.locator(".page-stage img"))
    page.locator(".page-stage button").click()
    window = page.get_by_role("dialog")
    image = window.locator("img")
    is_drawn(image)
    marks = window.locator(".picture-mark")
    assert any(middle_is_inside(one, window) for one in marks.all())
    is_sound(visit, "enlarged")
    before = pixels(image)
    larger = window.get_by_role("button", name=visit.say("확대", "Larger"))
    while larger.is_enabled():
        larger.click()
    is_drawn(image)
    expect(window.get_by_role("button", name=visit.say("축소", "Smaller"))).to_be_enabled()
    # The browser chooses anew some frames after the picture has grown.
    # While the next one loads, there may be no source.
    page.wait_for_function(
        "(least) => new URL(document.querySelector('dialog img').currentSrc, location)"
        ".searchParams.get('w') > least",
        arg=before,
    )
    # What was in the middle still is.
    assert any(middle_is_inside(one, window) for one in marks.all())
    visit.picture("larger")
    window.get_by_role("button", name=visit.say("다음 쪽", "Next page")).click()
    is_drawn(image, f"{document}-p3")
    # Escape closes the window and not what it was opened from.
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(page.locator(".source-panel")).to_be_visible()
    expect(page.locator(".page-stage button")).to_be_focused()
    nothing_moved(page)


@everywhere
def test_a_pdf_in_the_library_shows_its_pages(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    document = add(visit, f"{TITLE[language]}.pdf", policy(language))
    page.add_init_script(WATCH)
    visit.go(f"/library/{document}")
    expect(page.locator("main h1")).to_contain_text(TITLE[language])
    stage = page.locator(".page-stage")
    is_drawn(stage.locator("img"))
    is_sound(visit, "pdf")
    page.get_by_role("button", name=visit.say("다음 쪽", "Next page")).click()
    expect(page.locator(".viewer-text")).to_contain_text(CITED[language])
    is_drawn(stage.locator("img"))
    if size == "desktop":
        # Side by side.
        picture, text = stage.bounding_box(), page.locator(".viewer-text").bounding_box()
        assert picture
        assert text
        assert picture["x"] + picture["width"] <= text["x"]
    nothing_moved(page)


@everywhere
def test_pictures_in_a_document(open_page: Open, url: str, language: str, size: str) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    document = add(visit, "Report.docx", report())
    page.add_init_script(WATCH)
    visit.go(f"/library/{document}")
    gallery = page.get_by_role(
        "complementary", name=visit.say("문서 안의 그림", "Pictures in this")
    )
    expect(gallery.get_by_role("listitem")).to_have_count(3)
    gallery.scroll_into_view_if_needed()
    is_drawn(gallery.locator("img").first)
    expect(gallery.get_by_role("alert")).to_contain_text(
        visit.say("너무 큰 그림", "picture is too large")
    )
    is_sound(visit, "gallery")
    gallery.get_by_role("button").first.click()
    window = page.get_by_role("dialog")
    is_drawn(window.locator("img"))
    visit.picture("enlarged")
    window.get_by_role("button", name=visit.say("다음 그림", "Next picture")).click()
    expect(window.get_by_role("heading")).to_contain_text("2")
    is_drawn(window.locator("img"))
    # No larger than it is.
    box = window.locator("img").bounding_box()
    assert box
    assert box["width"] <= 300
    nothing_moved(page)
    visit.allow("422")


@each_once
def test_a_text_that_comes_late_pushes_no_pictures_away(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    document = add(visit, "Late.docx", report())
    page.add_init_script(WATCH)
    held: list[Route] = []
    page.route("**/text?*", lambda route: held.append(route))  # noqa: PLW0108  (it needs a function)
    # In a load of the page, the server has drawn the text.
    visit.go("/library")
    with page.expect_response("**/api/v1/images?document=*"):
        page.locator(f"a[href='/library/{document}']").click()
    expect(page.locator(".panel.loading")).to_be_visible()
    held[0].continue_()
    expect(page.locator(".viewer-text")).to_be_visible()
    page.locator(".gallery").scroll_into_view_if_needed()
    is_drawn(page.locator(".gallery img").first)
    nothing_moved(page)
    visit.allow("422")


def test_a_text_asks_for_no_pictures(open_page: Open, url: str) -> None:
    visit = open_page(url, "en", "desktop")
    page = visit.page
    plain = make.make_docx("# Plain\n\nWithout any picture.")
    text, office = add(visit, "plain.md", b"# Plain\n\nText."), add(visit, "plain.docx", plain)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit.go(f"/library/{text}")
    expect(page.locator(".viewer-text")).to_contain_text("Text.")
    visit.go(f"/library/{office}")
    with page.expect_response("**/api/v1/images?document=*"):
        pass
    expect(page.locator(".viewer-text")).to_contain_text("Without any picture")
    assert len([one for one in asked if "/api/v1/images" in one]) == 1
