"""The layered cache against a dictionary with time, in any order of what can happen to both.

Two processes share all layers but memory, and now and then a layer is away for one of them. What
one finds is what the dictionary says, or nothing where something may have been lost; it is never
something else. The one exception is told by `Cache.delete`: what carries no tag may come back from
a layer that was away when it was changed.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from likeopt.cache.backends.layer import Layer, LayerFailed, Size
from likeopt.cache.breaker import OPEN_SECONDS
from likeopt.cache.serialize import ABSENT, MISSING
from likeopt.cache.tags import LocalTags
from tests.cache.build import Built
from tests.fakes import FakeClock

# The first is written and deleted by one process alone; the others carry a tag, which is raised
# before each writing. Few, so that what happens to one key adds up.
KEYS = range(4)
FREE = st.just(0)
TAGGED = st.sampled_from([1, 2, 3])
VALUES = st.one_of(
    st.none(),
    st.just(ABSENT),
    st.integers(-5, 5),
    st.text(max_size=5),
    st.binary(min_size=1000, max_size=3000),
)
# Servers count real seconds: none passes in a run.
SECONDS = st.integers(30, 300)
tenants = itertools.count()


T = TypeVar("T")
# What is asked of a layer that is away is not done, or it is done and nobody is told.
How = Literal["refuses", "times out"]


def tag_of(number: int) -> str:
    return f"tag{number % 2}"


class Away:
    """A layer, but for the time in which `away` names it."""

    def __init__(self, layer: Layer, away: dict[str, How]) -> None:
        self.name = layer.name
        self._layer = layer
        self._away = away

    def _do(self, work: Callable[[], T]) -> T:
        how = self._away.get(self.name)
        done = None if how == "refuses" else work()
        if how is not None:
            raise LayerFailed(how)
        return done  # type: ignore[return-value]  # there is no fault

    def get(self, key: str) -> bytes | None:
        return self._do(lambda: self._layer.get(key))

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        return self._do(lambda: self._layer.get_many(keys))

    def set(self, key: str, data: bytes, ttl: float) -> None:
        self._do(lambda: self._layer.set(key, data, ttl))

    def delete(self, keys: Iterable[str]) -> None:
        self._do(lambda: self._layer.delete(keys))

    def clear(self, use: str | None) -> Size | None:
        return self._do(lambda: self._layer.clear(use))

    def sizes(self) -> dict[str, Size]:
        return self._do(self._layer.sizes)

    def close(self) -> None:
        self._layer.close()


class Machine(RuleBasedStateMachine):
    """One run; `built` and `layers` are set by the test."""

    built: Built
    clock: FakeClock
    layers: str

    def __init__(self) -> None:
        super().__init__()
        self.tags = LocalTags()
        self.tenant = f"m{next(tenants)}"
        # By process.
        self.away: list[dict[str, How]] = [{}, {}]
        self.caches = [self.open(0), self.open(1)]
        # By key: value, end, and the process that certainly has it, or None.
        self.model: dict[int, tuple[Any, float, int | None]] = {}
        # What a layer that was away may still hold of the key without a tag: values and their ends.
        self.left: list[tuple[Any, float]] = []

    def open(self, process: int) -> Any:
        return self.built.cache(
            self.layers,
            tags=self.tags,
            tenant=self.tenant,
            around=lambda layer: Away(layer, self.away[process]),
        )

    def key(self, number: int) -> str:
        return str(self.caches[0].key(f"use{number % 2}", number))

    def write(self, process: int, number: int, value: object, seconds: int) -> None:
        tags = {} if number == 0 else self.tags.versions([tag_of(number)])
        self.caches[process].set(self.key(number), value, ttl=seconds, tags=tags)
        self.model[number] = value, self.clock.monotonic() + seconds, self.holder(process)

    def holder(self, process: int) -> int | None:
        """The process, if it has now certainly what it wrote."""
        return None if self.away[process] else process

    def leave(self) -> None:
        """Process 0 is about to replace or forget the key without a tag."""
        before = self.model.pop(0, None)
        if not self.away[0]:
            self.left = []
        elif before is not None:
            self.left.append(before[:2])

    def expected(self, number: int) -> object:
        value, end, _ = self.model.get(number, (MISSING, 0.0, None))
        return value if self.clock.monotonic() < end else MISSING

    def check(self, process: int, number: int, found: object) -> None:
        expected = self.expected(number)
        if found is MISSING and expected is not MISSING:
            holder = self.model[number][2]
            is_private = self.layers == "memory" and holder != process
            assert holder is None or is_private or self.away[process], "lost"
            return
        if number == 0 and found is not expected and found != expected:
            now = self.clock.monotonic()
            assert found in [value for value, end in self.left if now < end]
            return
        assert found == expected
        assert type(found) is type(expected)

    @rule(number=FREE, value=VALUES, seconds=SECONDS)
    def set(self, number: int, value: object, seconds: int) -> None:
        self.leave()
        self.write(0, number, value, seconds)

    @rule(process=st.integers(0, 1), number=TAGGED, value=VALUES, seconds=SECONDS)
    def change(self, process: int, number: int, value: object, seconds: int) -> None:
        self.invalidate(process, tag_of(number))
        self.write(process, number, value, seconds)

    @rule(process=st.integers(0, 1), tag=st.sampled_from(["tag0", "tag1"]))
    def invalidate(self, process: int, tag: str) -> None:
        self.caches[process].invalidate(tag)
        for number in KEYS[1:]:
            if tag_of(number) == tag:
                self.model.pop(number, None)

    @rule(number=FREE)
    def get(self, number: int) -> None:
        self.check(0, number, self.caches[0].get(self.key(number)))

    @rule(process=st.integers(0, 1), number=TAGGED)
    def get_tagged(self, process: int, number: int) -> None:
        self.check(process, number, self.caches[process].get(self.key(number)))

    @rule(use=st.integers(0, 1))
    def get_many(self, use: int) -> None:
        numbers = [number for number in KEYS if number % 2 == use]
        found = self.caches[0].get_many([self.key(number) for number in numbers])
        for number in numbers:
            self.check(0, number, found.get(self.key(number), MISSING))

    @rule(number=TAGGED, value=VALUES, seconds=SECONDS, process=st.integers(0, 1))
    def get_or_compute(self, number: int, value: object, seconds: int, process: int) -> None:
        expected = self.expected(number)
        # Data that has not changed gives the same value again.
        now = value if expected is MISSING else expected
        made = []

        def compute() -> Any:
            made.append(now)
            return now

        found = self.caches[process].get_or_compute(
            self.key(number),
            compute,
            ttl=seconds,
            tags=[tag_of(number)],
            negative=seconds,
        )
        assert found == now
        if expected is MISSING:
            assert made
            self.model[number] = now, self.clock.monotonic() + seconds, self.holder(process)
        elif made:
            # What was lost is there once more, and may last longer than before; the other process
            # may still have what it had.
            end, before = self.clock.monotonic() + seconds, self.model[number][1]
            holder = self.holder(process) if end >= before else None
            self.model[number] = now, max(end, before), holder

    @rule(number=FREE)
    def delete(self, number: int) -> None:
        self.caches[0].delete(self.key(number))
        self.leave()

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(use=st.integers(0, 1), process=st.integers(0, 1))
    def clear(self, use: int, process: int) -> None:
        self.caches[process].clear(f"use{use}")
        self.others_notice()
        for number in KEYS:
            if number % 2 == use and number in self.model:
                if number == 0 and process == 0:
                    # Only this process may have it in its memory.
                    self.leave()
                else:
                    value, end, _ = self.model[number]
                    self.model[number] = value, end, None

    @precondition(lambda self: self.layers != "memory")
    @rule(data=st.data(), process=st.integers(0, 1), how=st.sampled_from(["refuses", "times out"]))
    def go_away(self, data: st.DataObject, process: int, how: How) -> None:
        others = [name for name in self.layers.split(",") if name != "memory"]
        self.away[process][data.draw(st.sampled_from(others))] = how
        self.maybe_lost()

    @precondition(lambda self: any(self.away))
    @rule()
    def come_back(self) -> None:
        for away in self.away:
            away.clear()
        # So long it may be left alone.
        self.clock.advance(OPEN_SECONDS)

    @precondition(lambda self: "," in self.layers)
    @rule(data=st.data(), process=st.integers(0, 1))
    def lose_a_layer(self, data: st.DataObject, process: int) -> None:
        name = data.draw(st.sampled_from(self.layers.split(",")))
        self.caches[process].clear(layer=name)
        self.others_notice()
        self.maybe_lost()

    def others_notice(self) -> None:
        """What another process writes before it knows that Memcached was cleared is lost."""
        self.clock.advance(0.1)

    @rule(process=st.integers(0, 1))
    def restart(self, process: int) -> None:
        self.caches[process].close()
        self.caches[process] = self.open(process)
        if self.layers == "memory":
            self.maybe_lost()

    def maybe_lost(self) -> None:
        self.model = {number: (value, end, None) for number, (value, end, _) in self.model.items()}


def test_the_cache_is_a_dictionary_with_time(built: Built, clock: FakeClock, layers: str) -> None:
    class Run(Machine):
        pass

    Run.built, Run.clock, Run.layers = built, clock, layers
    run_state_machine_as_test(
        Run,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            # Shrinking over real servers takes longer than a run may hang; the steps are printed.
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
