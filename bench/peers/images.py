"""Pictures made smaller by Pillow, as Like-Opt does it, or by libvips with the same settings."""

import io
import os
import sys
import time
from pathlib import Path

from bench.peers import Message, serve

WEBP, AVIF = 80, 65


def main(library: str) -> None:
    """Make pictures of `path` that are `width` wide, as a `kind` of file."""
    make = {"pillow": _pillow, "libvips": _libvips}[library]

    def answer(message: Message) -> Message:
        cpu = time.process_time()
        data = make(message["path"], message["width"], message["kind"])
        cpu = time.process_time() - cpu
        return {"cpu_ms": cpu * 1000, "bytes": len(data), "peak_mib": _peak_mib()}

    serve(answer)


def _pillow(path: str, width: int, kind: str) -> bytes:
    from PIL import Image

    with Image.open(path) as opened:
        size = (width, round(opened.height * width / opened.width))
        opened.draft(None, size)
        small = opened.resize(size, reducing_gap=2.0)
    out = io.BytesIO()
    if kind == "webp":
        small.save(out, "WEBP", quality=WEBP, method=2)
    else:
        small.save(out, "AVIF", quality=AVIF, speed=9, max_threads=1)
    return out.getvalue()


def _libvips(path: str, width: int, kind: str) -> bytes:
    # Read when it is loaded.
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    small = pyvips.Image.thumbnail(path, width, height=10_000_000, size="down")
    if kind == "webp":
        data: bytes = small.write_to_buffer(".webp", Q=WEBP, effort=2, keep="none")
    else:
        data = small.write_to_buffer(".avif", Q=AVIF, effort=0, keep="none")
    return data


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise LookupError("VmHWM")


if __name__ == "__main__":
    main(sys.argv[1])
