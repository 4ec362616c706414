"""What people do with the page, from the first question to the last deletion."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests import guest
from tests.e2e.conftest import Open, Visit, is_read, serving, with_model
from tests.e2e.test_loading import WATCH
from tests.retrieval.parse.make_files import make_pdf
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI


def seen_in(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """Run the test in these languages, each on a screen of this size."""
    return pytest.mark.parametrize(("language", "size"), pairs)


everywhere = seen_in(*((lang, size) for lang in ("ko", "en") for size in ("desktop", "phone")))
each_once = seen_in(("ko", "desktop"), ("en", "phone"))
TRAVEL = {
    "ko": make_pdf(
        [
            "# 출장 여비 규정\n\n이 규정은 국내 출장에 적용한다.",
            "# 별표\n\n지역별 숙박비 상한액이다.",
        ],
        table=[["지역", "숙박비 상한액"], ["서울", "137,000원"], ["제주", "128,500원"]],
    ),
    "en": make_pdf(
        ["# Travel policy\n\nIt applies to all trips.", "# Annex\n\nHotel limits by city."],
        table=[["City", "Hotel limit per night"], ["Lisbon", "137 euros"], ["Oslo", "228 euros"]],
    ),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server without a language model, as it comes."""
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, StubOpenAI]]:
    """A server with a language model that says what it is told to."""
    with with_model() as served:
        yield served


@everywhere
def test_a_sample_question_leads_to_the_passage(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    sample = page.locator("button.sample").first
    question = sample.inner_text()
    expect(page.locator("html")).to_have_attribute("lang", language)
    visit.picture("welcome")
    with page.expect_response("**/api/v1/chat") as streamed:
        sample.click()
    assert streamed.value.headers["content-type"].startswith("text/event-stream")
    answer = visit.answer()
    expect(page.locator(".question").first).to_contain_text(question)
    expect(answer).to_contain_text("PDF")
    visit.picture("answer")
    answer.locator(".chip").first.click()
    mark = page.locator(".source-panel mark")
    expect(mark).to_be_in_viewport()
    assert mark.inner_text().strip()
    visit.picture("passage")
    page.keyboard.press("Escape")
    expect(page.locator(".source-panel")).to_have_count(0)


@each_once
def test_a_table_in_an_uploaded_pdf_is_found_and_cited(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/library")
    expect(page.locator("li.document").first).to_be_visible()
    visit.picture("library")
    name = visit.say("출장 여비.pdf", "Travel.pdf")
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "application/pdf", "buffer": TRAVEL[language]}
    )
    expect(page.locator(".tray")).to_contain_text(
        visit.say("파일 1개를 추가했습니다", "1 file added")
    )
    row = page.locator("li.document", has_text=name)
    visit.picture("added")
    # Without a reload: the page follows the indexing.
    expect(row.locator(".status")).to_contain_text(
        visit.say("단어 검색", "by words"), use_inner_text=True
    )
    visit.picture("searchable")
    row.get_by_role("link", name=name).click()
    expect(page.locator(".viewer-text")).to_contain_text(
        visit.say("출장 여비 규정", "Travel policy")
    )
    visit.picture("document")
    page.get_by_role(
        "link", name=visit.say("이 문서에 질문하기", "Ask about this document")
    ).click()
    expect(page.locator(".scope")).to_contain_text(name)
    answer = visit.ask(
        visit.say("제주의 숙박비 상한액은 얼마인가요?", "What is the hotel limit in Oslo?")
    )
    expect(answer).to_contain_text(visit.say("128,500원", "228 euros"))
    source = answer.locator("button.source", has_text=name).first
    expect(source).to_contain_text(visit.say("2쪽", "p. 2"))
    visit.picture("answer")
    source.click()
    expect(page.locator(".source-panel mark")).to_be_in_viewport()
    visit.picture("passage")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=visit.say("원본 2쪽 열기", "Open original at page 2")).click()
    assert opened.value.url.endswith("#page=2")
    if size == "desktop":  # phones hand a PDF to another app
        shows_paper(opened.value)


def shows_paper(page: Page) -> None:
    """Wait until the PDF viewer shows a page: in a sandbox it stays dark for ever."""
    for _ in range(100):
        image = Image.open(io.BytesIO(page.screenshot())).convert("L")
        if image.histogram()[255] > 0.2 * image.width * image.height:
            return
        page.wait_for_timeout(50)
    pytest.fail("the PDF does not appear")


