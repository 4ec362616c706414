"""Conversations, their messages and citations, on SQLite and PostgreSQL."""

import unicodedata
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from likeopt.errors import BadInput, NotFound
from likeopt.storage import (
    access,
    answers,
    collections,
    conversations,
    documents,
    groups,
    messages,
    revisions,
    tables,
)
from likeopt.storage.conversations import Conversation, derive_title
from likeopt.storage.db import Database
from likeopt.storage.messages import Citation, Feedback, Message, Outcome
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.storage import library


@pytest.fixture
def reader(database: Database, clock: FakeClock) -> Reader:
    return library.prepared(database, clock)


class Steps:
    """What a person does, one transaction each."""

    def __init__(self, db: Database, reader: Reader, clock: FakeClock) -> None:
        self.db, self.reader, self.clock = db, reader, clock

    def ask(self, text: str, conversation: str | None = None) -> tuple[Conversation, Message]:
        return self.db.write(
            lambda c: conversations.add_question(c, self.reader, self.clock, conversation, text)
        )

    def start(self, question: Message, query: str | None = None) -> Message:
        return self.db.write(lambda c: messages.start_answer(c, self.clock, question, query=query))

    def finish(self, answer: Message, content: str, **more: object) -> Message:
        fields = {"state": "complete", "kind": "generated"} | more
        outcome = Outcome(content=content, **fields)  # type: ignore[arg-type]
        times: dict[str, dict[str, float]] = {answer.id: {}}
        done = self.db.write(lambda c: answers.finish(c, self.clock, times, outcome))
        return done[answer.id]

    def is_wanted(self, answer: Message) -> bool:
        return bool(self.db.read(lambda c: answers.wanted(c, [answer.id])))

    def save(self, answer: Message, text: str, sources: list[Citation] | None = None) -> None:
        self.db.write(lambda c: answers.keep_alive(c, self.clock, [answer.id], text, sources or []))

    def rate(self, answer: Message, feedback: Feedback | None) -> None:
        self.db.write(lambda c: messages.rate(c, self.reader, answer.id, feedback))

    def exchange(self, question: str, answer: str, conversation: str | None = None) -> str:
        found, asked = self.ask(question, conversation)
        self.finish(self.start(asked), answer)
        return found.id

    def get(self, conversation: str, *, last: int | None = None) -> conversations.Transcript:
        return self.db.read(lambda c: conversations.get(c, self.reader, conversation, last=last))

    def titles(self, query: str | None = None) -> list[str]:
        page = self.db.read(lambda c: conversations.list_(c, self.reader, query=query))
        return [item.title for item in page.items]


@pytest.fixture
def me(database: Database, reader: Reader, clock: FakeClock) -> Steps:
    return Steps(database, reader, clock)


@pytest.fixture
def stranger(database: Database, reader: Reader, clock: FakeClock) -> Steps:
    return Steps(database, library.member(database, clock, "stranger"), clock)


def citation(document: documents.Document, number: int = 1, **changes: object) -> Citation:
    fields: dict[str, object] = {
        "number": number,
        "document_id": document.id,
        "document_name": document.name,
        "version_id": 1,
        "chunk_id": 7,
        "page": 3,
        "start": 10,
        "end": 20,
        "quote": "Fifteen 😀",
    }
    return Citation(**(fields | changes))  # type: ignore[arg-type]


# -- conversations -------------------------------------------------------------------------------


def test_a_question_begins_a_conversation_named_after_it(me: Steps) -> None:
    conversation, question = me.ask("연차는 며칠인가요?")
    assert conversation.title == "연차는 며칠인가요?"
    assert me.get(conversation.id).messages == [question]
    assert (question.role, question.state) == ("user", "complete")


def test_messages_keep_their_order_though_time_stands_still_or_jumps_back(
    me: Steps, clock: FakeClock
) -> None:
    id_ = me.exchange("one", "1")
    clock.advance(-3600)
    me.exchange("two", "2", id_)
    clock.advance(7200)
    me.exchange("three", "3", id_)
    told = [message.content for message in me.get(id_).messages]
    assert told == ["one", "1", "two", "2", "three", "3"]


