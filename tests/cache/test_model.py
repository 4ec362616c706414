"""The layered cache against a dictionary with time, in any order of what can happen to both.

Two processes share all layers but memory. What one finds is what the dictionary says, or nothing
where something may have been lost; it is never something else.
"""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

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


def tag_of(number: int) -> str:
    return f"tag{number % 2}"


class Machine(RuleBasedStateMachine):
    """One run; `built` and `layers` are set by the test."""

    built: Built
    clock: FakeClock
    layers: str

    def __init__(self) -> None:
        super().__init__()
        self.tags = LocalTags()
        self.tenant = f"m{next(tenants)}"
        self.caches = [self.open(), self.open()]
        # By key: value, end, and the process that certainly has it, or None.
        self.model: dict[int, tuple[Any, float, int | None]] = {}

    def open(self) -> Any:
        return self.built.cache(self.layers, tags=self.tags, tenant=self.tenant)

    def key(self, number: int) -> str:
        return str(self.caches[0].key(f"use{number % 2}", number))

    def write(self, process: int, number: int, value: object, seconds: int) -> None:
        tags = {} if number == 0 else self.tags.versions([tag_of(number)])
        self.caches[process].set(self.key(number), value, ttl=seconds, tags=tags)
        self.model[number] = value, self.clock.monotonic() + seconds, process

    def expected(self, number: int) -> object:
        value, end, _ = self.model.get(number, (MISSING, 0.0, None))
        return value if self.clock.monotonic() < end else MISSING

    def check(self, process: int, number: int, found: object) -> None:
        expected = self.expected(number)
        if found is MISSING and expected is not MISSING:
            holder = self.model[number][2]
            is_private = self.layers == "memory" and holder != process
            assert holder is None or is_private, "lost"
            return
        assert found == expected
        assert type(found) is type(expected)

    @rule(number=FREE, value=VALUES, seconds=SECONDS)
    def set(self, number: int, value: object, seconds: int) -> None:
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
            self.model[number] = now, self.clock.monotonic() + seconds, process
        elif made:
            # What was lost is there once more, and may last longer than before; the other process
            # may still have what it had.
            end, before = self.clock.monotonic() + seconds, self.model[number][1]
            self.model[number] = now, max(end, before), process if end >= before else None

    @rule(number=FREE)
    def delete(self, number: int) -> None:
        self.caches[0].delete(self.key(number))
        self.model.pop(number, None)

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
                    del self.model[number]
                else:
                    value, end, _ = self.model[number]
                    self.model[number] = value, end, None

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
        self.caches[process] = self.open()
        if self.layers == "memory":
            self.maybe_lost()

    def maybe_lost(self) -> None:
        self.model = {number: (value, end, None) for number, (value, end, _) in self.model.items()}


@pytest.mark.parametrize(
    "layers",
    ["memory", "disk", "memory,disk", "memory,memcached", "memory,redis,disk", "redis,memcached"],
)
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
