"""What is refused before anything is parsed, and what is let through."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from likeopt.config import Config
from likeopt.errors import LikeOptError, UnreadableFile
from likeopt.retrieval.parse import MEDIA_TYPES, examine
from likeopt.retrieval.parse.sandbox import opens
from likeopt.storage.db import run_here
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse import ole
from tests.retrieval.parse.bad_files import BAD_FILES
from tests.retrieval.parse.test_read import FILES


def look(folder: Path, name: str, data: bytes) -> bool:
    """Whether the file is known to open."""
    path = folder / "original"
    path.write_bytes(data)
    return examine(path, MEDIA_TYPES[Path(name).suffix], name)


@pytest.mark.parametrize("name", FILES)
def test_a_good_file_is_let_through_at_once(tmp_path: Path, name: str) -> None:
    assert look(tmp_path, name, FILES[name])


@pytest.mark.parametrize("name", [name for name in BAD_FILES if not name.endswith(".pdf")])
def test_a_bad_file_is_refused_without_its_parser(tmp_path: Path, name: str) -> None:
    data, status, code = BAD_FILES[name]
    with pytest.raises(LikeOptError, match=f"^{name} ") as refused:
        look(tmp_path, name, data)
    assert (refused.value.status, refused.value.instance_code) == (status, code)


@pytest.mark.parametrize("name", ["password.pdf", "cut.pdf"])
def test_what_only_the_parser_of_pdf_can_tell_is_asked_of_it(tmp_path: Path, name: str) -> None:
    data, _, code = BAD_FILES[name]
    assert not look(tmp_path, name, data)
    with pytest.raises(UnreadableFile, match=f"^{name} ") as refused:
        opens(Config(), tmp_path / "original", "application/pdf", name, run=run_here)
    assert refused.value.instance_code == code


PDF = make.make_pdf(["하나", "둘"])


@pytest.mark.parametrize(
    "data",
    [
        make.make_pdf("text", password=""),
        PDF + b"\0" * 4096,
        b"\n\n" + PDF,
        PDF[: PDF.rfind(b"startxref")],
        PDF.replace(b"/Root", b"/R#6fot"),
    ],
    ids=["anyone may open it", "zeros at the end", "moved", "no end", "a name with an escape"],
)
def test_an_odd_pdf_that_opens_is_let_through(tmp_path: Path, data: bytes) -> None:
    assert not look(tmp_path, "a.pdf", data)
    opens(Config(), tmp_path / "original", "application/pdf", "a.pdf", run=run_here)


def test_the_trailer_of_a_modern_pdf_is_found(tmp_path: Path) -> None:
    def pdf(more: bytes) -> bytes:
        head = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
        table = (
            b"2 0 obj\n<</Type/XRef/Root 1 0 R" + more + b">>\nstream\n....\nendstream\nendobj\n"
        )
        return head + table + b"startxref\n%d\n%%%%EOF\n" % len(head)

    assert look(tmp_path, "a.pdf", pdf(b""))
    assert not look(tmp_path, "a.pdf", pdf(b"/Encrypt 3 0 R"))


def test_an_updated_pdf_with_a_table_in_sections_is_let_through(tmp_path: Path) -> None:
    start = len(PDF)
    table = b"xref\n0 1\n0000000000 65535 f \n3 1\n0000000015 00000 n \n"
    trailer = b"trailer\n<</Size 9/Root 7 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    assert look(tmp_path, "a.pdf", PDF + table + trailer)


def test_long_list_of_entries_is_left_to_the_parser(tmp_path: Path) -> None:
    # Reading it would hold up everybody whom a web worker serves.
    data = io.BytesIO(FILES["a.docx"])
    with zipfile.ZipFile(data, "a") as archive:
        for i in range(3000):
            archive.writestr(f"word/media/{i}.png", b"")
    assert not look(tmp_path, "a.docx", data.getvalue())
    opens(Config(), tmp_path / "original", MEDIA_TYPES[".docx"], "a.docx", run=run_here)
    with pytest.raises(LikeOptError, match="Word") as refused:
        opens(Config(), tmp_path / "original", MEDIA_TYPES[".xlsx"], "a.xlsx", run=run_here)
    assert refused.value.instance_code == "unsupported_type"


def test_an_archive_with_an_endless_list_is_refused_unread(tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 4) + bytes(16) + b"name"
    entries = entry * 200_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entries), 0, 0)
    with pytest.raises(UnreadableFile) as refused:
        look(tmp_path, "a.docx", b"PK\x03\x04" + bytes(22) + b"\5\0\0\0word/" + entries + end)
    assert refused.value.instance_code == "archive_bomb"


def test_an_ole_file_with_an_endless_directory_is_refused(tmp_path: Path) -> None:
    streams = {f"{number}": b"" for number in range(10_001)}
    with pytest.raises(UnreadableFile) as refused:
        look(tmp_path, "a.hwp", ole.container(streams))
    assert refused.value.instance_code == "archive_bomb"