def test_another_answer_stands_behind_its_question(me: Steps, clock: FakeClock) -> None:
    conversation, first = me.ask("one")
    me.finish(me.start(first), "1")
    clock.advance(1)
    me.exchange("two", "2", conversation.id)
    clock.advance(1)
    again = me.finish(me.start(first), "1 again")
    found = me.get(conversation.id).messages
    assert [message.content for message in found] == ["one", "1", "1 again", "two", "2"]
    assert me.get(conversation.id, last=1).messages == found[3:]
    assert me.get(conversation.id, last=2).messages == found
    assert again.parent_id == first.id
    assert [message.created_at for message in found] != sorted(m.created_at for m in found)


def test_lists_are_last_used_first_and_paged(me: Steps, clock: FakeClock) -> None:
    ids = []
    for number in range(5):
        ids.append(me.exchange(f"question {number}", "answer"))
        clock.advance(number % 2)  # some within the same millisecond
    me.ask("and?", ids[0])
    seen, cursor = [], None
    while True:
        page = me.db.read(
            lambda c, cursor=cursor: conversations.list_(c, me.reader, cursor=cursor, limit=2)  # type: ignore[misc]
        )
        assert len(page.items) <= 2
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(ids)
    whole = me.db.read(lambda c: conversations.list_(c, me.reader)).items
    assert [item.id for item in whole] == seen
    assert [item.updated_at for item in whole] == sorted(
        (item.updated_at for item in whole), reverse=True
    )


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "AAAA", "é"])
def test_a_made_up_cursor_is_refused(me: Steps, cursor: str) -> None:
    with pytest.raises(BadInput):
        me.db.read(lambda c: conversations.list_(c, me.reader, cursor=cursor))
    with pytest.raises(BadInput):
        me.db.read(lambda c: conversations.list_(c, me.reader, limit=0))


def test_history_is_searched_in_titles_and_messages_whatever_the_case(me: Steps) -> None:
    me.exchange("Wie viel Urlaub?", "FÜNFZEHN Tage, 100 % bezahlt")
    me.exchange("연차는 며칠인가요?", "15일입니다.")
    assert me.titles("URLAUB") == ["Wie viel Urlaub?"]
    assert me.titles("fünfzehn") == ["Wie viel Urlaub?"]
    assert me.titles(unicodedata.normalize("NFD", "연차는")) == ["연차는 며칠인가요?"]
    assert me.titles("15일") == ["연차는 며칠인가요?"]
    # No wildcards.
    assert me.titles("1_0 %") == []
    assert me.titles("0 %") == ["Wie viel Urlaub?"]
    assert len(me.titles("  ")) == 2


def test_renaming_keeps_the_place_in_the_list(me: Steps, clock: FakeClock) -> None:
    first = me.exchange("first", "1")
    clock.advance(1)
    me.exchange("second", "2")
    clock.advance(1)
    renamed = me.db.write(lambda c: conversations.rename(c, me.reader, first, "  휴가\u200b 규정 "))
    assert renamed.title == "휴가\u200b 규정"
    assert me.titles() == ["second", renamed.title]


@pytest.mark.parametrize("title", ["", " \n ", "x" * 201, "a\x00b", "half \ud83d"])
def test_unusable_titles_are_refused(me: Steps, title: str) -> None:
    id_ = me.exchange("first", "1")
    with pytest.raises(BadInput):
        me.db.write(lambda c: conversations.rename(c, me.reader, id_, title))
    assert me.titles() == ["first"]


def test_deleting_removes_everything_and_ends_an_answer_in_work(me: Steps) -> None:
    conversation, question = me.ask("one")
    answer = me.start(question)
    me.db.write(lambda c: conversations.delete(c, me.reader, conversation.id))
    assert me.titles() == []
    with pytest.raises(NotFound):
        me.get(conversation.id)
    assert not me.is_wanted(answer)
    me.save(answer, "text")
    with pytest.raises(KeyError):
        me.finish(answer, "text")
    with pytest.raises(NotFound):
        me.start(question)


def test_for_a_stranger_nothing_of_it_exists(me: Steps, stranger: Steps) -> None:
    conversation, question = me.ask("secret plans")
    answer = me.start(question)
    assert stranger.titles() == stranger.titles("secret") == []
    who = stranger.reader
    for attempt in (
        lambda c: conversations.get(c, who, conversation.id),
        lambda c: conversations.rename(c, who, conversation.id, "mine"),
        lambda c: conversations.delete(c, who, conversation.id),
        lambda c: conversations.add_question(c, who, me.clock, conversation.id, "and?"),
        lambda c: conversations.question_of(c, who, answer.id),
        lambda c: messages.get(c, who, question.id),
        lambda c: messages.request_stop(c, who, answer.id),
    ):
        with pytest.raises(NotFound):
            me.db.write(attempt)
    assert me.titles() == ["secret plans"]
    assert me.is_wanted(answer)


