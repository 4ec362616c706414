"""`likeopt eval` on a set that the test writes."""

import json
from pathlib import Path

import pytest

from likeopt.cli.main import main

PASSAGES = {
    "leave": "Employees get fifteen days of paid leave a year.",
    "backup": "백업은 매일 새벽 세 시에 시작합니다.",
    "office": "The office is beside the river in Seoul.",
}
QUESTIONS = {
    "leave": "How many days of paid leave do employees get?",
    "backup": "백업은 매일 언제 시작합니까?",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "small"
    made.mkdir()
    for name, texts in (("corpus", PASSAGES), ("queries", QUESTIONS)):
        lines = [json.dumps({"_id": id_, "title": "", "text": text}) for id_, text in texts.items()]
        (made / f"{name}.jsonl").write_text("\n".join(lines))
    (made / "qrels.tsv").write_text("".join(f"{id_}\t{id_}\t1\n" for id_ in QUESTIONS))
    return made


def test_thresholds_tell_how_many_are_answered(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LIKEOPT_DATA_DIR", str(tmp_path / "data"))
    asked = ["eval", str(folder), "--mode", "lexical"]
    assert main([*asked, "--threshold", "0.4", "--threshold", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["search"][0]["scores"]["hit_1"] == 1
    assert [
        (one["threshold"], one["with_passage"], one["without"]) for one in found["answers"]
    ] == [
        (0.4, 1.0, 0.0),
        (1.0, 0.0, 0.0),
    ]
