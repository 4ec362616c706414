"""What users can set, call, type or click in the documentation exists, and the other way round."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from likeopt.cli.main import cli
from likeopt.config import PREFIX, Config, settings
from likeopt.web import openapi
from likeopt.web.app import create_app
from scripts import generate_docs

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("bench/*.md")]
    if not path.is_relative_to(ROOT / "node_modules")
)
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", generate_docs.FILES)
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == generate_docs.FILES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), f"{target} is a dead link"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(linked), re.MULTILINE)
            assert anchor in map(slug, headings), f"{target} names no heading"


def test_every_page_is_in_both_languages() -> None:
    korean, english = (
        {path.name for path in (ROOT / "docs" / x).glob("*.md")} for x in ("ko", "en")
    )
    assert korean == english
    assert korean


def test_settings_that_documents_name_exist() -> None:
    known = {PREFIX + name.upper() for name, _, _ in settings()}
    for page in PAGES:
        for found in re.findall(r"LIKEOPT_[A-Z_]*[A-Z]", page.read_text()):
            base = found.removesuffix("_FILE")
            assert base in known, f"{page.name} names {found}, which is no setting"


def test_commands_that_documents_name_exist() -> None:
    known = {path.removeprefix("likeopt ") for path, _ in generate_docs.walk(cli, "likeopt")}
    options = {
        option
        for _, command in generate_docs.walk(cli, "likeopt")
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}
    for page in PAGES:
        for name, rest in re.findall(r"(?<![/\w.-])likeopt ([a-z]+)\b([^`\n]*)", page.read_text()):
            assert name in {"command", *known}, f"{page.name}: `likeopt {name}` is no command"
            for option in re.findall(r"(?<!\S)(--[a-z][a-z-]*)", rest.partition("#")[0]):
                assert option in options, f"{page.name}: likeopt {name} has no {option}"


def test_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets >= {
        "help",
        "run",
        "test",
        "check",
        "bench",
        "bench-web",
        "docs",
        "lock",
        "clean",
    }
    for page in PAGES:
        for code in re.findall(r"(?ms)`([^`]+)`|^```sh\n(.*?)^```", page.read_text()):
            for target in re.findall(r"^(?:\w+=\S+ )?make ([a-z-]+)", "".join(code), re.MULTILINE):
                assert target in targets, f"{page.name}: there is no `make {target}`"


def test_make_without_a_target_prints_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {target} " in done.stdout


def test_generator_notices_an_old_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/generate_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- the HTTP API --------------------------------------------------------------------------------

ENDPOINT = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:api|v1|health|ready)[^\s`?)\]]*)")


def shape(path: str) -> str:
    """A path with its parameters made nameless."""
    return re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)


def test_endpoints_that_documents_name_exist() -> None:
    paths = openapi.build(create_app(Config()))["paths"]
    known = {f"{method.upper()} {shape(path)}" for path in paths for method in paths[path]}
    for page in PAGES:
        for method, path in ENDPOINT.findall(page.read_text()):
            assert f"{method} {shape(path)}" in known, f"{page.name}: no {method} {path}"


def test_every_endpoint_is_documented() -> None:
    listed = (ROOT / "docs/endpoints.md").read_text()
    for rule in create_app(Config()).url_map.iter_rules():
        assert shape(rule.rule) in shape(listed), f"{rule.rule}: run `make docs`"


def test_every_test_that_security_names_exists() -> None:
    page = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert len(named) > 80
    assert missing == []
    whole = {f"{path}::{name}" for path, name in named}
    for name in re.findall(r"`((?:tests|frontend)/[^`]*)`", page):
        assert name in whole or (ROOT / name).is_file(), f"there is no {name}"


def test_security_says_of_each_row_whether_it_is_met_and_why() -> None:
    rows = re.findall(r"^\| \d.*$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert len(rows) > 90
    for row in rows:
        _, state, proof = row.strip("| ").split(" | ")
        assert state in ("Met", "Met behind TLS", "**Partly**", "Partly", "**Not met**", "–"), row
        assert "tests/" in proof or len(proof) > 10, row


def test_what_security_does_not_meet_has_a_reason_and_something_instead() -> None:
    page = (ROOT / "docs/security.md").read_text()
    missed = re.findall(r"^\| ([\d.]+) [^|]*\| \*\*Not met\*\* \| Accepted: ", page, re.MULTILINE)
    assert len(missed) == len(re.findall(r"\| \*\*Not met\*\* \|", page)) > 0
    accepted = page.partition("\n### Not met, and accepted\n")[2].partition("\n#")[0]
    reasons = dict(re.findall(r"(?ms)^- \*\*[^*]+\(([\d.]+)\)\.\*\* (.+?)(?=^- |\Z)", accepted))
    assert reasons.keys() == set(missed)
    assert all(" Instead: " in " ".join(reason.split()) for reason in reasons.values())
