"""What this machine's worker says about its index of words, which decides what is ready."""

import shutil

import pytest
import sqlalchemy as sa

from likeopt.errors import IndexDamaged, StorageFull
from likeopt.retrieval.lexical import LexicalWriter
from likeopt.storage.machines import REPORT_SECONDS
from likeopt.storage.tables import machines as machines_table
from likeopt.worker.follower import PAUSE_SECONDS
from tests.storage import library
from tests.worker.stage import Stage, indexed_chunks
from tests.worker.test_worker import ids


def test_a_machine_without_news_says_that_it_is_there(stage: Stage) -> None:
    """On PostgreSQL: a database of SQLite has one machine, which then has nothing to write."""
    follower = stage.worker.follower
    stage.upload("a.md", "# Words")
    stage.settle()
    for _ in range(8):
        stage.clock.advance(REPORT_SECONDS / 2)
        follower.follow_words()
    last = stage.db.read(lambda c: c.execute(sa.select(machines_table.c.seen_at)).scalar_one())
    silent = stage.clock.now_ms() - last
    assert silent > 1000 * REPORT_SECONDS if stage.db.is_sqlite else silent < 1000 * REPORT_SECONDS


@pytest.mark.parametrize("lost", [False, True])
def test_a_machine_that_cannot_write_its_index_is_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    stage.upload("a.md", "# Words")
    stage.settle()

    def full(*_: object) -> None:
        raise StorageFull("no space left")

    with monkeypatch.context() as disk:
        disk.setattr(LexicalWriter, "apply", full)
        stage.upload("a.md", "# New words")
        stage.settle(follow=False)
        if lost:
            shutil.rmtree(stage.lexical())
            stage.restart()
        for _ in range(20):
            stage.clock.advance(PAUSE_SECONDS)
            stage.worker.follower._turn()
            assert stage.document("a.md").state == "indexing"
        library.follow(stage.db, stage.clock, "other")
        assert stage.document("a.md").state == "ready"
    stage.follow()
    assert indexed_chunks(stage.lexical()) == ids(stage)


def test_what_a_rebuilt_index_holds_is_ready(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.settle()

    def damaged(*_: object) -> None:
        raise IndexDamaged("a bad block")

    with monkeypatch.context() as disk:
        disk.setattr(LexicalWriter, "apply", damaged)
        stage.upload("a.md", "# Words")
        stage.settle(follow=False)
        stage.clock.advance(1)
        stage.worker.follower._turn()
    stage.follow()
    assert stage.document("a.md").state == "ready"


def test_a_new_index_in_the_place_of_another_is_the_only_one(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    stage.settle()
    library.follow(stage.db, stage.clock, "of before, with the folder of indexes")
    stage.restart()
    stage.upload("a.md", "# Words")
    stage.settle()
    assert stage.document("a.md").state == "ready"
