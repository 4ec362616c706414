"""Does the page answer at once while an answer streams in, however long the conversation is?

The model sends 50 tokens a second. Meanwhile somebody types, opens and closes a source,
opens a menu and scrolls, with real events. Every interaction is timed by the browser (Event Timing,
from the event to the next paint, in steps of 8 ms); `inp_ms` is the worst, as web-vitals defines it
for fewer than 50. `work_ms` is the CPU time of the main thread for a token, with what those
interactions take, so it says the same with less noise. 10 and 200 messages take turns.
"""

import os
import statistics
from typing import Any

from playwright.sync_api import Browser, Page

from bench.web import browser, content, stack

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
TOKENS = 3000
PER_SECOND = 50
INP_TARGET_MS = 100

WATCH = """
window.events = [];
new PerformanceObserver((list) => {
  for (const { interactionId, name, duration, startTime, processingStart, processingEnd }
    of list.getEntries())
    if (interactionId) events.push({ id: interactionId, name, duration,
      delay: processingStart - startTime, work: processingEnd - processingStart });
}).observe({ type: "event", durationThreshold: 16, buffered: true });
window.blocked = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) blocked.push(duration);
}).observe({ type: "longtask" });
"""


def measure(on: stack.Stack) -> dict[str, Any]:
    """A row for each length and speed of the CPU."""
    cases = [(slower, length) for slower in (1, 4) for length in (10, 200)]
    found: dict[tuple[int, int], list[dict[str, Any]]] = {case: [] for case in cases}
    with browser.browser() as chromium:
        # Nobody has asked these before, so no answer is kept for them; and none refers to what
        # was said, which the model would be asked to resolve first.
        tails = ("Please explain.", "Answer in detail.", "Keep the answer short.")
        questions = (f"{one} {tail}" for tail in tails for one in content.QUESTIONS)
        for _ in range(ROUNDS):
            for slower, length in cases:
                one = _round(chromium, on, slower, length, next(questions))
                print(slower, length, one, flush=True)
                found[slower, length].append(one)
    return {
        "what": f"INP while {PER_SECOND} tokens a second stream, {ROUNDS} rounds",
        "targets": {"inp_ms": f"< {INP_TARGET_MS}"},
        "rows": [
            {
                "cpu": "as it is" if slower == 1 else f"{slower} times slower",
                "messages": length,
                "inp_ms": statistics.median(one["inp_ms"] for one in rounds),
                "inp_rounds": [one["inp_ms"] for one in rounds],
                "median_ms": statistics.median(one["median_ms"] for one in rounds),
                "interactions": rounds[0]["interactions"],
                "work_ms": round(statistics.median(one["work_ms"] for one in rounds), 2),
                "script_ms": round(statistics.median(one["script_ms"] for one in rounds), 2),
                "style_layout_ms": round(statistics.median(one["layout_ms"] for one in rounds), 2),
                "blocked_ms": round(statistics.median(one["blocked_ms"] for one in rounds)),
                "worst": [one["worst"] for one in rounds],
            }
            for (slower, length), rounds in found.items()
        ],
    }


def _round(
    chromium: Browser, on: stack.Stack, slower: int, length: int, question: str
) -> dict[str, Any]:
    before = len(on.model.requests)
    on.model.say(*content.tokens(TOKENS), pause=1 / PER_SECOND)
    with browser.page(chromium, on, slower=slower) as (page, protocol):
        page.add_init_script(WATCH)
        page.goto(f"{on.url}/c/{on.conversation(length)}")
        page.wait_for_function(
            "n => document.querySelectorAll('.turn').length === n", arg=length // 2
        )
        page.wait_for_load_state("networkidle")
        field = page.locator(".composer textarea")
        field.fill(question)
        field.press("Enter")
        page.wait_for_function(
            "n => document.querySelectorAll('.turn').length > n", arg=length // 2
        )
        page.locator(".turn:last-child .markdown").wait_for()
        asked = [one.prompt[-300:] for one in on.model.requests[before:]]
        assert len(asked) == 1, f"the model was asked {len(asked)} times: {asked}"
        page.evaluate("events.length = 0; blocked.length = 0")
        start = browser.work(protocol)
        text = page.locator(".turn:last-child .markdown")
        began = len(text.text_content() or "")
        _use(page)
        assert page.locator(".turn:last-child article").get_attribute("aria-busy") == "true"
        page.get_by_role("button", name="Stop", exact=True).click()
        # Until then, what is far out of sight is not drawn.
        page.locator(".turn:last-child article[aria-busy=false]").wait_for()
        end = browser.work(protocol)
        events = page.evaluate("events")
        blocked = sum(one - 50 for one in page.evaluate("blocked"))
        came = len(text.text_content() or "") - began
    written = sum(map(len, content.tokens(TOKENS))) / TOKENS
    return _summary(events, start, end, came / written, blocked)


def _use(page: Page) -> None:
    """What somebody does while they read."""
    field = page.locator(".composer textarea")
    for word in ("and ", "how ", "often "):
        field.press_sequentially(word, delay=60)
    chip = (
        page.locator(".turn:last-child")
        .locator("xpath=preceding-sibling::*[1]")
        .locator("button.chip")
    )
    page.mouse.wheel(0, -500)
    page.wait_for_timeout(300)
    chip.first.click()
    page.locator(".source-panel mark").first.wait_for()
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    menu = page.locator("header .page-actions button").first
    menu.click()
    page.wait_for_timeout(200)
    page.keyboard.press("Escape")
    page.mouse.move(700, 400)
    for delta in (-900, 400, -2000, 3000):
        page.mouse.wheel(0, delta)
        page.wait_for_timeout(150)
    field.click()
    for word in ("does ", "it ", "run?"):
        field.press_sequentially(word, delay=60)


def _summary(
    events: list[dict[str, Any]],
    start: dict[str, float],
    end: dict[str, float],
    tokens: float,
    blocked: float,
) -> dict[str, Any]:
    longest: dict[int, dict[str, Any]] = {}
    for event in events:
        known = longest.get(event["id"])
        if known is None or event["duration"] > known["duration"]:
            longest[event["id"]] = event
    worst = max(longest.values(), key=lambda one: one["duration"])
    spent = {kind: (end[kind] - start[kind]) * 1000 / tokens for kind in start}
    return {
        "inp_ms": worst["duration"],
        "median_ms": statistics.median(one["duration"] for one in longest.values()),
        "interactions": len(longest),
        "work_ms": spent["TaskDuration"],
        "script_ms": spent["ScriptDuration"],
        "layout_ms": spent["LayoutDuration"] + spent["RecalcStyleDuration"],
        "blocked_ms": blocked,
        "worst": f"{worst['name']}: {worst['delay']:.0f} + {worst['work']:.0f} ms",
        "tokens": round(tokens),
    }
