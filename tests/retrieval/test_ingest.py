"""Adding originals: uploads, folders, web pages."""

import http.server
import io
import os
import socket
import socketserver
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
import pytest

from likeopt.config import Config
from likeopt.errors import (
    BadInput,
    Forbidden,
    LikeOptError,
    NotFound,
    StorageFull,
    TooLarge,
    UnreadableFile,
    UnsupportedType,
)
from likeopt.retrieval import fetch, folders
from likeopt.retrieval.fetch import MAX_REDIRECTS, check_url, may_reach
from likeopt.retrieval.ingest import FileResult, Ingest
from likeopt.storage import access, bootstrap, documents
from likeopt.storage.db import Database
from likeopt.storage.documents import Document, Wanted
from likeopt.storage.files import FileStore
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock, no_file_beyond
from tests.retrieval.parse.make_files import make_encrypted_pdf


class Library:
    """A library on SQLite, its user, and the ways in."""

    def __init__(self, database: Database, config: Config, clock: FakeClock) -> None:
        self.db = database
        self.config = config
        self.clock = clock
        self.store = FileStore(config.data_dir / "files")
        database.write(lambda c: bootstrap.prepare(c, clock))
        self.reader: Reader = database.read(access.local_reader)
        self.ingest = Ingest(database, self.store, clock, config)

    def upload(self, name: str, content: bytes) -> documents.Added:
        return self.ingest.file(self.reader, "default", name, content)

    def folder(self, path: Path, *, prune: bool = False) -> list[FileResult]:
        return list(self.ingest.folder(self.reader, "default", path, prune=prune))

    def fetch(self, url: str) -> documents.Added:
        return self.ingest.url(self.reader, "default", url)

    def all(self) -> list[Document]:
        return self.db.read(lambda c: documents.list_(c, self.reader, Wanted())).items

    def originals(self) -> int:
        return len([path for path in self.store.root.glob("??/*") if path.is_file()])


@pytest.fixture
def library(sqlite_database: Database, config: Config, clock: FakeClock) -> Library:
    return Library(sqlite_database, msgspec.structs.replace(config, max_upload_mb=1), clock)


# -- uploads ---------------------------------------------------------------------------------------


def test_an_upload_is_stored_and_queued(library: Library) -> None:
    added = library.upload("노트.txt", "안녕하세요".encode())
    assert (added.outcome, added.document.state) == ("added", "queued")
    with library.store.open(added.document.sha256) as original:
        assert original.read().decode() == "안녕하세요"


def test_names_are_stored_composed(library: Library) -> None:
    assert library.upload("\u1112\u1161\u11ab.txt", b"x").document.name == "한.txt"


def test_the_same_name_replaces_and_the_same_content_does_nothing(library: Library) -> None:
    first = library.upload("a.txt", b"one")
    same = library.upload("a.txt", b"one")
    changed = library.upload("a.txt", b"two")
    assert [a.outcome for a in (first, same, changed)] == ["added", "unchanged", "changed"]
    assert len(library.all()) == 1


