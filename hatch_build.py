"""What a wheel holds besides the Python files: the built page and the sample library.

So `pip install .` from a clean clone gives a complete program; it needs Node.js 20 or newer
unless `make run` has already built the page.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "likeopt/web/static"
SAMPLE_LANGUAGES = ("ko", "en")


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it packs the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page if it is missing; an editable install reads both from the checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / STATIC / "manifest.json").exists():
            _build_page(root / "frontend")
        # Both are ignored by git, which hatchling takes as a list of what to leave out.
        build_data["artifacts"].append(f"/{STATIC}/**")
        for language in SAMPLE_LANGUAGES:
            for page in sorted((root / "docs" / language).glob("*.md")):
                build_data["force_include"][str(page)] = f"likeopt/sample/{language}/{page.name}"


def _build_page(frontend: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("Building Like-Opt's page needs Node.js 20 or newer (npm was not found)")
    for arguments in (["ci"], ["run", "build"]):
        subprocess.run([npm, *arguments], cwd=frontend, check=True)  # noqa: S603  (no shell)
