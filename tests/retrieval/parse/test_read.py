"""Whatever the bytes, reading gives a text or a refusal."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likeopt.errors import UnreadableFile, UnsupportedType
from likeopt.retrieval.chunk import chunk
from likeopt.retrieval.parse import HEAD_BYTES, detect, parse
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.conftest import check

CONTENT = "# 제목\n\n첫 문단이다. Second sentence.\n\n- 항목\n\n| 이름 | 값 |\n| 연차 | 15일 |"
ROWS = [["이름", "값"], ["연차", "15일"]]
FILES = {
    "a.pdf": make.make_pdf(CONTENT, table=ROWS),
    "a.docx": make.make_docx(CONTENT),
    "a.pptx": make.make_pptx([CONTENT], notes="노트"),
    "a.xlsx": make.make_xlsx({"시트": ROWS}),
    "a.xls": make.make_xls(ROWS),
    "a.ods": make.make_ods(ROWS),
    "a.hwp": make.make_hwp(CONTENT, flags=0),
    "b.hwp": make.make_hwp(CONTENT),
    "a.hwpx": make.make_hwpx(CONTENT),
    "a.html": make.make_html(CONTENT),
    "a.md": CONTENT.encode(),
    "a.txt": CONTENT.encode("cp949"),
    "a.csv": make.make_csv(ROWS),
    "a.json": b'{"a": [{"b": 1}, {"c": [1, 2]}]}',
    "a.jsonl": make.make_jsonl([{"a": 1}, [2]]),
}


def read(folder: Path, data: bytes, name: str) -> None:
    """Any other error than these two fails the test."""
    path = folder / "original"
    path.write_bytes(data)
    try:
        parsed = parse(path, detect(name, data[:HEAD_BYTES]), name)
    except (UnreadableFile, UnsupportedType) as refused:
        if name not in refused.message:
            raise
        return
    check(parsed)
    assert chunk(parsed)


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content)))
        change = data.draw(st.sampled_from(["set", "cut", "insert", "drop", "zero"]))
        if change == "set":
            content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
        elif change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = data.draw(st.binary(max_size=8))
        elif change == "drop":
            del content[at : at + data.draw(st.integers(1, 64))]
        else:
            content[at : at + 4] = b"\0\0\0\0"
    read(tmp_path, bytes(content), name)


@pytest.mark.parametrize(
    "inner", ["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels"]
)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(change=st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 40)))
def test_damage_inside_an_archive_is_no_crash(
    inner: str, tmp_path: Path, change: tuple[int, bytes, int]
) -> None:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(FILES["a.docx"])) as archive:
        content = bytearray(archive.read(inner))
    at, new, dropped = change
    content[at : at + dropped] = new
    read(tmp_path, make.replace_in_zip(FILES["a.docx"], {inner: bytes(content)}), "a.docx")


def test_a_file_that_is_gone_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"a\.txt was removed while it was being read"):
        parse(tmp_path / "gone", "text/plain", "a.txt")
