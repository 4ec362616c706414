"""What administrators watch and steer: jobs, caches, settings; and that nobody else does."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, all_jobs, collections, jobs
from likeopt.storage.tables import jobs as table
from likeopt.web import cookies
from tests.e2e.conftest import Open, Visit
from tests.e2e.test_loading import WATCH
from tests.retrieval.parse.make_files import make_scanned_pdf
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Server, let_in
from tests.web.conftest import serving as serving_config

# Language and size.
Look = tuple[str, str]
PAGES = ("jobs", "caches", "settings", "people", "audit")
SECRET = "sk-never-to-be-shown"


class World(NamedTuple):
    """A server with an administrator and a member, who has a collection that nobody else reads."""

    server: Server
    services: Services
    stub: StubOpenAI
    admin: str
    member: str


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home,
        StubOpenAI(key=SECRET) as stub,
    ):
        config = Config(
            data_dir=Path(home),
            port=0,
            workers=2,
            guest=False,
            llm="openai",
            llm_url=stub.url,
            llm_model="stub",
            llm_key=SECRET,
            sample_library=False,
        )
        with serving_config(config) as server:
            wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine")
            services = Services(config)
            admin = let_in(services, "admin@example.org", role="admin")
            member = let_in(services, "minji@example.org")
            own = services.db.write(
                lambda c: collections.create(
                    c, access.reader_for(c, member.user.id), services.clock, "민지의 자료"
                )
            )
            reader = services.db.read(lambda c: access.reader_for(c, member.user.id))
            for name, content in (
                ("인사 규정 2026.md", "# 인사 규정\n\n연차는 15일이다.".encode()),
                ("Quarterly report that nobody can open.pdf", make_scanned_pdf()),
            ):
                services.ingest.file(reader, own.id, name, content)
            local = services.db.read(access.local_reader)
            for name, text in (
                ("백업.md", "# 백업\n\n데이터 폴더를 통째로 복사해 백업한다."),
                ("backup.md", "# Backup\n\nTo make a backup, copy the data folder as a whole."),
            ):
                services.ingest.file(local, "default", name, text.encode())
            wait_until(lambda: is_idle(services), "the documents", seconds=60)
            yield World(server, services, stub, signed(services, admin), signed(services, member))
            services.close()


def is_idle(services: Services) -> bool:
    """Whether nothing is being read, learned or waited for."""
    counts = services.db.read(all_jobs.counts)
    return counts.running + counts.queued == 0


def signed(services: Services, who: Any) -> str:
    """The cookie of somebody who is signed in."""
    signature = cookies.sign(services.secret_key, "session", who.cookie_id)
    return f"{who.cookie_id}.{signature}"


def enter(open_page: Open, world: World, cookie: str, language: str, size: str) -> Visit:
    """A visit of somebody who is signed in."""
    visit = open_page(world.server.url, language, size)
    visit.page.context.add_cookies(
        [{"name": cookies.NAME, "value": cookie, "url": world.server.url}]
    )
    return visit


@pytest.fixture(params=[("ko", "desktop"), ("en", "phone")], ids="-".join)
def look(request: pytest.FixtureRequest) -> Look:
    """Each language and each size once."""
    chosen: Look = request.param
    return chosen


@pytest.fixture
def visit(open_page: Open, world: World, look: Look) -> Visit:
    """A visit of the administrator."""
    return enter(open_page, world, world.admin, *look)


def both_themes(visit: Visit, state: str) -> None:
    """A picture in each, of the whole page."""
    for theme in ("dark", "light"):
        visit.page.emulate_media(color_scheme=theme)
        visit.picture(f"{state}-{theme}")


def scroll_to_end(page: Page) -> None:
    page.locator(".sheet-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")


def test_who_is_no_administrator_is_told_so_and_nothing_is_fetched(
    open_page: Open, world: World, look: Look
) -> None:
    visit = enter(open_page, world, world.member, *look)
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(world.server.url)))
    for path in ("", *(f"/{name}" for name in PAGES)):
        visit.go(f"/admin{path}")
        closed = page.get_by_role(
            "heading", name=visit.say("볼 수 없는 페이지", "This page is not")
        )
        expect(closed).to_be_visible()
        expect(page.locator("nav.tabs")).to_have_count(0)
    visit.picture("closed")
    private = ("users", "invitations", "groups", "audit", "caches", "jobs", "settings")
    assert not [path for path in asked if path.startswith(tuple(f"/api/v1/{p}" for p in private))]
    # Nor does anything lead there, but to all that is open to a member.
    if look[1] == "phone":
        visit.button("Menu").click()
        visit.picture("menu")
    expect(page.get_by_role("link", name=visit.say("라이브러리", "Library"))).to_be_visible()
    expect(page.locator('a[href^="/admin"]')).to_have_count(0)


def test_one_navigation_leads_to_all_of_it(visit: Visit, world: World, look: Look) -> None:
    page = visit.page
    visit.go("/")
    if look[1] == "phone":
        visit.button(visit.say("메뉴", "Menu")).click()
    page.get_by_role("link", name=visit.say("관리", "Administration"), exact=True).click()
    tabs = page.get_by_role("navigation", name=visit.say("관리", "Administration"))
    expect(tabs.get_by_role("link")).to_have_count(len(PAGES))
    for name, (korean, english) in zip(
        PAGES,
        [
            ("색인 작업", "Jobs"),
            ("캐시", "Caches"),
            ("설정", "Settings"),
            ("사용자", "People"),
            ("감사 기록", "Audit log"),
        ],
        strict=True,
    ):
        title = visit.say(korean, english)
        tabs.get_by_role("link", name=title).focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{world.server.url}/admin/{name}")
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(tabs.locator("[aria-current=page]")).to_have_text(title)
        expect(page.locator(".lines, .tiles").first).to_be_visible()
        both_themes(visit, name)


def test_nothing_moves_while_a_page_of_administration_loads(visit: Visit) -> None:
    page = visit.page
    page.add_init_script(WATCH)
    for name in PAGES:
        visit.go(f"/admin/{name}")
        expect(page.locator(".lines, .tiles, .none").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        shifts = page.evaluate("window.shifts")
        assert sum(value for value, *_ in shifts) < 0.001, (name, shifts)


def test_a_failed_job_of_somebody_else_is_tried_again(visit: Visit, world: World) -> None:
    page = visit.page
    visit.go("/admin/jobs")
    line = page.get_by_role("listitem").filter(has_text="Quarterly report")
    expect(line).to_contain_text(visit.say("민지의 자료", "민지의 자료"))
    expect(line).to_contain_text(visit.say("minji 님", "by minji"))
    expect(line.locator(".bad")).to_contain_text(visit.say("글자가 없습니다", "no text"))
    both_themes(visit, "failed")
    line.get_by_role("button").click()
    expect(page.locator(".toasts")).to_contain_text(visit.say("다시 읽습니다", "read again"))
    # It fails once more, and comes back without a reload.
    wait_until(lambda: is_idle(world.services), "the second try", seconds=60)
    expect(line.locator(".bad")).to_be_visible()


def test_what_runs_and_waits_is_seen_and_stopped(visit: Visit, world: World) -> None:
    page = visit.page
    services, clock = world.services, Clock()
    # Held by a worker that does not exist, and not due for an hour: nobody touches them meanwhile.
    held = stage(services, "연구소 보고서 초안.docx", visit.language)
    later = stage(services, "Contracts of the Seoul office.pdf", visit.language)

    def write(c: Any) -> None:
        change = table.update()
        until = clock.now_ms() + 3_600_000
        c.execute(
            change.where(table.c.document_id == held).values(
                state="running",
                lease_owner="elsewhere:1",
                lease_until=until,
                step="write",
                done=1200,
                total=3400,
                created_at=clock.now_ms(),
            )
        )
        c.execute(
            change.where(table.c.document_id == later).values(
                run_after=until, created_at=clock.now_ms()
            )
        )
        jobs.announce(c)

    services.db.write(write)
    visit.go("/admin/jobs")
    running = page.get_by_role("listitem").filter(has_text=f"{visit.language} 연구소")
    expect(running).to_contain_text(visit.say("문단 3,400개 중 1,200개", "1,200 of 3,400 passages"))
    expect(running.get_by_role("progressbar")).to_have_attribute("value", "1200")
    waiting = page.get_by_role("listitem").filter(has_text=f"{visit.language} Contracts")
    expect(waiting).to_be_visible()
    both_themes(visit, "running")
    # The page follows by itself.
    services.db.write(lambda c: jobs.progress(c, clock, job_of(c, held), "write", 2400, 3400))
    expect(running.get_by_role("progressbar")).to_have_attribute("value", "2400")
    for line in (running, waiting):
        line.get_by_role("button", name=visit.say("중지", "Stop")).click()
        expect(line.locator(".bad")).to_contain_text(
            visit.say("읽기를 중지했습니다", "Indexing was cancelled")
        )
    assert is_idle(services)
    visit.picture("stopped")


def stage(services: Services, name: str, language: str) -> str:
    """Add a document that no worker gets: its job is not due before the end of the test."""
    reader = services.db.read(access.local_reader)
    late = Clock()
    noon = late.now_ms() + 3_600_000
    built = Services(services.config, clock=Fixed(noon))
    try:
        added = built.ingest.file(reader, "default", f"{language} {name}.md", b"# Nothing")
    finally:
        built.close()
    return added.document.id


class Fixed(Clock):
    """Always the same time."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        return self._ms


