"""Every byte of a file arrives as it was sent, wherever the body is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeopt.web.multipart import MAX_HEADER_BYTES, Decoder, End, Event, Malformed, Part

HEAD = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'


def decode(body: bytes, size: int, boundary: bytes = b"x") -> tuple[list[Event], bool]:
    """All events, content joined."""
    decoder = Decoder(boundary)
    events: list[Event] = []
    for at in range(0, len(body), size):
        for event in decoder.feed(body[at : at + size]):
            if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                events[-1] += event
            else:
                events.append(event)
    return events, decoder.finished


PIECES = st.sampled_from(
    [b"\r", b"\n", b"-", b"--", b"\r\n", b"x", b"\r\n--", b"--x", b"\r\n--xx", b"a" * 99, b"\0\xff"]
)


@given(st.lists(st.lists(PIECES, max_size=12), min_size=1, max_size=3), st.integers(1, 80))
def test_content_survives_any_cut(contents: list[list[bytes]], size: int) -> None:
    boundary = b"xyz"
    files = [b"".join(pieces) for pieces in contents]
    body = b"".join(b"--xyz\r\n" + HEAD + file + b"\r\n" for file in files) + b"--xyz--\r\n"
    events, finished = decode(body, size, boundary)
    assert finished
    expected: list[Event] = []
    for file in files:
        expected += [Part("file", "a.txt"), *([file] if file else []), End()]
    assert events == expected


def test_line_that_only_begins_like_a_delimiter_is_content() -> None:
    body = b"--x\r\n" + HEAD + b"one\r\n--xy\r\ntwo\r\n--x y\r\n--x--"
    events, finished = decode(body, 3)
    assert events == [Part("file", "a.txt"), b"one\r\n--xy\r\ntwo\r\n--x y", End()]
    assert finished


def test_preamble_padding_and_epilogue_mean_nothing() -> None:
    body = b"hello\r\n--x \t\r\n" + HEAD + b"1\r\n--x--  \r\nbye\r\n--x\r\n"
    assert decode(body, 5) == ([Part("file", "a.txt"), b"1", End()], True)


def test_body_that_stops_too_early_is_not_finished() -> None:
    body = b"--x\r\n" + HEAD + b"1\r\n--x--"
    for end in range(len(body)):
        assert not decode(body[:end], 7)[1]


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"Content-Type: text/plain\r\n\r\n",
        b"Content-Disposition: form-data\r\n\r\n",
        b"Content-Disposition: attachment; name=a\r\n\r\n",
        b"X: " + b"x" * (MAX_HEADER_BYTES + 10),
    ],
)
def test_part_that_is_none(head: bytes) -> None:
    with pytest.raises(Malformed):
        decode(b"--x\r\n" + head + b"\r\n--x--", 1000)


def test_names_in_every_script() -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="자료.pdf"\r\n\r\n'
    assert decode(b"--x\r\n" + head.encode() + b"\r\n--x--", 4)[0][0] == Part("file", "자료.pdf")
    with pytest.raises(UnicodeDecodeError):
        decode(b"--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--x--", 9)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (r'filename="..\..\etc\passwd.txt"', r"..\..\etc\passwd.txt"),
        (r'filename="C:\docs\"', "C:\\docs\\"),
        (r'filename="a\\b.txt"', r"a\\b.txt"),
        (r'filename="a \"b\".txt"', 'a "b".txt'),
        ('filename="a%22b%0d%0Ac%41%25.txt"', 'a"b\r\nc%41%25.txt'),
        ('filename="a; b=c.txt"; size=3', "a; b=c.txt"),
        ("filename=plain.txt", "plain.txt"),
        ("FileName = none", None),
        ("filename*=UTF-8''%EC%9E%90%EB%A3%8C.pdf", "자료.pdf"),
        ("filename=\"x.pdf\"; filename*=utf-8'ko'%EC%9E%90.pdf", "자.pdf"),
        ("filename=\"x.pdf\"; filename*=iso-8859-1''%A3.pdf", "x.pdf"),
        ('filename=""', ""),
    ],
)
def test_file_names_are_read_as_forms_write_them(sent: str, name: str | None) -> None:
    head = f'Content-Disposition: form-data; name="file"; {sent}\r\n\r\n'
    assert decode(b"--x\r\n" + head.encode() + b"\r\n--x--", 50)[0][0] == Part("file", name)


def test_empty_part_may_share_the_line_break() -> None:
    body = b"--x\r\n" + HEAD[:-2] + b"\r\n--x\r\n" + HEAD + b"\r\n--x--"
    for size in (1, 5, 1000):
        assert decode(body, size) == ([Part("file", "a.txt"), End()] * 2, True)
