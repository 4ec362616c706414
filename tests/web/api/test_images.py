"""/api/v1/images: pictures of pages and in documents."""

import base64
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from PIL import Image, ImageCms, ImageDraw

from likeopt.accounts import SignedIn
from likeopt.cache.single import Flights
from likeopt.config import Config
from likeopt.retrieval import turns
from likeopt.retrieval.images import SIZES, USE, Images
from likeopt.retrieval.parse import renderer
from likeopt.services import Services
from likeopt.storage import access, collections
from likeopt.storage.collections import Readers
from likeopt.web import cookies
from tests.retrieval.parse import make_files as make
from tests.servers import wait_until
from tests.web.conftest import Client, Server, let_in

PATH = "/api/v1/images"
CHROMIUM = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI_15 = "image/webp,image/*,*/*;q=0.8"
AVIF, WEBP, JPEG = "image/avif", "image/webp", "image/jpeg"
RED, BLUE = (220, 30, 30), (30, 30, 220)

Upload = Callable[..., Any]


@pytest.fixture
def config(config: Config, request: pytest.FixtureRequest) -> Config:
    return msgspec.structs.replace(config, guest="guarded" not in request.fixturenames)


@pytest.fixture
def pdf(upload: Upload) -> str:
    """The id of the second page of a PDF."""
    content = make.make_pdf(["# First\n\nOne.", "# Second\n\nTwo."])
    return f"{upload('a.pdf', content)['id']}-p2"


def picture(
    size: tuple[int, int] = (400, 200), kind: str = "PNG", mode: str = "RGB", **options: Any
) -> bytes:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    ImageDraw.Draw(image).rectangle((size[0] // 2, 0, *size), fill=BLUE)
    if mode == "I;16":
        image = image.convert("L").convert("I").point(lambda value: value * 257)
    out = io.BytesIO()
    image.convert(mode).save(out, kind, **options)
    return out.getvalue()


def noise() -> bytes:
    """A picture of very many colours, as a photograph has."""
    out = io.BytesIO()
    bands = [Image.effect_noise((400, 200), 60) for _ in range(3)]
    Image.merge("RGB", bands).save(out, "PNG")
    return out.getvalue()


def docx(*pictures: bytes, suffix: str = "png") -> bytes:
    names = {f"word/media/image{n}.{suffix}": data for n, data in enumerate(pictures, 1)}
    return make.replace_in_zip(make.make_docx("# Title\n\nText."), names)


def add(upload: Upload, *pictures: bytes, suffix: str = "png") -> str:
    """The id of the first of the pictures in a new Word document."""
    return f"{upload('a.docx', docx(*pictures, suffix=suffix))['id']}-i1"


def opened(response: Any) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.data))
    assert response.mimetype == Image.MIME[image.format or ""]
    image.load()
    return image


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=False))


# -- what is sent ----------------------------------------------------------------------------------


def test_a_page_in_the_format_that_the_browser_shows(client: Client, pdf: str) -> None:
    for accept, media_type in ((CHROMIUM, WEBP), (SAFARI_15, WEBP), ("*/*", JPEG), (None, JPEG)):
        headers = {"Accept": accept} if accept else {}
        response = client.get(f"{PATH}/{pdf}", headers=headers)
        # Text is smallest in WebP without loss, also where AVIF is shown.
        assert response.mimetype == media_type
        image = opened(response)
        assert image.size == (800, 1131)
        assert "Accept" in response.headers["Vary"]
        greys = image.convert("L").histogram()
        assert sum(greys[:64]) > 100, "no text is seen"
        assert sum(greys[250:]) > 0.9 * 800 * 1131, "the paper is not white"


def test_a_photograph_is_avif_where_it_is_shown(client: Client, upload: Upload) -> None:
    image = add(upload, noise())
    for accept, media_type in ((CHROMIUM, AVIF), (SAFARI_15, WEBP), ("*/*", JPEG)):
        response = client.get(f"{PATH}/{image}", headers={"Accept": accept})
        assert opened(response).size == (400, 200)
        assert response.mimetype == media_type
    refused = client.get(f"{PATH}/{image}", headers={"Accept": "image/avif;q=0, image/webp"})
    assert refused.mimetype == WEBP


@pytest.mark.parametrize("name", ["avif", "webp", "jpeg"])
def test_a_format_that_is_asked_for(client: Client, pdf: str, name: str) -> None:
    response = client.get(f"{PATH}/{pdf}?w=160&f={name}", headers={"Accept": CHROMIUM})
    assert response.mimetype == f"image/{name}"
    assert opened(response).size == (160, 226)


