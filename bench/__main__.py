"""`make bench`: run the benches, or those named: `python -m bench search quality`.

Each prints a table and writes it to bench/results/<name>.json with the machine and the date. One
whose promise does not hold says so with `sys.exit`; the others are run all the same.
"""

import importlib
import sys

BENCHES = (
    "search",
    "quality",
    "fusion",
    "semantic",
    "middleware",
    "cache",
    "session",
    "revocation",
    "ingest",
    "peer",
    "footprint",
    "answer",
    "shared",
    "zipf",
    "images",
)


def main(names: list[str]) -> int:
    """Run benches by name, all of them if none is given."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
        return 2
    broken = 0
    for name in names or BENCHES:
        print(f"== {name}", flush=True)
        try:
            importlib.import_module(f"bench.{name}").main()
        except SystemExit as told:
            print(told, file=sys.stderr)
            broken = 1
    return broken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
