"""How a value is written in every layer: a small envelope in msgpack around the value in msgpack.

    format (1 byte)  CRC-32 of the rest (4, big-endian)  envelope, which holds the value's bytes

What cannot be read, is of another format, or was damaged is a miss, and
nothing that can be written there makes its reader run code, or fill its memory.
"""

import enum
import struct
import zlib
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar, cast

import msgspec

T = TypeVar("T")

# Raise it when older programs could not read what this one writes, or would read it wrongly.
FORMAT = 1
_HEAD = struct.Struct(">BI")

# Of 4 KB of our documentation, zlib at level 1 saves 48 % for 44 µs a write and 13 µs a read
# (zstd 47 %, 19 and 8 µs, but no part of Python before 3.14); of 512 bytes, 30 %.
COMPRESS_BYTES = 1024
_LEVEL = 1
# Pictures are compressed already: to try it on one of 1 MB held a web worker up for 31 ms.
_SAMPLED_BYTES = 1 << 16
_SAMPLE_BYTES = 1 << 12
# No value is larger, compressed or not: what is unpacked from a small entry is bounded by this.
MAX_VALUE_BYTES = 8 << 20

# Clocks of machines that share a layer may differ by this much. What was written later than that
# from now was written before the clock was set back: how old it really is, nobody knows.
CLOCK_SKEW_MS = 5_000


class Nothing(enum.Enum):
    """What stands where a value would."""

    # The cache knows nothing.
    MISSING = "missing"
    # The cache knows that there is no such thing.
    ABSENT = "absent"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Nothing.MISSING
ABSENT: Final = Nothing.ABSENT


class Entry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A value, encoded, and what is known about it. Times are ms since the Unix epoch, UTC."""

    created: int
    expires: int
    # How long it took to make, for refreshing it early in proportion.
    compute_ms: float = 0.0
    # The last part of its life, in which it is used only until somebody has made a new one.
    stale_ms: int = 0
    compressed: bool = False
    absent: bool = False
    # The versions that its tags had before the data was read that it was made from.
    tags: dict[str, int] = {}
    payload: bytes = b""

    def is_live(self, now_ms: int) -> bool:
        """Whether it has neither expired nor been written in the future."""
        return self.created - CLOCK_SKEW_MS <= now_ms < self.expires


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def pack_value(value: object) -> tuple[bytes, bool]:
    """A value as bytes, and whether they are compressed. TypeError for one that msgpack cannot
    say, ValueError for one that is too large."""
    plain = _encoder.encode(value)
    if len(plain) > MAX_VALUE_BYTES:
        raise ValueError(f"{len(plain)} bytes are more than a cache keeps")
    if len(plain) > COMPRESS_BYTES and _shrinks(plain):
        packed = zlib.compress(plain, _LEVEL)
        if len(packed) < len(plain):
            return packed, True
    return plain, False


def _shrinks(plain: bytes) -> bool:
    """Whether compressing it may be worth its time, by a piece of it if it is large."""
    if len(plain) <= _SAMPLED_BYTES:
        return True
    middle = len(plain) // 2
    piece = plain[middle : middle + _SAMPLE_BYTES]
    return len(zlib.compress(piece, _LEVEL)) < _SAMPLE_BYTES * 9 // 10


@lru_cache(maxsize=64)
def _decoder_of(kind: Any) -> "msgspec.msgpack.Decoder[Any]":
    """Made anew each time, that for a dict takes 4 µs, of which decoding a small one takes 0.3."""
    return msgspec.msgpack.Decoder(kind)


def unpack_value(entry: Entry, kind: type[T]) -> T | Literal[Nothing.MISSING]:
    """The value of an entry; MISSING if it is no `kind`, as an older program may have written."""
    plain = entry.payload
    if entry.compressed:
        unpacking = zlib.decompressobj()
        try:
            plain = unpacking.decompress(plain, MAX_VALUE_BYTES)
        except zlib.error:
            return MISSING
        if not unpacking.eof:
            return MISSING
    try:
        value: T = _decoder_of(cast("Any", kind)).decode(plain)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return MISSING
    return value


def pack(entry: Entry) -> bytes:
    """An entry as every layer keeps it."""
    body = _encoder.encode(entry)
    return _HEAD.pack(FORMAT, zlib.crc32(body)) + body


def unpack(data: bytes) -> Entry | None:
    """The entry; None if it is damaged, or of another format."""
    if len(data) < _HEAD.size:
        return None
    written, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if written != FORMAT or zlib.crc32(body) != checksum:
        return None
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None
