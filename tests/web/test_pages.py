"""The shell of the page and its files."""

import base64
import gzip
import hashlib
import json
import os
import re
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from likeopt.config import Config
from likeopt.errors import StorageUnavailable
from likeopt.services import Services
from likeopt.web import cookies
from likeopt.web.app import create_app
from likeopt.web.assets import Assets
from tests import guest
from tests.web.conftest import Client, let_in

SCRIPT = b"console.log('main');"
BROWSER = {"Accept": "text/html"}


def build(folder: Path, *, main: str = "main.0123456789.js", script: bytes = SCRIPT) -> None:
    """What the front end's build leaves."""
    (folder / main).write_bytes(script)
    (folder / f"{main}.gz").write_bytes(gzip.compress(script, mtime=0))
    (folder / f"{main}.br").write_bytes(b"brotli bytes")
    (folder / "main.aaaaaaaaaa.css").write_text("body { margin: 0 }")
    (folder / "chat.bbbbbbbbbb.js").write_text("// chat")
    (folder / "library.cccccccccc.js").write_text("// library")
    (folder / "icon.dddddddddd.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "secret.txt").write_text("not in the manifest")
    assets = [main, "main.aaaaaaaaaa.css", "chat.bbbbbbbbbb.js", "library.cccccccccc.js"]
    (folder / "worker.eeeeeeeeee.js").write_text("self.addEventListener('fetch', () => {});")
    shells = {
        route: {
            "css": f".{route}{{margin:0}}",
            "html": {"ko": f"{route} 틀", "en": f"{route} frame"},
        }
        for route in (
            "chat",
            "chat-extractive",
            "conversation",
            "library",
            "document",
            "sign-in",
            "offline",
        )
    }
    manifest = {
        "entry": {"js": [main], "css": ["main.aaaaaaaaaa.css"]},
        "routes": {"chat": ["chat.bbbbbbbbbb.js"], "library": ["library.cccccccccc.js"]},
        "icon": "icon.dddddddddd.svg",
        "icons": {"192": "icon-192.png", "apple": "icon-apple.png"},
        "worker": "worker.eeeeeeeeee.js",
        "shells": shells,
        "assets": [*assets, "icon.dddddddddd.svg", "worker.eeeeeeeeee.js"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    return tmp_path


@pytest.fixture
def page(config: Config, services: Services, folder: Path) -> Client:
    app = create_app(config, services, assets=Assets(folder), write=lambda _: None)
    return guest.client(app)


@pytest.mark.parametrize(
    ("path", "preloaded"),
    [
        ("/", "chat"),
        ("/c/" + "a" * 32, "chat"),
        ("/library", "library"),
        ("/library/" + "b" * 32, "library"),
    ],
)
def test_shell_loads_what_its_route_needs(page: Client, path: str, preloaded: str) -> None:
    html = page.get(path).text
    assert '<script src="/assets/main.0123456789.js" defer fetchpriority="high"></script>' in html
    assert '<link rel="stylesheet" href="/assets/main.aaaaaaaaaa.css">' in html
    assert '<link rel="icon" href="/assets/icon.dddddddddd.svg">' in html
    assert html.count('<link rel="preload" href="/assets/') == 1
    assert f'<link rel="preload" href="/assets/{preloaded}.' in html
    link = page.get(path).headers["Link"]
    assert "</assets/main.0123456789.js>; rel=preload; as=script" in link
    assert "</assets/main.aaaaaaaaaa.css>; rel=preload; as=style" in link
    assert link.count("rel=preload") == 3


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/", ["session", "info"]),
        ("/c/" + "a" * 32, ["session", "info", "conversations/" + "a" * 32]),
        ("/admin/people", ["session", "info"]),
        ("/library", ["session", "info", "documents?limit=50", "collections"]),
        ("/library/" + "b" * 32, ["session", "info", "documents/" + "b" * 32, "collections"]),
        ("/account", ["session", "info"]),
        ("/sign-in", ["session"]),
        ("/link", ["session"]),
        ("/offline", []),
    ],
)
def test_shell_names_what_its_scripts_will_ask_for(
    page: Client, path: str, asked: list[str]
) -> None:
    html = page.get(path).text
    links = re.findall(r'<link rel="preload" href="/api/v1/(\S+)" as="fetch" crossorigin>', html)
    assert links == asked


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "chat-extractive"),
        ("/c/" + "a" * 32, "conversation"),
        ("/library", "library"),
        ("/library/" + "b" * 32, "document"),
        ("/sign-in", "sign-in"),
    ],
)
def test_shell_shows_its_frame_with_the_style_it_needs(page: Client, path: str, route: str) -> None:
    response = page.get(path, headers={"Accept-Language": "ko"})
    assert f">{route} 틀</div>" in response.text
    style = f".{route}{{margin:0}}"
    assert f"<style>{style}</style>" in response.text
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'self' 'sha256-{digest}';" in response.headers["Content-Security-Policy"]