BAD_NAMES = [
    "",
    "../../etc/passwd.txt",
    "a/b.txt",
    "C:\\a.txt",
    "..",
    "a\x00.txt",
    "a\n.txt",
    "\udcff.txt",
    "gpj\u202etxt.exe.txt",
    "x" * 256 + ".txt",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(library: Library, name: str) -> None:
    with pytest.raises(BadInput):
        library.upload(name, b"x")
    assert (library.all(), library.originals()) == ([], 0)


@pytest.mark.parametrize(
    ("name", "content", "error", "code"),
    [
        ("a.txt", b"", UnreadableFile, "empty_file"),
        ("a.exe", b"MZ\x90", UnsupportedType, "unsupported_type"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n" + bytes(100), UnsupportedType, "unsupported_type"),
        ("a.txt", b"x" * ((1 << 20) + 1), TooLarge, "too_large"),
    ],
)
def test_bad_files_are_refused_and_change_nothing(
    library: Library, name: str, content: bytes, error: type[LikeOptError], code: str
) -> None:
    with pytest.raises(error) as caught:
        library.upload(name, content)
    assert caught.value.instance_code == code
    assert (library.all(), library.originals()) == ([], 0)
    assert list(library.store.root.glob("tmp/*")) == []


def test_an_unknown_collection_is_refused(library: Library) -> None:
    with pytest.raises(NotFound):
        library.ingest.file(library.reader, "nowhere", "a.txt", io.BytesIO(b"x"))
    assert library.all() == []


# -- folders ---------------------------------------------------------------------------------------


def outcomes(results: list[FileResult]) -> dict[str, str]:
    return {
        r.name: r.problem.instance_code if r.problem is not None else r.outcome for r in results
    }


def test_a_folder_is_added_with_every_reason(library: Library, tmp_path: Path) -> None:
    root = tmp_path / "자료"
    (root / "sub").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (tmp_path / "secret.txt").write_text("outside")
    (root / "a.txt").write_text("one")
    (root / "sub" / "b.md").write_text("# two")
    (root / ".hidden" / "c.txt").write_text("hidden")
    (root / ".d.txt").write_text("hidden")
    (root / "~$lock.docx").write_text("lock")
    (root / "empty.txt").touch()
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "loop").symlink_to(root)
    (root / "again.txt").symlink_to(root / "a.txt")
    os.mkfifo(root / "pipe.txt")
    (root / os.fsdecode(b"bad\xff.txt")).write_text("x")
    results = library.folder(root)
    assert outcomes(results) == {
        "a.txt": "added",
        "sub/b.md": "added",
        "empty.txt": "empty_file",
        "picture.png": "unsupported_type",
        "out.txt": "link_outside",
        "pipe.txt": "not_a_file",
        "bad\ufffd.txt": "bad_name",
    }
    assert sorted(document.name for document in library.all()) == ["a.txt", "sub/b.md"]


def test_only_what_changed_is_added_again(library: Library, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    library.folder(tmp_path)
    (tmp_path / "b.txt").write_text("changed")
    (tmp_path / "c.txt").write_text("new")
    assert outcomes(library.folder(tmp_path)) == {
        "a.txt": "unchanged",
        "b.txt": "changed",
        "c.txt": "added",
    }


def test_one_file_can_be_named(library: Library, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    assert outcomes(library.folder(tmp_path / "a.txt")) == {"a.txt": "added"}


def test_a_large_folder_takes_several_batches(library: Library, tmp_path: Path) -> None:
    for i in range(150):
        (tmp_path / f"{i}.txt").write_text(str(i))
    results = library.folder(tmp_path)
    assert [r.outcome for r in results] == ["added"] * 150
    assert all(r.document is not None for r in results)


def test_pruning_removes_documents_of_vanished_files_only_when_asked(
    library: Library, tmp_path: Path
) -> None:
    root = tmp_path / "docs"
    other = tmp_path / "Docs"
    for folder in (root, other):
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        (folder / "b.txt").write_text("b")
        library.folder(folder)
    library.upload("b.txt", b"uploaded")
    (root / "b.txt").unlink()
    assert outcomes(library.folder(root)) == {"a.txt": "unchanged"}
    assert outcomes(library.folder(root, prune=True)) == {"a.txt": "unchanged", "b.txt": "removed"}
    assert len(library.all()) == 4


def test_a_folder_with_an_address_may_move(library: Library, tmp_path: Path) -> None:
    def add(root: Path, *, prune: bool = False) -> dict[str, str]:
        adding = library.ingest.folder(
            library.reader, "default", root, prune=prune, source="sample", address="likeopt:docs/en"
        )
        return outcomes(list(adding))

    here, there = tmp_path / "1.0" / "en", tmp_path / "1.1" / "en"
    for root in (here, there):
        (root / "more").mkdir(parents=True)
        (root / "more" / "a.md").write_text("a")
        (root / "b.md").write_text("b")
    add(here)
    sources = {document.source_uri for document in library.all()}
    assert sources == {"likeopt:docs/en/b.md", "likeopt:docs/en/more/a.md"}
    (there / "b.md").unlink()
    assert add(there, prune=True) == {"more/a.md": "unchanged", "b.md": "removed"}


def test_a_missing_folder_prunes_nothing(library: Library, tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.txt").write_text("a")
    library.folder(root)
    (root / "a.txt").unlink()
    root.rmdir()
    with pytest.raises(BadInput):
        library.folder(root, prune=True)
    assert len(library.all()) == 1


def test_a_file_that_vanishes_between_two_reads_is_reported(
    library: Library, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    results = []
    found = folders.walk(tmp_path.resolve(), str(tmp_path.resolve()))
    for one in found:
        looked = folders.look(one, 1000)
        one.path.unlink()
        with pytest.raises(UnreadableFile) as caught:
            folders.open_regular(one)
        results.append((looked.size, caught.value.instance_code))
    assert results == [(5, "missing_file"), (5, "missing_file")]


def test_a_file_that_vanishes_is_reported_and_stops_nothing(
    library: Library, tmp_path: Path
) -> None:
    names = [f"{i:02}.txt" for i in range(70)]
    for name in names:
        (tmp_path / name).write_text(name)
    results = []
    for result in library.ingest.folder(library.reader, "default", tmp_path):
        # The listing was taken before the first batch of 64; the rest is still to be read.
        (tmp_path / "66.txt").unlink(missing_ok=True)
        results.append(result)
    expected = dict.fromkeys(names, "added") | {"66.txt": "missing_file"}
    assert outcomes(results) == expected


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything, so somebody else reads."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_what_may_not_be_read_is_reported(data_dir: Path) -> None:
    data_dir.chmod(0o755)
    (data_dir / "secret.txt").write_text("x")
    (data_dir / "secret.txt").chmod(0)
    (data_dir / "locked").mkdir(mode=0)
    with not_root():
        locked, secret = folders.walk(data_dir, str(data_dir))
        assert locked.problem is not None
        assert (locked.name, locked.problem.instance_code) == ("locked", "permission_denied")
        with pytest.raises(UnreadableFile) as caught:
            folders.look(secret, 1000)
    assert caught.value.instance_code == "permission_denied"
    (data_dir / "locked").chmod(0o755)


def test_the_api_adds_from_allowed_folders_only(
    library: Library, tmp_path: Path, clock: FakeClock
) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (allowed / "out").symlink_to(tmp_path / "other")
    config = msgspec.structs.replace(library.config, folder_roots=str(allowed))
    ingest = Ingest(library.db, library.store, clock, config)
    assert ingest.server_folder(str(allowed / "sub")) == allowed / "sub"
    for path in (
        tmp_path,
        tmp_path / "other",
        allowed / ".." / "other",
        allowed / "out",
        Path("/"),
    ):
        with pytest.raises(Forbidden):
            ingest.server_folder(str(path))
    with pytest.raises(BadInput):
        ingest.server_folder("\x00")
    with pytest.raises(Forbidden):
        library.ingest.server_folder(str(allowed))


# -- URLs ------------------------------------------------------------------------------------------


class Site(http.server.BaseHTTPRequestHandler):
    """A small web site with every trouble."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path.partition("?")[2]) or "/page")
            self.end_headers()
            return
        status, media_type, body, extra = {
            "/page": (200, "text/html; charset=utf-8", b"<h1>Hello</h1><p>text</p>", {}),
            "/": (200, "text/html", b"<p>root</p>", {}),
            "/notes/a%20b.txt?x=1": (200, "text/plain", b"plain", {}),
            "/download": (
                200,
                "application/octet-stream",
                b"name,age\nx,1\n",
                {"Content-Disposition": 'attachment; filename="../t.csv"'},
            ),
            "/image": (200, "image/png", b"\x89PNG\r\n\x1a\n", {}),
            "/large": (200, "text/plain", b"x" * (2 << 20), {}),
            "/bomb": (200, "text/plain", gzipped(50 << 20), {"Content-Encoding": "gzip"}),
            "/password": (200, "application/pdf", make_encrypted_pdf(), {}),
            "/empty": (200, "text/plain", b"", {}),
        }.get(self.path, (404, "text/plain", b"missing", {}))
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """A client that hangs up in the middle of a bomb is what the tests want."""


def gzipped(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(bytes(size)) + packer.flush()


@contextmanager
def site() -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url() -> Iterator[str]:
    with site() as address:
        yield address


@pytest.fixture
def intranet(library: Library, clock: FakeClock) -> Library:
    """A library that may reach this machine."""
    library.config = msgspec.structs.replace(library.config, url_allow_private=True)
    library.ingest = Ingest(library.db, library.store, clock, library.config)
    return library


@pytest.mark.parametrize(
    ("path", "name", "media_type"),
    [
        ("/page#part", "page.html", "text/html"),
        ("/", "localhost.html", "text/html"),
        ("/notes/a%20b.txt?x=1", "a b.txt", "text/plain"),
        ("/download", "t.csv", "text/csv"),
        ("/redirect?/page", "page.html", "text/html"),
        ("/redirect?" * MAX_REDIRECTS + "/page", "page.html", "text/html"),
    ],
)
def test_a_page_is_added(
    intranet: Library, url: str, path: str, name: str, media_type: str
) -> None:
    added = intranet.fetch(url + path)
    document = added.document
    assert (document.name, document.media_type, document.source) == (name, media_type, "url")
    assert document.source_uri == url + path.partition("#")[0]
    assert Site.seen[-1][1] == url.removeprefix("http://")
    assert intranet.fetch(url + path).outcome == "unchanged"


def test_a_page_that_the_disk_has_no_room_for(
    intranet: Library, clock: FakeClock, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = msgspec.structs.replace(intranet.config, max_upload_mb=4)
    intranet.ingest = Ingest(intranet.db, intranet.store, clock, config)
    # Only the data folder is written to.
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with no_file_beyond(1 << 19), pytest.raises(StorageFull, match="Nothing was changed"):
        intranet.fetch(url + "/large")
    assert intranet.all() == []
    assert intranet.fetch(url + "/large").outcome == "added"


@pytest.mark.parametrize(
    ("path", "error", "code"),
    [
        ("/missing", UnreadableFile, "url_unreachable"),
        ("/redirect?" * (MAX_REDIRECTS + 1) + "/page", UnreadableFile, "url_unreachable"),
        ("/redirect?ftp://host/x", BadInput, "bad_input"),
        ("/redirect?http://169.254.169.254/latest", BadInput, "url_private"),
        ("/image", UnsupportedType, "unsupported_type"),
        ("/large", TooLarge, "too_large"),
        ("/bomb", TooLarge, "too_large"),
        ("/empty", UnreadableFile, "empty_file"),
        ("/password", UnreadableFile, "encrypted_file"),
    ],
)
def test_a_page_that_cannot_be_added(
    intranet: Library, url: str, path: str, error: type[LikeOptError], code: str
) -> None:
    with pytest.raises(error) as caught:
        intranet.fetch(url + path)
    assert caught.value.instance_code == code
    assert (intranet.all(), intranet.originals()) == ([], 0)


def test_private_addresses_are_refused_before_anything_is_sent(library: Library, url: str) -> None:
    port = url.rpartition(":")[2]
    before = len(Site.seen)
    odd = ("127.1", "2130706433", "0x7f.1", "017700000001")
    for host in ("localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", *odd):
        with pytest.raises(BadInput) as caught:
            library.fetch(f"http://{host}:{port}/page")
        assert caught.value.instance_code == "url_private"
    assert len(Site.seen) == before


# Any address of the public internet.
PUBLIC = "93.184.215.14"


class Outside:
    """A public internet of one site: `site.example` has the addresses that `answers` says next, and
    connections to PUBLIC lead to the site of this machine."""

    def __init__(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[list[str]] = []
        self.connected: list[str] = []
        look_up, connect = socket.getaddrinfo, socket.socket.connect

        def answer(host: str, *how: Any, **more: Any) -> list[Any]:
            hosts = self.answers.pop(0) if host == "site.example" else [host]
            return [found for one in hosts for found in look_up(one, *how, **more)]

        def lead(made: socket.socket, address: Any) -> None:
            self.connected.append(address[0])
            connect(made, ("127.0.0.1", port) if address[0] == PUBLIC else address)

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        monkeypatch.setattr(socket.socket, "connect", lead)


@pytest.fixture
def outside(url: str, monkeypatch: pytest.MonkeyPatch) -> Outside:
    return Outside(int(url.rpartition(":")[2]), monkeypatch)


def test_the_address_that_was_checked_is_the_one_connected_to(
    library: Library, outside: Outside
) -> None:
    """A name server that says something else the second time (DNS rebinding) is asked once."""
    outside.answers = [[PUBLIC], ["127.0.0.1"]]
    assert library.fetch("http://site.example/page").outcome == "added"
    assert (outside.connected, outside.answers) == ([PUBLIC], [["127.0.0.1"]])
    assert Site.seen[-1] == ("/page", "site.example")


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
def test_a_name_with_one_private_address_is_refused(
    library: Library, outside: Outside, private: str
) -> None:
    outside.answers = [[PUBLIC, private], [private, PUBLIC]]
    while outside.answers:
        with pytest.raises(BadInput) as caught:
            library.fetch("http://site.example/page")
        assert caught.value.instance_code == "url_private"
    assert outside.connected == []


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.1/", "url_private"),
        ("http://localhost/", "url_private"),
        ("http://[::1]/", "url_private"),
        ("http://[::ffff:127.0.0.1]/", "url_private"),
        ("http://[64:ff9b::7f00:1]/", "url_private"),
        ("http://169.254.169.254/latest", "url_private"),
        ("http://2130706433/", "url_private"),
        ("http://0x7f.1/", "url_private"),
        ("https://127.0.0.1/", "url_private"),
        ("//127.0.0.1/", "url_private"),
        # By then the name has another address.
        ("http://site.example/page", "url_private"),
        ("/page", "url_private"),
        ("http://user:pw@site.example/", "bad_input"),
        ("file:///etc/passwd", "bad_input"),
        ("gopher://127.0.0.1/", "bad_input"),
        ("ftp://127.0.0.1/x", "bad_input"),
        ("data:text/html,x", "bad_input"),
    ],
)
def test_a_redirect_leads_to_nothing_private(
    library: Library, outside: Outside, target: str, code: str
) -> None:
    outside.answers = [[PUBLIC], ["10.0.0.1"]]
    before = len(Site.seen)
    with pytest.raises(BadInput) as caught:
        library.fetch(f"http://site.example/redirect?{target}")
    assert caught.value.instance_code == code
    assert (outside.connected, len(Site.seen)) == ([PUBLIC], before + 1)
    assert (library.all(), library.originals()) == ([], 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_hung_up_on(
    intranet: Library, monkeypatch: pytest.MonkeyPatch, scheme: str, start: bytes
) -> None:
    """In the TLS handshake, before or within its headers, or within a page without a length."""
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 0.3)
    hung_up = threading.Event()

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                # A record of the handshake that promises 16 KB, then a byte at a time.
                self.request.sendall(start if scheme == "http" else b"\x16\x03\x03\x40\x00")
                self.request.settimeout(0.01)
                while True:
                    with suppress(TimeoutError):
                        if not self.request.recv(1000):
                            break
                    self.request.sendall(b"x")
            hung_up.set()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(UnreadableFile, match="took longer"):
            intranet.fetch(f"{scheme}://127.0.0.1:{server.server_address[1]}/")
        assert hung_up.wait(10)
        server.shutdown()
    assert (intranet.all(), intranet.originals()) == ([], 0)


def test_an_unknown_host(intranet: Library) -> None:
    with pytest.raises(UnreadableFile, match="unknown host"):
        intranet.fetch("http://nowhere.invalid/")


@pytest.mark.parametrize(
    "address",
    ["", "file:///etc/passwd", "http://", "http://user:pw@host/", "http://host:99999/", "page",
     "http://h/\n", "http://한국.kr/", "http://h/" + "x" * 2000, "http://[::1", "http://h:0/"],
)  # fmt: skip
def test_bad_urls_are_refused(address: str) -> None:
    with pytest.raises(BadInput):
        check_url(address)


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700::1", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.1.1", False, True),
        ("fd00::1", False, True),
        ("::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::7f00:1", False, True),
        ("2002:7f00:1::", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("100.64.0.1", False, False),
        ("::127.0.0.1", False, False),
        ("::ffff:0:127.0.0.1", False, False),
        ("64:ff9b:1::7f00:1", False, False),
        ("fec0::1", False, False),
    ],
)
def test_which_addresses_may_be_reached(address: str, public: bool, private: bool) -> None:
    import ipaddress

    parsed = ipaddress.ip_address(address)
    assert (may_reach(parsed, False), may_reach(parsed, True)) == (public, private)
