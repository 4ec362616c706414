"""`make bench-web`, or parts of it: `python -m bench.web lighthouse stream navigate cached`.

Writes bench/results/web.json; a part that is not run keeps what it last measured.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from bench import common
from bench.web import cached, lighthouse, navigation, stack, streaming
from tests import servers

PARTS = {
    "lighthouse": lighthouse.measure,
    # Before what makes so many conversations that the one it goes to leaves the list.
    "navigate": navigation.measure,
    "stream": streaming.measure,
    "cached": cached.measure,
}
PRIORITY = -10
RESULTS = common.BENCH / "results" / "web.json"


def main(names: list[str]) -> int:
    """Run parts by name, all of them if none is given; always in the same order."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        return 2
    if os.geteuid() == 0:
        _go_first()
    os.environ["CHROMIUM"] = servers.chromium()
    with stack.running() as on:
        for name, measure in PARTS.items():
            if names and name not in names:
                continue
            print(f"== {name}", flush=True)
            before = os.getloadavg()
            part = measure(on)
            common.show(part["rows"])
            # Read anew: another part may have been measured meanwhile.
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            results[name] = {"machine": _machine(before), **part}
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _go_first() -> None:
    """Put server, proxy and browser ahead of whatever else the machine does."""
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    # Where sessions share the CPU as groups, a priority counts within its own group only.
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(PRIORITY))
        os.environ["BENCH_PRIORITY"] = str(PRIORITY)


def _machine(before: tuple[float, float, float]) -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "load_before": [round(one, 1) for one in before],
        "load_after": [round(one, 1) for one in os.getloadavg()],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