def test_hint_is_drawn_until_it_is_dismissed(page: Client) -> None:
    assert "chat-extractive frame" in page.get("/").text
    page.set_cookie("hint", "off")
    assert "chat frame" in page.get("/").text


def test_who_has_no_session_sees_where_to_sign_in(
    config: Config, services: Services, folder: Path
) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as built:
        app = create_app(closed, built, assets=Assets(folder), write=lambda _: None)
        client: Client = app.test_client()
        assert "sign-in frame" in client.get("/").text
        assert "chat.bbbbbbbbbb" not in client.get("/").text
        client.set_cookie(cookies.NAME, "forged.signature")
        assert "sign-in frame" in client.get("/library").text
        signed = cookies.sign(built.secret_key, "session", "id")
        client.set_cookie(cookies.NAME, f"id.{signed}")
        assert "sign-in frame" in client.get("/library").text
        who = let_in(built, "kim@example.org")
        signed = cookies.sign(built.secret_key, "session", who.cookie_id)
        client.set_cookie(cookies.NAME, f"{who.cookie_id}.{signed}")
        assert "library frame" in client.get("/library").text
        # Of a session that was ended, nothing is fetched that it would be refused.
        built.sessions.revoke_all(who.user.id)
        ended = client.get("/library").text
        assert "sign-in frame" in ended
        assert "/api/v1/documents" not in ended


