"""The examples of the API's documentation run as they are written."""

import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests import guest
from tests.servers import like_opt

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / language / "api.md" for language in ("ko", "en")]
EXAMPLES = [
    pytest.param(code, id=f"{page.parent.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"(?ms)^```sh\n(.*?)^```", page.read_text()))
]


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """Stands for https://example.org."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<h1>Handbook</h1><p>Annual leave is 15 days.</p>")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The folder of somebody who tries the examples."""
    with tempfile.TemporaryDirectory(prefix="lo-try-") as name:
        folder = Path(name)
        (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\nmax-time = 60\n")
        canvas = Canvas(str(folder / "report.pdf"))
        canvas.drawString(72, 720, "Travel costs are settled within a month.")
        canvas.save()
        yield folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    with like_opt(home, {"LIKEOPT_URL_ALLOW_PRIVATE": "true"} | guest.SETTINGS) as url:
        yield url


@pytest.mark.parametrize("code", EXAMPLES)
def test_example(code: str, server: str, home: Path, website: str) -> None:
    here = code.replace("http://127.0.0.1:8080", server).replace("https://example.org", website)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here],
        cwd=home,
        env={
            "PATH": "/usr/bin:/bin",
            "CURL_HOME": str(home),
            "HOME": str(home),
            "KEY": guest.TOKEN,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