# -- answers -------------------------------------------------------------------------------------


def test_an_answer_is_streaming_until_it_is_finished(me: Steps, clock: FakeClock) -> None:
    conversation, question = me.ask("one")
    answer = me.start(question)
    assert (answer.state, answer.content) == ("streaming", "")
    me.save(answer, "half")
    assert me.get(conversation.id).messages[1].content == "half"
    me.db.write(lambda c: answers.set_generation(c, answer.id, "k-1", "one thing"))
    assert me.db.read(lambda c: answers.generation_of(c, answer.id)) == "k-1"
    done = me.finish(answer, "whole", stages={"total": 12.5}, model="m")
    assert me.db.read(lambda c: messages.get(c, me.reader, answer.id)) == done
    assert (done.content, done.state, done.stages) == ("whole", "complete", {"total": 12.5})
    assert (done.query, done.parent_id) == ("one thing", question.id)
    with pytest.raises(KeyError):
        me.finish(answer, "twice")
    assert me.get(conversation.id).messages[1] == done


def test_asking_again_finds_the_question_of_an_answer(me: Steps) -> None:
    conversation, question = me.ask("one")
    answer = me.finish(me.start(question), "1")
    for id_ in (question.id, answer.id):
        found = me.db.read(lambda c, id_=id_: conversations.question_of(c, me.reader, id_))  # type: ignore[misc]
        assert found[0].id == conversation.id
        assert found[1] == question
    with pytest.raises(NotFound):
        me.db.read(lambda c: conversations.question_of(c, me.reader, "0" * 32))


def test_a_stop_is_seen_by_the_writer(me: Steps) -> None:
    _, question = me.ask("one")
    answer = me.start(question)
    assert me.is_wanted(answer)
    me.db.write(lambda c: messages.request_stop(c, me.reader, answer.id))
    assert not me.is_wanted(answer)
    me.finish(answer, "half", state="stopped")
    # Stopping what has ended changes nothing; a question cannot be stopped.
    assert me.db.write(lambda c: messages.request_stop(c, me.reader, answer.id)).state == "stopped"
    with pytest.raises(NotFound):
        me.db.write(lambda c: messages.request_stop(c, me.reader, question.id))


def test_an_answer_without_its_process_fails_and_keeps_its_text(
    me: Steps, clock: FakeClock
) -> None:
    _, question = me.ask("one")
    dead, alive = me.start(question), me.start(question)
    me.save(dead, "half an answ")
    deserted = messages.Deserted(clock)
    assert me.db.write(deserted.give_up) == 0
    clock.advance(20)
    me.save(alive, "going on")
    assert me.db.write(deserted.give_up) == 1
    failed = me.db.read(lambda c: messages.get(c, me.reader, dead.id))
    assert (failed.state, failed.error_code) == ("failed", "interrupted")
    assert failed.content == "half an answ"
    # It was only slow: who writes it has the last word.
    me.save(dead, "half an answer")
    going_on = me.db.read(lambda c: messages.get(c, me.reader, dead.id))
    assert (going_on.state, going_on.error_code) == ("streaming", None)
    assert me.db.write(deserted.give_up) == 0
    clock.advance(20)
    assert me.db.write(deserted.give_up) == 2
    assert me.finish(dead, "whole").state == "complete"
    assert me.finish(alive, "done").state == "complete"


@pytest.mark.parametrize("off_by_ms", [-3_600_000, 3_600_000])
def test_a_clock_that_is_wrong_gives_up_nothing_that_is_saved(
    me: Steps, clock: FakeClock, off_by_ms: int
) -> None:
    """Of a machine that saves, or of one that looks."""

    class Off(FakeClock):
        def now_ms(self) -> int:
            return clock.now_ms() + off_by_ms

    _, question = me.ask("one")
    answer = me.start(question)
    deserted = messages.Deserted(clock)
    for _ in range(10):
        me.db.write(lambda c: answers.keep_alive(c, Off(), [answer.id], "going on"))
        assert me.db.write(deserted.give_up) == 0
        clock.advance(10)
    clock.advance(10)
    assert me.db.write(deserted.give_up) == 1
    assert me.db.write(deserted.give_up) == 0


