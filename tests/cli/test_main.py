"""What every command shares: settings, errors, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import likeopt
from likeopt.cli.main import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"likeopt, version {likeopt.__version__}\n"
    assert main(["-h"]) == 0
    shown = capsys.readouterr().out
    for command in ("serve", "ingest", "ask", "search", "doctor", "eval", "model", "config"):
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("argv", [[], ["model"]])
def test_a_group_alone_shows_its_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    alone = capsys.readouterr()
    assert main([*argv, "--help"]) == 0
    assert alone == capsys.readouterr()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["serch", "x"], "likeopt: No such command 'serch'."),
        (["search"], "likeopt: Missing argument 'QUERY'. Try `likeopt search --help`."),
        (["search", "x", "--mode", "both"], "likeopt: Invalid value for '--mode'"),
        (["model", "get", "gpt"], "likeopt: There is no model 'gpt'."),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert out == ""


def test_with_json_errors_are_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == {
        "code": "usage",
        "message": "Missing argument 'QUERY'.",
        "retryable": False,
    }
    assert err == ""


def test_a_misspelt_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKEOPT_PROT", "80")
    assert main(["config"]) == 2
    assert "Did you mean LIKEOPT_PORT?" in capsys.readouterr().err


def test_dotenv_is_read_and_the_environment_and_flags_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(
        "# mine\nOTHER=1\nLIKEOPT_PORT=9001\nLIKEOPT_WORKERS=3\nLIKEOPT_LLM_KEY='s3cret'\n"
        "LIKEOPT_DATA_DIR=a\n"
    )
    monkeypatch.setenv("LIKEOPT_WORKERS", "4")
    assert main(["--data-dir", "b", "config", "--changed", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "LIKEOPT_DATA_DIR": "b",
        "LIKEOPT_PORT": 9001,
        "LIKEOPT_WORKERS": 4,
        "LIKEOPT_LLM_KEY": "********",
    }


def test_config_prints_what_the_environment_would_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKEOPT_DATABASE_URL", "postgresql://me:hidden@db/x")
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "LIKEOPT_SAMPLE_LIBRARY=true" in lines
    assert "LIKEOPT_DATABASE_URL=********" in lines
    assert not [line for line in lines if "hidden" in line]


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -c 'from likeopt.cli.main import main; exit(main())' config | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["local-small"]["bytes"] > 400_000_000
    assert rows["local-small"]["fetched"] is False
    assert main(["model", "list"]) == 0
    assert "local-small" in capsys.readouterr().out
