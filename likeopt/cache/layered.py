"""The cache: what takes long to make is kept in layers, the quickest first.

Anything in it may be gone at any moment: callers expect a miss. A layer that does not work is one.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

import msgspec

from likeopt.cache import keys as keys_
from likeopt.cache import stats as s
from likeopt.cache.backends.layer import Size
from likeopt.cache.guard import Cleared, Guard
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
from likeopt.cache.tags import Tags
from likeopt.clock import Clock

T = TypeVar("T")

# A time to live is this much longer or shorter, by chance: what was made together does not end
# together.
JITTER = 0.1


class Held(msgspec.Struct, frozen=True):
    """A value found, with what is known about it (see `Entry`)."""

    value: Any
    entry: Entry


class Cache:
    """Ordered layers over one set of keys. Thread-safe, under gevent too, and after a fork.

    A value is whatever msgpack can say; `kind` is what it is decoded to, such as a struct. None is
    a value like any other: what is not there is MISSING, what is known not to exist is ABSENT.
    """

    def __init__(
        self,
        layers: Sequence[Guard],
        *,
        tenant: str,
        clock: Clock,
        tags: Tags,
        stats: s.Stats,
        spread: Callable[[], float] = random.random,
    ) -> None:
        """`spread` draws the jitter: 0 shortens a time to live by 10 %, 1 lengthens it so."""
        self.stats = stats
        self._layers = tuple(layers)
        self._tenant = tenant
        self._clock = clock
        self._tags = tags
        self._spread = spread

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
        chosen = self._chosen(layers)
        for depth, layer in enumerate(chosen):
            data = layer.get(key)
            held = None if data is None else self._read(data, kind)
            if data is None or held is None:
                layer.row(key).add(s.MISSES)
                continue
            layer.row(key).add(s.HITS)
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
        compute_ms: float = 0.0,
    ) -> None:
        """Keep a value, or ABSENT, for about `ttl` seconds. `tags` are the `versions` that were
        read before the data that the value was made from.

        Raises TypeError for a value that msgpack cannot say; one that is too large is not kept.
        """
        chosen = self._chosen(layers)
        now = self._clock.now_ms()
        left = ttl * (1 - JITTER + 2 * JITTER * self._spread())
        absent = value is ABSENT
        try:
            payload, compressed = (b"", False) if absent else pack_value(value)
        except ValueError:
            # Nothing older may stand for it.
            self.delete(key)
            return
        entry = Entry(
            created=now,
            expires=now + round(left * 1000),
            compute_ms=compute_ms,
            compressed=compressed,
            absent=absent,
            tags=dict(tags or {}),
            payload=payload,
        )
        data = pack(entry)
        # The lowest first: who misses in an upper layer meanwhile does not bring the old value up.
        for layer in reversed(chosen):
            layer.set(key, data, left)

    def delete(self, *keys: str) -> None:
        """Forget these keys in every layer that works. What must not be found again after a change
        carries a tag instead: a layer that does not answer now would bring it back."""
        for layer in reversed(self._layers):
            layer.delete(keys)

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T | Literal[Nothing.ABSENT]],
        *,
        ttl: float,
        kind: Any = Any,
        tags: Collection[str] = (),
        layers: Collection[str] | None = None,
        negative: float | None = None,
    ) -> T | Literal[Nothing.ABSENT]:
        """The value under the key; made by `compute`, and kept for about `ttl` seconds, if it is
        missing. ABSENT from `compute` is remembered for `negative` seconds, if that is given.

        `tags` name what the value depends on: it is used only while none of them has changed since
        before `compute` began; while their versions are not known, it is made each time.
        """
        # Single flight, early refresh and stale-while-revalidate plug in here: `find` is the look,
        # and says with `entry` how old a value is and how long it took; `_compute` makes and keeps
        # one. A lease stores into the layer `redis` itself, what is below and above it stays here.
        held = self.find(key, kind, layers=layers)
        if held is not None:
            value: T | Literal[Nothing.ABSENT] = held.value
            return value
        return self._compute(key, compute, ttl=ttl, tags=tags, layers=layers, negative=negative)

    def _compute(
        self,
        key: str,
        compute: Callable[[], T | Literal[Nothing.ABSENT]],
        *,
        ttl: float,
        tags: Collection[str],
        layers: Collection[str] | None,
        negative: float | None,
    ) -> T | Literal[Nothing.ABSENT]:
        versions = self.versions(tags)
        began = self._clock.monotonic()
        value = compute()
        taken_ms = (self._clock.monotonic() - began) * 1000
        self.stats.row(keys_.use_of(key), "").add(s.COMPUTES)
        left = negative if value is ABSENT else ttl
        if versions is not None and left is not None:
            self.set(
                key,
                value,
                ttl=left,
                tags=versions,
                layers=layers,
                compute_ms=taken_ms,
            )
        return value

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