def test_recent_exchanges_are_the_newest_answers_before_a_question(
    me: Steps, clock: FakeClock
) -> None:
    id_ = me.exchange("one", "1")
    _, second = me.ask("two", id_)
    me.finish(me.start(second, query="two of what"), "2 bad")
    me.finish(me.start(second, query="two of these"), "2 better")
    me.ask("never answered", id_)
    me.exchange("four", "4", id_)
    _, last = me.ask("five", id_)
    me.exchange("six", "6", id_)
    before = partial(messages.recent, reader=me.reader, conversation_id=id_, before=last.created_at)
    found = me.db.read(lambda c: before(c, limit=2))
    assert [(one.question, one.answer, one.query) for one in found] == [
        ("two", "2 better", "two of these"),
        ("four", "4", "four"),
    ]
    everything = me.db.read(lambda c: before(c, limit=10))
    assert [one.question for one in everything] == ["one", "two", "four"]


def test_two_questions_at_once_both_get_a_place(me: Steps) -> None:
    conversation, _ = me.ask("first")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: me.ask(f"question {n}", conversation.id), range(12)))
    found = me.get(conversation.id).messages
    assert len({message.created_at for message in found}) == 13


# -- citations -----------------------------------------------------------------------------------


def test_citations_are_bound_to_their_passage(me: Steps) -> None:
    document = library.add(me.db, me.reader, me.clock, "규정.pdf")
    conversation, question = me.ask("one")
    cited = [citation(document, 2), citation(document, 1, page=None, quote="“1.5 %” 가각")]
    done = me.finish(me.start(question), "x [1] y [2]", citations=cited)
    assert [one.number for one in done.citations] == [1, 2]
    assert me.get(conversation.id).messages[1].citations == cited[::-1]


def test_a_citation_of_a_deleted_document_shows_nothing_of_it(me: Steps) -> None:
    document = library.add(me.db, me.reader, me.clock, "secret.pdf")
    conversation, question = me.ask("one")
    me.finish(me.start(question), "x [1]", citations=[citation(document)])
    me.db.write(lambda c: documents.delete(c, me.reader, me.clock, document.id))
    (shown,) = me.get(conversation.id).messages[1].citations
    assert not shown.available
    assert (shown.document_name, shown.quote, shown.number) == ("", "", 1)


def test_a_citation_out_of_reach_shows_nothing_of_it(me: Steps) -> None:
    document = library.add(me.db, me.reader, me.clock, "secret.pdf")
    conversation, question = me.ask("one")
    me.finish(me.start(question), "Repeated [1]", citations=[citation(document)])
    blind = Reader(me.reader.user_id, is_admin=True, collections=frozenset())
    transcript = me.db.read(lambda c: conversations.get(c, blind, conversation.id))
    answer = transcript.messages[1]
    (shown,) = answer.citations
    # The text may be the passage, word for word: neither it nor its words can be had.
    assert (answer.content, answer.state, answer.error_code) == ("", "failed", "access_revoked")
    _, later = me.ask("two", conversation.id)
    for reader, found in ((blind, 0), (me.reader, 1)):
        listed = me.db.read(partial(conversations.list_, reader=reader, query="repeated"))
        assert len(listed.items) == found
        assert (
            len(
                me.db.read(
                    partial(
                        messages.recent,
                        reader=reader,
                        conversation_id=conversation.id,
                        before=later.created_at,
                    )
                )
            )
            == found
        )
    assert (shown.available, shown.document_name, shown.quote) == (False, "", "")
    again = me.db.read(access.local_reader)
    answer = me.db.read(lambda c: conversations.get(c, again, conversation.id)).messages[1]
    assert answer.content == "Repeated [1]"
    assert answer.citations[0].available


