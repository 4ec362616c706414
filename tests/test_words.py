"""The page has words in both languages for every code of the server, and for no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeopt import accounts
from likeopt.retrieval.parse import failures
from likeopt.web import errors

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "frontend" / "src"
# What the command line says, it says in the terminal only.
NODES = [
    node
    for path in sorted((ROOT / "likeopt").rglob("*.py"))
    if "cli" not in path.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text()))
]
LANGUAGES = ("ko", "en")


def table(file: str, name: str) -> set[str]:
    """The keys of one table of a catalogue."""
    text = (PAGE / "i18n" / f"{file}.ts").read_text()
    found = re.search(rf"^  {name}: {{\n(.*?)^  }}", text, re.DOTALL | re.MULTILINE)
    assert found, f"{file}.ts has no {name}"
    return set(re.findall(r'^    "?([a-z_.]+)"?:', found[1], re.MULTILINE))


def strings(node: ast.expr) -> Iterator[str]:
    """What `node` may be, where that is written down: a string, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from strings(node.body)
        yield from strings(node.orelse)


def codes_of_server() -> set[str]:
    """Of problems, and of why a document, a job or an answer failed."""
    found = {code for code, *_ in errors.codes()} | {
        code for code, _ in errors._HTTP_CODES.values()
    }
    found |= accounts._REFUSALS.keys() | failures._MESSAGES.keys()
    for node in NODES:
        if isinstance(node, ast.keyword) and node.arg in ("code", "error_code"):
            found |= set(strings(node.value))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "error_code":
                    found |= set(strings(value))
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if names & {"code", "INTERRUPTED"}:
                found |= set(strings(node.value))
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            # As `indexing._fail` takes it: a code, and the name of its sentence.
            code, sentence = node.elts
            if isinstance(sentence, ast.Name) and sentence.id.isupper():
                found |= set(strings(code))
    return {code for code in found if re.fullmatch("[a-z_]+", code)}


def codes_of_page() -> set[str]:
    """What the page itself finds wrong."""
    return {
        code
        for path in PAGE.rglob("*.ts*")
        if ".test." not in path.name
        for code in re.findall(r'new ApiError\("(\w+)"', path.read_text())
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_sentence_and_no_other_has(language: str) -> None:
    server = codes_of_server()
    assert server >= {"no_file", "gave_up", "cancelled", "interrupted", "no_text", "oidc_other"}
    told = table(language, "errors")
    assert not server - told, "codes without a sentence in the page"
    assert not told - server - codes_of_page(), "sentences in the page for codes that are none"
