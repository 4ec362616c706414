"""What is cached, for administrators: how well it works, and forgetting it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from likeopt.cache.backends.layer import Size
from likeopt.cache.guard import Cleared
from likeopt.cache.stats import Totals
from likeopt.clock import rfc3339
from likeopt.errors import BadInput, Conflict, EngineUnavailable, NotFound
from likeopt.retrieval.types import EngineUse, Remembered
from likeopt.storage import revisions
from likeopt.web.context import note, services
from likeopt.web.endpoint import Endpoints

caches = Endpoints("caches", tag="Caches", prefix="/api/v1/caches")

ENGINE = "engine"
ENGINE_USES: tuple[EngineUse, ...] = ("searches", "queries")


class CachedIn(msgspec.Struct, kw_only=True):
    """One use in one layer, over all processes of this machine since the data folder was made.

    `hit_rate` is null before the first read. `refused` reads were kept from a layer that does not
    work. `entries` and `bytes` are what is there now, null where the layer cannot say.
    """

    layer: str
    hits: int
    misses: int
    hit_rate: float | None
    sets: int = 0
    evictions: int
    errors: int = 0
    refused: int = 0
    mean_us: float | None = None
    p99_us: float | None = None
    entries: int | None
    bytes: int | None


class CacheUse(msgspec.Struct):
    """What the cache does for one purpose. `stampedes_avoided` counts those who waited for the work
    of somebody else instead of doing it once more."""

    use: str
    computed: int
    stampedes_avoided: int
    refreshed_early: int
    layers: list[CachedIn]


class CacheLayer(msgspec.Struct):
    """A layer, and whether it answers. `left_out` counts breakers that are open at the moment, of
    all processes of this machine: they keep a layer that failed from being asked for a while.
    `entries` and `bytes` are of all uses, of `memcached` those of the whole server, and null while
    it does not answer. `evictions` of Redis and Memcached are those of the whole server, too."""

    name: str
    answers: bool
    left_out: int
    entries: int | None
    bytes: int | None
    evictions: int


class Round(msgspec.Struct):
    """How the latest round of asking ahead gets on, on the machine that is asked: `asked` of
    `questions`, of which `failed` got no answer. Over once it is not `running`, and early if people
    were waiting for the model."""

    running: bool
    questions: int
    asked: int
    failed: int
    began_at: str


class Caches(msgspec.Struct):
    """All layers, the quickest first, then the engine's memory; all uses; and the latest round of
    asking ahead, null before the first."""

    layers: list[CacheLayer]
    uses: list[CacheUse]
    warming: Round | None


class ClearQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What to forget; with none of them, everything."""

    use: Annotated[str | None, Meta(description="Only what is kept for this use.")] = None
    layer: Annotated[str | None, Meta(description="Only in this layer, or `engine`.")] = None
    tag: Annotated[
        str | None,
        Meta(
            description="Use nothing any more that has this version in its key (`library`, `access`"
            " or `embeddings`): results of searches and `responses`. Goes alone; counts nothing."
        ),
    ] = None


class WarmUp(msgspec.Struct, forbid_unknown_fields=True):
    """How many questions to ask ahead."""

    questions: Annotated[int, Meta(ge=1, le=1000)] = 20


class Warming(msgspec.Struct):
    """How many questions are being asked: fewer, if fewer were ever asked lately."""

    questions: int


class ClearedLayer(msgspec.Struct):
    """What was forgotten in one layer; null where it cannot count that. `failed`: it did not
    answer, and may still hold everything. Of `memory`, it is this worker's; the others forget
    within 100 ms. Of `engine`, this server's; the others forget before their next search."""

    layer: str
    entries: int | None
    bytes: int | None
    failed: bool


class ClearedCaches(msgspec.Struct):
    """What was forgotten, by layer; empty for a `tag`, which throws nothing out: `version` is that
    of the tag from now on, and what carries an older one is not used any more."""

    cleared: list[ClearedLayer]
    version: int | None = None


@caches.operation(
    "GET",
    "",
    summary="How well caches work",
    access="admin",
    returns=Caches,
)
def get_caches() -> Caches:
    cache = services().cache
    sizes = cache.sizes()
    uses: dict[str, CacheUse] = {}
    totals = cache.stats.totals()
    for total in totals:
        if not total.use:
            continue
        use = uses.setdefault(total.use, CacheUse(total.use, 0, 0, 0, []))
        if total.layer:
            use.layers.append(_layer(total, sizes.get(total.layer)))
        else:
            use.computed = total.computes
            use.stampedes_avoided = total.stampedes_avoided
            use.refreshed_early = total.early_refreshes
    engine = _engine()
    for name, found in engine.items():
        shared = CacheUse(name, found.misses, found.shared, 0, [_of_engine(found)])
        uses[name] = shared
    layers = [
        _whole(name, [one for one in totals if one.layer == name], sizes[name])
        for name in cache.layers
    ]
    layers.append(_whole_engine(list(engine.values())))
    order = [*cache.layers, ENGINE]
    for use in uses.values():
        use.layers.sort(key=lambda one: order.index(one.layer) if one.layer in order else 99)
    return Caches(layers, sorted(uses.values(), key=lambda one: one.use), _latest_round())


