"""Asking and being answered, on SQLite and PostgreSQL, with and without a model."""

from collections.abc import Callable

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.events import Delta, Done, Queue, Sources, Start
from likeopt.errors import BadInput, Busy, EngineUnavailable, TooLarge
from likeopt.retrieval.types import Degraded, Filters
from likeopt.storage import conversations, messages
from likeopt.storage.db import Database
from likeopt.storage.messages import Exchange, Message
from likeopt.storage.reader import Reader
from tests.chat.conftest import LEAVE, LEAVE_KO, events, failure, last, only, text_of
from tests.chat.shelf import Shelf
from tests.fakes import FakeClock
from tests.stub_openai import StubOpenAI


def stored(database: Database, reader: Reader, message: Message) -> Message:
    return database.read(lambda c: messages.get(c, reader, message.id))


# -- without a model -----------------------------------------------------------------------------


def test_an_extractive_answer_quotes_the_documents(
    plain: Chat, database: Database, reader: Reader
) -> None:
    found = events(plain.ask(reader, "How many days of annual leave?"))
    assert [type(event) for event in found] == [Start, Sources, Delta, Done]
    start, sources, done = only(Start, found), only(Sources, found), only(Done, found)
    assert start.title == "How many days of annual leave?"
    assert sources.query == "How many days of annual leave?"
    assert text_of(found) == "Full-time employees get 15 days of annual leave. [1]"
    message = done.message
    assert (message.content, message.kind, message.state) == (
        text_of(found),
        "extractive",
        "complete",
    )
    assert message.model is None
    assert message.error_code is None
    (citation,) = message.citations
    assert (citation.document_name, citation.page, citation.number) == ("handbook.pdf", 3, 1)
    assert citation.quote == LEAVE[citation.start : citation.end]
    assert citation.quote == "Full-time employees get 15 days of annual leave."
    assert {"rewrite", "search", "search.lexical", "total"} <= message.stages.keys()
    assert stored(database, reader, message) == message


PRICES = """Plan | Users | Price per month
Basic | 10 | 9 euros
Team | 50 | 49 euros
Firm | 500 | 299 euros"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "How much is the Team plan per month?",
            "Plan: Team, Users: 50, Price per month: 49 euros [1]",
        ),
        (
            "What is the price of a plan per month?",
            """Plan: Basic, Users: 10, Price per month: 9 euros
