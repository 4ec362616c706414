"""From the click on a link to the painted page, over every pair of pages that a link joins.

The clock starts with the browser's own time of the click and stops after the first frame that shows
what the page is for (its list, text or messages, not an empty frame). Pages are visited in rounds,
the first of which is not counted: it fetches what the others then have. `cpu_ms` is the CPU time of
the page's main thread from the pointer's coming until nothing is fetched any more.
"""

import itertools
import os
import statistics
from typing import Any

from playwright.sync_api import Page

from bench import common
from bench.web import browser, stack

ROUNDS = int(os.environ.get("BENCH_VISITS", "3"))
TARGET_MS = 100

# Page -> what shows that it is there, and its heading where another page has the same.
SHOWS = {
    "chat": (".welcome .samples button", ""),
    "conversation": ("article.answer .markdown", ""),
    "library": ("li.document", ""),
    "document": (".viewer-text", ""),
    "account": (".lines", "Account"),
    "jobs": (".sheet .panel-title, .lines", "Jobs"),
    "caches": (".tiles", "Caches"),
    "settings": (".lines", "Settings"),
    "people": (".lines", "People"),
    "audit": (".lines", "Audit log"),
}
# Links to all of them stand on each; the side bar leads to the first.
ADMIN = ("jobs", "caches", "settings", "people", "audit")


def measure(on: stack.Stack) -> dict[str, Any]:
    """A row for each pair, and one for all."""
    times: dict[tuple[str, str], list[float]] = {}
    worked: dict[str, list[float]] = {}
    with browser.browser() as chromium, browser.page(chromium, on) as (page, protocol):
        page.goto(on.url)
        page.locator(SHOWS["chat"][0]).first.wait_for()
        page.wait_for_load_state("networkidle")
        for turn in range(ROUNDS + 1):
            for start, end in _pairs():
                _arrive(page, on, start)
                before = browser.work(protocol)["TaskDuration"]
                took = _go(page, on, end)
                after = browser.work(protocol)["TaskDuration"]
                if turn:
                    times.setdefault((start, end), []).append(took)
                    worked.setdefault(end, []).append((after - before) * 1000)
    every = list(itertools.chain.from_iterable(times.values()))
    all_work = list(itertools.chain.from_iterable(worked.values()))
    rows = [_row("any", every, all_work)]
    for to in SHOWS:
        some = [took for (_, end), each in times.items() if end == to for took in each]
        rows.append(_row(to, some, worked[to]))
    return {
        "what": "milliseconds from the click to the painted page",
        "targets": {"p95": f"< {TARGET_MS}"},
        "rows": rows,
        "pairs": [
            {
                "from": start,
                "to": end,
                "median": round(statistics.median(each), 1),
                "max": max(each),
            }
            for (start, end), each in times.items()
        ],
    }


def _row(to: str, took: list[float], worked: list[float]) -> dict[str, Any]:
    times = {**common.spread(took), "times": len(took)}
    return {"from": "any", "to": to, **times, "cpu_ms": round(statistics.median(worked), 1)}


def _pairs() -> list[tuple[str, str]]:
    """All but those that nothing leads along: to a document one comes from the library, and to most
    of administration from the rest of it."""

    def leads(start: str, end: str) -> bool:
        if end == "document":
            return start == "library"
        return end not in ADMIN[1:] or start in ADMIN

    return [pair for pair in itertools.permutations(SHOWS, 2) if leads(*pair)]


def _arrive(page: Page, on: stack.Stack, to: str) -> None:
    """Be on a page, wherever one was."""
    if to == "document":
        _arrive(page, on, "library")
    if to in ADMIN[1:] and "/admin/" not in page.url:
        _arrive(page, on, ADMIN[0])
    if page.evaluate("location.pathname") != _address(on, to):
        _go(page, on, to)


def _go(page: Page, on: stack.Stack, to: str) -> float:
    """Milliseconds from the click on what leads to a page until it is painted."""
    if to == "account":
        page.locator(".sidebar .myself").click()
        link = page.get_by_role("menuitem", name=SHOWS[to][1], exact=True)
    else:
        link = page.locator(f"a[href='{_address(on, to)}']:visible").last
    # A pointer comes to rest before it clicks.
    link.hover()
    page.wait_for_timeout(100)
    page.evaluate("([one, heading]) => since('click', one, heading)", list(SHOWS[to]))
    link.click()
    took: float = page.evaluate("took")
    page.wait_for_load_state("networkidle")
    return took


def _address(on: stack.Stack, to: str) -> str:
    named = {
        "chat": "/",
        "conversation": f"/c/{on.usual}",
        "document": f"/library/{on.document}",
    }
    return named.get(to, f"/admin/{to}" if to in ADMIN else f"/{to}")
