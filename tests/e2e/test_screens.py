"""Pages look as they did: nothing moved, wrapped, vanished or lost its colour unnoticed."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image, ImageChops, ImageDraw
from playwright.sync_api import Browser, BrowserType, Page, Route, expect

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, api_keys, collections, people
from likeopt.web import cookies
from tests import servers
from tests.e2e import screens
from tests.e2e.conftest import LOCALES, PATIENCE_MS, SIZES
from tests.e2e.test_admin import is_idle, signed
from tests.retrieval.parse.make_files import make_pdf, make_scanned_pdf
from tests.servers import wait_until
from tests.stub_openai import StubOpenAI
from tests.web.conftest import Server, let_in
from tests.web.conftest import serving as serving_config

# What every time of the server becomes, and the browser's clock.
THEN = "2026-03-02T09:30:00Z"
NOW = "2026-03-02T12:31:00Z"
NANUM = Path("/usr/share/fonts/truetype/nanum")
# One family for everything: which fonts a machine has besides does not matter.
FONTS = f"""<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{NANUM}</dir>
  <cachedir>CACHE</cachedir>
  <match target="pattern"><edit name="family" mode="append" binding="strong">
    <string>NanumGothic</string></edit></match>
  <alias><family>monospace</family><prefer><family>NanumGothicCoding</family></prefer></alias>
  <match target="font">
    <edit name="antialias" mode="assign"><bool>true</bool></edit>
    <edit name="hintstyle" mode="assign"><const>hintnone</const></edit>
    <edit name="rgba" mode="assign"><const>none</const></edit>
  </match>
</fontconfig>
"""
OWN = {"ko": "총무팀 자료", "en": "Office"}
KEY = {"ko": "사내 챗봇", "en": "Intranet search"}
# What depends on how long the server has run, and on the machine.
NUMBERS: dict[str, float] = {
    "hits": 12_345,
    "misses": 1_234,
    "hit_rate": 0.909,
    "sets": 1_234,
    "evictions": 12,
    "mean_us": 42,
    "p99_us": 950,
    "entries": 1_222,
    "bytes": 4_321_000,
    "computed": 1_234,
    "stampedes_avoided": 56,
    "refreshed_early": 7,
    "generation": 14,
    "library_revision": 14,
}
WORDS = {"hint": "Ab3x", "version": "1.0.0", "python": "3.11.2"}
PLACES = [
    (re.compile(r"\S*lo-e2e-\w+"), "/var/lib/like-opt"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:8000"),
]
PEOPLE = {"ko": ("김서연", "seoyeon"), "en": ("Hannah Reed", "hannah")}
ANSWER = {
    "ko": """숙박비 상한액은 지역마다 다르며, **제주는 1박에 128,500원**입니다 [1].

| 지역 | 1박 상한액 |
|---|--:|
| 서울 | 137,000원 |
| 제주 | 128,500원 |

상한액을 넘는 금액은 출장 전에 부서장의 승인을 받은 경우에만 지급합니다 [2]. 다음을 함께 내세요.

1. 숙박 영수증 원본
2. 출장 명령서 사본
""",
    "en": """The limit depends on the city; in **Oslo it is 228 euros** a night [1].

| City | Limit per night |
|---|--:|
| Lisbon | 137 euros |
| Oslo | 228 euros |

Anything above is paid only with the approval of the head of department, given before the trip [2].
Hand in:

