import pytest

from likeopt.errors import ModelUnavailable
from likeopt.llm.sse import MAX_EVENT, EventParser

STREAM = (
    ": connected\r\n\r\n"
    'data: {"text": "안녕 👩‍👩‍👧 한"}\r\n\r\n'
    "event: message\nid: 7\ndata: two\ndata: lines\n\n"
    "data:no space\r\rdata\n\n: ping\n\n"
    "data: last"
).encode()
EXPECTED = ['{"text": "안녕 👩‍👩‍👧 한"}', "two\nlines", "no space", "last"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_events_are_the_same_however_their_bytes_arrive(size: int) -> None:
    parser = EventParser()
    found = []
    for start in range(0, len(STREAM), size):
        found += parser.feed(STREAM[start : start + size])
    assert found + parser.end() == EXPECTED


def test_invalid_utf8_is_replaced() -> None:
    assert EventParser().feed(b"data: \xff\xfe ok\n\n") == ["\ufffd\ufffd ok"]


@pytest.mark.parametrize(
    "block",
    [
        b"x" * MAX_EVENT,
        # Takes minutes if each looks through all before it.
        b"xx",
        # Lines that end, of an event that does not.
        b"data: more\n",
        b": comment\n\n",
    ],
)
def test_an_event_without_end_is_refused(block: bytes) -> None:
    parser = EventParser()
    assert parser.feed(b"data: first\n\n") == ["first"]
    for _ in range(MAX_EVENT // len(block)):
        assert parser.feed(block) == []
    with pytest.raises(ModelUnavailable):
        parser.feed(block)