def test_sizes_and_qualities(client: Client, pdf: str, upload: Upload) -> None:
    assert opened(client.get(f"{PATH}/{pdf}?w=1600")).size == (1600, 2263)
    # Into a box of both.
    assert opened(client.get(f"{PATH}/{pdf}?w=1600&h=320")).size == (226, 320)
    photograph = add(upload, noise())
    low, high = (client.get(f"{PATH}/{photograph}?q={q}&f=webp").data for q in (50, 90))
    assert len(low) < len(high)
    # What lies in a document is not enlarged.
    assert opened(client.get(f"{PATH}/{photograph}?w=2400")).size == (400, 200)


def test_pictures_are_counted_as_people_do(client: Client, upload: Upload) -> None:
    ten = [picture((n * 10, 50)) for n in range(1, 11)]
    document = add(upload, *ten).partition("-")[0]
    sizes = [opened(client.get(f"{PATH}/{document}-i{n}")).width for n in range(1, 11)]
    assert sizes == [n * 10 for n in range(1, 11)]
    assert client.get(f"{PATH}/{document}-i11").status_code == 404


def test_documents_with_pictures(client: Client, upload: Upload) -> None:
    for name, content, entry in (
        ("a.pptx", make.make_pptx(["# T"]), "ppt/media/a.png"),
        ("a.xlsx", make.make_xlsx({"S": [[1]]}), "xl/media/a.png"),
        ("a.ods", make.make_ods([[1]]), "Pictures/a.png"),
        ("a.hwpx", make.make_hwpx("글"), "BinData/a.PNG"),
    ):
        document = upload(name, make.replace_in_zip(content, {entry: picture()}))["id"]
        assert opened(client.get(f"{PATH}/{document}-i1")).size == (400, 200), name


def test_what_to_show_until_it_is_there(client: Client, pdf: str, upload: Upload) -> None:
    info = client.get(f"{PATH}/{pdf}/info")
    assert info.status_code == 200, info.text
    assert (info.json["id"], info.json["width"], info.json["height"]) == (pdf, 595, 842)
    assert info.json["widths"] == list(SIZES)
    assert info.headers["Cache-Control"] == "no-store"
    image = add(upload, picture())
    info = client.get(f"{PATH}/{image}/info").json
    assert (info["width"], info["height"]) == (400, 200)
    head, _, data = info["placeholder"].partition(",")
    assert head == "data:image/webp;base64"
    small = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert small.size == (16, 8)
    assert near(small.getpixel((2, 4)), RED)
    assert len(info["placeholder"]) < 400


# -- what is left out and what is kept -------------------------------------------------------------


def test_upright_and_without_what_the_camera_wrote(client: Client, upload: Upload) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "Maker of the camera"
    exif.get_ifd(0x8825)[1] = "N"
    image = add(upload, picture(kind="JPEG", exif=exif, quality=95), suffix="jpg")
    for name in ("avif", "webp", "jpeg"):
        response = client.get(f"{PATH}/{image}?f={name}")
        shown = opened(response)
        assert shown.size == (200, 400)
        assert near(shown.convert("RGB").getpixel((100, 50)), RED)
        assert near(shown.convert("RGB").getpixel((100, 350)), BLUE)
        assert not shown.getexif()
        assert b"Maker" not in response.data


def test_colours_stay_what_they_were(client: Client, upload: Upload) -> None:
    # In this profile, the values of red are meant as those of blue.
    swapped = ImageCms.ImageCmsProfile(io.BytesIO(_swapped_profile()))
    image = add(upload, picture(icc_profile=swapped.tobytes()))
    shown = opened(client.get(f"{PATH}/{image}?f=webp")).convert("RGB")
    assert near(shown.getpixel((50, 100)), RED[::-1])
    assert "icc_profile" not in shown.info


def _swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def test_a_damaged_profile_is_none(client: Client, upload: Upload) -> None:
    damaged = [picture(icc_profile=profile) for profile in (b"no profile", b"\0" * 200)]
    first = add(upload, *damaged)
    for image in (first, first.replace("-i1", "-i2")):
        assert near(opened(client.get(f"{PATH}/{image}?f=webp")).getpixel((50, 100)), RED)


KINDS = (
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
    ("GIF", "P"),
    ("BMP", "RGB"),
    ("TIFF", "CMYK"),
    ("JPEG", "CMYK"),
    ("WEBP", "RGBA"),
)


