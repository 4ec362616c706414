"""Where the generations of all workers meet: what one writes, the others read.

A generation has a key, which says what it answers, and an id (`<key>-<random>`). Whoever leads it
appends records to its log; the others have a seat, from which they read them. At most one leads a
key at a time, and the place of a leader that dies is free for whoever notices first.

Two implementations: files of one machine (`exchange_files`), and Redis (`exchange_redis`).
"""

import secrets
from typing import Protocol

import msgspec

from likeopt.chat.events import Record

# What is told is kept this long after its end, for those who lost their connection.
KEEP_SECONDS = 60.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Lead(Protocol):
    """The right to write a generation. Nothing here raises: without the exchange a leader goes
    on for the readers of its own process."""

    id: str
    # What a leader before has told.
    told: list[Record]

    def append(self, record: Record) -> None:
        """Tell everybody; the last record is an End."""
        ...

    def renew(self) -> None:
        """Prove that this process lives; called four times a second."""
        ...

    def close_if_deserted(self, *, patient: bool) -> bool:
        """If no other process has a seat, let nobody join any more; whether that is so.

        `patient`: not if one of those that had a seat died: its readers may come back.
        """
        ...

    def close(self) -> None:
        """Give the lead up: after the End, or for others to take."""
        ...


class Seat(Protocol):
    """A place among the readers of a generation, one for all the readers of a process."""

    id: str

    def read(self, seconds: float) -> list[Record]:
        """Records not read yet; waits for them, but not much longer than `seconds`."""
        ...

    def take_over(self) -> Lead | None:
        """Become the leader if there is none any more. `told` then is all that was ever told."""
        ...

    def is_led(self) -> bool:
        """Whether somebody leads it, as far as can be seen."""
        ...

    def close(self) -> None:
        """Give the seat up: nobody here wants to read on. May be called again."""
        ...


class Exchange(Protocol):
    """Thread-safe, and usable in a process that was forked after it was made."""

    def join(self, key: str) -> Seat | None:
        """A seat in the generation of this key, if one is running."""
        ...

    def enter(self, key: str) -> Lead | None:
        """Lead the generation of this key; None if somebody does already."""
        ...

    def seat(self, id_: str) -> Seat | None:
        """A seat in a generation that may have ended; None if nothing is known of it."""
        ...


class Alone:
    """A lead that nobody else knows of."""

    def __init__(self, key: str) -> None:
        self.id = generation_id(key)
        self.told: list[Record] = []

    def append(self, record: Record) -> None:
        """See `Lead`."""

    def renew(self) -> None:
        """See `Lead`."""

    def close_if_deserted(self, *, patient: bool) -> bool:  # noqa: ARG002
        """See `Lead`."""
        return True

    def close(self) -> None:
        """See `Lead`."""


class NoExchange:
    """Everybody leads, and nobody meets."""

    def join(self, key: str) -> None:
        """See `Exchange`."""

    def enter(self, key: str) -> Lead:
        """See `Exchange`."""
        return Alone(key)

    def seat(self, id_: str) -> None:
        """See `Exchange`."""


def generation_id(key: str) -> str:
    """An id for a generation of this key."""
    return f"{key}-{secrets.token_hex(6)}"


def key_of(id_: str) -> str:
    """The key that a generation answers."""
    return id_.rpartition("-")[0]


def encode(record: Record) -> bytes:
    """A record as both exchanges keep it."""
    return _encode(record)


def decode(data: bytes) -> Record:
    """The record in `data`; raises msgspec.MsgspecError if there is none."""
    record: Record = _decode(data)
    return record
