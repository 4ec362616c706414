"""From an acknowledged file to passages that are found, whatever happens on the way."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from likeopt.errors import (
    ModelUnavailable,
    NotFound,
    UnreadableFile,
)
from likeopt.retrieval.types import Parsed
from likeopt.storage import (
    answers,
    conversations,
    documents,
    facts,
    indexing,
    jobs,
    machines,
    messages,
    passages,
)
from likeopt.storage.messages import Message
from likeopt.storage.tables import chunks, embeddings, files, pages, versions
from likeopt.storage.tables import jobs as jobs_table
from likeopt.worker.embedding import IDLE_SECONDS
from likeopt.worker.indexer import SLICE
from likeopt.worker.main import TAKE_OVER_SECONDS
from tests.fakes import FakeEmbedder
from tests.storage import library
from tests.worker.stage import MACHINE, Stage, indexed_chunks

PARAGRAPH = "Sentences of some length fill this paragraph until it is a passage of its own. "


def ids(stage: Stage) -> list[int]:
    """Ids of the passages of visible versions, sorted."""
    query = (
        sa.select(chunks.c.id)
        .join(versions, versions.c.id == chunks.c.version_id)
        .where(versions.c.state == "published")
        .order_by(chunks.c.id)
    )
    return stage.db.read(lambda c: list(c.execute(query).scalars()))


def count(stage: Stage, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return stage.db.read(lambda c: c.execute(query).scalar_one())


def test_files_become_searchable_by_words_then_by_meaning(stage: Stage) -> None:
    for i in range(5):
        stage.upload(f"{i}.md", f"# Title {i}\n\nSome words about {i}.\n")
    assert stage.worker.step()
    first = stage.all()
    # Read, but no search can find them before the index of words has them.
    assert all(
        (d.state, d.searchable_by_words, d.embedded) == ("indexing", False, 0) for d in first
    )
    stage.follow()
    found = stage.all()
    assert all((d.state, d.searchable_by_words, d.embedded) == ("ready", True, 0) for d in found)
    stage.settle()
    assert all(d.embedded == d.chunks > 0 for d in stage.all())
    assert indexed_chunks(stage.lexical()) == ids(stage)


def test_changed_file_is_searchable_by_words_once_the_index_has_it(stage: Stage) -> None:
    stage.upload("a.md", "# Old words")
    stage.settle()
    summary = partial(jobs.summary, reader=stage.reader)
    assert stage.db.read(summary).pending_words == 0
    stage.upload("a.md", "# New words")
    stage.settle(follow=False)
    document = stage.document("a.md")
    assert (document.state, document.searchable_by_words) == ("indexing", False)
    assert stage.db.read(summary).pending_words == 1
    stage.follow()
    assert stage.document("a.md").searchable_by_words
    assert stage.db.read(summary).pending_words == 0


def test_index_that_was_written_before_a_crash_is_told_of(stage: Stage) -> None:
    stage.upload("a.md", "# Words")
    stage.settle()
    # The commit was made, and the process died before it could say so.
    stage.db.write(lambda c: machines.report(c, stage.clock, MACHINE, 0))
    assert not stage.document("a.md").searchable_by_words
    stage.restart()
    stage.settle()
    assert stage.document("a.md").searchable_by_words


def test_text_and_passages_agree(stage: Stage) -> None:
    text = "\n\n".join(f"{i}. {PARAGRAPH * 5}" for i in range(60))
    added = stage.upload("long.txt", text).document
    stage.settle()

    def page_at(offset: int) -> passages.Page:
        return stage.db.read(lambda c: passages.text_at(c, stage.reader, added.id, offset))

    def passage(chunk_id: int) -> passages.Passage:
        return stage.db.read(lambda c: passages.passage(c, stage.reader, chunk_id))

    whole = page_at(0).text
    assert page_at(0).pages > 1
    while len(whole) < page_at(0).total:
        whole += page_at(len(whole)).text
    for found in map(passage, ids(stage)):
        assert whole[found.start : found.end] == found.text


def test_a_changed_file_is_replaced_and_only_new_passages_are_embedded(stage: Stage) -> None:
    kept = "\n\n".join(f"Chapter {i}. {PARAGRAPH * 9}" for i in range(4))
    stage.upload("book.txt", kept)
    stage.settle()
    before = stage.embedder.calls
    old = ids(stage)
    stage.upload("book.txt", kept + "\n\n" + "A new ending. " * 40)
    stage.settle()
    new = ids(stage)
    assert not set(old) & set(new)
    assert indexed_chunks(stage.lexical()) == new
    document = stage.document("book.txt")
    assert document.embedded == document.chunks
    assert 0 < stage.embedder.calls - before < document.chunks


def test_files_that_cannot_be_read_say_why_and_stop_nothing(stage: Stage) -> None:
    stage.upload("good.txt", "words")
    stage.upload("bad.json", "{not json")
    stage.upload("blank.html", "<p> </p>")
    stage.upload("also good.txt", "more words")
    stage.settle()
    states = {d.name: (d.state, d.error_code) for d in stage.all()}
    assert states["good.txt"] == states["also good.txt"] == ("ready", None)
    assert states["bad.json"][0] == states["blank.html"][0] == "failed"
    assert all(d.error_message for d in stage.all() if d.state == "failed")


def test_a_failed_new_content_keeps_the_old(stage: Stage) -> None:
    stage.upload("a.json", '{"key": "old value"}')
    stage.settle()
    stage.upload("a.json", "{broken")
    stage.settle()
    document = stage.document("a.json")
    assert (document.state, document.searchable_by_words) == ("failed", True)
    assert indexed_chunks(stage.lexical()) == ids(stage) != []


def test_a_large_document_is_written_in_slices(stage: Stage) -> None:
    stage.upload("large.txt", "\n\n".join(f"{i} {PARAGRAPH * 4}" for i in range(800)))
    stage.worker.step()
    stage.follow()
    document = stage.document("large.txt")
    assert document.chunks > SLICE
    assert indexed_chunks(stage.lexical()) == ids(stage)
    assert len(ids(stage)) == document.chunks


def test_a_crashing_parser_is_tried_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stage.worker._sandbox.parse
    tries = []

    def parse(path: Path, media_type: str, name: str) -> Parsed:
        if name != "killer.txt":
            return real(path, media_type, name)
        tries.append(name)
        raise UnreadableFile("It crashes its reader.", code="parser_crashed")

    monkeypatch.setattr(stage.worker._sandbox, "parse", parse)
    stage.upload("killer.txt", "x")
    stage.upload("good.txt", "words")
    stage.settle()
    assert (len(tries), stage.document("killer.txt").state) == (1, "queued")
    assert stage.document("good.txt").state == "ready"
    for _ in range(5):
        stage.clock.advance(5)
        stage.settle()
    killer = stage.document("killer.txt")
    assert (len(tries), killer.state, killer.error_code) == (2, "failed", "parser_crashed")


def test_a_cancelled_document_is_left_alone(stage: Stage) -> None:
    added = stage.upload("a.txt", "words").document
    stage.db.write(lambda c: documents.cancel(c, stage.reader, stage.clock, added.id))
    stage.settle()
    assert stage.document("a.txt").error_code == "cancelled"
    assert ids(stage) == []
    stage.db.write(lambda c: documents.reindex(c, stage.reader, stage.clock, added.id))
    stage.settle()
    assert stage.document("a.txt").state == "ready"


def test_cancelling_ends_reading_and_not_embedding(stage: Stage) -> None:
    added = stage.upload("a.txt", "\n\n".join(PARAGRAPH * 9 for _ in range(40))).document
    while stage.document("a.txt").embedded == 0:
        assert stage.worker.step()
    stage.follow()
    seen = stage.db.write(lambda c: documents.cancel(c, stage.reader, stage.clock, added.id))
    assert (seen.state, seen.error_code) == ("ready", None)
    assert 0 < seen.embedded < seen.chunks
    assert seen.progress is not None
    summary = stage.db.read(lambda c: jobs.summary(c, stage.reader))
    assert summary.pending_embeddings == seen.chunks - seen.embedded
    # Nor does it when the document is being read anew.
    stage.db.write(lambda c: documents.reindex(c, stage.reader, stage.clock, added.id))
    seen = stage.db.write(lambda c: documents.cancel(c, stage.reader, stage.clock, added.id))
    assert (seen.state, seen.error_code) == ("failed", "cancelled")
    stage.settle()
    document = stage.document("a.txt")
    assert (document.error_code, document.embedded) == ("cancelled", document.chunks)


def test_words_come_before_vectors(stage: Stage) -> None:
    stage.upload("long.txt", "\n\n".join(PARAGRAPH * 9 for _ in range(40)))
    assert stage.worker.step()
    assert stage.worker.step()
    stage.upload("urgent.txt", "urgent words")
    assert stage.worker.step()
    stage.follow()
    assert stage.document("urgent.txt").state == "ready"
    assert stage.document("long.txt").embedded < stage.document("long.txt").chunks


def test_a_note_does_not_wait_for_a_book_to_be_embedded(stage: Stage) -> None:
    stage.upload("book.txt", "\n\n".join(f"{i} {PARAGRAPH * 9}" for i in range(300)))
    while not stage.document("book.txt").embedded:
        stage.worker.step()
    stage.upload("note.txt", "a note")
    while not stage.document("note.txt").embedded:
        assert stage.worker.step()
        stage.clock.advance(0.1)
    book = stage.document("book.txt")
    assert book.embedded < book.chunks / 2


def test_deleted_documents_leave_nothing(stage: Stage) -> None:
    added = stage.upload("a.txt", "secret words").document
    kept = stage.upload("b.txt", "other words").document
    stage.settle()
    stage.db.write(lambda c: documents.delete(c, stage.reader, stage.clock, added.id))
    stage.settle()
    assert indexed_chunks(stage.lexical()) == ids(stage)
    assert len(ids(stage)) == 1
    stage.clock.advance(60)
    stage.settle()
    assert count(stage, chunks) == count(stage, embeddings) == count(stage, pages) == 1
    assert (count(stage, files), stage.originals()) == (1, 1)
    with stage.store.open(kept.sha256) as original:
        assert original.read() == b"other words"
    with pytest.raises(NotFound):
        stage.store.open(added.sha256)


def test_deleted_documents_do_not_wait_for_a_book_to_be_embedded(stage: Stage) -> None:
    added = stage.upload("secret.txt", "secret words").document
    stage.settle()
    stage.upload("book.txt", "\n\n".join(f"{i} {PARAGRAPH * 9}" for i in range(60)))
    stage.worker.step()
    stage.db.write(lambda c: documents.delete(c, stage.reader, stage.clock, added.id))
    stage.follow()
    stage.clock.advance(60)
    for _ in range(3):
        stage.worker.step()
    assert stage.document("book.txt").embedded < stage.document("book.txt").chunks
    with pytest.raises(NotFound):
        stage.store.open(added.sha256)


def test_a_clean_up_that_gives_way_leaves_embedding_its_documents(stage: Stage) -> None:
    stage.upload("book.txt", "\n\n".join(f"{i} {PARAGRAPH * 9}" for i in range(60)))
    while not stage.document("book.txt").embedded:
        stage.worker.step()
    stage.db.write(lambda c: jobs.enqueue_cleanup(c, stage.clock, delay_ms=0))
    assert stage.worker.step(lambda: True)
    running = stage.db.read(lambda c: jobs.summary(c, stage.reader)).running
    assert [(one.kind, one.document_name) for one in running] == [("embed", "book.txt")]


def test_rubbish_of_killed_uploads_is_swept_at_the_next_start(stage: Stage) -> None:
    kept = stage.upload("a.txt", "words").document
    with stage.store.put(b"never acknowledged", limit=100):
        pass
    (stage.store.root / "tmp" / "half").write_bytes(b"half an upl")
    stage.settle()
    assert stage.originals() == 1
    assert list((stage.store.root / "tmp").iterdir()) == []
    stage.store.open(kept.sha256).close()


def test_a_model_that_does_not_answer_costs_no_attempts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(texts: list[str]) -> NDArray[np.float32]:
        raise ModelUnavailable("The endpoint is down.")

    stage.upload("a.txt", "words")
    with monkeypatch.context() as broken:
        broken.setattr(stage.embedder, "passages", refuse)
        for _ in range(12):
            stage.settle()
            stage.clock.advance(70)
        document = stage.document("a.txt")
        assert (document.state, document.embedded) == ("ready", 0)
        assert document.progress is not None
        assert document.progress.reason == "The endpoint is down."
    stage.settle()
    assert stage.document("a.txt").embedded == 1


class OtherEmbedder(FakeEmbedder):
    model = "other"


def test_a_new_model_takes_over_in_the_background(stage: Stage) -> None:
    for i in range(3):
        stage.upload(f"{i}.txt", f"words {i}")
    stage.settle()
    serving = [stage.db.read(lambda c: facts.get(c, facts.EMBEDDING_MODEL))]
    stage.embedder = OtherEmbedder()
    stage.restart()
    stage.upload("late.txt", "late words")
    while stage.worker.step():
        serving.append(stage.db.read(lambda c: facts.get(c, facts.EMBEDDING_MODEL)))
    assert serving[0] == serving[1] == "fake"
    assert serving[-1] == "other"
    stage.clock.advance(60)
    stage.settle()
    # A clean-up is queued by whatever comes next.
    stage.db.write(lambda c: jobs.enqueue_cleanup(c, stage.clock, delay_ms=0))
    stage.settle()
    models = stage.db.read(lambda c: list(c.execute(sa.select(embeddings.c.model)).scalars()))
    assert models == ["other"] * 4


def test_a_restart_takes_up_what_was_held(stage: Stage) -> None:
    stage.upload("a.txt", "words")
    stage.upload("b.txt", "words too")
    held = stage.db.write(lambda c: jobs.claim(c, stage.clock, "machine:dead", 600_000, "index", 9))
    assert len(held) == 2
    stage.settle()
    assert stage.document("a.txt").state == "indexing"
    stage.restart()
    stage.settle()
    assert {d.state for d in stage.all()} == {"ready"}


def test_an_answer_whose_process_was_killed_fails_without_anybody_looking(stage: Stage) -> None:
    def begin() -> Message:
        _, question = stage.db.write(
            lambda c: conversations.add_question(c, stage.reader, stage.clock, None, "How much?")
        )
        return stage.db.write(lambda c: messages.start_answer(c, stage.clock, question))

    def states() -> list[str]:
        found = stage.db.read(lambda c: [messages.get(c, stage.reader, id_) for id_ in both])
        return [one.state for one in found]

    dead, alive = begin(), begin()
    both = [dead.id, alive.id]
    stage.restart()
    assert states() == ["streaming", "streaming"]
    stage.clock.advance(20)
    stage.db.write(lambda c: answers.keep_alive(c, stage.clock, [alive.id], "You get"))
    stage.worker.step()
    assert states() == ["failed", "streaming"]
    # What counts is for how long the new process has seen it unchanged.
    stage.restart()
    stage.clock.advance(20)
    stage.worker.step()
    assert states() == ["failed", "failed"]


def test_half_a_version_is_discarded(stage: Stage) -> None:
    stage.upload("a.txt", "words")
    claimed = stage.db.write(
        lambda c: jobs.claim(c, stage.clock, "machine:dead", 600_000, "index", 9)
    )
    (target,) = stage.db.read(lambda c: indexing.targets(c, claimed))
    part = library.reading(target, ["half", "of", "it"])
    part.version_id = stage.db.write(
        lambda c: indexing.begin(c, stage.clock, "machine:dead", target)
    )
    stage.db.write(lambda c: indexing.add(c, stage.clock, "machine:dead", part, 9))
    stage.restart()
    stage.settle()
    assert count(stage, chunks) == len(ids(stage)) == 1
    assert count(stage, versions) == 1


def test_lost_embed_jobs_are_queued_again(stage: Stage) -> None:
    stage.upload("a.txt", "words")
    stage.worker.step()
    stage.db.write(lambda c: c.execute(sa.delete(jobs_table)))
    stage.restart()
    stage.settle()
    assert stage.document("a.txt").embedded == 1


def test_a_stopping_worker_returns_its_jobs(stage: Stage) -> None:
    for i in range(5):
        stage.upload(f"{i}.txt", f"words {i}")
    answers = iter([False, False, True, True, True, True])
    stage.worker.step(lambda: next(answers))
    stage.worker._put_back(None)
    states = sorted(d.state for d in stage.all())
    assert states == ["indexing"] * 2 + ["queued"] * 3
    stage.settle()
    assert {d.state for d in stage.all()} == {"ready"}


def test_vectors_are_made_after_other_workers_gave_up(stage: Stage) -> None:
    stage.settle()
    stage.upload("a.md", "# Words")
    stage.worker.step()
    claim = partial(jobs.claim, clock=stage.clock, owner="other:1", lease_ms=60_000, kind="embed")
    for _ in range(jobs.MAX_ATTEMPTS):
        assert stage.db.write(claim)
        stage.db.write(lambda c: jobs.release(c, stage.clock, "other"))
        stage.clock.advance(5)
    stage.clock.advance(TAKE_OVER_SECONDS)
    stage.settle()
    document = stage.document("a.md")
    assert document.embedded == document.chunks > 0


def test_letting_a_model_go_is_work_after_which_memory_is_returned(stage: Stage) -> None:
    stage.upload("a.md", "# Words")
    stage.settle()
    assert not stage.worker.step()
    stage.clock.advance(IDLE_SECONDS + 1)
    assert stage.worker.step()
    assert not stage.worker.step()
