"""The way of a new installation's first hour, in one go, and an answer whose connection breaks."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from likeopt.config import Config
from tests.e2e.conftest import SIZES, Open, Visit, is_read, with_model
from tests.e2e.test_hostile import upload as upload_file
from tests.e2e.test_journeys import TRAVEL
from tests.relay import Relay
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import PASSWORD, Server
from tests.web.conftest import serving as serving_config

EMAIL = "seoyeon@example.org"


@pytest.fixture
def fresh() -> Iterator[Server]:
    """A server that nobody has used yet."""
    with tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home:
        config = Config(data_dir=Path(home), port=0, workers=1, guest=False, sample_library=False)
        with serving_config(config) as server:
            wait_until(lambda: any("/link#" in line for line in server.said), "the first link")
            yield server


@pytest.mark.parametrize("language", ["ko", "en"])
def test_from_the_first_run_to_the_phone_and_back(
    open_page: Open, fresh: Server, language: str
) -> None:
    visit = open_page(fresh.url, language, "desktop")
    become_the_first(visit, fresh)
    sign_in_again(visit)
    name = visit.say("출장 여비.pdf", "Travel.pdf")
    upload(visit, name)
    ask_and_look_up(visit, name)
    title = visit.say("숙박비 규정", "Hotel limits")
    rename(visit, title)
    export(visit, title, name)
    change_language(visit, title)
    on_a_phone_without_a_network(visit, title)


def become_the_first(visit: Visit, server: Server) -> None:
    """By the link that the server writes to the terminal."""
    page = visit.page
    link = next(line for line in server.said if "/link#" in line)
    page.goto(link.strip())
    page.locator("input[name=name]").fill(visit.say("김서연", "Seoyeon"))
    page.locator("input[name=email]").fill(EMAIL)
    page.locator("input[name=password]").fill(PASSWORD)
    visit.picture("first")
    page.locator("button[type=submit]").click()
    empty = visit.say("라이브러리가 비어 있습니다", "Your library is empty")
    expect(page.get_by_role("heading", name=empty)).to_be_visible()
    visit.picture("empty")


def sign_in_again(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button").filter(has_text=visit.say("김서연", "Seoyeon")).click()
    page.get_by_role("menuitem", name=visit.say("로그아웃", "Sign out")).click()
    expect(page).to_have_url(f"{visit.url}/sign-in")
    page.locator("input[name=email]").fill(EMAIL)
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{visit.url}/")
    expect(page.locator(".composer")).to_be_visible()


def upload(visit: Visit, name: str) -> None:
    page = visit.page
    page.get_by_role("link", name=visit.say("라이브러리", "Library"), exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "application/pdf", "buffer": TRAVEL[visit.language]}
    )
    row = page.locator("li.document", has_text=name)
    expect(row.locator(".status")).to_contain_text(
        visit.say("단어 검색", "by words"), use_inner_text=True
    )


def ask_and_look_up(visit: Visit, name: str) -> None:
    """A question, the passage that answers it, and another question."""
    page = visit.page
    page.get_by_role("link", name=visit.say("새 질문", "New question"), exact=True).click()
    answer = visit.ask(
        visit.say("제주의 숙박비 상한액은 얼마인가요?", "What is the hotel limit in Oslo?")
    )
    expect(answer).to_contain_text(visit.say("128,500원", "228 euros"))
    answer.locator("button.chip").first.click()
    panel = page.locator(".source-panel")
    expect(panel.locator("mark")).to_be_in_viewport()
    expect(panel).to_contain_text(name)
    visit.picture("citation")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    answer = visit.ask(
        visit.say("그럼 서울의 숙박비 상한액은요?", "And the hotel limit in Lisbon?")
    )
    expect(answer).to_contain_text(visit.say("137,000원", "137 euros"))
    expect(page.locator("article.answer")).to_have_count(2)
    visit.picture("follow-up")


def menu_of_conversation(visit: Visit) -> None:
    actions = visit.say("관련 작업", "Actions for")
    visit.page.locator("header").get_by_role("button", name=actions).click()


def rename(visit: Visit, title: str) -> None:
    page = visit.page
    menu_of_conversation(visit)
    page.get_by_role("menuitem", name=visit.say("이름 바꾸기", "Rename")).click()
    page.get_by_role("dialog").get_by_role("textbox").fill(title)
    visit.button(visit.say("저장", "Save")).click()
    expect(page.locator("header h1")).to_have_text(title)
    expect(page.locator(".history-row", has_text=title)).to_be_visible()


def export(visit: Visit, title: str, name: str) -> None:
    page = visit.page
    menu_of_conversation(visit)
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="Markdown").click()
    text = saved.value.path().read_text()
    assert title in text
    assert name in text
    for said in visit.say("128,500원|137,000원", "228 euros|137 euros").split("|"):
        assert said in text


def change_language(visit: Visit, title: str) -> None:
    """All of the page, without a reload; what people wrote stays as it is."""
    page = visit.page
    page.evaluate("window.sameLoad = true")
    before = page.locator("article.answer").first.locator(".markdown").first.inner_text()
    visit.language = "en" if visit.korean else "ko"
    visit.korean = not visit.korean
    visit.button(visit.say("한국어", "English")).click()
    expect(page.locator("html")).to_have_attribute("lang", visit.language)
    expect(page.get_by_role("link", name=visit.say("새 질문", "New question"))).to_be_visible()
    expect(page.locator("header h1")).to_have_text(title)
    assert page.evaluate("window.sameLoad")
    after = page.locator("article.answer").first.locator(".markdown").first.inner_text()
    assert after == before
    visit.picture("other-language")


def on_a_phone_without_a_network(visit: Visit, title: str) -> None:
    page = visit.page
    width, height = SIZES["phone"]
    page.set_viewport_size({"width": width, "height": height})
    visit.picture("phone")
    visit.button(visit.say("메뉴", "Menu")).click()
    expect(page.locator(".history-row", has_text=title)).to_be_in_viewport()
    page.keyboard.press("Escape")
    visit.wait_for_worker()
    page.context.set_offline(True)
    expect(page.locator(".offline")).to_be_visible()
    expect(page.locator("article.answer")).to_have_count(2)
    visit.picture("offline")
    page.reload()
    expect(
        page.get_by_role("heading", name=visit.say("오프라인 상태입니다", "You are offline"))
    ).to_be_visible()
    visit.picture("offline-shell")
    page.context.set_offline(False)
    # By itself, and where one was.
    expect(page.locator("header h1")).to_have_text(title)
    expect(page.locator("article.answer")).to_have_count(2)
    answer = visit.ask("Oslo / 제주")
    expect(answer).to_be_visible()
    visit.picture("back")
    visit.allow("ERR_INTERNET_DISCONNECTED|Failed to load resource|Failed to fetch")


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[str, StubOpenAI]]:
    """A server with a document, and a language model that says what it is told to."""
    with with_model(LIKEOPT_SAMPLE_LIBRARY="false") as (url, stub):
        upload_file(url, "notes.md", "백업은 매일 밤에 한다. A backup is made every night.")
        wait_until(lambda: is_read(url), "the document")
        yield url, stub


@pytest.mark.parametrize(
    ("language", "size", "ends"), [("ko", "desktop", "meanwhile"), ("en", "phone", "afterwards")]
)
def test_an_answer_survives_its_connection(
    open_page: Open, model: tuple[str, StubOpenAI], language: str, size: str, ends: str
) -> None:
    url, stub = model
    pieces = [f"part{number} " for number in range(40)]
    with Relay(url) as relay:
        reply = stub.say(*pieces, "and the end [1].", hold=15, pause=0.05)
        already = len(stub.requests)
        visit = open_page(relay.url, language, size)
        page = visit.page
        visit.go("/")
        question = visit.say("백업은 언제 하나요?", "When is a backup made?")
        page.locator(".composer textarea").fill(question)
        visit.button(visit.say("보내기", "Send")).click()
        answer = page.locator("article.answer")
        expect(answer).to_contain_text("part5")
        relay.cut()
        lost = visit.say("연결이 끊겼습니다", "Connection lost")
        expect(answer.locator(".progress")).to_contain_text(lost)
        visit.picture("lost")
        if ends == "meanwhile":
            reply.release()
            assert stub.requests[already].answered.wait(30)
            relay.mend()
        else:
            relay.mend()
            expect(answer.locator(".progress")).not_to_contain_text(lost)
            reply.release()
        said = re.compile(r"^\s*" + " ".join(f"part{number}" for number in range(40)) + " and the")
        expect(visit.answer()).to_contain_text("and the end")
        expect(answer).to_have_count(1)
        expect(answer.locator("p").first).to_have_text(said)
        visit.picture("complete")
        # What is kept is the same, and the model wrote it once.
        page.reload()
        expect(visit.answer().locator("p").first).to_have_text(said)
        assert len(stub.requests) == already + 1
        page.wait_for_load_state("networkidle")
        visit.allow("ERR_|Failed to fetch")