@caches.operation(
    "DELETE",
    "",
    summary="Forget what is cached",
    detail="Memory in every worker of every server within 100 ms, each machine's disk a moment"
    " later, and engines before their next search. Nothing is lost: it is made anew when it is"
    " asked for.",
    access="admin",
    query=ClearQuery,
    returns=ClearedCaches,
    errors=(BadInput, NotFound),
)
def clear_caches(query: ClearQuery) -> ClearedCaches:
    if query.tag is not None:
        return _invalidate(query)
    found = services()
    names = (*found.cache.layers, ENGINE)
    if query.layer is not None and query.layer not in names:
        raise NotFound(f"There is no layer {query.layer!r}; there are {', '.join(names)}.")
    cleared: list[ClearedLayer] = []
    if query.layer != ENGINE:
        cleared += map(_cleared, found.cache.clear(query.use, layer=query.layer))
    reached = query.layer in (None, ENGINE)
    of_engine = [name for name in ENGINE_USES if reached and query.use in (None, name)]
    if of_engine:
        cleared.append(_forget(of_engine))

    def write(c: Any) -> None:
        # What each process or machine has for itself; Redis and Memcached are cleared already.
        if query.layer in (None, "memory", "disk"):
            revisions.raise_(c, revisions.of_cache(query.use, query.layer))
        for name in of_engine:
            revisions.raise_(c, revisions.of_cache(name, ENGINE))
        note(c, "cache.clear", kind="cache", name=query.use, layer=query.layer)

    found.db.write(write)
    return ClearedCaches(cleared)


@caches.operation(
    "POST",
    "/warm",
    summary="Ask ahead what people ask most",
    detail="Detached, as the person who asked each question last, and without a trace in anybody's"
    " history. Nobody waits for the model because of it longer than for one answer.",
    access="admin",
    body=WarmUp,
    returns=Warming,
    status=202,
    errors=(Conflict,),
    example="--json '{}'",
)
def warm_caches(body: WarmUp) -> Warming:
    questions = services().warmer.begin(body.questions)

    def write(c: Any) -> None:
        note(c, "cache.warm", kind="cache", questions=questions)

    services().db.write(write)
    return Warming(questions)


def _invalidate(query: ClearQuery) -> ClearedCaches:
    tag = query.tag or ""
    if query.use is not None or query.layer is not None:
        raise BadInput("`tag` goes without `use` and `layer`.")

    def write(c: Any) -> int:
        if not revisions.is_there(c, tag):
            raise NotFound(f"Nothing depends on {tag!r}.")
        note(c, "cache.clear", kind="cache", tag=tag)
        return revisions.raise_(c, tag)

    # It stays where it is, is never used again, and goes in its time.
    return ClearedCaches([], services().db.write(write))


def _latest_round() -> Round | None:
    found = services().warmer.latest()
    if found is None:
        return None
    return Round(found.running, found.questions, found.asked, found.failed, rfc3339(found.began_at))


def _whole(name: str, totals: list[Totals], sizes: dict[str, Size] | None) -> CacheLayer:
    held = None if sizes is None else sum(sizes.values(), Size())
    if held is not None and name == "memory":
        # What all workers hold together, and not only this one.
        entries, size = (sum(getattr(one, what) for one in totals) for what in ("entries", "bytes"))
        held = Size(entries, size, held.evictions)
    return CacheLayer(
        name=name,
        answers=held is not None,
        left_out=sum(one.open_breakers for one in totals),
        entries=None if held is None else held.entries,
        bytes=None if held is None else held.bytes,
        # Counted by us, or by the layer itself.
        evictions=sum(one.evictions for one in totals) + (held.evictions if held else 0),
    )


def _whole_engine(found: list[Remembered]) -> CacheLayer:
    return CacheLayer(
        name=ENGINE,
        answers=bool(found),
        left_out=0,
        entries=sum(one.entries for one in found) if found else None,
        bytes=sum(one.bytes for one in found) if found else None,
        evictions=sum(one.evictions for one in found),
    )


def _held(sizes: dict[str, Size] | None, use: str) -> Size | None:
    """What a layer holds for a use; None where it cannot say."""
    if sizes is None:
        return None
    if use in sizes:
        return sizes[use]
    # What stands under "" is of several uses, and may be of this one.
    return None if sizes.get("", Size()).entries else Size()


def _layer(total: Totals, sizes: dict[str, Size] | None) -> CachedIn:
    size = _held(sizes, total.use)
    if total.layer == "memory":
        # What all workers hold together, and not only this one.
        size = Size(total.entries, total.bytes)
    return CachedIn(
        layer=total.layer,
        hits=total.hits,
        misses=total.misses,
        hit_rate=_rate(total.hits, total.misses),
        sets=total.sets,
        evictions=total.evictions,
        errors=total.errors,
        refused=total.refused,
        mean_us=round(total.mean_us, 1),
        p99_us=total.p99_us,
        entries=None if size is None else size.entries,
        bytes=None if size is None else size.bytes,
    )


def _engine() -> dict[EngineUse, Remembered]:
    try:
        status = services().engine.status()
    except EngineUnavailable:
        return {}
    return {"searches": status.searches, "queries": status.queries}


def _of_engine(found: Remembered) -> CachedIn:
    return CachedIn(
        layer=ENGINE,
        hits=found.hits,
        misses=found.misses + found.shared,
        hit_rate=_rate(found.hits, found.misses + found.shared),
        evictions=found.evictions,
        entries=found.entries,
        bytes=found.bytes,
    )


def _forget(uses: list[EngineUse]) -> ClearedLayer:
    try:
        gone = services().engine.forget(uses).uses.values()
    except EngineUnavailable:
        return ClearedLayer(ENGINE, None, None, failed=True)
    entries, held = sum(one.entries for one in gone), sum(one.bytes for one in gone)
    return ClearedLayer(ENGINE, entries, held, failed=False)


def _cleared(one: Cleared) -> ClearedLayer:
    return ClearedLayer(one.layer, one.entries, one.bytes, one.failed)


def _rate(hits: int, misses: int) -> float | None:
    return round(hits / (hits + misses), 4) if hits + misses else None