Plan: Team, Users: 50, Price per month: 49 euros
Plan: Firm, Users: 500, Price per month: 299 euros [1]""",
        ),
    ],
)
def test_an_answer_from_a_table_is_the_rows_that_are_asked_for(
    question: str, answer: str, plain: Chat, shelf: Shelf, reader: Reader
) -> None:
    shelf.add("prices.csv", PRICES)
    assert last(plain.ask(reader, question)).content == answer


def test_a_korean_question_gets_a_korean_answer(plain: Chat, reader: Reader) -> None:
    message = last(plain.ask(reader, "연차는 며칠인가요?"))
    assert message.content.startswith("정규직 직원의 연차는 15일입니다.")
    assert message.citations[0].quote in LEAVE_KO


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who discovered penicillin?", "I don't know from these documents"),
        ("페니실린은 누가 발견했나요?", "이 문서들에서는 답을 찾지 못했습니다"),
    ],
)
def test_what_is_not_in_the_documents_is_not_answered(
    plain: Chat, chat: Chat, stub: StubOpenAI, reader: Reader, question: str, answer: str
) -> None:
    for one in (plain, chat):
        message = last(one.ask(reader, question))
        assert message.content.startswith(answer)
        assert (message.kind, message.state, message.citations) == ("not_found", "complete", [])
    assert stub.requests == []


def test_a_question_in_the_other_language_is_shown_where_the_answer_may_be(
    plain: Chat, shelf: Shelf, reader: Reader
) -> None:
    shelf.add("office.md", "Visitors park behind the building.", similarity=0.76)
    shelf.add("rail.md", "Trains leave every hour.", similarity=0.7)
    message = last(plain.ask(reader, "손님은 차를 어디에 세우나요?"))
    assert message.kind == "not_found"
    shown = [(one.number, one.document_name, one.quote) for one in message.citations]
    assert shown == [(1, "office.md", "Visitors park behind the building.")]


@pytest.mark.parametrize(
    ("part", "question", "says"),
    [
        ("lexical", "Who discovered penicillin?", "Search by words does not work at the moment"),
        ("vector", "Who discovered penicillin?", "Search by meaning does not work at the moment"),
        ("embedding", "페니실린은 누가 발견했나요?", "지금은 의미 검색이 되지 않아"),
        ("lexical", "페니실린은 누가 발견했나요?", "지금은 단어 검색이 되지 않아"),
    ],
)
def test_half_a_search_is_not_said_to_have_found_nothing(
    shelf: Shelf, plain: Chat, chat: Chat, stub: StubOpenAI, reader: Reader,
    part: str, question: str, says: str,
) -> None:  # fmt: skip
    shelf.degraded = [Degraded(part, "It broke."), Degraded("rerank", "It broke.")]
    for one in (plain, chat):
        found = events(one.ask(reader, question))
        assert only(Sources, found).degraded == shelf.degraded
        message = only(Done, found).message
        assert (message.kind, message.content) == ("not_found", text_of(found))
        assert message.content.count(says) == 1
    # A model that finds nothing in half of the passages, too.
    stub.say("I don't know from these documents.")
    message = last(chat.ask(reader, "Does annual leave include birthdays?"))
    assert message.kind == "not_found"
    assert "does not work at the moment" in message.content


def test_an_empty_library_says_so_politely(
    database: Database, reader: Reader, real_clock: object
) -> None:
    empty = Shelf(database, reader, real_clock)  # type: ignore[arg-type]
    from likeopt.chat.writer import Writer
    from likeopt.clock import Clock

    chat = Chat(database, Clock(), Writer(empty.search, None, Clock()))
    assert last(chat.ask(reader, "How much leave?")).kind == "not_found"


# -- with a model --------------------------------------------------------------------------------


def test_a_model_answers_from_numbered_passages(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("You get 15 days [1].")
    found = events(chat.ask(reader, "How many days of annual leave?"))
    assert [type(event) for event in found[:2]] == [Start, Sources]
    assert "handbook.pdf" in {one.document_name for one in only(Sources, found).citations}
    assert text_of(found) == "You get 15 days [1]."
    message = only(Done, found).message
    assert (message.kind, message.model) == ("generated", "stub")
    assert [one.document_name for one in message.citations] == ["handbook.pdf"]
    assert {"queue", "first_token", "generate", "search", "total"} <= message.stages.keys()
    assert stored(database, reader, message) == message
    system, *_, user = stub.requests[0].body["messages"]
    assert "documents" in system["content"]
    assert "[1] handbook.pdf, p. 3\n> Full-time employees get 15 days" in user["content"]
    assert user["content"].endswith("Question: How many days of annual leave?")


def test_only_real_sources_are_cited(chat: Chat, stub: StubOpenAI, reader: Reader) -> None:
    stub.say("Fifteen", " [", "1", "7] days", " [1", "], see [99].")
    found = events(chat.ask(reader, "How many days of annual leave?"))
    assert text_of(found) == "Fifteen days [1], see."
    assert [one.number for one in only(Done, found).message.citations] == [1]


def test_a_forgotten_marker_is_added_and_an_invented_claim_gets_none(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    stub.say("Full-time employees get 15 days. Managers receive champagne and yachts instead.")
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert message.content == (
        "Full-time employees get 15 days. [1] Managers receive champagne and yachts instead."
    )


def test_a_model_that_finds_nothing_is_believed(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    stub.say("I don't know from these documents: none of them answers this question.")
    message = last(chat.ask(reader, "Does annual leave include birthdays?"))
    assert message.kind == "not_found"
    # What it was given is named all the same.
    assert "annual leave" in message.citations[0].quote
    assert len(message.citations) <= 3


def test_a_composed_answer_is_stored_in_nfc(chat: Chat, stub: StubOpenAI, reader: Reader) -> None:
    stub.say("e", "\u0301t", "\u1112\u1161", "\u11ab 👩\u200d", "👧 [1]")
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert message.content == "ét한 👩\u200d👧 [1]"


def test_the_answers_language_can_be_asked_for(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    last(chat.ask(reader, "연차는 며칠인가요?"))
    last(chat.ask(reader, "How many days of annual leave?", language="ko"))
    last(chat.ask(reader, "How many days of annual leave?"))
    systems = [request.body["messages"][0]["content"] for request in stub.requests]
    assert systems[0] == systems[1]
    assert "한국어로" in systems[0]
    assert "English" in systems[2]


def test_filters_reach_the_search(
    database: Database, reader: Reader, shelf: Shelf, plain: Chat
) -> None:
    seen: list[Filters] = []
    search = shelf.search

    def watched(*arguments: object, **options: object) -> object:
        seen.append(options["filters"])  # type: ignore[arg-type]
        return search(*arguments, **options)  # type: ignore[arg-type]

    plain._writer.search = watched  # type: ignore[assignment]
    last(plain.ask(reader, "How much leave?", filters=Filters(tags=["hr"])))
    assert seen == [Filters(tags=["hr"])]


# -- a model in trouble --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "model_unavailable"),
        (401, "model_key_refused"),
        (429, "busy"),
        (404, "model_not_found"),
    ],
)
def test_a_refusing_model_is_replaced_by_the_documents(
    chat: Chat, stub: StubOpenAI, reader: Reader, status: int, code: str
) -> None:
    stub.fail(status, {"error": {"message": "no"}})
    found = events(chat.ask(reader, "How many days of annual leave?"))
    message = only(Done, found).message
    assert (message.kind, message.state, message.error_code) == ("extractive", "complete", code)
    assert "15 days of annual leave" in message.content
    assert message.model is None
    # The numbers are those that readers saw.
    shown = {one.number: one.document_id for one in only(Sources, found).citations}
    assert all(shown[one.number] == one.document_id for one in message.citations)


def test_a_silent_or_empty_model_too(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    chat = make_chat(timeout=0.2)
    stub.say("never", hold=0)
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.error_code) == ("extractive", "model_timeout")
    stub.say("   ", "\n")
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.error_code) == ("extractive", "model_silent")


def test_an_answer_without_end_is_cut_off_and_complete(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    """As one that the model cut at `max_tokens`; endless thoughts are no answer."""
    said = "Fifteen days [1]. " * 60
    stub.say(said, *[said] * 99, hold=100)
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.state, message.error_code) == ("generated", "complete", None)
    assert len(message.content) <= 512 * 16
    assert message.content.startswith("Fifteen days [1]. Fifteen")
    stub.say("<think>", *[said] * 99, hold=100)
    message = last(chat.ask(reader, "How many days of annual leave?"))
    assert (message.kind, message.state) == ("extractive", "complete")
    assert message.error_code == "model_silent"
    assert all(request.gone.wait(10) for request in stub.requests)


def test_a_model_that_dies_is_replaced_for_a_reader_who_has_seen_nothing(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("Managers get", " yachts", drop=1)
    found = events(chat.ask(reader, "How many days of annual leave?", whole=True))
    message = only(Done, found).message
    assert (message.kind, message.state) == ("extractive", "complete")
    assert (message.error_code, message.model) == ("model_unavailable", None)
    # Nothing was shown of what was written before.
    assert [type(event) for event in found] == [Start, Sources, Done]
    assert message.content.startswith("Full-time employees get 15 days of annual leave.")
    assert message.citations
    assert stored(database, reader, message) == message
    # Once a model answers to the end, it is its answer.
    stub.say("You get 15 days [1].")
    again = last(chat.regenerate(reader, message.id, whole=True))
    assert (again.kind, again.content) == ("generated", "You get 15 days [1].")
    stub.say("Managers get", " yachts", drop=1)
    kept = last(chat.reply(reader, "How many days of annual leave?", [], whole=True))
    assert kept.kind == "extractive"


def test_a_search_that_fails_is_told(
    plain: Chat, shelf: Shelf, database: Database, reader: Reader
) -> None:
    shelf.broken = EngineUnavailable("The engine is starting.", retry_after=2)
    failed = failure(plain.ask(reader, "How many days of annual leave?"))
    assert (failed.code, failed.retry_after) == ("engine_unavailable", 2)
    assert failed.message is not None
    assert stored(database, reader, failed.message).state == "failed"


def test_an_unforeseen_error_still_ends_the_answer(
    chat: Chat, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    chat._writer.write = broken  # type: ignore[method-assign, assignment]
    failed = failure(chat.ask(reader, "How many days of annual leave?"))
    assert failed.code == "internal_error"
    assert "a bug" not in failed.detail
    assert "a bug" in caplog.text


# -- the queue -----------------------------------------------------------------------------------


def test_waiting_for_the_model_tells_the_place_and_shows_the_sources(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    chat = make_chat(running=1, waiting=1)
    first = stub.say("First [1].", hold=0)
    running = chat.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    stub.say("Second [1].")
    waiting = chat.ask(reader, "When does unused leave expire?")
    reading = waiting.events()
    seen = [next(reading).event for _ in range(3)]  # type: ignore[union-attr]
    assert isinstance(seen[1], Sources)
    assert seen[2] == Queue(1)
    with pytest.raises(Busy) as caught:
        chat.ask(reader, "How many days of leave do employees get?")
    assert caught.value.retry_after
    first.release()
    assert last(running).content == "First [1]."
    assert last(waiting).content == "Second [1]."


# -- stopping ------------------------------------------------------------------------------------


def test_stopping_keeps_what_is_written_and_stops_the_model(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader
) -> None:
    stub.say("You get 15 days [1]", " and so on", hold=1)
    answer = chat.ask(reader, "How many days of annual leave?")
    reading = answer.events()
    assert any(isinstance(one.event, Delta) for one in reading if one)
    chat.stop(reader, answer.message_id)
    message = last(answer)
    assert (message.state, message.content) == ("stopped", "You get 15 days [1]")
    assert [one.number for one in message.citations] == [1]
    assert stub.requests[0].gone.wait(10)
    assert stored(database, reader, message) == message


def test_stopping_before_the_first_word(chat: Chat, stub: StubOpenAI, reader: Reader) -> None:
    stub.say("late", hold=0)
    answer = chat.ask(reader, "How many days of annual leave?")
    request = stub.wait_for_request()
    chat.stop(reader, answer.message_id)
    message = last(answer)
    assert (message.state, message.content, message.citations) == ("stopped", "", [])
    assert request.gone.wait(10)


def test_stopping_in_the_queue(
    make_chat: Callable[..., Chat], stub: StubOpenAI, reader: Reader
) -> None:
    chat = make_chat(running=1)
    held = stub.say("First [1].", hold=0)
    running = chat.ask(reader, "How many days of annual leave?")
    stub.wait_for_request()
    waiting = chat.ask(reader, "When does unused leave expire?")
    assert any(isinstance(one.event, Queue) for one in waiting.events() if one)
    chat.stop(reader, waiting.message_id)
    assert last(waiting).state == "stopped"
    held.release()
    assert last(running).content == "First [1]."
    assert len(stub.requests) == 1


# -- reading again -------------------------------------------------------------------------------


def test_readers_come_and_go_without_touching_the_answer(
    chat: Chat, stub: StubOpenAI, reader: Reader
) -> None:
    held = stub.say("You get ", "15 days [1].", hold=1)
    answer = chat.ask(reader, "How many days of annual leave?")
    early = answer.events()
    seen = [next(early) for _ in range(3)]
    early.close()  # type: ignore[attr-defined]
    number = seen[-1].sequence  # type: ignore[union-attr]
    held.release()
    rest = [one for one in chat.resume(reader, answer.message_id, number) if one]
    assert rest[0].sequence > number
    whole = seen + rest
    assert "".join(one.event.text for one in whole if one and isinstance(one.event, Delta)) == (
        "You get 15 days [1]."
    )
    # A late one gets everything, its text in one piece.
    late = [one.event for one in chat.resume(reader, answer.message_id) if one]
    assert [type(event) for event in late] == [Start, Sources, Delta, Done]


# -- conversations -------------------------------------------------------------------------------


def test_a_follow_up_is_searched_with_its_subject(
    plain: Chat, shelf: Shelf, reader: Reader
) -> None:
    first = last(plain.ask(reader, "When does the canteen open?"))
    second = last(plain.ask(reader, "And how much does it cost?", first.conversation_id))
    assert shelf.queries[1] == "And how much does it cost? canteen open"
    assert second.query == shelf.queries[1]
    assert first.query is None


def test_a_model_rewrites_a_follow_up(
    chat: Chat, stub: StubOpenAI, shelf: Shelf, reader: Reader
) -> None:
    stub.say("At noon [1].")
    first = last(chat.ask(reader, "When does the canteen open?"))
    stub.say("How much does lunch in the canteen cost?")
    stub.say("6 euros [1].")
    second = last(chat.ask(reader, "And how much does it cost?", first.conversation_id))
    assert shelf.queries[1] == "How much does lunch in the canteen cost?"
    assert (second.content, second.query) == ("6 euros [1].", shelf.queries[1])
    assert "At noon" in stub.requests[1].prompt
    # The answer itself sees the question as it was asked, and what was said before.
    assert stub.requests[2].body["messages"][-1]["content"].endswith("And how much does it cost?")


def test_nothing_is_stored_for_clients_that_keep_the_conversation(
    chat: Chat, stub: StubOpenAI, database: Database, reader: Reader, shelf: Shelf
) -> None:
    stub.say("When does lunch in the canteen start?")
    stub.say("At noon [1].")
    before = [Exchange("Is there a canteen?", "Yes.", "Is there a canteen?")]
    message = last(chat.reply(reader, "When does it open?", before, max_tokens=20))
    assert (message.content, message.kind) == ("At noon [1].", "generated")
    assert [one.document_name for one in message.citations] == ["canteen.md"]
    assert stub.requests[1].body["max_tokens"] == 20
    assert database.read(lambda c: conversations.list_(c, reader)).items == []


@pytest.mark.parametrize(
    "question",
    ["", "  \n ", "?!…", "\u200b\u200b", "half \ud83d", "\u3164", "\u3164\u200b", "\u115f\u1160",
     "\uffa0", "\u2800", "\u3164 \uffa0?"],
)  # fmt: skip
def test_what_is_no_question_is_refused(
    plain: Chat, database: Database, clock: FakeClock, reader: Reader, question: str
) -> None:
    begun = database.write(lambda c: conversations.create(c, reader, clock, "Begun"))
    why = "no word in it|surrogate pair"
    with pytest.raises(BadInput, match=why):
        plain.ask(reader, question)
    with pytest.raises(BadInput, match=why):
        plain.ask(reader, question, begun.id)
    with pytest.raises(BadInput, match=why):
        plain.reply(reader, question, [])


def test_fillers_beside_a_word_are_part_of_a_question(plain: Chat, reader: Reader) -> None:
    assert last(plain.ask(reader, "\u3164Leave\u1160?")).state == "complete"


def test_a_question_has_a_limit_and_a_long_one_is_searched_by_its_ends(
    plain: Chat, shelf: Shelf, reader: Reader
) -> None:
    with pytest.raises(TooLarge):
        plain.ask(reader, "x" * 8001)
    last(plain.ask(reader, "Annual leave: " + "filler " * 1000 + "how many days?"))
    assert len(shelf.queries[0]) == 2000
    assert shelf.queries[0].startswith("Annual leave")
    assert shelf.queries[0].endswith("how many days?")
