"""Functions that remember what they returned."""

import functools
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar, get_type_hints

from likeopt.cache.layered import Cache
from likeopt.cache.serialize import ABSENT

P = ParamSpec("P")
R = TypeVar("R")


def cached(
    cache: Cache,
    *,
    ttl: float,
    use: str = "",
    layers: Collection[str] | None = None,
    tags: Collection[str] | Callable[..., Collection[str]] = (),
    key: Callable[..., object] | None = None,
    negative: float | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function computed once for the same arguments, and then for `ttl` seconds not again.

    `use` names the value in keys and counts, the function's own name by default; functions that
    share it share their values. `key`, called with the same arguments, says what the value depends
    on: all of them by default, which must be what msgpack can say, so a method needs one. `tags`,
    or what that returns for the arguments, name what it depends on besides (see
    `Cache.get_or_compute`). None is remembered for `negative` seconds, if that is
    given, and otherwise asked for anew; anything else is given back as the function's annotation
    says, so a list of structs comes back as such.

    The function runs at most once at a time for a key; what it raises is remembered by nobody.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = use or function.__name__.strip("_").lower()
        kind: list[Any] = []

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kind:
                # Not when decorated: names in annotations may be defined further down.
                kind.append(get_type_hints(function).get("return", Any))
            parts = (args, kwargs) if key is None else key(*args, **kwargs)

            def compute() -> Any:
                value = function(*args, **kwargs)
                return ABSENT if value is None else value

            value: Any = cache.get_or_compute(
                cache.key(name, parts),
                compute,
                ttl=ttl,
                kind=kind[0],
                tags=tags(*args, **kwargs) if callable(tags) else tags,
                layers=layers,
                negative=negative,
            )
            if value is ABSENT:
                value = None
            found: R = value
            return found

        return wrapper

    return decorate
