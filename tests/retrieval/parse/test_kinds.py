"""Files are taken for what they are, and refused when their name says otherwise."""

import pytest

from likeopt.errors import UnreadableFile, UnsupportedType
from likeopt.retrieval.parse import HEAD_BYTES, MEDIA_TYPES, detect
from tests.retrieval.parse import make_files as make

ROWS = [["a", "b"], ["1", "2"]]
FILES = {
    ".pdf": make.make_pdf("text"),
    ".docx": make.make_docx("text"),
    ".pptx": make.make_pptx(["# Slide"]),
    ".xlsx": make.make_xlsx({"Sheet": ROWS}),
    ".xls": make.make_xls(ROWS),
    ".ods": make.make_ods(ROWS),
    ".hwp": make.make_hwp("본문"),
    ".hwpx": make.make_hwpx("본문"),
    ".html": make.make_html("text"),
    ".md": b"# Title",
    ".csv": make.make_csv(ROWS),
    ".json": b"{}",
    ".jsonl": b"{}",
    ".txt": "텍스트".encode("utf-16"),
}
# What one may be read as the other: texts, and what comes in OLE containers, which only reading
# tells apart (see test_office.py).
TEXTS = {".html", ".md", ".csv", ".json", ".jsonl", ".txt"}
OLE = {".xls", ".hwp", ".docx", ".pptx", ".xlsx"}
MISLABELLED = [
    (named, content)
    for named in FILES
    for content in FILES
    if named != content
    and not {named, content} <= TEXTS
    and not (content in (".xls", ".hwp") and named in OLE)
]


@pytest.mark.parametrize("suffix", FILES)
def test_a_file_is_what_its_suffix_says(suffix: str) -> None:
    head = FILES[suffix][:HEAD_BYTES]
    assert detect(f"보고서{suffix.upper()}", head) == MEDIA_TYPES[suffix]


@pytest.mark.parametrize(("named", "content"), MISLABELLED)
def test_a_mislabelled_file_is_refused(named: str, content: str) -> None:
    with pytest.raises(UnsupportedType, match=rf"file{named} is named {named} but its content is"):
        detect(f"file{named}", FILES[content][:HEAD_BYTES])


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("report.docx", FILES[".pdf"], "a PDF document"),
        ("notes.txt", b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" + bytes(100), "a Windows program"),
        ("report.pdf", make.make_zip({"a.txt": b"a"}), "a zip archive"),
        ("table.xls", b"<html><table></table></html>", "an HTML page"),
        ("a.md", b"\x7fELF\2\1\1" + bytes(50), "a Linux program"),
        ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(50), "a PNG picture"),
        ("a.json", bytes(range(256)), "binary data of an unknown kind"),
        ("a.hwp", b"HWP Document File V3.00 \x1a\1\2\3\4\5", "a Hangul 3 document"),
        ("a.docx", b"{\\rtf1 text}", "an RTF document"),
        ("a.pptx", FILES[".docx"], "a Word document"),
        ("a.hwpx", FILES[".ods"], "an OpenDocument spreadsheet"),
        ("a.docx", b"plain words", "plain text"),
    ],
)
def test_the_message_names_both_kinds(name: str, head: bytes, said: str) -> None:
    with pytest.raises(UnsupportedType) as refused:
        detect(name, head[:HEAD_BYTES])
    assert f"{name} is named .{name.partition('.')[2]} but its content is {said}." in str(
        refused.value
    )


@pytest.mark.parametrize("name", ["photo.jpeg", "README", "archive.zip", "a.pdf.exe"])
def test_other_suffixes_are_refused_with_what_is_read(name: str) -> None:
    with pytest.raises(UnsupportedType) as refused:
        detect(name, b"content")
    assert all(suffix in str(refused.value) for suffix in MEDIA_TYPES)


def test_close_relatives_come_with_advice() -> None:
    with pytest.raises(UnsupportedType, match=r"Save it as \.docx\."):
        detect("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(UnreadableFile, match=r"a\.txt is empty") as refused:
        detect("a.txt", b"")
    assert refused.value.instance_code == "empty_file"


def test_text_without_a_mark_but_in_utf_16_is_text() -> None:
    assert detect("a.txt", "plain words, 값".encode("utf-16-le")) == "text/plain"