def test_kinds_of_pictures(client: Client, upload: Upload) -> None:
    # What a picture is, it says itself, and not its name.
    first = add(upload, *(picture((320, 160), kind, mode) for kind, mode in KINDS))
    for number, kind in enumerate(KINDS, 1):
        image = first.replace("-i1", f"-i{number}")
        for name in ("avif", "webp", "jpeg"):
            shown = opened(client.get(f"{PATH}/{image}?w=160&f={name}")).convert("L")
            assert shown.size == (160, 80)
            left, right = (
                shown.resize((2, 1), Image.Resampling.BOX).getpixel((x, 0)) for x in (0, 1)
            )
            assert left > right + 10, kind  # type: ignore[operator]


def test_transparent_is_white_in_jpeg(client: Client, upload: Upload) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(out, "PNG")
    image = add(upload, out.getvalue())
    assert opened(client.get(f"{PATH}/{image}?f=jpeg")).getpixel((25, 25)) == (255, 255, 255)
    assert opened(client.get(f"{PATH}/{image}?f=webp")).getpixel((25, 25))[3] == 0  # type: ignore[index]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("w=801", "`w` must be 160, 320, 480, 640, 800, 1200, 1600 or 2400."),
        ("w=0", "`w` must be"),
        ("w=-160", "`w` must be"),
        ("w=100000", "`w` must be"),
        ("h=7", "`h` must be"),
        ("q=100", "`q` must be 50, 65, 80 or 90."),
        ("w=wide", "whole number"),
        ("f=png", "f"),
        ("width=800", "width"),
    ],
)
def test_bad_query(client: Client, pdf: str, query: str, says: str) -> None:
    response = client.get(f"{PATH}/{pdf}?{query}")
    assert response.status_code == 400
    assert says in response.json["detail"]


@pytest.mark.parametrize("part", ["", "-p0", "-p3", "-p999999", "-p9999999", "-i1", "-x1", "-p1x"])
def test_there_is_no_such_picture(client: Client, pdf: str, part: str) -> None:
    response = client.get(f"{PATH}/{pdf.partition('-')[0]}{part}")
    assert response.status_code == 404
    assert response.json["detail"] == "No such picture."


def test_a_text_has_no_pictures(client: Client, upload: Upload) -> None:
    document = upload()["id"]
    assert client.get(f"{PATH}/{document}-p1").status_code == 404
    assert client.get(f"{PATH}/{document}-i1/info").status_code == 404


def test_a_version_that_is_not_kept(client: Client, pdf: str) -> None:
    assert client.get(f"{PATH}/{pdf}?version=7").status_code == 404


def test_a_picture_of_too_many_pixels_is_not_decoded(client: Client, upload: Upload) -> None:
    out = io.BytesIO()
    Image.new("1", (8000, 8000)).save(out, "PNG")
    assert len(out.getvalue()) < 100_000
    response = client.get(f"{PATH}/{add(upload, out.getvalue())}")
    assert response.status_code == 422
    assert response.json["code"] == "too_large_picture"
    assert "50 million pixels" in response.json["detail"]


def test_a_damaged_picture(client: Client, upload: Upload) -> None:
    damaged = (b"", b"GIF89a", picture()[:200], b"%!PS-Adobe-3.0 EPSF-3.0\n")
    first = add(upload, *damaged)
    for number in range(1, len(damaged) + 1):
        response = client.get(f"{PATH}/{first.replace('-i1', f'-i{number}')}")
        assert response.status_code == 422
        assert response.json["code"] == "damaged_file"


# -- a renderer that breaks ------------------------------------------------------------------------


def _spawned(says: str, dies: str) -> Callable[..., tuple[int, int, int]]:
    """Instead of `spawn`: a process that is ready, and dies when something is asked."""
    code = f"import os, signal; os.write(1, {says!r}.encode()); os.read(0, 1); {dies}"

    def spawn(*_: object, **__: object) -> tuple[int, int, int]:
        (stdin, to_it), (from_it, stdout) = os.pipe(), os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
        command = [sys.executable, "-c", code]
        process = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        os.close(stdin)
        os.close(stdout)
        return process, to_it, from_it

    return spawn


@pytest.mark.parametrize("signal_", ["SIGSEGV", "SIGALRM", "SIGKILL"])
def test_what_kills_its_renderer_harms_nothing_else(
    client: Client, pdf: str, upload: Upload, monkeypatch: pytest.MonkeyPatch, signal_: str
) -> None:
    dies = f"os.kill(os.getpid(), signal.{signal_})"
    monkeypatch.setattr(renderer, "spawn", _spawned("\0" * 4, dies))
    response = client.get(f"{PATH}/{pdf}")
    assert response.status_code == 422
    assert response.json["code"] == "not_drawn"
    monkeypatch.undo()
    # It is not tried again for a while, and the next one has a new process.
    assert client.get(f"{PATH}/{pdf}").status_code == 422
    assert client.get(f"{PATH}/{pdf.replace('-p2', '-p1')}").status_code == 200


