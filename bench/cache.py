"""Each layer of the cache beside the libraries that do the same.

Every library runs in a process of its own, on real servers, and all take turns at the same small
pieces of work, so that a noisy machine disturbs them alike. What is compared is the median of the
rounds; the ratio is taken within a round.
"""

import random
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import common, peers
from tests import servers

ROUNDS = 5
LIKEOPT = "Like-Opt"
LAYERS = {
    "memory": [LIKEOPT, "gevent", "flask-caching", "dogpile.cache", "cashews"],
    "disk": [LIKEOPT, "gevent", "flask-caching", "dogpile.cache", "cashews", "diskcache"],
    "redis": [LIKEOPT, "gevent", "flask-caching", "dogpile.cache", "cashews"],
    "memcached": [LIKEOPT, "gevent", "flask-caching", "dogpile.cache"],
}
# What a round repeats.
COUNTS = {"memory": 2000, "disk": 400, "redis": 200, "memcached": 200}
# dogpile.cache's dbm takes 10 ms and more for each.
SLOW = {("disk", "dogpile.cache"): 20}
OPERATIONS = {
    "hit": "get, hit",
    "miss": "get, miss",
    "set": "set",
    "compute": "get_or_compute, hit",
}
SIZES = ("100 B", "3.4 KB")

Work = tuple[str, str, str]
Figures = tuple[float, float]


def main() -> None:
    """Measure and report."""
    with ExitStack() as running:
        places = {
            "redis": running.enter_context(servers.redis_server()),
            "memcached": running.enter_context(servers.memcached_server()),
        }
        asks: dict[tuple[str, str], peers.Ask] = {}
        for layer, libraries in LAYERS.items():
            for library in libraries:
                folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
                mine = library in (LIKEOPT, "gevent")
                asks[layer, library] = running.enter_context(
                    peers.running(
                        "caches",
                        library,
                        layer,
                        places.get(layer, str(folder)),
                        folder,
                        python=Path(sys.executable) if mine else peers.PYTHON,
                    )
                )
        taken = _rounds(asks)
    rows = [_row(taken, work, library) for work, library in taken]
    common.report("cache", rows, rounds=ROUNDS, counts=COUNTS, unit="µs; ops/s of one caller")


def _rounds(asks: dict[tuple[str, str], peers.Ask]) -> dict[tuple[Work, str], list[Figures]]:
    """Mean and 99th percentile of each round, in microseconds."""
    taken: dict[tuple[Work, str], list[Figures]] = {
        ((layer, operation, size), library): []
        for layer, libraries in LAYERS.items()
        for operation in OPERATIONS
        for size in SIZES
        if (operation, size) != ("miss", "3.4 KB")
        for library in libraries
    }
    works = list(dict.fromkeys(work for work, _ in taken))
    for turn in range(ROUNDS + 1):
        for work in works:
            layer, operation, size = work
            libraries = LAYERS[layer][:]
            random.Random(turn).shuffle(libraries)
            for library in libraries:
                count = SLOW.get((layer, library), COUNTS[layer])
                message = {"operation": operation, "size": size, "count": count}
                ns = asks[layer, library](message)["ns"]
                # The first round warms up.
                if turn:
                    p99 = statistics.quantiles(ns, n=100, method="inclusive")[98]
                    taken[work, library].append((statistics.fmean(ns) / 1000, p99 / 1000))
    return taken


def _row(taken: dict[tuple[Work, str], list[Figures]], work: Work, library: str) -> dict[str, Any]:
    layer, operation, size = work
    mine, theirs = taken[work, LIKEOPT], taken[work, library]
    rates = [1e6 / mean for mean, _ in theirs]
    ratios = [own[0] / other[0] for own, other in zip(mine, theirs, strict=True)]
    return {
        "layer": layer,
        "operation": OPERATIONS[operation],
        "value": size if operation != "miss" else "",
        "library": "Like-Opt, gevent" if library == "gevent" else library,
        "ops/s": round(statistics.median(rates)),
        "of rounds": f"{min(rates):,.0f}-{max(rates):,.0f}",
        "mean µs": round(statistics.median(mean for mean, _ in theirs), 1),
        "p99 µs": round(statistics.median(p99 for _, p99 in theirs), 1),
        # Over 1, the library is quicker than Like-Opt.
        "ratio": round(statistics.median(ratios), 2),
    }


if __name__ == "__main__":
    main()
