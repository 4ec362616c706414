"""A browser that has the page of one release open when the server gets the next."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import bootstrap
from likeopt.storage.db import migrate
from likeopt.web.app import create_app
from likeopt.web.assets import STATIC, Assets
from tests import guest
from tests.e2e.conftest import Open
from tests.servers import wait_until

MARK = "--next-release"


class Site(NamedTuple):
    """A server's address, and the folder of the page that it serves."""

    url: str
    folder: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The pages alone: nothing is searched here."""
    folder = tmp_path / "static"
    shutil.copytree(STATIC, folder)
    key = guest.SECRET_KEY
    config = Config(data_dir=tmp_path / "data", guest=True, secret_key=key, sample_library=False)
    config.data_dir.mkdir()
    services = Services(config)
    migrate(services.db)
    services.db.write(lambda c: bootstrap.prepare(c, services.clock))
    app = create_app(config, services, assets=Assets(folder), write=lambda _: None)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}", folder)
    server.shutdown()
    thread.join()
    server.server_close()
    services.close()


def release(folder: Path) -> None:
    """Another build: every script and style sheet has another name, and the old ones are gone."""
    manifest = (folder / "manifest.json").read_text()
    for name in json.loads(manifest)["assets"]:
        stem, _, suffix = name.rpartition(".")
        if suffix != "css":
            continue
        new = f"{stem[:-10]}{stem[-10:][::-1]}.css"
        text = (folder / name).read_text() + f":root{{{MARK}:1}}"
        for copy in folder.glob(f"{name}*"):
            copy.unlink()
        (folder / new).write_text(text)
        manifest = manifest.replace(name, new)
    (folder / "manifest.json").write_text(manifest)


def is_new(page: Page) -> bool:
    found: str = page.evaluate(
        "name => getComputedStyle(document.documentElement).getPropertyValue(name)", MARK
    )
    return bool(found)


def test_an_open_page_goes_on_and_the_next_one_is_the_new_one(site: Site, open_page: Open) -> None:
    visit = open_page(site.url, "en", "desktop")
    page = visit.page
    visit.go("/")
    visit.wait_for_worker()
    release(site.folder)
    # The browser looks for another worker at each visit; this is such a look.
    page.evaluate("navigator.serviceWorker.ready.then((one) => one.update())")
    # The page that is open goes on as it was, with parts that the server has no more.
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()
    assert not is_new(page)
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()
    assert is_new(page)
    # What is kept for a day without a network is that of the release before, as one whole,
    # until no page of it is open.
    wait_until(lambda: worker(page) == ["activated", "installed"], "the next worker")
    assert is_new_when_offline(page) is False

    def is_relieved() -> bool:
        # A page that is being closed may hold the worker for a moment, and so does one that opens
        # in that moment.
        visit.page.close()
        visit.page = visit.page.context.new_page()
        visit.go("/library")
        return worker(visit.page) == ["activated", None]

    wait_until(is_relieved, "the old worker's end")
    assert is_new_when_offline(visit.page)
    visit.allow("ERR_INTERNET_DISCONNECTED|Failed to load resource|Failed to fetch")


def worker(page: Page) -> list[str | None]:
    """The states of the worker in force and of the one that waits for its turn."""
    # Not `wait_for_function`, for which a promise is true.
    states: list[str | None] = page.evaluate(
        "navigator.serviceWorker.ready.then("
        "({ active, waiting }) => [active?.state ?? null, waiting?.state ?? null])"
    )
    return states


def is_new_when_offline(page: Page) -> bool:
    """Whether the page says that there is no network in the form of the new release."""
    page.context.set_offline(True)
    page.reload()
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    found = is_new(page)
    page.context.set_offline(False)
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()
    return found
