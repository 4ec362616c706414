"""Search by words on real tantivy indexes: what readers see, and what damage leads to."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from likeopt.errors import Conflict, IndexDamaged
from likeopt.retrieval import lexical
from likeopt.retrieval.analyse import Analyser
from likeopt.retrieval.lexical import LexicalChunk, LexicalReader, LexicalSnapshot, LexicalWriter
from likeopt.retrieval.scope import Scope

ANALYSER = Analyser("script")
DB = "db1"


def chunk(chunk_id: int, text: str, *, version: int = 1, context: str = "") -> LexicalChunk:
    return LexicalChunk(chunk_id, version, text, context)


def scope(*versions: int, passages: int = 10, total: int = 10) -> Scope:
    allowed = np.zeros(max(versions, default=0) + 1, dtype=np.bool_)
    allowed[list(versions)] = True
    return Scope(allowed, passages, total)


def find(
    snapshot: LexicalSnapshot, query: str, within: Scope | None = None, k: int = 10
) -> list[int]:
    terms = snapshot.weigh(ANALYSER.terms(query)).known
    found: list[int] = snapshot.search(terms, k, within or scope(1, 2, 3)).chunk_ids.tolist()
    return found


def snapshot(root: Path) -> LexicalSnapshot:
    opened = LexicalReader(root, ANALYSER).refresh(DB)
    assert opened is not None
    return opened


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LexicalWriter]:
    opened = LexicalWriter.open(tmp_path, ANALYSER, DB)
    yield opened
    opened.close()


def test_before_anything_is_written(tmp_path: Path) -> None:
    assert LexicalReader(tmp_path, ANALYSER).refresh(DB) is None


def test_a_new_index_is_empty(tmp_path: Path, writer: LexicalWriter) -> None:
    assert (writer.applied, snapshot(tmp_path).applied, snapshot(tmp_path).passages) == (0, 0, 0)
    assert find(snapshot(tmp_path), "무엇이든") == []


def test_korean_and_english_are_found_best_first(tmp_path: Path, writer: LexicalWriter) -> None:
    writer.apply(
        7,
        [
            chunk(1, "연차휴가는 15일이며 매년 1월에 부여된다."),
            chunk(2, "출장비는 사후에 정산한다. 휴가와 무관하다."),
            chunk(3, "Requests are cached for 60 seconds."),
        ],
        [],
    )
    shown = snapshot(tmp_path)
    assert (shown.applied, shown.passages) == (7, 3)
    assert find(shown, "연차 휴가는 며칠?") == [1, 2]
    assert find(shown, "How long is a request cached?") == [3]
    assert find(shown, "바나나") == []


def test_titles_are_searched_and_weigh_less(tmp_path: Path, writer: LexicalWriter) -> None:
    writer.apply(1, [chunk(1, "본문", context="휴가 규정"), chunk(2, "휴가 규정")], [])
    assert find(snapshot(tmp_path), "휴가 규정") == [2, 1]


def test_a_commit_adds_removes_and_says_which_revision_it_is(
    tmp_path: Path, writer: LexicalWriter
) -> None:
    writer.apply(1, [chunk(1, "old words", version=1)], [])
    before = snapshot(tmp_path)
    writer.apply(2, [chunk(2, "new words", version=2)], [1])
    after = snapshot(tmp_path)
    assert (before.applied, find(before, "words")) == (1, [1])
    assert (after.applied, find(after, "words")) == (2, [2])


def test_a_reader_follows_without_opening_anew(tmp_path: Path, writer: LexicalWriter) -> None:
    reader = LexicalReader(tmp_path, ANALYSER)
    first = reader.refresh(DB)
    assert reader.refresh(DB) is first
    writer.apply(1, [chunk(1, "fresh words")], [])
    second = reader.refresh(DB)
    assert second is not None
    assert find(second, "words") == [1]


def test_the_same_change_twice_is_the_same_as_once(tmp_path: Path, writer: LexicalWriter) -> None:
    for _ in range(2):
        writer.apply(1, [chunk(1, "one word"), chunk(2, "two words")], [])
    assert sorted(find(snapshot(tmp_path), "word")) == [1, 2]
    assert snapshot(tmp_path).passages == 2


def test_what_fails_halfway_changes_nothing(tmp_path: Path, writer: LexicalWriter) -> None:
    writer.apply(1, [chunk(1, "kept", version=1)], [])

    def broken() -> Iterator[LexicalChunk]:
        yield chunk(2, "half", version=2)
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        writer.apply(2, broken(), [1])
    assert snapshot(tmp_path).applied == 1
    assert find(snapshot(tmp_path), "kept half") == [1]
    writer.apply(2, [chunk(2, "whole", version=2)], [1])
    assert find(snapshot(tmp_path), "kept half whole") == [2]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = LexicalWriter.open(tmp_path, ANALYSER, DB)
    first.apply(41, [chunk(1, "durable")], [])
    first.close()
    second = LexicalWriter.open(tmp_path, ANALYSER, DB)
    assert second.applied == 41
    second.apply(42, [chunk(2, "durable too", version=2)], [])
    second.close()
    assert sorted(find(snapshot(tmp_path), "durable")) == [1, 2]


def test_there_is_one_writer(tmp_path: Path, writer: LexicalWriter) -> None:
    with pytest.raises(Conflict):
        LexicalWriter.open(tmp_path, ANALYSER, DB)


# -- scope -----------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> LexicalSnapshot:
    """2,000 passages of 500 versions; the higher the number, the better it fits `word`."""
    writer = LexicalWriter.rebuild(
        tmp_path,
        ANALYSER,
        DB,
        1,
        [chunk(i, "word " * (1 + i // 20) + f"filler{i}", version=i // 4) for i in range(2000)],
    )
    writer.close()
    return snapshot(tmp_path)


@pytest.mark.parametrize(
    "versions",
    [[3], list(range(0, 500, 100)), list(range(0, 500, 2)), list(range(250)), list(range(500))],
    ids=["one", "few", "half", "worst half", "all"],
)
def test_a_scope_keeps_the_order_and_loses_nothing(
    many: LexicalSnapshot, versions: list[int]
) -> None:
    everything = find(many, "word", scope(*range(500), passages=2000, total=2000), k=2000)
    within = scope(*versions, passages=len(versions) * 4, total=2000)
    expected = [i for i in everything if i // 4 in set(versions)]
    assert find(many, "word", within, k=10) == expected[:10]


def test_a_scope_of_more_versions_than_a_filter_takes(tmp_path: Path) -> None:
    chunks = [chunk(i, f"word filler{i}" + " word" * (i % 7), version=i) for i in range(6000)]
    LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 1, chunks).close()
    versions = list(range(0, 6000, 4))
    found = find(snapshot(tmp_path), "word", scope(*versions, passages=1500, total=6000), k=50)
    assert len(found) == 50
    assert all(i % 4 == 0 and i % 7 == 6 for i in found)


def test_an_empty_scope_finds_nothing(many: LexicalSnapshot) -> None:
    assert find(many, "word", scope(passages=0, total=2000)) == []


def test_a_question_of_a_thousand_terms_uses_its_rarest(many: LexicalSnapshot) -> None:
    query = "word " + " ".join(f"unknown{i}" for i in range(1000)) + " filler7"
    weighed = many.weigh(ANALYSER.terms(query))
    assert weighed.known == ["filler7", "word"]
    assert weighed.idf["filler7"] > weighed.idf["word"]
    assert weighed.idf["unknown1"] >= weighed.idf["filler7"]
    everything = scope(*range(500), passages=2000, total=2000)
    assert find(many, query, everything)[0] == 7


# -- damage ----------------------------------------------------------------------------------------


def index_files(root: Path) -> list[Path]:
    return sorted(
        path
        for path in root.glob("*/index/*")
        if path.suffix in (".idx", ".term", ".fast", ".fieldnorm", ".store")
    )


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(7).randrange(len(data))] ^= 0x55
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("kind", [".idx", ".term", ".fast", ".store"])
@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_a_damaged_file_is_noticed_reported_and_built_again(
    tmp_path: Path, kind: str, harm: object
) -> None:
    chunks = [chunk(i, f"word{i} common") for i in range(50)]
    LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 3, chunks).close()
    (victim,) = (path for path in index_files(tmp_path) if path.suffix == kind)
    assert callable(harm)
    harm(victim)

    reader = LexicalReader(tmp_path, ANALYSER)
    for _ in range(2):  # noticed once, remembered afterwards
        with pytest.raises(IndexDamaged):
            reader.refresh(DB)
    with pytest.raises(IndexDamaged):
        LexicalWriter.open(tmp_path, ANALYSER, DB)

    rebuilt = LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 4, chunks)
    assert rebuilt.damage() is None
    shown = reader.refresh(DB)
    assert shown is not None
    assert (shown.applied, len(find(shown, "common"))) == (4, 10)
    rebuilt.close()


def test_what_the_engine_reports_the_writer_rebuilds(tmp_path: Path, writer: LexicalWriter) -> None:
    writer.apply(1, [chunk(1, "word")], [])
    assert writer.damage() is None
    for path in index_files(tmp_path):
        cut(path)
    with pytest.raises(IndexDamaged):
        snapshot(tmp_path)
    assert writer.damage() is not None


def test_what_a_commit_removes_while_it_is_read_is_no_damage(
    tmp_path: Path, writer: LexicalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine looks at an index for the first time while the worker writes on."""
    writer.apply(1, [chunk(1, "word")], [])
    check_files = lexical._check_files
    removed: list[Path] = []

    def overtaken(index: Path, committed: bytes) -> None:
        if not removed:
            removed.extend(index_files(tmp_path))
            writer.apply(2, [chunk(2, "other")], [1])
            # As tantivy does once nothing names them.
            named = (removed[0].parent / "meta.json").read_text().replace("-", "")
            for path in removed:
                if path.name.partition(".")[0] not in named:
                    path.unlink(missing_ok=True)
        check_files(index, committed)

    monkeypatch.setattr(lexical, "_check_files", overtaken)
    shown = LexicalReader(tmp_path, ANALYSER).refresh(DB)
    assert shown
    assert shown.applied == 2
    assert removed
    assert writer.damage() is None


