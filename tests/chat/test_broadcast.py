import threading

from likeopt.chat.broadcast import (
    FRAME_SECONDS,
    KEEP_SECONDS,
    LONGEST_FRAME_SECONDS,
    MOST_KEPT,
    Broadcast,
    Broadcasts,
    Frames,
    Stop,
)
from likeopt.chat.events import Delta, Done, Event, Start
from likeopt.storage.messages import Message
from tests.fakes import FakeClock
from tests.servers import wait_until

START = Start("c", "q", "m", "title")
DONE = Done(Message("m", "c", "assistant", "text", "complete", 1, 2))


def broadcast(*events: Event) -> Broadcast:
    made = Broadcast("m", Stop())
    for event in events:
        made.publish(event)
    return made


def read(made: Broadcast, after: int = 0) -> list[tuple[int, Event]]:
    return [(one.sequence, one.event) for one in made.events(after) if one]


def test_what_was_written_before_comes_in_as_few_events_as_possible() -> None:
    made = broadcast(START, Delta("a"), Delta("b"), Delta("c"), DONE)
    assert read(made) == [(1, START), (4, Delta("abc")), (5, DONE)]


def test_a_reader_goes_on_where_it_was() -> None:
    made = broadcast(START, Delta("a"), Delta("b"), Delta("c"), DONE)
    assert read(made, 2) == [(4, Delta("bc")), (5, DONE)]
    assert read(made, 4) == [(5, DONE)]
    assert read(made, 5) == []
    assert read(made, 99) == []


def test_every_reader_gets_everything_whenever_it_comes() -> None:
    made = broadcast(START)
    texts: list[str] = []

    def follow() -> None:
        found = [event for _, event in read(made)]
        texts.append("".join(event.text for event in found if isinstance(event, Delta)))

    threads = [threading.Thread(target=follow) for _ in range(20)]
    for thread in threads[:10]:
        thread.start()
    wait_until(lambda: made.readers == 10, "the first readers")
    for number in range(100):
        made.publish(Delta(f"{number} "))
        if number == 50:
            for thread in threads[10:]:
                thread.start()
    made.publish(DONE)
    for thread in threads:
        thread.join(10)
    assert texts == ["".join(f"{number} " for number in range(100))] * 20
    assert made.readers == 0


def test_silence_is_filled_with_pings() -> None:
    made = broadcast(START)
    events = made.events(ping=0.01)
    assert next(events) is not None
    assert next(events) is None
    assert next(events) is None
    made.publish(DONE)
    wait_until(lambda: next(events) is not None, "the end")


def test_a_finished_answer_is_kept_for_a_while_and_not_without_bound(clock: FakeClock) -> None:
    all_ = Broadcasts(clock)
    first = all_.open("first", Stop())
    assert all_.find("first") is first
    all_.close(first)
    assert all_.find("first") is first
    clock.advance(KEEP_SECONDS + 1)
    all_.close(all_.open("second", Stop()))
    assert all_.find("first") is None
    for number in range(MOST_KEPT):
        all_.close(all_.open(str(number), Stop()))
    assert all_.find("second") is None
    assert all_.find("0") is not None
    assert all_.find("never") is None


def test_text_is_sent_at_once_then_in_frames(clock: FakeClock) -> None:
    sent: list[Event] = []
    frames = Frames(sent.append, clock, lambda: 0.03)
    frames.write("first")
    assert sent == [Delta("first")]
    for piece in (" a", "", " b"):
        clock.advance(0.008)
        frames.write(piece)
    assert len(sent) == 1
    clock.advance(0.008)
    frames.write(" c")
    assert sent[1:] == [Delta(" a b c")]
    frames.write(" end")
    frames.flush()
    frames.flush()
    assert sent[2:] == [Delta(" end")]
    assert frames.text == "first a b c end"


def test_frames_grow_with_the_number_of_readers(clock: FakeClock) -> None:
    all_ = Broadcasts(clock)
    made = all_.open("m", Stop())
    assert all_.frame_seconds() == FRAME_SECONDS
    made.readers = 600
    assert FRAME_SECONDS < all_.frame_seconds() < LONGEST_FRAME_SECONDS
    made.readers = 10_000
    assert all_.frame_seconds() == LONGEST_FRAME_SECONDS
