"""Benches that promise something say so when it does not hold."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bench import __main__ as command
from bench import common, revocation, shared
from bench.shared import CALLS


@pytest.fixture(autouse=True)
def _measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, *_: object, **__: object) -> None:
            """Whatever is asked for."""

        def __enter__(self) -> list[Any]:
            return [SimpleNamespace(config=None)] * 2

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

        def close(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr(common, "two_serving", Nothing)
    monkeypatch.setattr(common, "report", lambda *_, **__: None)
    monkeypatch.setattr(revocation, "Services", Nothing)


@pytest.mark.parametrize(("p99", "status"), [(99.9, 0), (100.0, 0), (100.1, 1)])
def test_a_late_revocation_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], p99: float, status: int
) -> None:
    rows = [{"what": "session", "p99": 20.0}, {"what": "collection", "p99": p99}]
    both = SimpleNamespace(sessions=lambda: rows[:1], collections=lambda: rows[1:])
    monkeypatch.setattr(revocation, "_Both", lambda *_: both)
    assert command.main(["revocation"]) == status
    assert capsys.readouterr().err == ("p99 over 100 ms: collection\n" if status else "")


def whole(_: object) -> None:
    """As promised."""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (whole, ""),
        (
            lambda rows: rows[0].update({"model calls": 2}),
            "all at once: 2 calls of the model instead of 1\n",
        ),
        (
            lambda rows: rows[1].update({"model calls": 1}),
            "asked again, one by one: 1 calls of the model instead of 0\n",
        ),
        (
            lambda rows: rows[2].update({"model calls": 3}),
            "its writer killed: 3 calls of the model instead of 2\n",
        ),
        (
            lambda rows: rows[2].update({"complete and equal": 999}),
            "its writer killed: only 999 read it whole\n",
        ),
    ],
)
def test_a_call_too_many_or_a_word_too_few_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[list[dict[str, Any]]], None],
    said: str,
) -> None:
    rows = [
        {"what": what, "model calls": calls, "complete and equal": 1000, "readers": 1000}
        for what, calls in CALLS.items()
    ]
    spoil(rows)
    monkeypatch.setattr(shared, "_rows", lambda *_: rows)
    assert command.main(["shared"]) == bool(said)
    assert capsys.readouterr().err == said


def test_the_others_are_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run = []

    def fails() -> None:
        run.append("revocation")
        raise SystemExit("late")

    monkeypatch.setattr(revocation, "main", fails)
    monkeypatch.setattr(shared, "main", lambda: run.append("shared"))
    assert command.main(["revocation", "shared"]) == 1
    assert run == ["revocation", "shared"]