def test_an_original_is_shown_and_runs_nothing(open_page: Open, url: str) -> None:
    visit = open_page(url, "ko", "desktop")
    page = visit.page
    script = "<title>safe</title><p>본문</p><script>document.title = 'taken'</script>".encode()
    for name, content in (("page.html", script), ("표.csv", "지역,값\n제주,7".encode())):
        file: FilePayload = {"name": name, "mimeType": "text/plain", "buffer": content}
        address = f"{url}/api/v1/documents"
        added = page.request.post(address, multipart={"file": file}, headers=guest.HEADERS).json()
        document = added["items"][0]["document"]["id"]
        visit.go(f"/api/v1/documents/{document}/original")
        expect(page.locator("body")).to_contain_text("본문" if "html" in name else "제주,7")
        assert page.title() in ("safe", "")
    visit.allow("Blocked script execution|favicon|404")


@each_once
def test_what_the_library_does_not_hold_is_said(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    visit.go("/")
    answer = visit.ask(
        visit.say("화성의 위성은 모두 몇 개인가요?", "Who won the chess match in Reykjavik?")
    )
    expect(answer.locator(".badge")).to_contain_text(
        visit.say("문서에 없음", "Not in your documents")
    )
    # Nothing is cited; what comes nearest may be named below.
    expect(answer.locator("button.chip")).to_have_count(0)
    nearest = visit.say("가장 가까운 문단", "Nearest passages")
    assert set(answer.locator(".sources h3").all_inner_texts()) <= {nearest}
    visit.picture("not-found")


@seen_in(("ko", "phone"), ("en", "desktop"))
def test_a_conversation_is_answered_again_renamed_and_deleted(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    answer = visit.ask(visit.say("문서는 어디에 저장되나요?", "Where are my documents stored?"))
    answer.get_by_role("button", name=visit.say("다시 답하기", "Answer again")).click()
    expect(visit.answer().locator(".pager")).to_contain_text("2/2")
    visit.picture("answered-again")
    follow_up = visit.say("그중 백업할 것은?", "Which of them do I back up?")
    visit.ask(follow_up)
    visit.picture("follow-up")
    menu = page.locator("header").get_by_role("button", name=visit.say("관련 작업", "Actions for"))
    menu.click()
    visit.picture("menu")
    page.get_by_role("menuitem", name=visit.say("이름 바꾸기", "Rename")).click()
    title = visit.say("저장 위치", "Where things are")
    page.get_by_role("dialog").get_by_role("textbox").fill(title)
    visit.picture("rename")
    visit.button(visit.say("저장", "Save")).click()
    expect(page.locator("header h1")).to_have_text(title)
    if size == "phone":
        visit.button(visit.say("메뉴", "Menu")).click()
    row = page.locator(".history-row", has_text=title)
    expect(row).to_be_visible()
    visit.picture("history")
    if size == "phone":
        page.keyboard.press("Escape")
    menu.click()
    page.get_by_role("menuitem", name=visit.say("삭제", "Delete")).click()
    visit.picture("delete")
    page.get_by_role("dialog").get_by_role(
        "button", name=visit.say("삭제", "Delete"), exact=True
    ).click()
    expect(page.locator(".welcome")).to_be_visible()
    expect(row).to_have_count(0)
    visit.picture("deleted")


@seen_in(("ko", "desktop"), ("en", "desktop"))
def test_dropped_files_that_cannot_be_read_say_why(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/library")
    expect(page.locator("li.document").first).to_be_visible()
    files = page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["MZ"], "setup.exe"));
          data.items.add(new File(["%PDF-1.7 cut"], "cut.pdf"));
          return data;
        }"""
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": files})
    expect(page.locator(".drop-veil")).to_be_visible()
    visit.picture("veil")
    page.dispatch_event("body", "drop", {"dataTransfer": files})
    failed = page.locator(".tray-failed li")
    expect(failed).to_have_count(2)
    expect(failed.filter(has_text="setup.exe")).to_contain_text(
        visit.say("지원하지 않는 형식", "This kind of file cannot be read")
    )
    expect(failed.filter(has_text="cut.pdf")).to_contain_text(
        visit.say("손상", "cut.pdf is damaged")
    )
    visit.picture("refused")
    visit.allow(r"status of 4(15|22)")


@each_once
def test_a_lost_network_is_said_and_comes_back(
    open_page: Open, url: str, language: str, size: str
) -> None:
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    question = visit.say("어떤 파일 형식을 추가할 수 있나요?", "Which file formats can I add?")
    visit.ask(question)
    page.context.set_offline(True)
    expect(page.locator(".offline")).to_be_visible()
    page.locator(".composer textarea").fill(question)
    visit.button(visit.say("보내기", "Send")).click()
    retry = page.locator(".failure").get_by_role("button", name=visit.say("다시 시도", "Try again"))
    expect(retry).to_be_visible()
    visit.picture("offline")
    page.context.set_offline(False)
    expect(page.locator(".offline")).to_have_count(0)
    retry.click()
    expect(visit.answer(1)).to_contain_text("PDF")
    visit.picture("back")
    visit.allow("ERR_INTERNET_DISCONNECTED|Failed to load resource|Failed to fetch")


@each_once
def test_a_slow_model_is_watched_and_stopped(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, size: str
) -> None:
    url, stub = model
    reply = stub.say("PDF and DOCX can be read [1]. ", "Never said.", hold=1)
    visit = open_page(url, language, size)
    page = visit.page
    visit.go("/")
    page.locator("button.sample").first.click()
    answer = page.locator("article.answer")
    expect(answer).to_contain_text("PDF and DOCX can be read")
    visit.picture("writing")
    stops: list[str] = []
    page.on("request", lambda one: stops.append(one.url) if one.url.endswith("/stop") else None)
    if size == "phone":
        visit.button(visit.say("중지", "Stop")).click()
    else:
        # A menu that is open is what Escape closes first.
        page.locator("header").get_by_role("button", name="관련 작업").click()
        expect(page.get_by_role("menuitem").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("menu")).to_have_count(0)
        assert stops == []
        page.keyboard.press("Escape")
    visit.answer()
    assert len(stops) == 1
    if size == "phone":
        # The button that stopped it sends again, and has the keyboard still.
        expect(page.locator(".send")).to_have_attribute("type", "submit")
        expect(page.locator(".send")).to_be_focused()
    expect(answer.locator(".meta")).to_contain_text(visit.say("중지됨", "Stopped"))
    expect(answer).not_to_contain_text("Never said")
    visit.picture("stopped")
    reply.release()


@pytest.fixture(scope="module")
def settled() -> Iterator[tuple[str, StubOpenAI]]:
    """A server whose library is embedded, so that what a question finds stays the same."""

    def is_embedded(url: str) -> bool:
        now = urllib3.request("GET", f"{url}/api/v1/indexing", headers=guest.HEADERS).json()
        return is_read(url) and not now["pending_embeddings"]

    with with_model(LIKEOPT_SAMPLE_LIBRARY="false") as (url, stub):
        for text in (
            "The kowari hunts in the Channel Country.",
            "코와리는 채널 지방에서 사냥한다.",
        ):
            file = (f"{text[:3]}.txt", text.encode())
            added = urllib3.request(
                "POST", f"{url}/api/v1/documents", fields={"file": file}, headers=guest.HEADERS
            )
            assert added.status == 202
        wait_until(lambda: is_embedded(url), "the documents' vectors")
        yield url, stub


@each_once
def test_a_kept_answer_says_how_old_it_is_and_can_be_asked_for_again(
    open_page: Open, settled: tuple[str, StubOpenAI], language: str, size: str
) -> None:
    url, stub = settled
    first = open_page(url, language, size)
    question = first.say("코와리는 어디에서 사냥하나요?", "Where does the kowari hunt?")
    badge = first.say("저장된 답변, {}", "Cached, {}")
    stub.say("It hunts there [1].")
    first.go("/")
    answer = first.ask(question)
    expect(answer).to_contain_text("It hunts there")
    expect(answer.locator(".badge", has_text=badge.format(""))).to_have_count(0)
    asked = len(stub.requests)
    # Somebody else, three hours later.
    visit = open_page(url, language, size)
    page = visit.page
    page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=3, minutes=1))
    visit.go("/")
    answer = visit.ask(question)
    expect(answer).to_contain_text("It hunts there")
    age = visit.say("3시간 전", "3 hours ago")
    kept = answer.locator(".badge", has_text=badge.format(age))
    expect(kept).to_be_visible()
    assert len(stub.requests) == asked
    visit.picture("kept")
    stub.say("It was written once more [1].")
    kept.get_by_role("button", name=visit.say("다시 묻기", "Ask again")).click()
    answer = visit.answer()
    expect(answer).to_contain_text("written once more")
    expect(answer.locator(".badge", has_text=badge.format(""))).to_have_count(0)
    assert len(stub.requests) == asked + 1
    visit.picture("asked-again")


@each_once
def test_nothing_jumps_while_an_answer_is_written(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, size: str
) -> None:
    url, stub = model
    visit = open_page(url, language, size)
    page = visit.page
    for earlier in ("one", "two", "three", "four"):
        asked = {"question": f"Number {earlier}?"}
        page.request.post(f"{url}/api/v1/chat", data=asked, headers=guest.HEADERS)
    lines = [f"Line {number} is one of the answer [1].\n\n" for number in range(40)]
    reply = stub.say(*lines, pause=0.03, hold=0)
    page.add_init_script(WATCH)
    visit.go("/")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"latency": 600, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {"offline": False, **slow})
    page.locator("button.sample").nth(2).click()
    # The server has taken the question, later than what a click moves may move.
    expect(visit.button(visit.say("질문 고치기", "Edit question"))).to_be_visible()
    reply.release()
    answer = visit.answer()
    # What was read last is still there, above the sources, and nothing covers it.
    page.wait_for_function(
        """() => {
          const [text, below] = [".markdown p:last-child", ".chat-bottom"].map((one) =>
            document.querySelector(one).getBoundingClientRect());
          return text.top > 0 && text.bottom + 48 <= below.top;
        }"""
    )
    expect(answer.locator(".sources")).to_contain_text(".md")
    # A part of a line, once: 0.0003 on a phone, where 0.1 is still good.
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, *_ in shifts) < 0.001, shifts


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[str, StubOpenAI]]:
    """A server whose model writes one answer at a time."""
    with with_model(LIKEOPT_LLM_CONCURRENCY="1") as served:
        yield served


@each_once
def test_who_waits_for_the_model_sees_their_place_in_the_line(
    narrow: tuple[str, StubOpenAI], open_page: Open, language: str, size: str
) -> None:
    url, stub = narrow
    already = len(stub.requests)
    replies = [stub.say(f"Answer {number} [1].", hold=0) for number in range(3)]
    visits = [open_page(url, language, size) for _ in replies]
    first, second, third = visits
    asked = [
        first.say("문서는 어디에 저장되나요?", "Where are my documents stored?"),
        first.say("백업은 어떻게 하나요?", "How do I make a backup?"),
        first.say("어떤 파일 형식을 추가할 수 있나요?", "Which file formats can I add?"),
    ]
    for number, (visit, question) in enumerate(zip(visits, asked, strict=True)):
        visit.go("/")
        visit.page.locator(".composer textarea").fill(question)
        visit.button(visit.say("보내기", "Send")).click()
        if number == 0:
            stub.wait_for_request(already + 1, timeout=30)
        else:
            expect(visit.page.locator(".progress")).to_have_text(place(visit, number))
    third.picture("in-line")
    expect(third.page.locator("[aria-live=polite]")).to_have_text(place(third, 2))
    replies[0].release()
    # Everybody moves up.
    expect(third.page.locator(".progress")).to_have_text(place(third, 1))
    # Whose turn it is does not wait any more, though the model has said nothing yet.
    expect(second.page.locator(".progress")).to_have_text(second.say("답변을 쓰는 중…", "Writing…"))
    for number, (visit, reply) in enumerate(zip(visits, replies, strict=True)):
        reply.release()
        expect(visit.answer()).to_contain_text(f"Answer {number}")
        expect(visit.page.locator(".progress")).to_have_count(0)


def place(visit: Visit, number: int) -> str:
    """What the page says about a place in the line for the model."""
    if number == 1:
        return visit.say("다음 차례입니다…", "Next in line for the model…")
    return visit.say(f"모델 대기 순서 {number}번째…", f"Number {number} in line for the model…")