1. the original receipt of the hotel
2. a copy of the travel order
""",
}
TRAVEL = {
    "ko": make_pdf(
        [
            (
                "# 출장 여비 규정\n\n이 규정은 국내 출장에 적용한다. 상한액을 넘는 숙박비는 출장 "
                "전에 부서장의 승인을 받은 경우에만 지급한다."
            ),
            "# 별표\n\n지역별 숙박비 상한액이다.",
        ],
        table=[["지역", "숙박비 상한액"], ["서울", "137,000원"], ["제주", "128,500원"]],
    ),
    "en": make_pdf(
        [
            (
                "# Travel policy\n\nIt applies to all trips. Hotels above the limit are paid only "
                "with the approval of the head of department, given before the trip."
            ),
            "# Annex\n\nHotel limits by city.",
        ],
        table=[["City", "Hotel limit per night"], ["Lisbon", "137 euros"], ["Oslo", "228 euros"]],
    ),
}
FILES: dict[str, list[tuple[str, bytes]]] = {
    "ko": [
        ("취업 규칙 2026.md", "# 취업 규칙\n\n연차 휴가는 15일이다.".encode()),
        ("2025년 4분기 정보보호 교육 결과 보고서(최종).pdf", make_scanned_pdf()),
        ("출장 여비 규정.pdf", TRAVEL["ko"]),
    ],
    "en": [
        ("Staff handbook 2026.md", b"# Handbook\n\nThere are 25 days of leave."),
        (
            "Results of the security training, fourth quarter of 2025 (final).pdf",
            make_scanned_pdf(),
        ),
        ("Travel policy.pdf", TRAVEL["en"]),
    ],
}
QUESTIONS = {
    "ko": [
        "연차 휴가는 며칠인가요?",
        "출장 전에 승인을 받아야 하는 비용은 무엇인가요?",
        "제주의 숙박비 상한액은 얼마인가요?",
    ],
    "en": [
        "How many days of leave are there?",
        "Which costs need an approval before the trip?",
        "What is the hotel limit in Oslo?",
    ],
}


class World(NamedTuple):
    """A server with two people; by language: the cookie of each, and their last conversation."""

    server: Server
    cookie: dict[str, str]
    conversation: dict[str, str]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory(prefix="lo-e2e-", ignore_cleanup_errors=True) as home,
        StubOpenAI(model="gemma-3-12b") as stub,
    ):
        config = Config(
            data_dir=Path(home),
            port=0,
            workers=1,
            guest=False,
            sample_library=False,
            llm="openai",
            llm_url=stub.url,
            llm_model="gemma-3-12b",
        )
        with serving_config(config) as server:
            wait_until(
                lambda: server.request("GET", "/ready").status == 200, "the engine", seconds=180
            )
            services = Services(config)
            built = World(server, {}, {})
            for language in LOCALES:
                settle_in(built, services, stub, language)
            services.close()
            yield built


def settle_in(world: World, services: Services, stub: StubOpenAI, language: str) -> None:
    """Somebody with documents of their own and a few conversations."""
    name, address = PEOPLE[language]
    who = let_in(services, f"{address}@example.org", role="admin")
    services.db.write(lambda c: people.update(c, who.user.id, name=name))
    reader = services.db.read(lambda c: access.reader_for(c, who.user.id))
    own = services.db.write(lambda c: collections.create(c, reader, services.clock, OWN[language]))
    reader = services.db.read(lambda c: access.reader_for(c, who.user.id))
    for file, content in FILES[language]:
        services.ingest.file(reader, own.id, file, content)
        wait_until(lambda: is_idle(services), file, seconds=180)
    _, token = services.db.write(
        lambda c: api_keys.create(
            c, services.clock, who.user.id, name=KEY[language], scopes=["read", "write", "chat"]
        )
    )
    bearer = {"Authorization": f"Bearer {token}"}

    def is_searchable() -> bool:
        # A document that has been read is found a moment later.
        now = world.server.json("GET", "/api/v1/indexing", headers=bearer)
        return bool(now["lexical_revision"] == now["library_revision"]) and not (
            now["pending_words"] or now["pending_embeddings"]
        )

    wait_until(is_searchable, "the documents", seconds=180)
    for question in QUESTIONS[language]:
        stub.say(ANSWER[language])
        asked = world.server.json(
            "POST",
            "/api/v1/chat",
            json={"question": question},
            headers=bearer,
        )
        world.conversation[language] = asked["conversation_id"]
    world.cookie[language] = signed(services, who)


@pytest.fixture(scope="module")
def artist(chromium: BrowserType) -> Iterator[Browser]:
    """A browser that knows one family of fonts."""
    if not (NANUM / "NanumGothic.ttf").exists():
        pytest.skip("The fonts are not installed: `make test` installs fonts-nanum with apt")
    expect.set_options(timeout=PATIENCE_MS)
    with tempfile.TemporaryDirectory(prefix="lo-fonts-") as home:
        fonts = Path(home, "fonts.conf")
        fonts.write_text(FONTS.replace("CACHE", f"{home}/cache"))
        browser = chromium.launch(
            executable_path=servers.chromium(),
            args=["--force-color-profile=srgb", "--font-render-hinting=none", "--disable-lcd-text"],
            env={**os.environ, "FONTCONFIG_FILE": str(fonts)},
        )
        yield browser
        browser.close()


def always_the_same(route: Route) -> None:
    """Whatever the server says of times, durations, itself and its machine is always the same."""
    response = route.fetch()
    if "json" not in response.headers.get("content-type", ""):
        route.fulfill(response=response)
        return
    route.fulfill(response=response, json=frozen(response.json()))


def frozen(told: Any, key: str = "") -> Any:
    """The same JSON with one time, one duration and these numbers, words and places."""
    if isinstance(told, dict):
        return {
            name: frozen(value, key if key == "stages" else name) for name, value in told.items()
        }
    if isinstance(told, list):
        return [frozen(value, key) for value in told]
    if key == "stages" and isinstance(told, int | float):
        return 420
    if isinstance(told, int | float):
        return NUMBERS.get(key, told)
    if not isinstance(told, str):
        return told
    if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", told):
        return THEN
    for place, instead in PLACES:
        told = place.sub(instead, told)
    return WORDS.get(key, told)


def open_at(artist: Browser, world: World, path: str, language: str, size: str, theme: Any) -> Page:
    """A page of somebody who is signed in, unless it is the one to sign in at."""
    width, height = SIZES[size]
    context = artist.new_context(
        locale=LOCALES[language],
        timezone_id="Asia/Seoul",
        viewport={"width": width, "height": height},
        has_touch=size == "phone",
        is_mobile=size == "phone",
        color_scheme=theme,
        reduced_motion="reduce",
        service_workers="block",
    )
    context.set_default_timeout(PATIENCE_MS)
    context.route("**/api/v1/**", always_the_same)
    page = context.new_page()
    page.clock.set_fixed_time(NOW)
    if path != "/sign-in":
        value = world.cookie[language]
        context.add_cookies([{"name": cookies.NAME, "value": value, "url": world.server.url}])
    page.goto(world.server.url + path)
    return page


def looks_right(page: Page, name: str) -> None:
    """As kept; once everything that belongs to the page is drawn."""
    page.evaluate("document.fonts.ready.then(() => document.activeElement?.blur())")
    page.wait_for_load_state("networkidle")
    png = page.screenshot(animations="disabled", caret="hide")
    page.context.close()
    screens.check(name, png)


def looks(*pictures: tuple[str, str, str]) -> pytest.MarkDecorator:
    """In these languages, sizes and themes."""
    return pytest.mark.parametrize(("language", "size", "theme"), pictures)


@looks(("ko", "desktop", "light"), ("en", "phone", "dark"))
def test_sign_in(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, "/sign-in", language, size, theme)
    expect(page.locator("input[type=password]")).to_be_visible()
    looks_right(page, f"sign-in-{language}-{size}-{theme}")


@looks(("ko", "phone", "light"), ("en", "desktop", "dark"))
def test_empty_chat(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, "/", language, size, theme)
    expect(page.locator(".composer textarea:enabled")).to_be_visible()
    looks_right(page, f"empty-chat-{language}-{size}-{theme}")


@looks(
    ("ko", "desktop", "light"),
    ("en", "desktop", "dark"),
    ("ko", "phone", "dark"),
)
def test_answer_with_its_source(
    artist: Browser, world: World, language: str, size: str, theme: str
) -> None:
    page = open_at(artist, world, f"/c/{world.conversation[language]}", language, size, theme)
    page.locator("button.chip").first.click()
    expect(page.locator(".source-panel mark").first).to_be_in_viewport()
    expect(page.locator(".source-panel img").first).to_be_visible()
    looks_right(page, f"source-{language}-{size}-{theme}")


@looks(("en", "phone", "light"), ("ko", "phone", "light"))
def test_answer(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, f"/c/{world.conversation[language]}", language, size, theme)
    expect(page.locator("article.answer table")).to_be_visible()
    # The end is not at a whole pixel: letters were drawn there in one of two ways.
    page.wait_for_load_state("networkidle")
    page.locator(".chat-scroll").evaluate("box => box.scrollTo(0, 0)")
    looks_right(page, f"answer-{language}-{size}-{theme}")


@looks(("ko", "desktop", "dark"), ("en", "phone", "light"))
def test_library(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, "/library", language, size, theme)
    expect(page.locator("li.document")).to_have_count(len(FILES[language]))
    looks_right(page, f"library-{language}-{size}-{theme}")


@looks(("ko", "phone", "light"), ("en", "desktop", "light"))
def test_history(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, "/", language, size, theme)
    if size == "phone":
        page.get_by_role("button", name="메뉴", exact=True).click()
    found = {"ko": "연차", "en": "leave"}[language]
    page.locator(".history input").fill(found)
    expect(page.locator(".history-row")).to_have_count(1)
    looks_right(page, f"history-{language}-{size}-{theme}")


@looks(("ko", "desktop", "light"), ("en", "phone", "dark"))
def test_account(artist: Browser, world: World, language: str, size: str, theme: str) -> None:
    page = open_at(artist, world, "/account", language, size, theme)
    expect(page.locator(".lines").first).to_be_visible()
    looks_right(page, f"account-{language}-{size}-{theme}")


@pytest.mark.parametrize(
    ("name", "language", "size", "theme"),
    [
        ("jobs", "ko", "phone", "dark"),
        ("jobs", "en", "desktop", "light"),
        ("people", "ko", "desktop", "light"),
        ("people", "en", "phone", "dark"),
        ("caches", "ko", "phone", "light"),
        ("caches", "en", "desktop", "dark"),
        ("settings", "ko", "desktop", "dark"),
        ("settings", "en", "phone", "light"),
        ("audit", "ko", "phone", "dark"),
        ("audit", "en", "desktop", "light"),
    ],
)
def test_administration(
    artist: Browser, world: World, name: str, language: str, size: str, theme: str
) -> None:
    page = open_at(artist, world, f"/admin/{name}", language, size, theme)
    expect(page.locator(".lines, .tiles").first).to_be_visible()
    looks_right(page, f"{name}-{language}-{size}-{theme}")


@looks(("ko", "phone", "light"), ("en", "desktop", "dark"))
def test_keys_of_somebody(
    artist: Browser, world: World, language: str, size: str, theme: str
) -> None:
    page = open_at(artist, world, "/admin/people", language, size, theme)
    menu, item = {"ko": ("작업", "API 키"), "en": ("Actions", "API keys")}[language]
    # One's own are on the page of one's account.
    other = "en" if language == "ko" else "ko"
    person = page.get_by_role("listitem").filter(has_text=f"{PEOPLE[other][1]}@example.org")
    person.get_by_role("button", name=menu).click()
    page.get_by_role("menuitem", name=item).click()
    expect(page.get_by_role("dialog").locator(".lines")).to_contain_text(KEY[other])
    looks_right(page, f"keys-{language}-{size}-{theme}")


def test_what_people_see_is_noticed_and_what_they_do_not_is_not() -> None:
    kept = Image.open(screens.KEPT / "source-ko-desktop-light.webp").convert("RGB")
    assert screens.is_same(kept, kept)
    # Letters that stand half a pixel elsewhere, as another release of the browser draws them.
    half = Image.blend(kept, ImageChops.offset(kept, 1, 0), 0.5)
    assert screens.is_same(kept, half)
    # A button that is gone, a page that is darker, one that stands 8 px lower.
    gone = kept.copy()
    ImageDraw.Draw(gone).rectangle((320, 200, 420, 264), fill=(15, 111, 103))
    assert not screens.is_same(kept, gone)
    assert not screens.is_same(kept, kept.point(lambda value: max(0, value - 40)))
    assert not screens.is_same(kept, ImageChops.offset(kept, 0, 8))
    assert not screens.is_same(kept, kept.crop((0, 0, 1280, 799)))
