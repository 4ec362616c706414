"""The cache: what takes long to make is kept in layers, the quickest first.

Anything in it may be gone at any moment: callers expect a miss. A layer that does not work is one.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar, overload

import msgspec

from likeopt.cache import keys as keys_
from likeopt.cache import stats as s
from likeopt.cache.backends.layer import Size
from likeopt.cache.guard import Cleared, Guard
from likeopt.cache.lease import Leases
from likeopt.cache.locks import MachineLocks
from likeopt.cache.serialize import (
    ABSENT,
    MISSING,
    Entry,
    Nothing,
    pack,
    pack_value,
    unpack,
    unpack_value,
)
from likeopt.cache.single import EARLIEST, NO_PERMIT, Flights, Found, Permit, Reach, is_early
from likeopt.cache.tags import Tags
from likeopt.clock import Clock
from likeopt.errors import LikeOptError

T = TypeVar("T")

# A time to live is this much longer or shorter, by chance: what was made together does not end
# together.
JITTER = 0.1


class Held(msgspec.Struct, frozen=True):
    """A value found, with what is known about it (see `Entry`)."""

    value: Any
    entry: Entry


# What is said about a value that nobody keeps.
_NOT_KEPT = Entry(created=0, expires=0, absent=True)
# The layer that tells who computed last.
SHARED = "redis"


class Recipe(NamedTuple):
    """How a value is made and kept; see `Cache.get_or_compute`."""

    compute: Callable[[], Any]
    ttl: float
    tags: Collection[str]
    negative: float | None
    stale: float


class Cache:
    """Ordered layers over one set of keys. Thread-safe, under gevent too, and after a fork.

    A value is whatever msgpack can say; `kind` is what it is decoded to, such as a struct. None is
    a value like any other: what is not there is MISSING, what is known not to exist is ABSENT.
    """

    def __init__(  # noqa: PLR0913  (what a cache is made of)
        self,
        layers: Sequence[Guard],
        *,
        tenant: str,
        clock: Clock,
        tags: Tags,
        stats: s.Stats,
        locks: MachineLocks | None = None,
        leases: Leases | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        """`locks` keep the processes of a machine from making the same value at once, `leases` the
        machines. `spread` draws what is left to chance, from 0 to 1: with 0, a time to live is 10 %
        shorter, with 1 longer."""
        self.stats = stats
        self._layers = tuple(layers)
        self._tenant = tenant
        self._clock = clock
        self._tags = tags
        self._spread = spread
        self._flights: Flights[Any] = Flights(clock, locks, leases, avoided=self._avoided)

    def key(self, use: str, *parts: object) -> str:
        """The key of what depends on `parts` (see `keys.key`)."""
        return keys_.key(self._tenant, use, *parts)

    # -- reading ---------------------------------------------------------------------------------

    @overload
    def get(
        self, key: str, kind: type[T], *, layers: Collection[str] | None = None
    ) -> T | Nothing: ...
    @overload
    def get(self, key: str, kind: Any = Any, *, layers: Collection[str] | None = None) -> Any: ...
    def get(self, key: str, kind: Any = Any, *, layers: Collection[str] | None = None) -> Any:
        """The value, MISSING, or ABSENT; looked for in `layers` only, by their names, if given."""
        held = self.find(key, kind, layers=layers)
        return MISSING if held is None else held.value

    def find(
        self, key: str, kind: Any = Any, *, layers: Collection[str] | None = None
    ) -> Held | None:
        """As `get`, with what is known about the value."""
        return self._find(self._chosen(layers), key, kind)

    def _find(self, chosen: Sequence[Guard], key: str, kind: Any) -> Held | None:
        for depth, layer in enumerate(chosen):
            began = self._clock.monotonic()
            data = layer.get(key)
            taken = self._clock.monotonic() - began
            held = None if data is None else self._read(data, kind)
            if data is None or held is None:
                layer.row(key).looked(taken, s.MISSES)
                continue
            layer.row(key).looked(taken, s.HITS)
            if depth:
                self._fill(chosen[:depth], key, data, held.entry)
            return held
        return None

    def get_many(
        self, keys: Iterable[str], kind: Any = Any, *, layers: Collection[str] | None = None
    ) -> dict[str, Any]:
        """By key, the values of those that are there (ABSENT ones too), with one round trip to each
        layer. All keys are of one use."""
        missing, found = list(dict.fromkeys(keys)), dict[str, Any]()
        chosen = self._chosen(layers)
        for depth, layer in enumerate(chosen):
            if not missing:
                break
            for key, data in layer.get_many(missing).items():
                held = self._read(data, kind)
                if held is not None:
                    found[key] = held.value
                    self._fill(chosen[:depth], key, data, held.entry)
            row, asked = layer.row(missing[0]), len(missing)
            missing = [key for key in missing if key not in found]
            row.add(s.HITS, asked - len(missing))
            row.add(s.MISSES, len(missing))
        return found

    # -- writing ---------------------------------------------------------------------------------

    def set(
        self,
        key: str,
        value: object,
        *,
        ttl: float,
        tags: Mapping[str, int] | None = None,
        layers: Collection[str] | None = None,
    ) -> None:
        """Keep a value, or ABSENT, for about `ttl` seconds. `tags` are the `versions` that were
        read before the data that the value was made from.

        Raises TypeError for a value that msgpack cannot say; one that is too large is not kept.
        """
        chosen = self._chosen(layers)
        entry = self._entry(value, ttl=ttl, tags=tags or {})
        if entry is None:
            # Nothing older may stand for it.
            self.delete(key)
        else:
            self._keep(chosen, key, entry)

    def delete(self, *keys: str) -> None:
        """Forget these keys in every layer that works. What must not be found again after a change
        carries a tag instead: a layer that does not answer now would bring it back."""
        for layer in reversed(self._layers):
            layer.delete(keys)

    def get_or_compute(  # noqa: PLR0913  (each says something about the value)
        self,
        key: str,
        compute: Callable[[], T | Literal[Nothing.ABSENT]],
        *,
        ttl: float,
        kind: Any = Any,
        tags: Collection[str] = (),
        layers: Collection[str] | None = None,
        negative: float | None = None,
        stale: float = 0.0,
    ) -> T | Literal[Nothing.ABSENT]:
        """The value under the key; made by `compute`, and kept for about `ttl` seconds, if it is
        missing. ABSENT from `compute` is remembered for `negative` seconds, if that is given.

        Of all who ask at the same time, in any process and on any machine that shares a layer, one
        computes, and the others wait for it (see `Flights`). Shortly before a value ends, one
        computes it anew while the others have the present one; for `stale` seconds after its end,
        too. If that fails for a reason that passes, the present one is used once more.

        `tags` name what the value depends on: it is used only while none of them has changed since
        before `compute` began; while their versions are not known, it is made each time. ValueError
        for `stale` together with them.
        """
        if stale and tags:
            raise ValueError("what carries tags is never used when it is stale")
        chosen = self._chosen(layers)
        held = self._find(chosen, key, kind)
        if held is None or self._is_due(held.entry):
            recipe = Recipe(compute, ttl, tags, negative, stale)
            held = self._share(chosen, key, kind, recipe, held)
        value: T | Literal[Nothing.ABSENT] = held.value
        return value

    def _share(
        self, chosen: Sequence[Guard], key: str, kind: Any, recipe: Recipe, held: Held | None
    ) -> Held:
        """Make a value, or have the one that somebody else makes; `held` may be used meanwhile."""

        def make(permit: Permit) -> Held:
            return self._make(chosen, key, recipe, permit, again=held is not None)

        flight = key
        if recipe.tags:
            versions = self.versions(recipe.tags)
            if versions is None:
                return make(NO_PERMIT)
            # Who asks after a change was acknowledged must not be told what was made before.
            flight = f"{key}:{'.'.join(str(versions[name]) for name in sorted(versions))}"
        reach = _reach(chosen)
        if held is None:
            look = partial(self._look, chosen, key, kind)
            new = self._flights.compute(flight, look, make, reach=reach)
        else:
            newer = partial(self._newer, chosen, key, kind, held.entry)
            try:
                new = self._flights.refresh(flight, held, newer, make, reach=reach)
            except LikeOptError as error:
                if not error.retryable:
                    raise
                new = held
        # To each its own: what one of them changes in it is no business of the others.
        own = MISSING if new.entry.absent else unpack_value(new.entry, kind)
        return new if own is MISSING else Held(own, new.entry)

    def _make(
        self, chosen: Sequence[Guard], key: str, recipe: Recipe, permit: Permit, *, again: bool
    ) -> Held:
        versions = self.versions(recipe.tags)
        began = self._clock.monotonic()
        value = recipe.compute()
        taken_ms = (self._clock.monotonic() - began) * 1000
        row = self.stats.row(keys_.use_of(key), "")
        row.add(s.COMPUTES)
        if again:
            row.add(s.EARLY)
        ttl = recipe.negative if value is ABSENT else recipe.ttl
        entry = None
        if versions is not None and ttl is not None:
            stale = 0.0 if value is ABSENT else recipe.stale
            entry = self._entry(value, ttl=ttl, tags=versions, compute_ms=taken_ms, stale=stale)
        if entry is None:
            return Held(value, _NOT_KEPT)
        # What nobody will use, or what somebody may have made after this, takes no newer's place.
        useless = recipe.tags and self.versions(recipe.tags) != versions
        if not useless and (permit.is_alone() or self._look(chosen, key, Any) is MISSING):
            self._keep(chosen, key, entry, permit)
        return Held(value, entry)

    # -- forgetting ------------------------------------------------------------------------------

    def versions(self, tags: Collection[str]) -> Mapping[str, int] | None:
        """The versions of these tags, to be read before the data is (see `Tags`)."""
        return self._tags.versions(tags) if tags else {}

    def invalidate(self, tag: str) -> None:
        """Use nothing any more that carries this tag; it is thrown out when its time comes."""
        self._tags.raise_(tag)

    def clear(self, use: str | None = None, *, layer: str | None = None) -> list[Cleared]:
        """Forget what is kept for a use, or for any, in one layer or in all; says what was done.
        Of memory, only this process's."""
        chosen = self._layers if layer is None else self._chosen([layer])
        return [each.clear(use) for each in reversed(chosen)]

    def sizes(self) -> dict[str, dict[str, Size] | None]:
        """By layer and use, what is held (see `Layer.sizes`); None where it does not answer. Of
        memory, only this process's: `stats` has all of it."""
        return {layer.name: layer.sizes() for layer in self._layers}

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, the quickest first."""
        return tuple(layer.name for layer in self._layers)

    def close(self) -> None:
        """Close what was opened."""
        for layer in self._layers:
            layer.close()
        self.stats.close()

    # -- inside ----------------------------------------------------------------------------------

    def _chosen(self, names: Collection[str] | None) -> tuple[Guard, ...]:
        if names is None:
            return self._layers
        return tuple(layer for layer in self._layers if layer.name in names)

    def _read(self, data: bytes, kind: Any) -> Held | None:
        """The value in an entry, if it can be read and still counts."""
        entry = unpack(data)
        if entry is None or not entry.is_live(self._clock.now_ms()):
            return None
        if entry.tags and self._tags.versions(entry.tags) != entry.tags:
            return None
        if entry.absent:
            return Held(ABSENT, entry)
        value = unpack_value(entry, kind)
        return None if value is MISSING else Held(value, entry)

    def _fill(self, layers: Sequence[Guard], key: str, data: bytes, entry: Entry) -> None:
        """Bring an entry into the layers above the one where it was found."""
        left = (entry.expires - self._clock.now_ms()) / 1000
        for layer in layers:
            layer.set(key, data, left)

    def _entry(
        self,
        value: object,
        *,
        ttl: float,
        tags: Mapping[str, int],
        compute_ms: float = 0.0,
        stale: float = 0.0,
    ) -> Entry | None:
        """What is kept for a value; None if it is too large."""
        now = self._clock.now_ms()
        fresh = ttl * (1 - JITTER + 2 * JITTER * self._spread())
        absent = value is ABSENT
        try:
            payload, compressed = (b"", False) if absent else pack_value(value)
        except ValueError:
            return None
        return Entry(
            created=now,
            expires=now + round((fresh + stale) * 1000),
            compute_ms=compute_ms,
            stale_ms=round(stale * 1000),
            compressed=compressed,
            absent=absent,
            tags=dict(tags),
            payload=payload,
        )

    def _keep(
        self, chosen: Sequence[Guard], key: str, entry: Entry, permit: Permit | None = None
    ) -> None:
        data, left = pack(entry), (entry.expires - entry.created) / 1000
        lease = None if permit is None else permit.lease
        rest = chosen
        if permit is not None and _reach(chosen) is Reach.MACHINES:
            rest = [layer for layer in chosen if layer.name != SHARED]
            (shared,) = (layer for layer in chosen if layer.name == SHARED)
            if lease is not None and not shared.set_leased(lease, key, data, left):
                # What came after is newer, and the other layers may hold it by now.
                return
            if lease is None and permit.share:
                rest = chosen
        # The lowest first: who misses in an upper layer meanwhile does not bring the old value up.
        for layer in reversed(rest):
            layer.set(key, data, left)

    def _is_due(self, entry: Entry) -> bool:
        """Whether to make a new value although this one may be used."""
        left = entry.expires - entry.stale_ms - self._clock.now_ms()
        if left > entry.compute_ms * EARLIEST:
            return False
        return left <= 0 or is_early(left, entry.compute_ms, chance=self._spread())

    def _look(self, chosen: Sequence[Guard], key: str, kind: Any) -> Found[Held]:
        """What somebody else has stored since; not counted as another miss."""
        for depth, layer in enumerate(chosen):
            data = layer.get(key)
            held = None if data is None else self._read(data, kind)
            if data is not None and held is not None:
                self._fill(chosen[:depth], key, data, held.entry)
                return held
        return MISSING

    def _newer(self, chosen: Sequence[Guard], key: str, kind: Any, than: Entry) -> Found[Held]:
        """As `_look`, for another value than the one that stands in the upper layers."""
        for depth, layer in reversed(list(enumerate(chosen))):
            data = layer.get(key)
            held = None if data is None else self._read(data, kind)
            if data is None or held is None:
                continue
            if (held.entry.created, held.entry.expires) > (than.created, than.expires):
                self._fill(chosen[:depth], key, data, held.entry)
                return held
        return MISSING

    def _avoided(self, key: str) -> None:
        self.stats.row(keys_.use_of(key), "").add(s.STAMPEDES)


def _reach(chosen: Sequence[Guard]) -> Reach:
    names = {layer.name for layer in chosen}
    if SHARED in names:
        return Reach.MACHINES
    return Reach.PROCESS if names <= {"memory"} else Reach.MACHINE
