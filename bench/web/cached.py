"""From Enter to the first painted words of an answer that is kept, on this machine.

The question was asked and answered before; each time it is asked in a new conversation. The clock
starts with the browser's own time of the key and stops after the first frame that shows text of the
answer.
"""

import os
import statistics
from typing import Any

from bench import common
from bench.web import browser, content, stack

TIMES = int(os.environ.get("BENCH_TIMES", "50"))
TARGET_MS = 50
QUESTION = "How long does an answer stay in the cache of Like-Opt?"


def measure(on: stack.Stack) -> dict[str, Any]:
    """A row of percentiles; `cpu_ms` is the main thread's CPU time until the answer is complete."""
    painted: list[float] = []
    worked: list[float] = []
    badges = 0
    on.model.say(*content.tokens(120))
    with browser.browser() as chromium, browser.page(chromium, on) as (page, protocol):
        for turn in range(TIMES + 2):
            page.goto(on.url) if turn == 0 else page.locator(".nav a[href='/']").click()
            page.locator(".welcome .samples button").first.wait_for()
            page.wait_for_load_state("networkidle")
            field = page.locator(".composer textarea")
            field.fill(QUESTION)
            page.evaluate("since('keydown', 'article.answer :is(.markdown, .plain)')")
            before = browser.work(protocol)["TaskDuration"]
            field.press("Enter")
            took: float = page.evaluate("took")
            page.locator("article.answer[aria-busy=false] .meta").wait_for()
            after = browser.work(protocol)["TaskDuration"]
            if turn > 1:
                badges += page.locator(".meta .badge", has_text="ached").count()
                painted.append(took)
                worked.append((after - before) * 1000)
    return {
        "what": "milliseconds from Enter to the first painted words of a cached answer",
        "targets": {"p50": f"< {TARGET_MS}"},
        "rows": [
            {
                **common.spread(painted),
                "times": len(painted),
                "said to be cached": badges,
                "cpu_ms": round(statistics.median(worked), 1),
            }
        ],
    }
