"""Pictures: what text pages lose at which quality, and Pillow beside libvips.

Text: the first pages of the sample documents in both languages, set as PDFs. Each is drawn 800
pixels wide, encoded as `likeopt.retrieval.parse.draw` could, decoded again, and compared in grey:
SSIM (Wang and others, 2004, windows of 8 x 8) and how many pixels are off by more than 16 of 255,
about where an edge begins to look dirty.

Photograph: a made one of 4000 x 3000, noise of several grains over gradients, as JPEG; made smaller
by both libraries, each in a process of its own, one thread, interleaved.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from bench import common, peers
from tests.retrieval.parse.make_files import make_pdf

ROUNDS = 7
WIDTHS = (320, 800, 1600)
PAGE_WIDTH = 800
TEXTS = ("ko/asking.md", "ko/operations.md", "en/asking.md", "en/operations.md")
# As in `draw`, and what else could be the default.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG 80": ("JPEG", {"quality": 80, "progressive": True}),
    "WebP 80": ("WEBP", {"quality": 80, "method": 2}),
    "WebP 90": ("WEBP", {"quality": 90, "method": 2}),
    "WebP lossless": ("WEBP", {"lossless": True, "quality": 20, "method": 2}),
    "AVIF 65": ("AVIF", {"quality": 65, "speed": 9, "max_threads": 1}),
    "AVIF 80": ("AVIF", {"quality": 80, "speed": 9, "max_threads": 1}),
}
_WINDOW = 8


def main() -> None:
    """Measure and report."""
    rows = [*_texts(), *_photographs()]
    common.report("images", rows, unit="of texts medians of pages; CPU ms, bytes, MiB at the peak")


# -- text ------------------------------------------------------------------------------------------


def _texts() -> Iterator[dict[str, Any]]:
    pages = [_page(name) for name in TEXTS]
    for way, (kind, options) in WAYS.items():
        found = [_lost(page, kind, options) for page in pages]
        yield {
            "what": "text",
            "way": way,
            **{name: round(statistics.median(one[name] for one in found), 4) for name in found[0]},
        }


def _page(name: str) -> Image.Image:
    """The first page of a sample document."""
    text = (common.BENCH.parent / "docs" / name).read_text(encoding="utf-8")
    document = pdfium.PdfDocument(make_pdf(text))
    try:
        page = document[0]
        drawn: Image.Image = page.render(scale=PAGE_WIDTH / page.get_width()).to_pil()
        return drawn.convert("RGB")
    finally:
        document.close()


def _lost(page: Image.Image, kind: str, options: dict[str, Any]) -> dict[str, float]:
    times = []
    for _ in range(ROUNDS):
        out = io.BytesIO()
        start = time.process_time()
        page.save(out, kind, **options)
        times.append((time.process_time() - start) * 1000)
    before, after = (
        np.asarray(one.convert("L"), dtype=np.float64) for one in (page, Image.open(out))
    )
    off = np.abs(before - after)
    # Paper is most of a page and never off: parts of the pixels that are not.
    ink = max(1, int((before < 250).sum()))
    return {
        "cpu_ms": min(times),
        "bytes": len(out.getvalue()),
        "ssim": _ssim(before, after),
        "off_by_16_percent_of_ink": 100 * float((off > 16).sum()) / ink,
        "largest_error": float(off.max()),
    }


def _ssim(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean of the windows that are not blank in both: paper would hide what letters lose."""
    a, b = _windows(one), _windows(other)
    inked = (a.min(axis=1) < 250) | (b.min(axis=1) < 250)
    a, b = a[inked], b[inked]
    mean_a, mean_b = a.mean(axis=1), b.mean(axis=1)
    both = ((a - mean_a[:, None]) * (b - mean_b[:, None])).mean(axis=1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    shape = (2 * both + c2) / (a.var(axis=1) + b.var(axis=1) + c2)
    return float((light * shape).mean())


def _windows(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of 8 x 8, each 4 after the other."""
    views = np.lib.stride_tricks.sliding_window_view(image, (_WINDOW, _WINDOW))[::4, ::4]
    return views.reshape(-1, _WINDOW * _WINDOW)


# -- photographs -----------------------------------------------------------------------------------


def _photographs() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        _photograph().save(path, "JPEG", quality=92)
        cases = [(width, kind) for width in WIDTHS for kind in ("webp", "avif")]
        found: dict[tuple[str, int, str], list[peers.Message]] = {}
        with (
            peers.running("images", "pillow", python=Path(sys.executable)) as pillow,
            peers.running("images", "libvips") as libvips,
        ):
            for _ in range(ROUNDS):
                for width, kind in cases:
                    for name, ask in (("Pillow", pillow), ("libvips", libvips)):
                        answer = ask({"path": str(path), "width": width, "kind": kind})
                        found.setdefault((name, width, kind), []).append(answer)
    for (name, width, kind), answers in found.items():
        yield {
            "what": f"photograph, {width} wide",
            "way": f"{name}, {kind}",
            "cpu_ms": round(min(one["cpu_ms"] for one in answers), 1),
            "cpu_ms_median": round(statistics.median(one["cpu_ms"] for one in answers), 1),
            "bytes": answers[0]["bytes"],
            "peak_mib": answers[-1]["peak_mib"],
        }


def _photograph() -> Image.Image:
    size = (4000, 3000)
    bands = []
    for tilt in (0, 90, 180):
        light = Image.linear_gradient("L").rotate(tilt).resize(size)
        for grain in (1, 8, 40):
            noise = Image.effect_noise((size[0] // grain, size[1] // grain), 40).resize(size)
            light = ImageChops.overlay(light, noise.filter(ImageFilter.GaussianBlur(1)))
        bands.append(light)
    return Image.merge("RGB", bands)


if __name__ == "__main__":
    main()
