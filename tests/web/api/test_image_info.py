"""/api/v1/images: what is told of pictures, and those in PDF, HWP and web pages."""

import base64
import io
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest.mock import ANY
from urllib.parse import quote_from_bytes

import msgspec
import pypdfium2 as pdfium
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from likeopt.config import Config
from likeopt.retrieval.parse.protocol import Draw, Drawn
from likeopt.retrieval.parse.renderer import Renderer
from likeopt.services import Services
from likeopt.storage import images as stored
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse import ole
from tests.servers import wait_until
from tests.web.api.test_images import BLUE, PATH, RED, near, opened, picture
from tests.web.conftest import Client, Server

Upload = Callable[..., Any]
FOX = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def config(config: Config) -> Config:
    return msgspec.structs.replace(config, guest=True)


def listed(client: Client, document: str) -> int:
    response = client.get(f"{PATH}?document={document}")
    assert response.status_code == 200, response.text
    assert response.json["document"] == document
    count: int = response.json["pictures"]
    return count


# -- where a citation stands -----------------------------------------------------------------------


def added(served: Server, name: str, content: bytes) -> str:
    """The id of a document that has been read."""
    items = served.json("POST", "/api/v1/documents", status=202, fields={"file": (name, content)})
    document: str = items["items"][0]["document"]["id"]
    wait_until(
        lambda: served.json("GET", f"/api/v1/documents/{document}")["state"] == "ready",
        "the document",
        seconds=60,
    )
    return document


def info(served: Server, document: str, page: int, cited: str) -> Any:
    """Of a page, with where the first place in the text that says `cited` stands on it."""
    text, total = "", 1
    while len(text) < total:
        part = served.json("GET", f"/api/v1/documents/{document}/text?at={len(text)}")
        text, total = text + part["text"], part["total"]
    start = text.index(cited)
    range_ = f"start={start}&end={start + len(cited)}"
    return served.json("GET", f"{PATH}/{document}-p{page}/info?{range_}")


@pytest.mark.parametrize(
    ("turn", "crop"), [(0, None), (90, None), (270, None), (0, (40, 400, 560, 800))]
)
def test_marks_lie_on_what_is_cited(
    served: Server, turn: int, crop: tuple[int, int, int, int] | None
) -> None:
    content = make.make_pdf(["# First\n\nOne.", f"# Second\n\nBefore it.\n\n{FOX}\n\nAfter it."])
    file = pdfium.PdfDocument(content)
    file[1].set_rotation(turn)
    if crop:
        file[1].set_cropbox(*crop)
    out = io.BytesIO()
    file.save(out)
    file.close()
    document = added(served, f"turned-{turn}-{bool(crop)}.pdf", out.getvalue())
    ((x, y, width, height),) = info(served, document, 2, FOX)["marks"]
    shown = served.request("GET", f"{PATH}/{document}-p2?w=1600&f=jpeg").data
    page = Image.open(io.BytesIO(shown)).convert("L")
    box = (x * page.width, y * page.height, (x + width) * page.width, (y + height) * page.height)
    # Letters are more than a twelfth of their box, and around it there is paper.
    letters = page.crop(wider(box, 0))
    assert ink(letters) > letters.width * letters.height / 12
    assert ink(letters) > 0.95 * ink(page.crop(wider(box, 9)))


def wider(box: tuple[float, ...], by: int) -> tuple[int, int, int, int]:
    left, top, right, below = map(round, box)
    return left - by, top - by, right + by, below + by


def ink(image: Image.Image) -> int:
    """How many of its pixels are dark."""
    return sum(image.histogram()[:128])