def test_the_page_is_served_while_sessions_cannot_be_looked_up(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as built:
        app = create_app(closed, built, assets=Assets(folder), write=lambda _: None)
        client: Client = app.test_client()
        client.set_cookie(cookies.NAME, f"id.{cookies.sign(built.secret_key, 'session', 'id')}")

        def away(*_: object) -> None:
            raise StorageUnavailable("The database does not answer.")

        monkeypatch.setattr(type(built.sessions), "find", away)
        assert "library frame" in client.get("/library").text


def test_files_come_from_where_the_settings_say(
    config: Config, services: Services, folder: Path
) -> None:
    apart = msgspec.structs.replace(config, assets_url="https://cdn.example.org/likeopt")
    with closing(Services(apart)) as built:
        app = create_app(apart, built, assets=Assets(folder), write=lambda _: None)
        client = guest.client(app)
        response = client.get("/")
        base = "https://cdn.example.org/likeopt/"
        assert (
            f'src="{base}main.0123456789.js" defer fetchpriority="high" crossorigin'
            in response.text
        )
        assert '="/assets/' not in response.text
        assert (
            f"<{base}chat.bbbbbbbbbb.js>; rel=preload; as=script; crossorigin"
            in (response.headers["Link"])
        )
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self' https://cdn.example.org;" in policy
        # What the CDN fetches here may be used by pages of another origin than its own.
        asset = client.get("/assets/main.0123456789.js")
        assert asset.headers["Access-Control-Allow-Origin"] == "*"
        assert asset.headers.getlist("Cross-Origin-Resource-Policy") == ["cross-origin"]
        page = client.get("/")
        assert page.headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
        assert f'"base":"{base}"' in client.get("/sw.js").text


def test_service_worker_knows_the_files_of_its_build(page: Client, folder: Path) -> None:
    response = page.get("/sw.js")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.content_type == "text/javascript; charset=utf-8"
    assert "connect-src 'self'" in response.headers["Content-Security-Policy"]
    told, _, code = response.text.partition(";\n")
    build_of = json.loads(told.removeprefix("const BUILD = "))
    assert code == "self.addEventListener('fetch', () => {});"
    assert (build_of["base"], build_of["shell"]) == ("/assets/", "/offline")
    assert build_of["entry"] == ["main.0123456789.js", "main.aaaaaaaaaa.css"]
    assert all(f"/assets/{name}" in page.get("/offline").text for name in build_of["entry"])
    assert "chat.bbbbbbbbbb.js" in build_of["files"]
    again = page.get("/sw.js", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    build(folder, main="main.ffffffffff.js")
    os.utime(folder / "manifest.json", ns=(3, 3))
    assert build_of["version"] not in page.get("/sw.js").text


def test_app_can_be_installed(page: Client) -> None:
    for language, words in (("ko", "출처가 달린 답"), ("en", "cite their sources")):
        response = page.get("/app.webmanifest", headers={"Accept-Language": language})
        assert response.content_type == "application/manifest+json"
        # It names the icons of this release only, so no proxy may hand it out unasked.
        assert response.headers["Cache-Control"] == "no-cache"
        tag = {"Accept-Language": language, "If-None-Match": response.headers["ETag"]}
        assert page.get("/app.webmanifest", headers=tag).status_code == 304
        assert "Accept-Language" in response.headers["Vary"]
        told = response.json or json.loads(response.data)
        assert words in told["description"]
        assert told["display"] == "standalone"
        assert told["icons"][0]["src"] == "/assets/icon-192.png"
    assert '<link rel="manifest" href="/app.webmanifest" crossorigin=' in page.get("/").text


def test_page_without_a_network_fetches_nothing_ahead(page: Client) -> None:
    response = page.get("/offline")
    assert "offline frame" in response.text
    assert 'rel="preload"' not in response.text
    assert "Link" not in response.headers


def test_shell_is_asked_about_each_time(page: Client) -> None:
    first = page.get("/")
    assert first.headers["Cache-Control"] == "no-cache"
    policy = first.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    again = page.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Content-Security-Policy"] == policy


def test_shell_speaks_the_visitors_language(page: Client) -> None:
    asks_korean = {"Accept-Language": "ko"}
    assert '<html lang="ko" ' in page.get("/", headers=asks_korean).text
    assert '<html lang="en" ' in page.get("/").text
    page.set_cookie("lang", "en")
    assert '<html lang="en" ' in page.get("/", headers=asks_korean).text
    assert page.get("/").headers["Vary"].startswith("Accept-Language, Cookie")


def test_shell_has_the_theme_that_was_chosen(page: Client) -> None:
    def media(html: str) -> list[str]:
        return re.findall(r'<meta name="theme-color" [^>]* media="([^"]*)">', html)

    system = page.get("/")
    assert "data-theme" not in system.text
    assert media(system.text) == [f"(prefers-color-scheme: {one})" for one in ("light", "dark")]
    for chosen, expected in (("light", ["all", "not all"]), ("dark", ["not all", "all"])):
        page.set_cookie("theme", chosen)
        # Nobody gets the page of another choice, from whatever cache.
        response = page.get("/", headers={"If-None-Match": system.headers["ETag"]})
        assert response.status_code == 200
        assert "Cookie" in response.headers["Vary"]
        assert f' data-theme="{chosen}">' in response.text
        assert media(response.text) == expected
    page.set_cookie("theme", "system")
    assert page.get("/").data == system.data


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("gzip, deflate, br", "br", b"brotli bytes"),
        ("gzip", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("br;q=0, gzip", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("identity", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
def test_asset_in_the_best_encoding(
    page: Client, accepted: str, encoding: str | None, body: bytes
) -> None:
    response = page.get("/assets/main.0123456789.js", headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == encoding
    assert response.data == body if encoding != "gzip" else gzip.decompress(response.data) == SCRIPT
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.content_type == "text/javascript; charset=utf-8"


def test_encodings_have_their_own_tags(page: Client) -> None:
    path = "/assets/main.0123456789.js"
    tags = {
        page.get(path, headers={"Accept-Encoding": one}).headers["ETag"]
        for one in ("br", "gzip", "identity")
    }
    assert len(tags) == 3


@pytest.mark.parametrize(
    "name", ["secret.txt", "manifest.json", "main.0123456789.js.gz", "../app.py", "nothing.js"]
)
def test_only_what_the_manifest_lists_is_served(page: Client, name: str) -> None:
    response = page.get(f"/assets/{name}")
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"


def test_file_without_a_hash_is_not_kept(page: Client, folder: Path) -> None:
    build(folder, main="main.js")
    os.utime(folder / "manifest.json", ns=(1, 1))
    response = page.get("/assets/main.js")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["ETag"]


def test_new_build_is_picked_up(page: Client, folder: Path) -> None:
    build(folder, main="main.ffffffffff.js", script=b"new")
    os.utime(folder / "manifest.json", ns=(2, 2))
    assert "main.ffffffffff.js" in page.get("/").text
    assert page.get("/assets/main.ffffffffff.js").data == b"new"


def test_wrong_address_gets_the_shell_and_404(page: Client) -> None:
    response = page.get("/no/such/page", headers=BROWSER)
    assert response.status_code == 404
    assert '<div id="app" ' in response.text


@pytest.mark.parametrize("path", ["/c/zzz", "/c/" + "a" * 31, "/c/" + "g" * 32, "/library/zzz"])
def test_an_address_with_what_cannot_be_an_id_is_none(page: Client, path: str) -> None:
    response = page.get(path, headers=BROWSER)
    assert response.status_code == 404
    assert '<div id="app" ' in response.text
    # Whether somebody has one of this id is not told.
    assert page.get("/c/" + "a" * 32, headers=BROWSER).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/c/" + "a" * 32,
        "/library",
        "/library/" + "b" * 32,
        *("/sign-in", "/link", "/account", "/offline"),
        *("/admin", "/admin/jobs", "/admin/caches", "/admin/settings", "/admin/people"),
        "/admin/audit",
    ],
)
def test_a_slash_behind_a_pages_address_leads_to_the_page(page: Client, path: str) -> None:
    assert page.get(path).status_code == 200
    for query in ("", "?q=%ED%95%9C&tag=a%2Fb"):
        response = page.get(f"{path}/{query}", headers=BROWSER)
        assert (response.status_code, response.headers["Location"]) == (308, path + query)


@pytest.mark.parametrize("path", ["/c/zzz/", "/sw.js/", "/api/v1/info/", "/no/page/", "/%2Fx.org/"])
def test_other_addresses_with_a_slash_lead_to_no_page(page: Client, path: str) -> None:
    response = page.get(path, headers={"Accept": "application/json"})
    # Werkzeug leads from two slashes to one, on this server.
    assert response.status_code == 404 or response.headers["Location"] == "http://localhost/x.org/"


def test_without_a_build_the_page_says_what_to_do(
    config: Config, services: Services, tmp_path: Path
) -> None:
    client = create_app(config, services, assets=Assets(tmp_path), write=lambda _: None)
    for language, words in (("ko", "만들어지지 않았습니다"), ("en", "not been built")):
        response = client.test_client().get("/", headers={"Accept-Language": language})
        assert response.status_code == 503
        assert words in response.text
        assert "npm --prefix frontend run build" in response.text
        assert response.headers["Cache-Control"] == "no-store"
    assert client.test_client().get("/health").status_code == 200
