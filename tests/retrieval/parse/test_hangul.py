"""Hangul documents, HWP 5 and HWPX."""

import struct
import zlib

import pytest

from likeopt.errors import UnreadableFile
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse import ole
from tests.retrieval.parse.conftest import Read, shown

CONTENT = """# 인사 규정

모든 직원에게 적용된다.

## 휴가

| 직급 | 연차 |
| 사원 | 15일 |

끝."""


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (make.make_hwp(CONTENT), "a.hwp"),
        (make.make_hwp(CONTENT, flags=0), "a.hwp"),
        (make.make_hwpx(CONTENT), "a.hwpx"),
    ],
)
def test_structure_comes_back(read: Read, data: bytes, name: str) -> None:
    parsed = read(data, name)
    assert shown(parsed) == [
        ("heading", "인사 규정"),
        ("paragraph", "모든 직원에게 적용된다."),
        ("heading", "휴가"),
        ("table", "직급 | 연차\n사원 | 15일"),
        ("paragraph", "끝."),
    ]
    assert [block.level for block in parsed.blocks if block.level] == [1, 2]


def test_headings_are_told_by_size_where_they_have_no_outline(read: Read) -> None:
    parsed = read(make.make_hwp(CONTENT, title="규정집", outline=False), "a.hwp")
    assert parsed.title == "규정집"
    assert [(block.kind, block.level) for block in parsed.blocks if block.level] == [
        ("heading", 1),
        ("heading", 2),
    ]


@pytest.mark.parametrize("name", ["a.hwp", "a.hwpx"])
def test_a_table_of_one_cell_is_a_frame_around_text(read: Read, name: str) -> None:
    maker = make.make_hwp if name == "a.hwp" else make.make_hwpx
    assert shown(read(maker("| 상자 안의 글이다. |"), name)) == [("paragraph", "상자 안의 글이다.")]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (make.make_hwp(CONTENT, flags=1 | 2), "a.hwp"),
        (make.make_hwp(CONTENT, flags=1 | 4), "a.hwp"),
        (make.make_hwpx(CONTENT, encrypted=True), "a.hwpx"),
    ],
)
def test_protected_documents_are_reported(read: Read, data: bytes, name: str) -> None:
    with pytest.raises(UnreadableFile, match="protected by a password or by rights") as refused:
        read(data, name)
    assert refused.value.instance_code == "encrypted_file"


def _section(*paragraphs: bytes) -> bytes:
    """An unpacked HWP document whose paragraphs have these raw characters."""
    body = b""
    for data in paragraphs:
        body += struct.pack("<I", 66 | 22 << 20) + b"\0" * 22
        body += struct.pack("<I", 67 | 1 << 10 | len(data) << 20) + data
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05010100, 0)
    streams = {"FileHeader": header.ljust(256, b"\0"), "DocInfo": b"", "BodyText/Section0": body}
    return ole.container(streams)


def test_controls_among_the_characters_are_stepped_over(read: Read) -> None:
    # A control of eight units whose data look like half of a surrogate pair.
    control = struct.pack("<8H", 4, 0xD83D, 0xDC00, 0xD83D, 0, 7, 0xDC00, 4)
    tab = struct.pack("<8H", 9, 1, 2, 3, 4, 5, 6, 9)
    data = "앞".encode("utf-16-le") + control + "뒤🙂".encode("utf-16-le") + tab
    data += "끝".encode("utf-16-le") + struct.pack("<3H", 10, 30, 24) + "줄\r".encode("utf-16-le")
    assert read(_section(data), "a.hwp").text == "앞뒤🙂\t끝\n -줄"


def test_a_section_that_unpacks_to_gigabytes_is_refused(read: Read) -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(65)) + packer.flush()
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05010100, 1)
    streams = {
        "FileHeader": header.ljust(256, b"\0"),
        "DocInfo": b"\3\0",
        "BodyText/Section0": bomb,
    }
    with pytest.raises(UnreadableFile) as refused:
        read(ole.container(streams), "a.hwp")
    assert refused.value.instance_code == "archive_bomb"


def test_spans_page_headers_notes_and_marks_of_hwpx(read: Read) -> None:
    hp = 'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph"'

    def cell(y: int, x: int, rows: int, columns: int, text: str) -> str:
        return (
            f"<hp:tc><hp:subList><hp:p><hp:run><hp:t>{text}</hp:t></hp:run></hp:p></hp:subList>"
            f'<hp:cellAddr colAddr="{x}" rowAddr="{y}"/>'
            f'<hp:cellSpan colSpan="{columns}" rowSpan="{rows}"/></hp:tc>'
        )

    table = (
        f"<hp:tbl><hp:tr>{cell(0, 0, 1, 1, '구분')}{cell(0, 1, 1, 2, '값')}</hp:tr>"
        f"<hp:tr>{cell(1, 0, 2, 1, '서울')}{cell(1, 1, 1, 1, '1월')}"
        f"{cell(1, 2, 1, 1, '10')}</hp:tr>"
        f"<hp:tr>{cell(2, 1, 1, 1, '2월')}{cell(2, 2, 1, 1, '20')}</hp:tr></hp:tbl>"
    )

    def held(kind: str, text: str) -> str:
        inside = f"<hp:subList><hp:p><hp:run><hp:t>{text}</hp:t></hp:run></hp:p></hp:subList>"
        return f"<hp:ctrl><hp:{kind}>{inside}</hp:{kind}></hp:ctrl>"

    run = (
        f"{held('header', '머리말')}<hp:t>첫<hp:tab/>줄<hp:lineBreak/>둘째</hp:t>"
        f"{held('footNote', '각주다.')}{table}"
    )
    section = f"<hs:sec {hp} xmlns:hs='urn:s'><hp:p><hp:run>{run}</hp:run></hp:p></hs:sec>"
    data = make.replace_in_zip(make.make_hwpx("x"), {"Contents/section0.xml": section.encode()})
    assert shown(read(data, "a.hwpx")) == [
        ("paragraph", "첫\t줄\n둘째"),
        ("paragraph", "각주다."),
        ("table", "구분 | 값 |\n서울 | 1월 | 10\n서울 | 2월 | 20"),
    ]
