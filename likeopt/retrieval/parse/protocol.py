"""What the sandbox and its child process say to each other: a length (4 bytes, little endian),
then that many bytes of MessagePack."""

from typing import Literal

import msgspec

from likeopt.retrieval.types import Parsed


class Job(msgspec.Struct, tag="read"):
    """A file to read, or only to open."""

    path: str
    media_type: str
    name: str
    only_open: bool = False


class Draw(msgspec.Struct, tag="draw"):
    """A picture to make of a file: of its page `number`, or of the `number`th picture in it, from
    1; 0 only to count them. It fits into a box of `width` by `height` pixels; `quality` None is the
    usual one. Of `formats`, which are media types, the one that suits the picture is taken. With
    `mark`, nothing is drawn: it is a text of the page that is looked for on it."""

    path: str
    media_type: str
    name: str
    part: Literal["page", "picture"]
    number: int
    width: int
    height: int
    quality: int | None
    formats: list[str]
    mark: str = ""


class Done(msgspec.Struct, tag="done"):
    """What stands in it; None if it was only to be opened."""

    parsed: Parsed | None


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A box on a page, in parts of the page's width and height, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Drawn(msgspec.Struct, tag="drawn"):
    """A picture. `width` and `height` are those of what it was made of: pixels, or for a page
    points. `count` is how many pages or pictures the document has; of a picture in a PDF only as
    many as had to be counted. `marks` are where the text to mark stands."""

    media_type: str
    data: bytes
    width: int
    height: int
    count: int = 0
    marks: list[Mark] = []


class Refused(msgspec.Struct, tag="refused"):
    """Why it cannot be read: `kind` is the error's class."""

    kind: Literal["unreadable", "unsupported"]
    code: str
    message: str


Task = Job | Draw
Reply = Done | Drawn | Refused

LENGTH = 4


def frame(message: msgspec.Struct) -> bytes:
    """The message as it travels."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(LENGTH, "little") + data