def test_a_page_is_not_drawn_again_for_each_citation(
    client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"{upload('a.pdf', make.make_pdf(['# First', 'Two.']))['id']}-p1"
    asked: list[Draw] = []
    drawing = Renderer.draw

    def draw(self: Renderer, wanted: Draw) -> Drawn:
        asked.append(wanted)
        return drawing(self, wanted)

    monkeypatch.setattr(Renderer, "draw", draw)
    # The text that a version of the document has there: none of it is read in these tests.
    monkeypatch.setattr(stored, "text_of_page", lambda *where: "First"[: where[-1]])
    shown = [client.get(f"{PATH}/{page}/info?start=0&end={end}").json for end in (4, 5)]
    assert [len(one["marks"]) for one in shown] == [1, 1]
    assert [one.mark for one in asked] == ["", "Firs", "First"]


def test_marks_of_tables_and_of_lines_that_were_joined(served: Server) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    table = [["City", "Limit"], ["Lisbon", "137 euros"], ["Oslo", "228 euros"]]
    document = added(served, "table.pdf", make.make_pdf(["One.", words], table=table))
    lines = info(served, document, 2, words)["marks"]
    assert len(lines) > 2
    assert all(above[1] < below[1] for above, below in pairwise(lines))
    (left, right) = info(served, document, 2, "Oslo | 228 euros")["marks"]
    assert left[1] == pytest.approx(right[1], abs=0.01)
    assert left[0] < right[0]


def test_what_stands_there_twice_or_elsewhere_is_not_marked(served: Server) -> None:
    document = added(served, "twice.pdf", make.make_pdf([f"{FOX}\n\n{FOX}", "Other words here."]))
    assert info(served, document, 1, FOX)["marks"] == []
    assert info(served, document, 1, "Other words here.")["marks"] == []
    assert len(info(served, document, 2, "Other words here.")["marks"]) == 1
    path = f"{PATH}/{document}-p1/info"
    # Beyond its end, backwards, or only half of it: nothing, or a refusal.
    for range_ in ("start=100000&end=200000", "start=9&end=3", "start=5"):
        assert served.json("GET", f"{path}?{range_}")["marks"] == []
    for range_ in ("start=-1&end=5", f"start=0&end={2**70}"):
        assert served.json("GET", f"{path}?{range_}", status=400)["code"] == "bad_input"


# -- pictures in documents -------------------------------------------------------------------------


def test_pictures_are_counted(client: Client, upload: Upload) -> None:
    assert listed(client, upload("a.docx", make.make_docx("None."))["id"]) == 0
    assert listed(client, upload()["id"]) == 0
    one = make.replace_in_zip(make.make_docx("Some."), {"word/media/a.png": picture()})
    assert listed(client, upload("b.docx", one)["id"]) == 1
    missing = client.get(f"{PATH}?document={'0' * 32}")
    assert (missing.status_code, missing.json["code"]) == (404, "no_picture")
    for bad in ("", "?document=", "?document=..%2Fx", "?document=a&page=1"):
        assert client.get(f"{PATH}{bad}").status_code == 400, bad


def test_pictures_in_a_pdf(client: Client, upload: Upload) -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    for page in (picture((200, 100)), picture((400, 200), mode="RGBA")):
        canvas.drawImage(ImageReader(io.BytesIO(page)), 50, 50, 300, 150, mask="auto")
        canvas.showPage()
    canvas.save()
    document = upload("a.pdf", out.getvalue())["id"]
    assert listed(client, document) == 2
    for number, size in ((1, (200, 100)), (2, (400, 200))):
        shown = opened(client.get(f"{PATH}/{document}-i{number}?f=webp")).convert("RGB")
        assert shown.size == size
        assert near(shown.getpixel((20, 50)), RED)
        assert near(shown.getpixel((size[0] - 20, 50)), BLUE)
    assert client.get(f"{PATH}/{document}-i2?w=160").status_code == 200
    assert client.get(f"{PATH}/{document}-i3").status_code == 404
    assert client.get(f"{PATH}/{document}-i2/info").json["width"] == 400


def test_a_picture_in_a_pdf_of_too_many_pixels_is_not_decoded(
    client: Client, upload: Upload
) -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawImage(ImageReader(Image.new("1", (8000, 8000))), 50, 50, 100, 100)
    canvas.save()
    document = upload("a.pdf", out.getvalue())["id"]
    response = client.get(f"{PATH}/{document}-i1")
    assert (response.status_code, response.json["code"]) == (422, "too_large_picture")


def pdf_with(width: int, height: int, shown: str) -> bytes:
    """A PDF of some 800 bytes with a black picture that its page shows in a box (`cm`)."""
    data = zlib.compress(bytes((width + 7) // 8 * height), 9)
    drawing = f"q {shown} cm /I Do Q"
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 600]/Contents 4 0 R/Resources 6 0 R>>",
        f"<</Length {len(drawing)}>>stream\n{drawing}\nendstream".encode(),
        f"<</Subtype/Image/Width {width}/Height {height}/BitsPerComponent 1/ColorSpace/DeviceGray"
        f"/Filter/FlateDecode/Length {len(data)}>>stream\n".encode()
        + data
        + b"\nendstream",
        b"<</XObject<</I 5 0 R>>>>",
    ]
    body = b"".join(b"%d 0 obj%s\nendobj\n" % (n, part) for n, part in enumerate(parts, 1))
    return b"%PDF-1.4\n" + body + b"trailer<</Size 7/Root 1 0 R>>\n%%EOF"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((8000, 20), "100 0 0 100 0 0"),
        ((20, 8000), "100 0 0 100 0 0"),
        ((8000, 20), "0 100 -100 0 200 0"),
        ((8000, 8), "0.0001 0 0 100 0 0"),
    ],
)
def test_a_squeezed_picture_that_would_be_drawn_too_large_is_refused_in_every_size(
    client: Client, upload: Upload, services: Services, size: tuple[int, int], shown: str
) -> None:
    content = pdf_with(*size, shown)
    assert len(content) < 1000
    document = upload("a.pdf", content)["id"]
    response = client.get(f"{PATH}/{document}-i1")
    assert (response.status_code, response.json["code"]) == (422, "too_large_picture")
    # Known of the picture: nothing is started to find it out again.
    services.images._renderer.close()
    for variant in ("?w=160", "?h=320&f=webp", "?q=90&f=avif", "/info"):
        again = client.get(f"{PATH}/{document}-i1{variant}")
        assert again.status_code == 422, variant
        assert again.json == response.json | {"request_id": ANY}
    assert services.images._renderer._process is None


