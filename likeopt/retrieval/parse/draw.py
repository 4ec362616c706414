"""Pictures of documents: a page of a PDF, or a picture that lies in a document.

Runs in a process of its own (see `child`): what decodes pictures is written in C, and a picture of
a few kilobytes may claim billions of pixels.

Measured on pages of text, 800 pixels wide (`python -m bench images`, medians of four; the ends of
letters are off if an encoder changed them by more than 16 of 255), and on a photograph:

    format           text: CPU ms, KB, SSIM, off    photograph: CPU ms, KB
    JPEG 80          13   88  0.983  3.7 %            3, 145
    WebP 80          39   53  0.998  0.1 %           37, 116    method 4: 3 % less, twice the time
    WebP 90          37   64  0.999  0
    WebP lossless    17   51  1      0              514, 252
    AVIF 65          76   59  0.986  5.4 %           79, 103    speed 9; 8: 8 to 19 % less for three
    AVIF 80          63   82  0.997  0                          times the time

So what is mostly paper, as text is, is WebP without loss: nothing is lost, it is made soonest, and
it is smallest, or up to 14 % larger than WebP 80 on the densest pages 480 wide. All else is AVIF.
Pillow does not have WebP's near-lossless mode, which could only win what is left of that.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
from PIL import Image, ImageCms

from likeopt.retrieval.parse import kinds, pdf_marks, pictures
from likeopt.retrieval.parse.failures import MAX_PIXELS, Unreadable
from likeopt.retrieval.parse.pdf import opened_as_is
from likeopt.retrieval.parse.protocol import Draw, Drawn

AVIF, WEBP, JPEG = "image/avif", "image/webp", "image/jpeg"

# What Pillow reads: nothing that runs another program (EPS) or has no size of its own.
_READ = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
# A page of black text has 250 greys, and 76 % (160 pixels wide) to 93 % (1600) of it are paper; one
# with a grey photograph on a third of it has as many, and 56 to 64 %: 2.3 s instead of 0.7 s and
# twice the bytes if it were kept without loss.
_FEW_COLOURS = 2048
_PAPER = 0.7
# A page is drawn at least so wide and then made smaller: PDFium leaves thin lines out below.
_LEAST_WIDTH = 160
_LEAST_WIDTH_TALLEST = 4096
_QUALITY = {AVIF: 65, WEBP: 80, JPEG: 80}
# AVIF's 65 looks like 80 in the others.
_AVIF_LOWER = 15

# The size is checked here, before anything is decoded, and not in Pillow.
Image.MAX_IMAGE_PIXELS = None
_SRGB = ImageCms.createProfile("sRGB")
_ORIENTATION = 0x0112
# EXIF's orientations, as what puts them right.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def draw(path: Path, wanted: Draw) -> Drawn:
    """See `read.draw`."""
    if wanted.part == "page":
        return _page(path, wanted)
    found = pictures.find(path, wanted.media_type, wanted.number)
    if found.content is None:
        return Drawn("", b"", 0, 0, found.total)
    content = found.content
    # What comes as an image was decoded by PDFium, with its size checked and its colours converted.
    image, size = (
        _picture(content, wanted) if isinstance(content, bytes) else _shrunk(content, wanted)
    )
    return Drawn(*_encode(image, wanted), *size, found.total)


def _fitted(width: float, height: float, wanted: Draw) -> tuple[int, int]:
    scale = min(wanted.width / width, wanted.height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


# -- pages -----------------------------------------------------------------------------------------


def _page(path: Path, wanted: Draw) -> Drawn:
    if wanted.media_type != kinds.PDF:
        raise Unreadable("no_picture")
    document = opened_as_is(path)
    try:
        # What people have filled in is drawn only then.
        document.init_forms()
        if not 1 <= wanted.number <= len(document):
            raise Unreadable("no_picture")
        page = document[wanted.number - 1]
        if wanted.mark:
            return Drawn("", b"", 0, 0, len(document), pdf_marks.find(page, wanted.mark))
        image, size = _drawn_page(page, wanted)
        return Drawn(*_encode(image, wanted), *size, len(document))
    finally:
        document.close()


def _drawn_page(page: pdfium.PdfPage, wanted: Draw) -> tuple[Image.Image, tuple[int, int]]:
    width, height = page.get_size()
    if width <= 0 or height <= 0:
        raise Unreadable("damaged_file")
    size = _fitted(width, height, wanted)
    # Not a strip of 160 by 655,360 of a page that is one pixel wide.
    larger = max(1.0, min(_LEAST_WIDTH / size[0], _LEAST_WIDTH_TALLEST / size[1]))
    scale = min(size[0] * larger / width, wanted.height * larger / height)
    # Rounded up there: 800.0000001 pixels would be 801.
    bitmap = page.render(scale=scale * (1 - 1e-9), rev_byteorder=True)
    image: Image.Image = bitmap.to_pil().convert("RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX if larger > 1 else None)
    return image, (max(1, round(width)), max(1, round(height)))


# -- pictures --------------------------------------------------------------------------------------


def _picture(data: bytes, wanted: Draw) -> tuple[Image.Image, tuple[int, int]]:
    with Image.open(io.BytesIO(data), formats=_READ) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise Unreadable("too_large_picture")
        turn = _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
        aside = turn is not None and turn in _ASIDE
        natural = (height, width) if aside else (width, height)
        size = _size(natural, wanted)
        profile = opened.info.get("icc_profile")
        # JPEG decodes at an eighth, a quarter or half of its size, if that is enough.
        opened.draft(None, size[::-1] if aside else size)
        image = _plain(opened)
    image = image.resize(size[::-1] if aside else size, reducing_gap=2.0)
    if turn is not None:
        image = image.transpose(turn)
    return _in_srgb(image, profile), natural


def _size(natural: tuple[int, int], wanted: Draw) -> tuple[int, int]:
    """Never larger than it is."""
    return min(natural, _fitted(*natural, wanted))


def _shrunk(image: Image.Image, wanted: Draw) -> tuple[Image.Image, tuple[int, int]]:
    return _plain(image).resize(_size(image.size, wanted), reducing_gap=2.0), image.size


_ASIDE = frozenset(turn for number, turn in _TURNS.items() if number >= 5)


def _plain(image: Image.Image) -> Image.Image:
    """With a byte for each channel, which is what can be made smaller well."""
    if image.mode.startswith("I;16"):
        # `convert` would cut off what is over 255.
        return image.point(lambda value: value / 256).convert("L")
    if image.mode in ("L", "RGB", "RGBA", "CMYK"):
        image.load()
        return image.copy()
    transparent = image.has_transparency_data
    return image.convert("RGBA" if transparent else "RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours that the profile means, as every browser shows them."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # A profile of other channels, or a damaged one, says nothing.
            colours = ImageCms.profileToProfile(colours, source, _SRGB, outputMode="RGB") or colours
        except (ImageCms.PyCMSError, OSError):
            pass
    colours = colours.convert("RGB")
    if alpha:
        colours.putalpha(alpha)
    return colours


# -- encoding --------------------------------------------------------------------------------------


def _encode(image: Image.Image, wanted: Draw) -> tuple[str, bytes]:
    formats = wanted.formats
    if WEBP in formats and wanted.quality is None and _is_flat(image):
        return WEBP, _saved(image, "WEBP", lossless=True, quality=20, method=2)
    media_type = formats[0]
    quality = wanted.quality or _QUALITY[media_type]
    lower = _AVIF_LOWER if wanted.quality else 0
    encode: dict[str, Callable[[], bytes]] = {
        AVIF: lambda: _saved(image, "AVIF", quality=quality - lower, speed=9, max_threads=1),
        WEBP: lambda: _saved(image, "WEBP", quality=quality, method=2),
        JPEG: lambda: _saved(_on_white(image), "JPEG", quality=quality, progressive=True),
    }
    return media_type, encode[media_type]()


def _is_flat(image: Image.Image) -> bool:
    colours = image.getcolors(_FEW_COLOURS) or [(0, None)]
    most = max(count for count, _ in colours)
    return most >= _PAPER * image.width * image.height


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    # Nothing of the file's metadata goes along: where and when a picture was taken, and by whom.
    image.info.clear()
    image.save(out, kind, **options)
    return out.getvalue()
