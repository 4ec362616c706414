"""The page has words in both languages for every code of the server, and for no other."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from likeopt import accounts
from likeopt.retrieval.parse import failures
from likeopt.storage.audit import Via
from likeopt.storage.collections import Readers
from likeopt.web import errors
from likeopt.web.api.audit import AuditExportQuery
from likeopt.web.api.people import PersonChange

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "frontend" / "src"
MODULES = sorted((ROOT / "likeopt").rglob("*.py"))


def nodes(paths: Iterable[Path]) -> list[ast.AST]:
    """Of the syntax trees of some modules."""
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]


# What the command line says, it says in the terminal only; what it does is in the audit log.
NODES = nodes(p for p in MODULES if p.parent.name != "cli")
ALL_NODES = nodes(MODULES)
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


# Of those that write into the audit log, by their last name; what else is given is a detail.
WRITERS = {"note", "_by"}
NO_DETAIL = {"kind", "id_", "name", "who", "via", "object_kind", "object_id", "key"}


def entries() -> Iterator[ast.Call]:
    """The calls that make an entry of the audit log and name its action."""
    for node in ALL_NODES:
        if isinstance(node, ast.Call) and len(node.args) > 1:
            last = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            if (last.id if isinstance(last, ast.Name) else last) in WRITERS:
                yield node


def keywords(*names: str) -> set[str]:
    """What is given under these names anywhere."""
    return {
        word
        for node in ALL_NODES
        if isinstance(node, ast.keyword) and node.arg in names
        for word in strings(node.value)
    }


def actions() -> set[str]:
    """Of the audit log. Some stand in a table or are handed on, so all that look like one count."""
    kinds = table("en-people", "objects")
    named = keywords("action") | {word for call in entries() for word in strings(call.args[1])}
    written = {node.value for node in ALL_NODES if isinstance(node, ast.Constant)}
    return named | {
        word
        for word in written
        if isinstance(word, str) and re.fullmatch(r"[a-z]+\.[a-z]+", word)
        if word.partition(".")[0] in kinds
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_audit_log_is_told_in_words(language: str) -> None:
    done, catalogue = actions(), f"{language}-people"
    assert done >= {"access.refuse", "document.create", "document.cancel", "key.use", "user.link"}
    assert table(catalogue, "deeds") == done
    assert table(catalogue, "objects") == {action.partition(".")[0] for action in done}
    assert table(catalogue, "auditVia") == set(get_args(Via))


@pytest.mark.parametrize("language", LANGUAGES)
def test_details_in_the_audit_log_are_told_in_words(language: str) -> None:
    given = {word.arg for call in entries() for word in call.keywords if word.arg} - NO_DETAIL
    assert given >= {"purpose", "scopes", "filters"}
    for kind in (Readers, PersonChange, AuditExportQuery):
        given |= set(kind.__struct_fields__)
    # Of refusals, which are put together by hand.
    given |= {"how", "code", "left_out"}
    assert table(f"{language}-people", "details") == given
    assert table(f"{language}-people", "detailWords") >= keywords("how", "purpose")
