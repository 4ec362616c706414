"""What the sandbox and its child process say to each other: a length (4 bytes, little endian),
then that many bytes of MessagePack."""

from typing import Literal

import msgspec

from likeopt.retrieval.types import Parsed


class Job(msgspec.Struct):
    """A file to read, or only to open."""

    path: str
    media_type: str
    name: str
    only_open: bool = False


class Done(msgspec.Struct, tag="done"):
    """What stands in it; None if it was only to be opened."""

    parsed: Parsed | None


class Refused(msgspec.Struct, tag="refused"):
    """Why it cannot be read: `kind` is the error's class."""

    kind: Literal["unreadable", "unsupported"]
    code: str
    message: str


Reply = Done | Refused

LENGTH = 4


def frame(message: msgspec.Struct) -> bytes:
    """The message as it travels."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(LENGTH, "little") + data
