"""Zip files that would fill the memory are not opened."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from likeopt.errors import UnreadableFile
from likeopt.retrieval.parse.archive import Archive
from likeopt.retrieval.parse.failures import Unreadable
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.conftest import Read

BOMB = make.make_zip({"word/document.xml": b" " * (33 << 20)})


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.pptx", "a.hwpx", "a.ods"])
def test_a_bomb_is_refused_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMB)
    with pytest.raises(Unreadable) as refused:
        Archive(path)
    assert refused.value.code == "archive_bomb"


def test_a_bomb_is_reported_with_its_size(read: Read) -> None:
    with pytest.raises(UnreadableFile, match=r"a\.docx unpacks to far more .*\(64 MiB from"):
        read(make.make_zip_bomb_docx(), "a.docx")


def test_entries_that_share_their_data_are_refused(tmp_path: Path) -> None:
    data = make.make_zip({f"{n}.xml": bytes(range(256)) * 40 for n in range(3)})
    # The three entries of the directory all point to the first one's data.
    patched = bytearray(data)
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", patched, at + 20, len(data))
        at += 4
    path = tmp_path / "a.docx"
    path.write_bytes(patched)
    with pytest.raises(Unreadable) as refused:
        Archive(path)
    assert refused.value.detail == "its entries overlap"


def test_a_workbook_that_lies_about_its_size_is_refused(read: Read) -> None:
    data = bytearray(make.make_xlsx({"Sheet": [["a", "b"], ["c", "d"]]}))
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 10)
    with pytest.raises(UnreadableFile) as refused:
        read(bytes(data), "a.xlsx")
    assert refused.value.instance_code == "damaged_file"


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20_001):
            archive.writestr(str(number), b"")
    path = tmp_path / "a.docx"
    path.write_bytes(file.getvalue())
    with pytest.raises(Unreadable, match="archive_bomb"):
        Archive(path)


def test_an_archive_inside_is_never_opened(read: Read) -> None:
    inner = make.make_zip({"bomb": b"\0" * (40 << 20)})
    data = make.replace_in_zip(make.make_docx("본문"), {"word/embeddings/inner.zip": inner})
    assert read(data, "a.docx").text == "본문"


def test_an_encrypted_entry_is_reported(tmp_path: Path) -> None:
    data = bytearray(make.make_zip({"word/document.xml": b"text"}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "a.docx"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="encrypted_file"):
        Archive(path)
