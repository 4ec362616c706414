"""What `make check` says of packages with known vulnerabilities."""

import json
import subprocess
from typing import Any

import pytest

from scripts import audit_packages


def answer(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> None:
    """Let pip-audit, whose data comes from the network, have said this."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout, stderr)

    monkeypatch.setattr(subprocess, "run", run)


def test_vulnerable_package_fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flaw = {"id": "PYSEC-2026-1", "fix_versions": ["2.1"]}
    packages = [
        {"name": "broken", "version": "2.0", "vulns": [flaw]},
        {"name": "fine", "version": "1.0", "vulns": []},
    ]
    answer(monkeypatch, json.dumps({"dependencies": packages}))
    assert audit_packages.main() == 1
    said = capsys.readouterr().out
    assert "broken 2.0: PYSEC-2026-1 (fixed in 2.1)" in said
    assert "fine" not in said


def test_packages_that_could_not_be_looked_up_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = [{"name": "here", "version": "1", "vulns": []}, {"name": "x", "skip_reason": "404"}]
    answer(monkeypatch, json.dumps({"dependencies": packages}))
    assert audit_packages.main() == 0
    assert "Not audited: 1 of 2 packages" in capsys.readouterr().out


def test_no_network_is_said_and_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A port of this machine that nothing listens on, in place of the network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert audit_packages.main() == 0
    assert "Not audited: " in capsys.readouterr().out
