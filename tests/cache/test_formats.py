"""What is written, and what cannot be read: a miss, never an error and never something else."""

import subprocess
import sys
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeopt.cache import keys, serialize
from likeopt.cache.serialize import MISSING, Entry, pack, pack_value, unpack, unpack_value
from likeopt.cache.stats import Stats
from tests.cache.build import Built

NOW = 1_767_225_600_000


def entry(**changes: Any) -> Entry:
    given_: dict[str, Any] = {"created": NOW, "expires": NOW + 60_000, "payload": b"\x01"}
    return Entry(**(given_ | changes))


def packed(body: bytes, version: int = serialize.FORMAT) -> bytes:
    """With a checksum that is right."""
    return bytes([version]) + zlib.crc32(body).to_bytes(4, "big") + body


GOOD = pack(entry(payload=pack_value("an answer")[0]))
BOMB = zlib.compress(b"\0" * (serialize.MAX_VALUE_BYTES + 1))
UNREADABLE = {
    "empty": b"",
    "garbage": b"\x93garbage",
    "another format": packed(GOOD[5:], serialize.FORMAT + 1),
    "cut": GOOD[:-1],
    "head only": GOOD[:5],
    "longer": GOOD + b"\0",
    "one bit": GOOD[:-3] + bytes([GOOD[-3] ^ 1]) + GOOD[-2:],
    "no array": packed(msgspec.msgpack.encode({"created": 1})),
    "too short an array": packed(msgspec.msgpack.encode([1])),
    "an array of 4 thousand million": packed(b"\xdd\xff\xff\xff\xff"),
    "a pickle": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "a bomb": pack(entry(compressed=True, payload=BOMB)),
    "cut compression": pack(entry(compressed=True, payload=zlib.compress(b"x" * 99)[:-5])),
    "not compressed": pack(entry(compressed=True, payload=b"plain")),
    "value cut": pack(entry(payload=msgspec.msgpack.encode("answer")[:-1])),
    "nested too deep": pack(entry(payload=b"\x91" * 100_000 + b"\xc0")),
    "not UTF-8": pack(entry(payload=b"\xa2\xff\xfe")),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_a_miss(built: Built, layers: str, name: str) -> None:
    cache, key = built.cache(layers), "lo:t:answers:1:00"
    for layer in cache.layers:
        if layer == "memory":
            # Nothing else can write there.
            continue
        built.layer(layer, Stats(None)).set(key, UNREADABLE[name], 60)
    assert cache.get(key) is MISSING
    assert cache.get_many([key]) == {}
    assert cache.get_or_compute(key, lambda: "made anew", ttl=60) == "made anew"
    assert built.cache(layers).get(key) == (MISSING if layers == "memory" else "made anew")
    assert not any(row.errors for row in cache.stats.totals())


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    for given_ in (data, packed(data), GOOD[:20] + data):
        found = unpack(given_)
        if found is not None:
            unpack_value(found, Any)
    unpack_value(entry(payload=data), Any)
    unpack_value(entry(payload=data, compressed=True), Any)


def test_every_cut_is_noticed() -> None:
    assert unpack(GOOD) is not None
    assert [n for n in range(len(GOOD)) if unpack(GOOD[:n]) is not None] == []


def test_a_bomb_is_not_unpacked() -> None:
    assert len(BOMB) < 10_000
    assert unpack_value(entry(compressed=True, payload=BOMB), Any) is MISSING
    largest = zlib.compress(msgspec.msgpack.encode(b"\0" * (serialize.MAX_VALUE_BYTES - 5)))
    assert unpack_value(entry(compressed=True, payload=largest), bytes) is not MISSING


def test_long_texts_are_kept_smaller() -> None:
    text = "The quick brown fox answers questions about documents. " * 100
    payload, compressed = pack_value(text)
    assert compressed
    assert len(payload) < len(text) / 5
    assert pack_value("short") == (b"\xa5short", False)


@pytest.mark.parametrize(
    ("created", "is_live"), [(NOW - 1, True), (NOW + 4_000, True), (NOW + 6_000, False)]
)
def test_what_was_written_in_the_future_does_not_count(created: int, is_live: bool) -> None:
    assert entry(created=created).is_live(NOW) is is_live


# -- keys ----------------------------------------------------------------------------------------

PARTS: list[list[object]] = [
    [],
    [None],
    [1],
    [1.0],
    [True],
    ["1"],
    [b"1"],
    ["a", "b"],
    ["ab"],
    [["a", "b"]],
    [{"a": 1}],
    ["é"],
    ["e\u0301"],
]


def test_other_parts_give_other_keys() -> None:
    made = {keys.key("t", "answers", *parts) for parts in PARTS}
    assert len(made) == len(PARTS)
    assert keys.key("t", "other", 1) != keys.key("t", "answers", 1)
    assert keys.key("u", "answers", 1) != keys.key("t", "answers", 1)


def test_order_says_nothing_where_there_is_none() -> None:
    assert keys.key("t", "a", {"x": 1, "y": 2}) == keys.key("t", "a", {"y": 2, "x": 1})
    assert keys.key("t", "a", {"x", "y", "z"}) == keys.key("t", "a", {"z", "y", "x"})
    assert keys.key("t", "a", (1, 2)) == keys.key("t", "a", [1, 2])
    assert keys.key("t", "a", 1, 2) != keys.key("t", "a", 2, 1)


def test_keys_are_the_same_in_every_process() -> None:
    script = """
from likeopt.cache.keys import key
print(key("t", "answers", "질문", {"b", "a", "c"}, {"k": 5, "j": None}))
"""
    made = set()
    for seed in ("0", "1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        made.add(run.stdout.strip())
    # Fixed: an installation that is updated still finds what it has.
    assert made == {"lo:t:answers:1:407f31e0556b271c7a44061be35c0b6e"}


@pytest.mark.parametrize("name", ["", "with space", "Large", "a:b", "x" * 41, "é"])
def test_names_that_would_confuse_keys_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="short name"):
        keys.key("t", name)
    with pytest.raises(ValueError, match="short name"):
        keys.key(name, "answers")


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(TypeError):
        keys.key("t", "answers", object())
    with pytest.raises(TypeError):
        pack_value(object())
