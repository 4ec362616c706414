"""`ingest`, `search` and `ask` on a real library, with nothing running and beside a server."""

import contextlib
import getpass
import io
import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from likeopt.cli.main import main
from tests import guest
from tests.retrieval.parse.bad_files import BAD_FILES
from tests.servers import LIKEOPT, like_opt, wait_until

LEAVE = (
    "# Annual leave\n\nEmployees get 15 days of paid leave a year. Unused days expire in March.\n"
)
BACKUP = "# 백업\n\n백업은 매일 새벽 3시에 시작합니다. 보관 기간은 30일입니다.\n"


class Library:
    """A data folder, a folder of files, and the command line as a user has it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.files = home / "files"
        self.files.mkdir()
        self.environ = os.environ | {
            "LIKEOPT_DATA_DIR": str(home / "data"),
            "LIKEOPT_SAMPLE_LIBRARY": "false",
        }

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*LIKEOPT, *argv],
            cwd=self.home,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, code: int = 0) -> str:
        process = self.start(*argv)
        out, err = process.communicate()
        assert process.returncode == code, (out, err)
        return out

    def json(self, *argv: str, code: int = 0) -> Any:
        return json.loads(self.run(*argv, "--json", code=code))


class Served(Library):
    """The same with the commands in this process, which saves half a second for each."""

    def __init__(self, library: Library) -> None:
        self.home = library.home
        self.files = library.files
        self.environ = library.environ

    def run(self, *argv: str, code: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.home),
            mock.patch.dict(os.environ, self.environ),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            ended = main(list(argv))
        assert ended == code, (out.getvalue(), err.getvalue())
        return out.getvalue()


@pytest.fixture(scope="module")
def library() -> Iterator[Library]:
    with tempfile.TemporaryDirectory(prefix="lo-cli-") as home:
        made = Library(Path(home))
        (made.files / "leave.md").write_text(LEAVE)
        (made.files / "backup.md").write_text(BACKUP)
        (made.files / "empty.txt").touch()
        yield made


@pytest.fixture(scope="module")
def indexed(library: Library) -> Library:
    """The library after its first `ingest`, which has to report the empty file."""
    report = library.json("ingest", "files", "--tag", "handbook", code=1)
    outcomes = {file["name"]: file["outcome"] for file in report["files"]}
    assert outcomes == {"leave.md": "added", "backup.md": "added", "empty.txt": "failed"}
    assert "empty" in next(f["problem"] for f in report["files"] if f["name"] == "empty.txt")
    (library.files / "empty.txt").unlink()
    return library


# -- with nothing running ------------------------------------------------------------------------


def test_search_starts_its_own_engine(indexed: Library) -> None:
    found = indexed.json("search", "백업은 언제 시작하나요?")
    assert found["hits"][0]["document_name"] == "backup.md"
    assert found["hits"][0]["similarity"] > 0.8
    assert found["pending"] == 0


def test_ask_starts_its_own_engine_too(indexed: Library) -> None:
    shown = indexed.run("ask", "How many days of paid leave do employees get?")
    assert "15 days" in shown
    assert "[1] leave.md" in shown


def test_an_interrupted_ingest_goes_on_later(library: Library) -> None:
    folder = library.home / "more"
    folder.mkdir()
    (folder / "long.md").write_text("\n\n".join(f"Paragraph {i}. {LEAVE * 5}" for i in range(3000)))
    process = library.start("ingest", "more", "--json")
    # Not earlier: Python loses an interrupt that comes while it forks.
    worker = library.home / "data" / "run" / "worker.sock"
    wait_until(lambda: process.poll() is not None or worker.exists(), "the indexing process")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, (out, err)
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert "goes on" in err
    (folder / "long.md").write_text("Short now.")
    assert library.json("ingest", "more")["counts"] == {"changed": 1}


def test_files_that_will_not_open_are_reported_and_left_out(indexed: Library) -> None:
    folder = indexed.home / "bad"
    folder.mkdir()
    for name, (content, _, _) in BAD_FILES.items():
        (folder / name).write_bytes(content)
    (folder / "good.md").write_text("The printer is on floor two.")
    report = indexed.json("ingest", "bad", "--collection", "Bad", code=1)
    assert report["counts"] == {"failed": len(BAD_FILES), "added": 1}
    for file in report["files"]:
        if file["name"] != "good.md":
            assert file["problem"].startswith(f"{file['name']} ")
            assert file["id"] is None  # there is no document


# -- beside a server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(indexed: Library) -> Iterator[str]:
    """Where `likeopt serve` runs with the same library."""
    with like_opt(indexed.home, guest.SETTINGS) as url:
        yield url


@pytest.fixture(scope="module")
def served(indexed: Library, url: str) -> Served:
    """The same library while `likeopt serve` runs."""
    return Served(indexed)


def test_ingest_skips_replaces_and_prunes(served: Served) -> None:
    (served.files / "gone.txt").write_text("Not for long.")
    (served.files / "leave.md").write_text(LEAVE + "\nAsk Dana in human resources.\n")
    counts = served.json("ingest", "files", "--wait")["counts"]
    assert counts == {"added": 1, "changed": 1, "unchanged": 1}
    (served.files / "gone.txt").unlink()
    assert sorted(served.run("ingest", "files", "--prune").strip().split(", ")) == [
        "1 removed",
        "2 unchanged",
    ]
    hit = served.json("search", "Dana")["hits"][0]
    assert (hit["document_name"], hit["lexical_rank"]) == ("leave.md", 1)


def test_ingest_into_a_collection_of_its_own(served: Served) -> None:
    (served.home / "note.txt").write_text("The coffee machine is on floor four.")
    assert served.json("ingest", "note.txt", "--collection", "Kitchen")["counts"] == {"added": 1}
    assert served.json("ingest", "note.txt", "--collection", "Kitchen")["counts"] == {
        "unchanged": 1
    }
    assert served.json("ingest", "nowhere", code=2)["error"]["message"].startswith("There is no")


def test_what_ingest_does_is_in_the_audit_log(served: Served, url: str) -> None:
    folder = served.home / "audited"
    folder.mkdir()
    (folder / "kept.txt").write_text("One version.")
    (folder / "gone.txt").write_text("Not for long.")
    served.run("ingest", "audited", "--collection", "Audited")
    (folder / "kept.txt").write_text("Another version.")
    (folder / "gone.txt").unlink()
    served.run("ingest", "audited", "--collection", "Audited", "--prune")
    served.run("ingest", "audited", "--collection", "Audited")  # nothing has changed
    asked = urllib.request.Request(f"{url}/api/v1/audit?limit=5", headers=guest.HEADERS)
    with urllib.request.urlopen(asked) as answer:
        events = json.load(answer)["items"]
    assert [(event["action"], event["object_name"]) for event in reversed(events)] == [
        ("collection.create", "Audited"),
        ("document.create", "gone.txt"),
        ("document.create", "kept.txt"),
        ("document.replace", "kept.txt"),
        ("document.delete", "gone.txt"),
    ]
    assert {(event["via"], event["actor_name"]) for event in events} == {("cli", getpass.getuser())}


def test_search_for_people_and_for_programs(served: Served) -> None:
    shown = served.run("search", "holiday for staff", "--mode", "vector", "-k", "1")
    assert shown.startswith("1. leave.md\n   ")
    assert "15 days" in shown
    assert served.json("search", "xyzzy", "--mode", "lexical", code=3)["hits"] == []
    assert served.json("search", "leave", "--tag", "other", code=3)["hits"] == []
    assert served.json("search", " ", code=2)["error"]["code"] == "bad_input"


@pytest.mark.parametrize(
    ("narrowing", "found"),
    [
        (["--document", "leave.md"], ["leave.md"]),
        (["--document", "leave.md", "--document", "backup.md"], ["backup.md", "leave.md"]),
        (["--type", "text/markdown", "--tag", "handbook"], ["backup.md", "leave.md"]),
        (["--type", "text/html"], []),
        (["--after", "2020-01-31", "--document", "backup.md"], ["backup.md"]),
        (["--after", "2999-01-31T09:00:00+09:00"], []),
        (["--before", "2020-01-31"], []),
    ],
)
def test_search_and_ask_can_be_narrowed(
    narrowing: list[str], found: list[str], served: Served
) -> None:
    code = 0 if found else 3
    hits = served.json("search", "백업 leave", "-k", "50", *narrowing, code=code)["hits"]
    assert sorted({hit["document_name"] for hit in hits}) == found
    code = 0 if "backup.md" in found else 3
    told = served.json("ask", "백업은 언제 시작하나요?", *narrowing, code=code)
    assert {one["document_name"] for one in told["citations"]} <= set(found)


def test_narrowing_to_what_does_not_exist_is_said(served: Served) -> None:
    hit = served.json("search", "Dana")["hits"][0]
    also = ["--document", hit["document_id"]]
    assert served.json("search", "Dana", *also)["hits"][0]["chunk_id"] == hit["chunk_id"]
    error = served.json("search", "Dana", "--document", "leav.md", code=5)["error"]
    assert error["message"] == "There is no document 'leav.md'."
    error = served.json("ask", "Dana?", "--after", "yesterday", code=2)["error"]
    assert "'yesterday' is not a time, such as 2026-01-31" in error["message"]


def test_ask_goes_on_in_a_conversation(served: Served) -> None:
    first = served.json("ask", "백업은 언제 시작해요?")
    assert "3시" in first["content"]
    assert first["citations"][0]["document_name"] == "backup.md"
    also = ["--conversation", first["conversation_id"]]
    again = served.json("ask", "When do unused leave days expire?", *also)
    assert again["conversation_id"] == first["conversation_id"]
    assert "March" in again["content"]


def test_ask_what_the_documents_do_not_hold(served: Served) -> None:
    assert served.json("ask", "Who won the chess match?", code=3)["kind"] == "not_found"


def test_ask_in_a_conversation_that_does_not_exist(served: Served) -> None:
    error = served.json("ask", "x", "--conversation", "0" * 32, code=5)["error"]
    assert error["code"] == "not_found"


def test_json_is_what_the_api_says(served: Served, url: str) -> None:
    def posted(path: str, body: dict[str, str]) -> Any:
        request = urllib.request.Request(
            f"{url}/api/v1/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"} | guest.HEADERS,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    found = served.json("search", "leave", "-k", "10")
    assert found.keys() == (same := posted("search", {"query": "leave"})).keys()
    assert found["hits"] == same["hits"] != []
    told = served.json("ask", "When do unused leave days expire?")
    question = {"question": "When do unused leave days expire?"}
    assert told.keys() == (same := posted("chat", question)["message"]).keys()
    assert told["citations"] == same["citations"] != []
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}\.\d{3}Z", told["created_at"])


def test_doctor_sees_the_parts(served: Served) -> None:
    checks = {check["name"]: check for check in served.json("doctor")["checks"]}
    assert "passages" in checks["engine"]["detail"]
    assert checks["worker"]["detail"] == "running"


def test_a_second_server_is_refused(served: Served) -> None:
    _, err = (process := served.start("serve")).communicate()
    assert process.returncode == 1
    assert err.startswith("likeopt: Like-Opt already runs")