def test_an_answer_being_written_is_withheld_like_a_finished_one(
    me: Steps, clock: FakeClock
) -> None:
    document = library.add(me.db, me.reader, me.clock, "secret.pdf")
    conversation, question = me.ask("one")
    answer = me.start(question)
    cited = [citation(document), citation(document, 2)]
    for text in ("Repeat", "Repeated"):
        me.save(answer, text, cited)
        cited = []
    blind = Reader(me.reader.user_id, is_admin=True, collections=frozenset())
    shown = me.db.read(lambda c: messages.get(c, blind, answer.id))
    assert (shown.content, shown.state, shown.error_code) == ("", "failed", "access_revoked")
    assert me.db.read(lambda c: conversations.get(c, blind, conversation.id)).messages[1] == shown
    assert not me.db.read(lambda c: conversations.list_(c, blind, query="repeated")).items
    mine = me.get(conversation.id).messages[1]
    assert (mine.content, mine.state) == ("Repeated", "streaming")
    assert [one.number for one in mine.citations] == [1, 2]
    # Whoever does not see it may still stop it.
    me.db.write(lambda c: messages.request_stop(c, blind, answer.id))
    assert not me.is_wanted(answer)
    # In the end it cites what it really uses, and no less is withheld if its process dies first.
    done = me.finish(answer, "Repeated [2]", citations=[citation(document, 2)])
    assert me.get(conversation.id).messages[1] == done


@pytest.mark.parametrize("way", ["person", "group", "everyone", "nobody"])
def test_answers_withheld_stay_so_when_the_collection_goes(
    database: Database, clock: FakeClock, way: str
) -> None:
    """Somebody else's answers: with the right to the end they stay, without it they are gone."""
    owner = library.prepared(database, clock)
    made = database.write(lambda c: collections.create(c, owner, clock, "Plans"))
    owner = database.read(access.local_reader)
    document = library.add(database, owner, clock, "plan.pdf", collection_id=made.id)
    other = library.member(database, clock, "other")
    library.member(database, clock, "third")
    team = database.write(lambda c: groups.create(c, clock, "Team"))
    database.write(lambda c: groups.set_members(c, team.id, ["other"]))
    shared = collections.Readers(
        everyone=way == "everyone",
        users=["third", "other"] if way == "person" else ["third"],
        groups=[team.id] if way == "group" else [],
    )
    database.write(lambda c: collections.set_readers(c, owner, made.id, shared))
    theirs = Steps(database, other, clock)
    conversation, question = theirs.ask("one")
    quoted = [citation(document, quote="Merge in May")]
    theirs.finish(theirs.start(question), "They merge in May [1]", citations=quoted)
    theirs.finish(theirs.start(question), "Not found", kind="not_found", citations=quoted)
    running = theirs.start(question)
    database.write(lambda c: answers.keep_alive(c, clock, [running.id], "They merge", quoted))
    theirs.exchange("two", "Of something else", conversation.id)

    database.write(lambda c: collections.delete(c, owner, clock, made.id))
    theirs.reader = database.read(lambda c: access.reader_for(c, "other"))
    _, answer, none, half, _, another = theirs.get(conversation.id).messages
    assert (none.content, another.content) == ("Not found", "Of something else")
    assert not any(one.available or one.quote for one in answer.citations)
    if way == "nobody":
        for one in (answer, half):
            assert (one.content, one.state, one.error_code) == ("", "failed", "access_revoked")
        assert theirs.titles("merge") == []
        with pytest.raises(KeyError):
            theirs.finish(running, "They merge in May [1]", citations=quoted)
    else:
        assert (answer.content, answer.state) == ("They merge in May [1]", "complete")
        assert (half.content, half.state) == ("They merge", "streaming")
        assert theirs.titles("merge") == ["one"]


@pytest.mark.parametrize("bound", [False, True])
def test_an_answer_finished_after_its_collection_went_is_withheld(
    database: Database, clock: FakeClock, bound: bool
) -> None:
    """Unless it was known when that went what it is made of."""
    owner = library.prepared(database, clock)
    made = database.write(lambda c: collections.create(c, owner, clock, "Plans"))
    owner = database.read(access.local_reader)
    document = library.add(database, owner, clock, "plan.pdf", collection_id=made.id)
    mine = Steps(database, owner, clock)
    conversation, question = mine.ask("one")
    quoted = [citation(document, quote="Merge in May")]
    running = mine.start(question)
    if bound:
        mine.save(running, "They", quoted)
    database.write(lambda c: collections.delete(c, owner, clock, made.id))
    if bound:
        mine.finish(running, "They merge [1]", citations=quoted)
    else:
        with pytest.raises(KeyError):
            mine.finish(running, "They merge [1]", citations=quoted)
    answer = mine.get(conversation.id).messages[1]
    assert (answer.content, answer.error_code) == (
        ("They merge [1]", None) if bound else ("", "access_revoked")
    )
    assert not answer.citations[0].quote