def test_a_picture_is_shown_squeezed_and_one_without_a_width_is_damaged(
    client: Client, upload: Upload
) -> None:
    squeezed = upload("a.pdf", pdf_with(800, 20, "100 0 0 50 0 0"))["id"]
    assert opened(client.get(f"{PATH}/{squeezed}-i1")).size == (800, 400)
    flat = upload("b.pdf", pdf_with(800, 20, "100 0 0 0 0 0"))["id"]
    assert client.get(f"{PATH}/{flat}-i1").json["code"] in ("damaged_file", "no_picture")


def test_a_page_like_a_thread(client: Client, upload: Upload) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(3, 12288))
    canvas.rect(0, 0, 3, 6144, fill=1)
    canvas.save()
    document = upload("a.pdf", out.getvalue())["id"]
    shown = opened(client.get(f"{PATH}/{document}-p1?w=160&f=jpeg")).convert("L")
    assert shown.size == (1, 4096)
    assert (shown.getpixel((0, 100)), shown.getpixel((0, 4000))) == (255, 0)


def test_pictures_that_are_written_into_a_web_page(client: Client, upload: Upload) -> None:
    data = picture((320, 160))
    gif = picture((40, 20), "GIF", "P")
    page = f"""<p>Text.</p><img src="https://example.org/not-fetched.png"><img src="/nor-this.png">
      <img src="data:image/png;base64,{base64.b64encode(data).decode()}">
      <img src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E">
      <img src=" DATA:image/gif,{quote_from_bytes(gif)}"><img src="data:image/png;base64,A">"""
    document = upload("a.html", page.encode())["id"]
    assert listed(client, document) == 3
    assert opened(client.get(f"{PATH}/{document}-i1")).size == (320, 160)
    assert opened(client.get(f"{PATH}/{document}-i2")).size == (40, 20)
    damaged = client.get(f"{PATH}/{document}-i3")
    assert (damaged.status_code, damaged.json["code"]) == (422, "damaged_file")


@pytest.mark.parametrize("flags", [0, 1])
def test_pictures_in_a_hangul_document(client: Client, upload: Upload, flags: int) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(picture((320, 160))) + packer.flush()
    streams = make.hwp_streams("글", flags=flags) | {
        "BinData/BIN0001.jpg": picture((400, 200), "JPEG", quality=95),
        "BinData/BIN0002.OLE": b"a drawing",
        "BinData/BIN0003.png": packed,
        "BinData/BIN0004.bmp": b"\xff neither packed nor a picture",
    }
    document = upload("a.hwp", ole.container(streams))["id"]
    assert listed(client, document) == 3
    assert opened(client.get(f"{PATH}/{document}-i1")).size == (400, 200)
    assert opened(client.get(f"{PATH}/{document}-i2")).size == (320, 160)
    damaged = client.get(f"{PATH}/{document}-i3")
    assert (damaged.status_code, damaged.json["code"]) == (422, "damaged_file")


def test_a_hangul_document_with_a_bomb(client: Client, upload: Upload) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(bytes(80 << 20)) + packer.flush()
    streams = make.hwp_streams("글") | {"BinData/BIN0001.png": packed}
    document = upload("a.hwp", ole.container(streams))["id"]
    response = client.get(f"{PATH}/{document}-i1")
    assert (response.status_code, response.json["code"]) == (422, "archive_bomb")
