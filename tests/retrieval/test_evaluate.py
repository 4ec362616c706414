import gzip
from pathlib import Path

import pytest

from likeopt.errors import BadInput
from likeopt.retrieval import evaluate


def write_set(folder: Path) -> None:
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        for number in range(20):
            file.write(f'{{"_id": "d{number}", "title": "", "text": "문서 {number}"}}\n')
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "하나"}\n{"id": "q2", "text": "둘"}\n', encoding="utf-8"
    )
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td3\t1\nq2\td4\t0\n"
    )


def test_loads_plain_and_gzipped_files(tmp_path: Path) -> None:
    write_set(tmp_path)
    data = evaluate.load(tmp_path)
    assert len(data.corpus) == 20
    assert data.corpus[3].text == "문서 3"
    assert data.qrels == {"q1": {"d1": 1}, "q2": {"d2": 2, "d3": 1}}


def test_says_what_is_missing_and_where_a_line_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no corpus\.jsonl"):
        evaluate.load(tmp_path)
    write_set(tmp_path)
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"text": "b"}\n')
    with pytest.raises(BadInput, match="line 2"):
        evaluate.load(tmp_path)


def test_scores_are_those_of_trec_eval() -> None:
    qrels = {"a": {"x": 1}, "b": {"y": 2, "z": 1}, "c": {"w": 1}}
    runs = {"a": ["n", "x"], "b": ["y", "n", "z"]}
    result = evaluate.score(runs, qrels)
    # By hand: a 1/log2(3); b (2 + 1/log2(4)) / (2 + 1/log2(3)); c nothing.
    assert result.ndcg_10 == pytest.approx((0.63093 + 2.5 / 2.63093) / 3, abs=1e-4)
    assert result.recall_10 == pytest.approx(2 / 3)
    assert result.mrr_10 == pytest.approx(0.5)
    assert result.hit_1 == pytest.approx(1 / 3)


def test_only_the_first_ten_count() -> None:
    run = [f"n{i}" for i in range(10)] + ["x"]
    assert evaluate.score({"q": run}, {"q": {"x": 1}}).hit_10 == 0


def test_a_sample_keeps_every_answer_and_is_the_same_each_time(tmp_path: Path) -> None:
    write_set(tmp_path)
    data = evaluate.load(tmp_path)
    small = evaluate.sample(data, passages=8, queries=2)
    assert len(small.corpus) == 8
    assert {"d1", "d2", "d3"} <= {passage.id for passage in small.corpus}
    assert evaluate.sample(data, passages=8, queries=2) == small
    assert evaluate.sample(data, passages=2, queries=2).qrels.keys() < data.qrels.keys()