def job_of(c: Any, document_id: str) -> int:
    query = table.select().where(table.c.document_id == document_id, table.c.state == "running")
    found: int = c.execute(query).one().id
    return found


def test_caches_are_watched_cleared_and_warmed(visit: Visit, world: World) -> None:
    page = visit.page
    visit.go("/")
    question = visit.say("백업은 어떻게 하나요?", "How do I make a backup?")
    visit.ask(question)
    visit.go("/admin/caches")
    answers = page.get_by_role("rowgroup").filter(has_text=visit.say("답변", "Answers")).last
    expect(answers).to_be_visible()
    both_themes(visit, "numbers")
    scroll_to_end(page)
    both_themes(visit, "numbers-end")
    # By use, from its row.
    name = visit.say("답변", "Answers")
    page.get_by_role("button", name=visit.say(f"비우기: {name}", f"Clear: {name}")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox").nth(1)).to_have_value("answers")
    both_themes(visit, "clear")
    dialog.get_by_role("button", name=visit.say("비우기", "Clear"), exact=True).click()
    result = page.locator(".result")
    expect(result).to_contain_text(re.compile(visit.say(r"디스크: 항목 \d+개", r"Disk: \d+ entr")))
    page.locator(".sheet-scroll").evaluate("box => box.scrollTo(0, 0)")
    both_themes(visit, "cleared")
    # By what it depends on.
    visit.button(visit.say("비우기", "Clear")).first.click()
    dialog.get_by_role("combobox").first.select_option("tag")
    dialog.get_by_role("button", name=visit.say("비우기", "Clear"), exact=True).click()
    expect(result).to_contain_text(visit.say("‘문서’에 딸린", "depends on “Documents”"))
    # Ahead: the question is asked again, held by the model until we have seen it.
    reply = world.stub.say("Ahead [1].", hold=0)
    ahead = page.locator("form.ahead")
    ahead.get_by_role("button").click()
    expect(ahead.get_by_role("progressbar")).to_be_visible()
    expect(ahead.get_by_role("button")).to_be_disabled()
    scroll_to_end(page)
    both_themes(visit, "asking-ahead")
    reply.release()
    expect(ahead.locator("[role=status]")).to_contain_text(visit.say("미리 물었습니다", "asked,"))
    expect(ahead.get_by_role("button")).to_be_enabled()
    visit.picture("asked-ahead")


def test_settings_are_found_and_no_secret_is_among_them(visit: Visit) -> None:
    page = visit.page
    with page.expect_response("**/api/v1/settings") as sent:
        visit.go("/admin/settings")
    assert SECRET not in sent.value.text()
    expect(page.locator(".parts")).to_contain_text(visit.say("정상", "Works"))
    expect(page.locator(".server .figures")).to_contain_text("SQLite")
    key = page.get_by_role("listitem").filter(has_text="LIKEOPT_LLM_KEY")
    expect(key).to_contain_text(visit.say("표시하지 않음", "not shown"))
    both_themes(visit, "settings")
    find = page.get_by_role("searchbox", name=visit.say("설정 찾기", "Find a setting"))
    find.fill("max upload")
    expect(page.locator("li.setting")).to_have_count(1)
    expect(page.locator("li.setting")).to_contain_text("LIKEOPT_MAX_UPLOAD_MB")
    find.fill(visit.say("모델 이름", "model name"))
    model = page.locator("li.setting").filter(has_text="LIKEOPT_LLM_MODEL")
    expect(model).to_contain_text("stub")
    expect(model).to_contain_text(visit.say("환경 변수", "Environment"))
    page.get_by_label(visit.say("정한 값만 보기", "Only what is set")).check()
    expect(page.locator("li.setting")).to_have_count(1)
    both_themes(visit, "found")
    find.fill("nonesuch")
    expect(page.locator(".panel")).to_contain_text(visit.say("일치하는 설정", "No setting matches"))
    visit.picture("none")
