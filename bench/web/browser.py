"""A desktop browser of the administrator's, and what a page tells of its own speed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.web import stack
from bench.web.stack import Stack

PATIENCE_MS = 60_000

# `when(selector, heading)`: the time at which a frame with such an element below such a heading was
# painted. A frame is over when a task runs that its animation callback has queued.
PAINTED = """
window.when = (selector, heading = "") => new Promise((resolve) => {
  const there = () => document.querySelector(selector)?.textContent
    && (!heading || document.querySelector("main h1")?.textContent === heading);
  const painted = () => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now());
    channel.port2.postMessage(0);
  });
  if (there()) return painted();
  const watch = new MutationObserver(() => {
    if (!there()) return;
    watch.disconnect();
    painted();
  });
  watch.observe(document, { subtree: true, childList: true, characterData: true });
});
// `since(event, ...)`: milliseconds from the next such event, by the browser's own clock, to that.
window.since = (name, selector, heading) => {
  let began = 0;
  addEventListener(name, ({ timeStamp }) => {
    began = timeStamp;
    window.took = when(selector, heading).then((end) => end - began);
  }, { capture: true, once: true });
};
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium, with a window on a screen of its own.

    Without a window it draws, of what changes for the keys, only every third or fourth frame, and
    tells of a frame that it left out only when the next is drawn: interactions then seem to take
    300 ms of which the page knows nothing.
    """
    with _screen() as display, sync_playwright() as playwright:
        # Playwright declares numbers for `env`, which it turns into text.
        variables: dict[str, str | float | bool] = {**os.environ, "DISPLAY": display}
        found = playwright.chromium.launch(
            executable_path=stack.CHROMIUM, headless=False, env=variables
        )
        yield found
        found.close()


@contextmanager
def _screen() -> Iterator[str]:
    """`DISPLAY` of an X server that draws into memory."""
    reading, writing = os.pipe()
    # It chooses a number that is free, and says it.
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x1000x24"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        try:
            yield f":{number}"
        finally:
            server.terminate()


@contextmanager
def page(found: Browser, on: Stack, *, slower: int = 1) -> Iterator[tuple[Page, CDPSession]]:
    """A new page, signed in; its CPU is `slower` times slower than the machine's."""
    context = found.new_context(
        ignore_https_errors=True, locale="en-US", viewport={"width": 1280, "height": 800}
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": on.cookie["name"], "value": on.cookie["value"], "url": on.url}])
    context.add_init_script(PAINTED)
    made = context.new_page()
    protocol = context.new_cdp_session(made)
    protocol.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    # By the CPU's clock, which other programs hardly change.
    protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
    yield made, protocol
    context.close()


def work(protocol: CDPSession) -> dict[str, float]:
    """Seconds of CPU time that the page's main thread has worked so far, by kind."""
    told: Any = protocol.send("Performance.getMetrics")
    known = {one["name"]: one["value"] for one in told["metrics"]}
    kinds = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    return {kind: known[kind] for kind in kinds}