def test_a_renderer_that_is_killed_between_is_replaced(
    client: Client, pdf: str, services: Services
) -> None:
    assert client.get(f"{PATH}/{pdf}").status_code == 200
    process = services.images._renderer._process
    assert process is not None
    os.kill(process.pid, 9)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert client.get(f"{PATH}/{pdf}?w=160").status_code == 200


def test_too_many_at_once_are_told_so(
    client: Client, pdf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PLACES", 0)
    response = client.get(f"{PATH}/{pdf}")
    assert (response.status_code, response.json["code"]) == (503, "busy")
    assert response.headers["Retry-After"] == "1"
    monkeypatch.undo()
    assert client.get(f"{PATH}/{pdf}").status_code == 200


# -- keeping ---------------------------------------------------------------------------------------


def test_browsers_keep_it_and_ask_each_time(
    client: Client, pdf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get(f"{PATH}/{pdf}", headers={"Accept": CHROMIUM})
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert first.headers["Content-Disposition"].startswith("inline")
    assert "sandbox" in first.headers["Content-Security-Policy"]
    etag = first.headers["ETag"]
    # Asking whether it is still good draws nothing.
    monkeypatch.setattr(Images, "draw", None)
    again = {"Accept": CHROMIUM, "If-None-Match": etag}
    second = client.get(f"{PATH}/{pdf}", headers=again)
    assert (second.status_code, second.data) == (304, b"")
    assert "Accept" in second.headers["Vary"]
    assert second.headers["ETag"] == etag
    monkeypatch.undo()
    # Of another format, size or page it says nothing.
    for path, accept in ((pdf, "*/*"), (f"{pdf}?w=160", CHROMIUM), (f"{pdf[:-1]}1", CHROMIUM)):
        other = client.get(f"{PATH}/{path}", headers=again | {"Accept": accept})
        assert other.status_code == 200
        assert other.headers["ETag"] != etag


def test_it_is_drawn_once(client: Client, pdf: str, services: Services) -> None:
    first = client.get(f"{PATH}/{pdf}")
    services.images._renderer.close()
    again = client.get(f"{PATH}/{pdf}")
    assert again.data == first.data
    assert services.images._renderer._process is None
    (held,) = (layer[USE] for layer in services.cache.sizes().values() if layer and USE in layer)
    # On disk, where it takes no memory and is within the bounds of the cache.
    assert held.entries == 1
    assert 0 < held.bytes < len(first.data) + 1000
    assert "images" not in (services.cache.sizes()["memory"] or {})


def test_a_new_original_has_new_pictures(client: Client, upload: Upload) -> None:
    document = upload("a.docx", docx(picture()))["id"]
    first = client.get(f"{PATH}/{document}-i1")
    assert upload("a.docx", docx(picture((200, 400))))["id"] == document
    again = client.get(f"{PATH}/{document}-i1", headers={"If-None-Match": first.headers["ETag"]})
    assert opened(again).size == (200, 400)


# -- who may see it --------------------------------------------------------------------------------


class Shared:
    """A collection of an owner's that a reader is named in, with a PDF."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.owner = let_in(services, "owner@example.org").user.id
        self.reader = let_in(services, "reader@example.org")
        self.collection = services.db.write(
            lambda c: collections.create(c, self._as_owner(c), services.clock, "Shared").id
        )
        self.share([self.reader.user.id])
        asking = services.db.read(self._as_owner)
        content = make.make_pdf("# Secret")
        added = services.ingest.file(asking, self.collection, "a.pdf", content)
        self.image = f"{added.document.id}-p1"

    def share(self, users: list[str]) -> None:
        def change(c: Any) -> None:
            readers = Readers(False, users, [])
            collections.set_readers(c, self._as_owner(c), self.collection, readers)

        self.services.db.write(change)

    def _as_owner(self, c: Any) -> Any:
        return access.reader_for(c, self.owner)


@pytest.fixture
def shared(services: Services) -> Shared:
    return Shared(services)


@pytest.fixture
def guarded(app: Flask) -> Flask:
    """The application without guests (see `config`)."""
    return app


def browser(app: Flask, services: Services, who: SignedIn) -> Client:
    client: Client = app.test_client()
    signature = cookies.sign(services.secret_key, "session", who.cookie_id)
    client.set_cookie(cookies.NAME, f"{who.cookie_id}.{signature}")
    return client


def test_strangers_are_told_nothing(guarded: Flask, services: Services, shared: Shared) -> None:
    assert guarded.test_client().get(f"{PATH}/{shared.image}").status_code == 401
    reader = browser(guarded, services, shared.reader)
    etag = reader.get(f"{PATH}/{shared.image}").headers["ETag"]
    other = browser(guarded, services, let_in(services, "other@example.org"))
    of_document = f"?document={shared.image.partition('-')[0]}"
    assert reader.get(PATH + of_document).status_code == 200
    for path in (f"/{shared.image}", f"/{shared.image}/info", of_document, f"/{'0' * 32}-p1"):
        # Not even to somebody who knows its ETag, and though the cache has it.
        response = other.get(PATH + path, headers={"If-None-Match": etag})
        assert (response.status_code, response.json["code"]) == (404, "no_picture")
        assert response.json["detail"] == "No such picture."


def test_what_was_taken_away_is_gone(guarded: Flask, services: Services, shared: Shared) -> None:
    reader = browser(guarded, services, shared.reader)
    etag = reader.get(f"{PATH}/{shared.image}").headers["ETag"]
    kept = reader.get(f"{PATH}/{shared.image}", headers={"If-None-Match": etag})
    assert kept.status_code == 304
    shared.share([])
    gone = reader.get(f"{PATH}/{shared.image}", headers={"If-None-Match": etag})
    assert gone.status_code == 404


def test_who_waits_for_the_picture_of_somebody_without_a_place_gets_it(
    guarded: Flask, services: Services, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = let_in(services, "greedy@example.org")
    shared.share([shared.reader.user.id, greedy.user.id])
    for _ in range(turns.PLACES_OF_ONE):
        services.images._turns._enter(greedy.user.id)
    both = threading.Barrier(2)
    asked: list[str] = []
    joining = Flights._join

    def join(self: Flights[Any], key: str) -> Any:
        found = joining(self, key)
        if len(asked) < 2:
            # Whoever is first goes on when the other waits for it.
            asked.append(key)
            both.wait(30)
        return found

    monkeypatch.setattr(Flights, "_join", join)
    told: dict[str | None, int] = {}

    def ask(who: SignedIn) -> None:
        response = browser(guarded, services, who).get(f"{PATH}/{shared.image}")
        told[who.user.email] = response.status_code

    threads = [threading.Thread(target=ask, args=(who,)) for who in (greedy, shared.reader)]
    threads[0].start()
    wait_until(lambda: bool(asked), "the greedy one")
    threads[1].start()
    for thread in threads:
        thread.join()
    assert told == {"greedy@example.org": 503, "reader@example.org": 200}


@pytest.mark.parametrize("more", ["", "/info"])
def test_what_is_taken_away_while_it_is_drawn_is_not_sent(
    guarded: Flask,
    services: Services,
    shared: Shared,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
) -> None:
    drawing = Images.draw

    def draw(self: Images, *arguments: Any) -> Any:
        drawn = drawing(self, *arguments)
        shared.share([])
        return drawn

    monkeypatch.setattr(Images, "draw", draw)
    response = browser(guarded, services, shared.reader).get(f"{PATH}/{shared.image}{more}")
    assert response.status_code == 403
    assert response.json["code"] == "access_revoked"


# -- the whole server ------------------------------------------------------------------------------


def test_a_running_server_draws(served: Server) -> None:
    fields = {"file": ("drawn.pdf", make.make_pdf(["# Zebrafinch"]))}
    added = served.json("POST", "/api/v1/documents", status=202, fields=fields)
    document = added["items"][0]["document"]
    wait_until(
        lambda: served.json("GET", f"/api/v1/documents/{document['id']}")["state"] == "ready",
        "the document",
        seconds=60,
    )
    version = served.json("GET", f"/api/v1/documents/{document['id']}/text")["version"]
    path = f"{PATH}/{document['id']}-p1"
    response = served.request("GET", f"{path}?version={version}", headers={"Accept": CHROMIUM})
    assert response.status == 200, response.data
    assert Image.open(io.BytesIO(response.data)).size == (800, 1131)
    assert served.json("GET", f"{path}/info?version={version}")["width"] == 595


def test_pictures_leave_no_files_behind(client: Client, pdf: str, config: Config) -> None:
    before = {path for path in config.data_dir.rglob("*") if path.is_file()}
    assert client.get(f"{PATH}/{pdf}").status_code == 200
    after = {path for path in config.data_dir.rglob("*") if path.is_file()}
    assert {_kind(path, config) for path in after - before} <= {"cache", "run", "."}


def _kind(path: Path, config: Config) -> str:
    return path.relative_to(config.data_dir).parts[0] if path.parent != config.data_dir else "."
