"""Lighthouse 13 on every page, as its default phone (Moto G Power, slow 4G, CPU a quarter).

Each run has a fresh browser. Pages take turns, so that a busy minute of the machine hits all alike.
`load` is the machine's load average while each ran; scores of performance are lower bounds where it
is over the number of cores, or `benchmark` (Lighthouse's measure of the CPU) is low. What begins
with `cpu_` is Lighthouse's judgement of the same run once more, after each task was given the time
that it had on a CPU (`cputime.js`): on a machine that others use, that is nearer to the truth. What
begins with `applied_` was measured in one more load, slowed down in network and CPU as it went.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.web import stack

HERE = Path(__file__).parent
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
SCORES = ("performance", "accessibility", "best_practices", "seo")
# What is rounded to how many digits.
METRICS = {"lcp_ms": 0, "cls": 4, "tbt_ms": 0, "fcp_ms": 0, "speed_index_ms": 0}
TARGETS = {
    "performance": 100,
    "accessibility": 100,
    "best_practices": 100,
    "seo": "100 on public pages",
    "lcp_ms": "< 1000",
    "cls": 0,
    "tbt_ms": "< 50",
}


def pages(on: stack.Stack) -> list[dict[str, Any]]:
    """Every page: for whoever comes, then as the administrator sees it."""
    public = {"sign-in": "/sign-in", "link": f"/link#{on.invitation}"}
    own = {
        "chat": "/",
        "conversation": f"/c/{on.usual}",
        "conversation of 200": f"/c/{on.long}",
        "library": "/library",
        "document": f"/library/{on.document}",
        "account": "/account",
        "jobs": "/admin/jobs",
        "caches": "/admin/caches",
        "settings": "/admin/settings",
        "people": "/admin/people",
        "audit": "/admin/audit",
    }
    return [
        {"name": name, "url": on.url + path, "signedIn": signed_in}
        for found, signed_in in ((public, False), (own, True))
        for name, path in found.items()
    ]


def measure(on: stack.Stack) -> dict[str, Any]:
    """Rows by page, medians with the lowest and highest of the runs."""
    wanted = set(filter(None, os.environ.get("BENCH_PAGES", "").split(",")))
    chosen = [page for page in pages(on) if not wanted or page["name"] in wanted]
    cookie = {**on.cookie, "secure": True, "httpOnly": True, "path": "/", "sameSite": "Lax"}
    job = {
        "chromium": str(stack.CHROMIUM),
        "trusted": stack.fingerprint(on.pem),
        "cookie": {**cookie, "domain": "127.0.0.1"},
        "keep": os.environ.get("BENCH_KEEP"),
        "runs": RUNS,
        "pages": chosen,
    }
    command = [str(HERE / "node_modules/.bin/node"), str(HERE / "lighthouse.js")]
    runs: list[dict[str, Any]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
        for line in process.stdout:
            one = json.loads(line) | {"load": round(os.getloadavg()[0], 1)}
            runs.append(one)
            told = {key: one[key] for key in ("page", *SCORES, "lcp_ms", "tbt_ms", "load")}
            told |= {way: one[way] for way in ("cpu", "applied") if way in one}
            print(told, *one["failed"], file=sys.stderr)
    if process.returncode:
        raise RuntimeError("Lighthouse failed; it says why above")
    return {
        "what": f"Lighthouse 13, default phone, medians of {RUNS} runs",
        "targets": TARGETS,
        "rows": [
            _row(page, [one for one in runs if one["page"] == page["name"]]) for page in chosen
        ],
        "runs": [{key: one[key] for key in one if key != "urls"} for one in runs],
    }


def _row(page: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"page": page["name"], "signed_in": page["signedIn"]}
    for name in SCORES:
        row[name] = round(statistics.median(one[name] for one in runs))
    for name, digits in METRICS.items():
        row[name] = round(statistics.median(one[name] for one in runs), digits or None)
    for name in ("performance", "lcp_ms", "tbt_ms"):
        row[f"cpu_{name}"] = round(statistics.median(one["cpu"][name] for one in runs))
    for name in ("performance", "fcp_ms", "lcp_ms"):
        row[f"applied_{name}"] = round(runs[0]["applied"][name])
    for name in ("bytes", "requests"):
        row[name] = round(statistics.median(one[name] for one in runs))
    for name in ("performance", "lcp_ms", "tbt_ms", "load", "benchmark"):
        row[f"{name}_range"] = [round(f([one[name] for one in runs]), 1) for f in (min, max)]
    for name in ("performance", "lcp_ms", "tbt_ms"):
        row[f"cpu_{name}_range"] = [
            round(f([one["cpu"][name] for one in runs])) for f in (min, max)
        ]
    row["failed"] = sorted({audit for one in runs for audit in one["failed"]})
    return row