@pytest.mark.parametrize("name", ["about.json", "index/meta.json", "../CURRENT"])
def test_lost_or_garbled_descriptions_are_damage(tmp_path: Path, name: str) -> None:
    LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 1, [chunk(1, "word")]).close()
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (folder / name).write_bytes(b"{not json")
    with pytest.raises(IndexDamaged):
        LexicalWriter.open(tmp_path, ANALYSER, DB)
    with pytest.raises(IndexDamaged):
        snapshot(tmp_path)


def test_an_index_of_another_database_or_analyser_is_not_used(tmp_path: Path) -> None:
    LexicalWriter.rebuild(tmp_path, ANALYSER, "other", 1, [chunk(1, "word")]).close()
    with pytest.raises(IndexDamaged, match="another"):
        LexicalWriter.open(tmp_path, ANALYSER, DB)
    different = Analyser("script")
    different.version = "script-0"
    with pytest.raises(IndexDamaged, match="another"):
        LexicalReader(tmp_path, different).refresh("other")


def test_the_old_index_serves_while_the_new_one_is_built(tmp_path: Path) -> None:
    LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 1, [chunk(1, "old word")]).close()
    reader = LexicalReader(tmp_path, ANALYSER)
    seen: list[int] = []

    def chunks() -> Iterator[LexicalChunk]:
        shown = reader.refresh(DB)
        assert shown is not None
        seen.extend(find(shown, "word"))
        yield chunk(2, "new word")

    LexicalWriter.rebuild(tmp_path, ANALYSER, DB, 2, chunks()).close()
    shown = reader.refresh(DB)
    assert shown is not None
    assert seen == [1]
    assert find(shown, "word") == [2]
