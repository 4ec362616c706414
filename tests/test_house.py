"""The rules that no linter checks: size, imports, locks, licences, what a wheel holds."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "likeopt").rglob("*.py"))
# gunicorn runs this file as its configuration; nobody imports it.
ENTRY_POINTS = {"gunicorn_conf"}
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.parent.name != "versions"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= 500
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_importing_does_nothing() -> None:
    """No thread, process, socket or written file, and no setting read, by importing any module."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if "migrations" not in path.parts and path.stem not in ENTRY_POINTS
    ]
    script = f"""
import collections, importlib, os, sys
names = {names!r}
seen = []
STARTS = {{"subprocess.Popen", "socket.connect", "_thread.start_new_thread"}}
class Environ(collections.UserDict):
    def __getitem__(self, name):
        if name.startswith("LIKEOPT_"):
            seen.append(("environment", name))
        return super().__getitem__(name)
os.environ = Environ(os.environ)
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if event not in STARTS and not (writes and "__pycache__" not in str(arguments[0])):
        return
    frame = sys._getframe(1)
    while frame and "likeopt" not in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    seen.append((frame and frame.f_globals["__name__"], event, str(arguments)[:200]))
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(seen)
"""
    assert run(sys.executable, "-B", "-c", script).strip() == "[]"


def test_help_is_quick_because_it_imports_little() -> None:
    script = """
import sys
from likeopt.cli.main import main
main(["--help"])
heavy = {"flask", "gevent", "lxml", "numpy", "rich", "sqlalchemy", "tantivy", "urllib3", "usearch"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    assert "Usage: likeopt" in run(sys.executable, "-c", script)


# -- tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test(): pytest.skip('no reason')",
        "import pytest\npytest.skip('no reason', allow_module_level=True)",
    ],
)
def test_a_skipped_test_fails_the_run(tmp_path: Path, source: str) -> None:
    (tmp_path / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", str(tmp_path)]
    strict = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "skipped (ALLOW_SKIP=1 allows it)" in strict.stdout
    assert strict.returncode != 0
    lenient = subprocess.run(
        ["env", "ALLOW_SKIP=1", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "1 skipped" in lenient.stdout


# -- packages ------------------------------------------------------------------------------------


def pins(lock: Path) -> dict[str, list[str]]:
    """Package name -> pinned versions."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.\-]+)==([\w.+!]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda p: p.name)
def test_locks_pin_by_hash_and_record_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|file:|--find-links|--index-url|^/", text, re.MULTILINE)
    for entry in re.split(r"\n(?=[a-z])", text[text.index("==") :]):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = {
    name: [entry for entry in entries if isinstance(entry, str)]
    for name, entries in PROJECT["dependency-groups"].items()
}
# Modules that are installed in .venv-bench only, and their packages.
BENCH_ONLY = {
    "cashews": ["cashews"],
    "diskcache": ["diskcache"],
    "dogpile": ["dogpile-cache"],
    "flask_caching": ["flask-caching"],
    "langchain_chroma": ["langchain-chroma"],
    "langchain_classic": ["langchain-classic"],
    "langchain_community": ["langchain-community"],
    "limits": ["limits"],
    "pyvips": ["pyvips"],
    "txtai": ["txtai-minimal"],
}
ALL_EXTRAS = [requirement for extra in EXTRAS.values() for requirement in extra]


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        (
            "requirements.lock",
            [*RUNTIME, *EXTRAS["postgres"], *EXTRAS["redis"], *GROUPS["build"]],
        ),
        ("requirements-local.lock", [*RUNTIME, *EXTRAS["local"]]),
        ("requirements-dev.lock", [*RUNTIME, *ALL_EXTRAS, *GROUPS["build"], *GROUPS["dev"]]),
        ("requirements-bench.lock", GROUPS["bench"]),
    ],
)
def test_locks_agree_with_the_project(lock: str, requirements: list[str]) -> None:
    locked = pins(ROOT / lock)
    for requirement in map(Requirement, requirements):
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in {lock}: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement}: run `make lock`"


@pytest.mark.parametrize(
    ("folders", "requirements"),
    [
        (["likeopt"], [*RUNTIME, *ALL_EXTRAS]),
        (
            ["tests", "bench", "scripts"],
            [*RUNTIME, *ALL_EXTRAS, *(entry for group in GROUPS.values() for entry in group)],
        ),
    ],
)
def test_what_is_imported_is_declared(folders: list[str], requirements: list[str]) -> None:
    names = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    distributions = {**metadata.packages_distributions(), **BENCH_ONLY}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported = [str(node.module)]
            for module in (name.partition(".")[0] for name in imported):
                # `compression` is in the standard library from Python 3.14 on.
                known = {*sys.stdlib_module_names, "_typeshed", "compression"}
                if module in known or (ROOT / module).exists():
                    continue
                found = {canonicalize_name(name) for name in distributions.get(module, [])}
                assert found & names, f"{path.relative_to(ROOT)} imports {module}: declare it"


def test_locks_agree_with_each_other() -> None:
    runtime, dev = pins(ROOT / "requirements.lock"), pins(ROOT / "requirements-dev.lock")
    assert {name: dev.get(name) for name in runtime} == runtime


def test_npm_lock_pins_by_hash_and_records_no_address() -> None:
    lock = json.loads((ROOT / "frontend/package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert not name or "integrity" in package, name


def test_no_package_we_ship_with_is_under_the_gpl() -> None:
    for name in pins(ROOT / "requirements-local.lock"):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform
        licence = " ".join(about.get_all("License-Expression") or [])
        if not licence:
            classifiers = about.get_all("Classifier") or []
            licence = " ".join(c for c in classifiers if c.startswith("License"))
        # The LGPL (psycopg) lets others link to it.
        strict = re.sub(r"LGPL|GNU Lesser|GNU Library or Lesser", "", licence)
        assert not re.search(r"A?GPL|GNU (Affero )?General", strict), f"{name}: {licence}"


def test_a_wheel_holds_the_page_and_the_sample_library(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "likeopt/web/static/manifest.json" in names
    assert any(re.fullmatch(r"likeopt/web/static/main\.\w+\.js", name) for name in names)
    for language in ("ko", "en"):
        pages = {path.name for path in (ROOT / "docs" / language).glob("*.md")}
        assert pages
        assert {f"likeopt/sample/{language}/{page}" for page in pages} <= names
    assert not any(name.startswith(("tests/", "docs/", "bench/")) for name in names)

    # What is installed stands alone: it is run where the checkout is not on the path.
    target = tmp_path / "installed"
    run(*pip, "install", "--no-deps", "-q", "--target", target, wheel)
    script = f"""
import sys
sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]
sys.path.insert(0, {str(target)!r})
import likeopt
assert likeopt.__file__.startswith({str(target)!r})
from likeopt.cli.main import main
main(["--version"])
"""
    assert run(sys.executable, "-c", script, cwd=tmp_path).startswith("likeopt")
