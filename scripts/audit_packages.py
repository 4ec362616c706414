"""Ask PyPI whether a version in the lock files has a known vulnerability: `make check` runs this.

The data comes from the network. Where it cannot be had within `SECONDS`, this says so and passes:
a mirror without it, or no network, is no fault of the code.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Together they hold everything that is installed to run and to develop.
LOCKS = ("requirements.lock", "requirements-local.lock", "requirements-dev.lock")
SECONDS = 60


def report(text: str) -> tuple[list[str], int, int]:
    """Vulnerable packages in pip-audit's JSON, as lines; how many packages were looked up, and how
    many the source does not know."""
    packages = json.loads(text)["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        f" (fixed in {', '.join(flaw['fix_versions']) or 'no version yet'})"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    unknown = sum("skip_reason" in package for package in packages)
    return found, len(packages) - unknown, unknown


def main() -> int:
    """0 if nothing is known, or nothing could be learnt; 1 if a package is vulnerable."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
        command += ["--progress-spinner", "off", "--format", "json", "--cache-dir", cache]
        for lock in LOCKS:
            command += ["--requirement", str(ROOT / lock)]
        try:
            audit = subprocess.run(  # noqa: S603  (no shell, our own arguments)
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"    Not audited: no answer about vulnerabilities in {SECONDS} s.")
            return 0
    if not audit.stdout:
        last = (audit.stderr.strip().splitlines() or ["nothing was said"])[-1]
        print(f"    Not audited: {last[:200]}")
        return 0
    found, known, unknown = report(audit.stdout)
    if unknown:
        print(
            f"    Not audited: {unknown} of {known + unknown} packages; PyPI's data on them"
            " cannot be had here."
        )
    for line in found:
        print(f"    Vulnerable: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