def test_finishing_and_deleting_at_once_wait_for_each_other_in_one_order(me: Steps) -> None:
    """On PostgreSQL a deletion takes the conversation first, and then its messages."""
    conversation, question = me.ask("one")
    times: dict[str, dict[str, float]] = {me.start(question).id: {}}
    outcome = Outcome(content="Fifteen", state="complete", kind="generated")
    blocked = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def finish() -> dict[str, Message]:
        return me.db.write(lambda c: answers.finish(c, me.clock, times, outcome))

    with ThreadPoolExecutor(1) as pool:

        def delete(c: sa.Connection) -> Future[dict[str, Message]]:
            held = sa.select(tables.conversations.c.id).with_for_update()
            c.execute(held.where(tables.conversations.c.id == conversation.id))
            finished = pool.submit(finish)
            if not me.db.is_sqlite:
                wait_until(lambda: bool(c.execute(blocked).scalar_one()), "the other to wait")
            conversations.delete(c, me.reader, conversation.id)
            return finished

        assert me.db.write(delete).result() == {}
    assert me.titles() == []


def test_the_owner_is_told_when_an_answer_goes_on_after_all(me: Steps) -> None:
    conversation, question = me.ask("one")
    answer = me.start(question)
    name = revisions.of_conversations(me.reader.user_id)

    def counter() -> int:
        return me.db.read(lambda c: revisions.values(c, [name]))[name]

    before = counter()
    me.save(answer, "Fif")
    assert counter() == before
    saved = {answer.id: me.get(conversation.id).messages[1].updated_at}
    assert me.db.write(lambda c: messages.give_up(c, me.clock, saved)) == 1
    given_up = counter()
    me.save(answer, "Fifteen")
    assert me.get(conversation.id).messages[1].state == "streaming"
    assert counter() > given_up


# -- asking differently, and what one thinks of an answer -----------------------------------------


def test_a_question_is_taken_back_with_all_that_came_after_it(
    me: Steps, stranger: Steps, clock: FakeClock
) -> None:
    id_ = me.exchange("one", "1")
    _, second = me.ask("two", id_)
    me.finish(me.start(second), "2", citations=[])
    me.exchange("three", "3", id_)
    clock.advance(1)
    first = me.get(id_).messages[0]
    me.finish(me.start(first), "1 again")
    running = me.start(second)
    with pytest.raises(NotFound):
        stranger.db.write(lambda c: messages.take_back(c, stranger.reader, second.id))
    me.db.write(lambda c: messages.take_back(c, me.reader, second.id))
    assert [message.content for message in me.get(id_).messages] == ["one", "1", "1 again"]
    assert not me.is_wanted(running)
    with pytest.raises(NotFound):
        me.db.write(lambda c: messages.take_back(c, me.reader, second.id))
    me.db.write(lambda c: messages.take_back(c, me.reader, first.id))
    assert me.get(id_).messages == []


def test_an_answer_is_rated_by_its_reader_only(me: Steps, stranger: Steps) -> None:
    conversation, question = me.ask("one")
    answer = me.finish(me.start(question), "1")
    me.rate(answer, "up")
    me.rate(answer, "down")
    assert me.get(conversation.id).messages[1].feedback == "down"
    me.rate(answer, None)
    assert me.get(conversation.id).messages[1].feedback is None
    with pytest.raises(NotFound):
        stranger.rate(answer, "up")
    with pytest.raises(NotFound):
        me.rate(question, "up")


# -- titles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How much leave?", "How much leave?"),
        ("  two\n\nlines\t here ", "two lines here"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("가" * 80, "가" * 60 + "…"),
        ("x" * 59 + "e\u0301" + "x" * 9, "x" * 59 + "…"),
        ("x" * 59 + "👩\u200d👧", "x" * 59 + "…"),
        ("x" * 58 + "👩\u200d👧", "x" * 58 + "…"),
    ],
)
def test_titles_are_the_questions_beginning_in_whole_characters(text: str, title: str) -> None:
    assert derive_title(text) == title
