"""How a page looks now, beside how it is meant to look.

The pictures are in `screens/`. `RENEW_SCREENS=1 pytest tests/e2e/test_screens.py` draws them anew.
"""

import io
import os
from pathlib import Path

from PIL import Image, ImageChops

from tests.servers import ROOT

KEPT = Path(__file__).parent / "screens"
DIFFERENT = ROOT / "test-results" / "different"
# Letters are drawn a little differently by each release of Chromium and FreeType: pictures are
# compared at a quarter of their size, where a pixel of them weighs a sixteenth.
SMALLER = 4
# What a person begins to see, of 255.
VISIBLE = 24
# How much of the page may differ so, and of each square of 64 by 64 pixels: the first is many
# letters drawn differently, the second one button that is gone.
SHARE = 0.01
PATCH = 16
SHARE_OF_PATCH = 0.5


def difference(expected: Image.Image, actual: Image.Image) -> Image.Image:
    """White where a person would see something else than expected; a quarter of the size."""
    pair = [image.convert("RGB").reduce(SMALLER) for image in (expected, actual)]
    bands = ImageChops.difference(*pair).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    return most.point([0] * (VISIBLE + 1) + [255] * (255 - VISIBLE))


def is_same(expected: Image.Image, actual: Image.Image) -> bool:
    """Whether nobody would say that something has changed."""
    if expected.size != actual.size:
        return False
    found = difference(expected, actual)
    share = found.histogram()[255] / (found.width * found.height)
    worst = found.reduce(PATCH).getextrema()[1]
    return share < SHARE and float(worst) < 255 * SHARE_OF_PATCH  # type: ignore[arg-type]


def check(name: str, png: bytes) -> None:
    """Compare a picture with the one that is kept under `name`, or replace that if so asked.

    Raises AssertionError, and leaves both and their difference in `test-results/different/`.
    """
    actual = Image.open(io.BytesIO(png)).convert("RGB")
    path = KEPT / f"{name}.webp"
    if os.environ.get("RENEW_SCREENS"):
        KEPT.mkdir(exist_ok=True)
        if not path.exists() or not is_same(Image.open(path), actual):
            actual.save(path, lossless=True, quality=100, method=4)
        return
    assert path.exists(), f"{path.name} is not there: RENEW_SCREENS=1 draws it"
    expected = Image.open(path)
    if is_same(expected, actual):
        return
    DIFFERENT.mkdir(parents=True, exist_ok=True)
    expected.save(DIFFERENT / f"{name}-expected.png")
    actual.save(DIFFERENT / f"{name}-actual.png")
    if expected.size == actual.size:
        difference(expected, actual).resize(actual.size).save(DIFFERENT / f"{name}-different.png")
    raise AssertionError(f"{name} looks different: see {DIFFERENT.relative_to(ROOT)}/{name}-*.png")
