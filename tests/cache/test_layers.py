"""What every combination of layers does, over real servers."""

import msgspec
import pytest

from likeopt.cache.serialize import ABSENT, MISSING
from tests.cache.build import Built
from tests.fakes import FakeClock


class Answer(msgspec.Struct):
    text: str
    sources: list[int]


VALUES = [None, False, 0, "", "각", b"\0\xff", [1, [2.5]], {"a": {"b": None}}, "x" * 100_000]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: str(v)[:20])
def test_a_value_comes_back_as_it_was(built: Built, layers: str, value: object) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    assert cache.get(key) is MISSING
    cache.set(key, value, ttl=60)
    assert cache.get(key) == value
    assert type(cache.get(key)) is type(value)
    assert cache.get_many([key, cache.key("answers", "other")]) == {key: value}


def test_a_value_comes_back_as_the_struct_that_is_asked_for(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.set(key, Answer("yes", [1, 2]), ttl=60)
    assert cache.get(key, Answer) == Answer("yes", [1, 2])
    # As after an update of the program: what was kept is something else now.
    assert cache.get(key, list[int]) is MISSING


def test_another_process_finds_what_is_in_a_shared_layer(built: Built, layers: str) -> None:
    key = built.cache(layers).key("answers", "q")
    built.cache(layers).set(key, "a", ttl=60)
    expected = MISSING if layers == "memory" else "a"
    assert built.cache(layers).get(key) == expected


def test_values_end_with_their_time_in_every_layer(
    built: Built, layers: str, clock: FakeClock
) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.set(key, "a", ttl=10)
    clock.advance(9.9)
    assert cache.get(key) == "a"
    clock.advance(0.2)
    assert cache.get(key) is MISSING
    assert cache.get_many([key]) == {}


@pytest.mark.parametrize(("spread", "seconds"), [(0.0, 9.0), (1.0, 11.0)])
def test_time_to_live_is_a_tenth_longer_or_shorter_by_chance(
    built: Built, layers: str, clock: FakeClock, spread: float, seconds: float
) -> None:
    cache = built.cache(layers, spread=spread)
    key = cache.key("answers", "q")
    cache.set(key, "a", ttl=10)
    clock.advance(seconds - 0.1)
    assert cache.get(key) == "a"
    clock.advance(0.2)
    assert cache.get(key) is MISSING


def test_what_is_found_below_is_brought_up_for_the_rest_of_its_time(
    built: Built, layers: str, clock: FakeClock
) -> None:
    names = layers.split(",")
    key = built.cache(layers).key("answers", "q")
    built.cache(names[-1]).set(key, "a", ttl=10)
    cache = built.cache(layers)
    clock.advance(6)
    found = "a" if len(names) > 1 or names != ["memory"] else MISSING
    assert cache.get(key) == found
    for name in names:
        assert cache.get(key, layers=[name]) == found
    clock.advance(4.1)
    for name in names:
        assert cache.get(key, layers=[name]) is MISSING


def test_deleted_values_are_gone_from_every_layer(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    keys = [cache.key("answers", n) for n in range(3)]
    for key in keys:
        cache.set(key, key, ttl=60)
    cache.delete(keys[0], keys[2])
    assert cache.get_many(keys) == {keys[1]: keys[1]}
    for name in cache.layers:
        assert cache.get(keys[0], layers=[name]) is MISSING


def test_a_new_value_takes_the_place_of_the_old_one(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.set(key, "old", ttl=60)
    cache.set(key, "new", ttl=60)
    for name in cache.layers:
        assert cache.get(key, layers=[name]) == "new"


def test_layers_can_be_chosen_for_a_value(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.set(key, "a", ttl=60, layers=cache.layers[:1])
    assert cache.get(key, layers=cache.layers[:1]) == "a"
    for name in cache.layers[1:]:
        assert cache.get(key, layers=[name]) is MISSING


def test_a_value_is_made_once(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key, made = cache.key("answers", "q"), list[int]()

    def make() -> Answer:
        made.append(1)
        return Answer("yes", [])

    for _ in range(3):
        assert cache.get_or_compute(key, make, ttl=60, kind=Answer) == Answer("yes", [])
    assert len(made) == 1
    assert [row.computes for row in cache.stats.totals() if not row.layer] == [1]


def test_none_is_a_value(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key, made = cache.key("answers", "q"), list[int]()
    for _ in range(2):
        assert cache.get_or_compute(key, lambda: made.append(1), ttl=60) is None
    assert len(made) == 1


def test_absence_is_remembered_for_its_own_time(
    built: Built, layers: str, clock: FakeClock
) -> None:
    cache = built.cache(layers)
    key, made = cache.key("answers", "q"), list[int]()

    def make() -> object:
        made.append(1)
        return ABSENT

    for _ in range(2):
        assert cache.get_or_compute(key, make, ttl=60, negative=5) is ABSENT
    assert len(made) == 1
    assert cache.get(key) is ABSENT
    clock.advance(5.1)
    assert cache.get(key) is MISSING
    # Without a time for it, absence is not remembered.
    assert cache.get_or_compute(key, make, ttl=60) is ABSENT
    assert cache.get(key) is MISSING


def test_what_fails_to_be_made_is_not_kept(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")

    def fail() -> str:
        raise LookupError("model")

    with pytest.raises(LookupError, match="model"):
        cache.get_or_compute(key, fail, ttl=60)
    assert cache.get_or_compute(key, lambda: "a", ttl=60) == "a"


def test_clearing_a_use_leaves_the_others(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    answers = [cache.key("answers", n) for n in range(3)]
    other = cache.key("embeddings", 1)
    for key in (*answers, other):
        cache.set(key, "x" * 100, ttl=60)
    cleared = cache.clear("answers")
    assert [each.layer for each in cleared] == list(reversed(cache.layers))
    for each in cleared:
        if each.layer == "memcached":
            assert each.entries is None
        else:
            assert each.entries == 3
            assert each.bytes is not None
            assert each.bytes >= 300
    assert cache.get_many(answers) == {}
    assert cache.get(other) == "x" * 100
    cache.clear()
    assert cache.get(other) is MISSING
    cache.set(other, "new", ttl=60)
    assert cache.get(other) == "new"


def test_what_another_installation_keeps_on_the_same_servers_is_left_alone(
    built: Built, layers: str
) -> None:
    cache = built.cache(layers)
    key, foreign = cache.key("answers", "q"), "lo:other:answers:1:00"
    cache.set(key, "ours", ttl=60)
    for each in ("redis", "memcached"):
        if each in cache.layers:
            built.cache(each).set(foreign, "theirs", ttl=60)
    cache.clear()
    for each in ("redis",):
        if each in cache.layers:
            assert built.cache(each).get(foreign) == "theirs"
    assert cache.get(key) is MISSING


def test_sizes_say_what_is_held(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    for n in range(5):
        cache.set(cache.key("answers", n), "x" * 1000, ttl=60)
    for name, sizes in cache.sizes().items():
        assert sizes is not None
        # Memcached only counts all that it holds, among it what was flushed and its tokens.
        held = sizes["" if name == "memcached" else "answers"]
        assert held.entries == 5 or (name == "memcached" and held.entries > 5)
        assert held.bytes >= 5000


def test_what_is_too_large_is_not_kept_and_nothing_older_stands_for_it(
    built: Built, layers: str
) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.set(key, "old", ttl=60)
    cache.set(key, b"x" * (9 << 20), ttl=60)
    assert cache.get(key) is MISSING


def test_hits_and_misses_are_counted_by_use_and_layer(built: Built, layers: str) -> None:
    cache = built.cache(layers)
    key = cache.key("answers", "q")
    cache.get(key)
    cache.set(key, "a", ttl=60)
    cache.get(key)
    cache.get(cache.key("embeddings", "e"))
    rows = {(row.use, row.layer): row for row in cache.stats.totals()}
    first = rows["answers", cache.layers[0]]
    assert (first.hits, first.misses, first.sets, first.reads) == (1, 1, 1, 2)
    assert first.p99_us > 0
    for name in cache.layers[1:]:
        below = rows["answers", name]
        assert (below.hits, below.misses, below.sets, below.reads) == (0, 1, 1, 1)
    assert rows["embeddings", cache.layers[-1]].misses == 1
