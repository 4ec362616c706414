"""Reads PDFs as on a machine with other fonts: `python -m ... none|wide FILE...`, to JSON.

A process of its own, because PDFium remembers the fonts that it has found.
"""

import json
import sys
from pathlib import Path

import pypdfium2.raw as pdfium_c

from likeopt.retrieval.parse import HEAD_BYTES, detect, parse
from likeopt.retrieval.parse.pdf_fonts import EAST_ASIAN, box_font, font_system
from tests.retrieval.parse.conftest import shown

# One machine has no font at all; on the other each letter is drawn two letters wide.
_FONTS = {
    "none": (b"", ()),
    "wide": (box_font((0, -120, 2000, 840)), (*EAST_ASIAN, pdfium_c.FXFONT_ANSI_CHARSET)),
}


def main() -> None:
    """Print (kind, text) of the blocks, by the name of the file."""
    system = font_system(*_FONTS[sys.argv[1]])
    pdfium_c.FPDF_SetSystemFontInfo(system)
    found = {}
    for path in map(Path, sys.argv[2:]):
        kind = detect(path.name, path.read_bytes()[:HEAD_BYTES])
        found[path.name] = shown(parse(path, kind, path.name))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
