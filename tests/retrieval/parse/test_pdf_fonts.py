"""A PDF that only names its fonts reads the same whatever fonts the machine has."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.conftest import Read, shown

Blocks = list[tuple[str, str]]

ROWS = [["직급", "근속 연수", "일수"], ["사원", "1년 이상", "15일"], ["과장", "5년 이상", "17일"]]
LINES = {
    "HYGothic-Medium": "휴가 규정",
    "HeiseiMin-W3": "休暇の規定",
    "STSong-Light": "休假规定",
    "MSung-Light": "休假規定",
    "Helvetica": "Leave rules",
}


def _line(font: str, *, turned: bool) -> bytes:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    if font != "Helvetica":
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    file = io.BytesIO()
    canvas = Canvas(file)
    if turned:
        canvas.rotate(90)
    canvas.setFont(font, 12)
    canvas.drawString(300, -300 if turned else 500, LINES[font])
    canvas.save()
    return file.getvalue()


def _files() -> dict[str, tuple[bytes, Blocks]]:
    """What each holds, and what is to be read of it."""
    files: dict[str, tuple[bytes, Blocks]] = {}
    table = "\n".join(" | ".join(row) for row in ROWS)
    blocks = [("heading", "연차"), ("paragraph", "휴가 안내"), ("table", table)]
    for turned in (False, True):
        way = "turned" if turned else "upright"
        for ruled in (False, True):
            data = make.make_pdf("# 연차\n\n휴가 안내", table=ROWS, ruled=ruled, sideways=turned)
            files[f"{'ruled' if ruled else 'aligned'}-{way}.pdf"] = data, blocks
        for font, line in LINES.items():
            files[f"{font}-{way}.pdf"] = _line(font, turned=turned), [("paragraph", line)]
    return files


FILES = _files()


@pytest.fixture(scope="module", params=["none", "wide"])
def elsewhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> object:
    """The blocks of each file as a machine with these fonts reads them."""
    folder = tmp_path_factory.mktemp("fonts")
    for name, (data, _) in FILES.items():
        (folder / name).write_bytes(data)
    command = [sys.executable, "-m", "tests.retrieval.parse.other_machine", request.param, *FILES]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(root)}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FILES)
def test_another_machine_reads_the_same(elsewhere: dict[str, list[list[str]]], name: str) -> None:
    assert [tuple(block) for block in elsewhere[name]] == FILES[name][1]


@pytest.mark.parametrize("name", FILES)
def test_this_machine_does(read: Read, name: str) -> None:
    data, blocks = FILES[name]
    assert shown(read(data, name)) == blocks
