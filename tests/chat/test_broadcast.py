import sys
import threading

from likeopt.chat.broadcast import (
    GRACE_SECONDS,
    KEEP_SECONDS,
    MOST_KEPT,
    Broadcast,
    Broadcasts,
    Log,
)
from likeopt.chat.events import (
    Delta,
    Done,
    Event,
    Numbered,
    Queue,
    Record,
    Restart,
    Sources,
    Start,
)
from likeopt.chat.frames import FRAME_SECONDS, LONGEST_FRAME_SECONDS, Frames, frame_seconds
from likeopt.errors import StorageUnavailable
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader
from tests.fakes import FakeClock
from tests.servers import wait_until

START = Start("c", "q", "m", "title")
DONE = Done(Message("m", "c", "assistant", "text", "complete", 1, 2))
READER = Reader("r", is_admin=False, collections=frozenset())


class Told:
    """An answer that is told what a test says."""

    def __init__(self, *records: Record, whole: bool = False, id_: str = "m") -> None:
        self.clock = FakeClock()
        start = Start("c", "q", id_, "title")
        self.broadcast = Broadcast(READER, start, self.clock, whole=whole)
        self.log = Log()
        self.broadcast.attach(self.log, lambda: None)
        self.tell(*records)

    def tell(self, *records: Record) -> None:
        for record in records:
            self.log.add(record)
            self.broadcast.news(record)

    def finish(self) -> None:
        self.broadcast.finish(DONE, len(self.log.told))

    def read(self, after: int = 0) -> list[tuple[int, Event]]:
        return [(one.sequence, one.event) for one in self.broadcast.events(after) if one]


def finished(*records: Record, whole: bool = False) -> Told:
    made = Told(*records, whole=whole)
    made.finish()
    return made


def test_what_was_written_before_comes_in_as_few_events_as_possible() -> None:
    made = finished(Delta("a"), Delta("b"), Delta("c"))
    assert made.read() == [(1, START), (4, Delta("abc")), (5, DONE)]


def test_a_reader_goes_on_where_it_was() -> None:
    made = finished(Delta("a"), Delta("b"), Delta("c"))
    assert made.read(2) == [(4, Delta("bc")), (5, DONE)]
    assert made.read(4) == [(5, DONE)]
    assert made.read(5) == []
    # Who names what was never told.
    assert made.read(99) == [(5, DONE)]


def test_what_is_told_to_all_is_one_object_for_all() -> None:
    made = finished(Sources("q", []), Delta("a"))
    first, second = (list(made.broadcast.events()) for _ in range(2))
    assert [type(one.event) for one in first if one] == [Start, Sources, Delta, Done]
    assert first[1] is second[1]
    assert first[2] is second[2]


def test_who_wants_the_whole_sees_no_text_before_the_end() -> None:
    sources = Sources("q", [])
    made = finished(Queue(1), sources, Delta("a"), Delta("b"), whole=True)
    assert made.read() == [(1, START), (2, Queue(1)), (3, sources), (6, DONE)]


def test_a_second_start_begins_anew() -> None:
    sources = Sources("q", [])
    made = finished(sources, Delta("half"), Restart(), sources, Delta("whole"))
    assert made.read(2) == [(4, START), (5, sources), (6, Delta("whole")), (7, DONE)]
    # Who comes late does not hear of what does not count any more.
    assert made.read() == made.read(2)
    assert made.read(5) == [(6, Delta("whole")), (7, DONE)]
    assert (made.log.text, made.log.sources) == ("whole", [])


def test_who_left_before_it_began_anew_keeps_what_was_told() -> None:
    made = Told(Delta("half"))
    made.finish()
    made.tell(Restart(), Delta("whole"))
    assert made.read() == [(1, START), (2, Delta("half")), (3, DONE)]


def test_the_place_before_the_model_comes_before_anything_has_a_number() -> None:
    made = Broadcast(READER, START, FakeClock())
    reading = made.events()
    assert next(reading) == Numbered(1, START)
    made.position(2)
    made.position(1)
    assert next(reading) == Numbered(1, Queue(1))
    log = Log()
    log.add(Delta("text"))
    made.attach(log, lambda: None)
    made.finish(DONE, 1)
    assert [one for one in reading if one] == [Numbered(2, Delta("text")), Numbered(3, DONE)]


def test_who_comes_while_it_waits_for_the_model_is_told_the_place() -> None:
    made = Broadcast(READER, START, FakeClock())
    made.position(2)
    made.position(1)
    # The first to read it, and another one who comes later.
    for reading in (made.events(ping=0.01), made.events(ping=0.01)):
        assert next(reading) == Numbered(1, START)
        assert next(reading) == Numbered(1, Queue(1))
        assert next(reading) is None
    made.position(0)
    assert next(made.events(1, ping=0.01)) == Numbered(1, Queue(0))


def test_every_reader_gets_everything_whenever_it_comes() -> None:
    made = Told()
    texts: list[str] = []

    def follow() -> None:
        found = [event for _, event in made.read()]
        texts.append("".join(event.text for event in found if isinstance(event, Delta)))

    threads = [threading.Thread(target=follow) for _ in range(20)]
    for thread in threads[:10]:
        thread.start()
    wait_until(lambda: made.broadcast.readers == 10, "the first readers")
    for number in range(100):
        made.tell(Delta(f"{number} "))
        if number == 50:
            for thread in threads[10:]:
                thread.start()
    made.finish()
    for thread in threads:
        thread.join(10)
    assert texts == ["".join(f"{number} " for number in range(100))] * 20
    assert made.broadcast.readers == 0


def test_silence_is_filled_with_pings() -> None:
    made = Told()
    events = made.broadcast.events(ping=0.01)
    assert next(events) is not None
    assert next(events) is None
    assert next(events) is None
    made.finish()
    wait_until(lambda: next(events) is not None, "the end")


def test_an_answer_is_attended_while_somebody_may_come_back() -> None:
    made = Told()
    clock = made.clock
    assert made.broadcast.attended
    reading = made.broadcast.events()
    next(reading)
    clock.advance(GRACE_SECONDS + 1)
    assert made.broadcast.attended
    reading.close()  # type: ignore[attr-defined]
    seen = []
    for seconds in (GRACE_SECONDS - 1, 2):
        clock.advance(seconds)
        seen.append(made.broadcast.attended)
    assert seen == [True, False]
    again = Told()
    again.broadcast.leave()
    assert not again.broadcast.attended


def test_a_finished_answer_is_kept_for_a_while_and_not_without_bound(clock: FakeClock) -> None:
    all_ = Broadcasts(clock)

    def opened(id_: str) -> Broadcast:
        made = Told(id_=id_).broadcast
        all_.open(made)
        return made

    first = opened("first")
    assert all_.find("first") is first
    all_.close(first)
    assert all_.find("first") is first
    clock.advance(KEEP_SECONDS + 1)
    all_.close(opened("second"))
    assert all_.find("first") is None
    for number in range(MOST_KEPT):
        all_.close(opened(str(number)))
    assert all_.find("second") is None
    assert all_.find("0") is not None
    assert all_.find("never") is None


def test_text_is_sent_at_once_then_in_frames(clock: FakeClock) -> None:
    sent: list[Event] = []
    frames = Frames(sent.append, clock, lambda: 30)
    # Frames so long that none is over by itself while the test runs.
    frames.write("first")
    assert sent == [Delta("first")]
    for piece in (" a", "", " b"):
        clock.advance(8)
        frames.write(piece)
    assert len(sent) == 1
    clock.advance(8)
    frames.write(" c")
    assert sent[1:] == [Delta(" a b c")]
    frames.write(" end")
    frames.flush()
    frames.flush()
    assert sent[2:] == [Delta(" end")]
    assert frames.text == "first a b c end"


def test_text_is_sent_when_its_frame_is_over_though_the_model_is_silent() -> None:
    sent: list[Event] = []
    over = threading.Event()

    def publish(event: Event) -> None:
        sent.append(event)
        if len(sent) == 2:
            over.set()

    # By this clock no frame is ever over: only the timer can send.
    frames = Frames(publish, FakeClock(), lambda: 0.03)
    frames.write("first")
    frames.write(" held")
    assert over.wait(10)
    assert sent == [Delta("first"), Delta(" held")]
    frames.flush()
    assert len(sent) == 2


def test_what_could_not_be_sent_in_time_is_not_lost() -> None:
    tried = threading.Event()
    sent: list[Event] = []

    def publish(event: Event) -> None:
        if sent and not tried.is_set():
            tried.set()
            raise StorageUnavailable("Not now.")
        sent.append(event)

    frames = Frames(publish, FakeClock(), lambda: 0.03)
    frames.write("first")
    frames.write(" held")
    assert tried.wait(10)
    frames.flush()
    assert sent == [Delta("first"), Delta(" held")]


def test_frames_grow_with_the_number_of_readers(clock: FakeClock) -> None:
    assert frame_seconds(0) == FRAME_SECONDS
    assert FRAME_SECONDS < frame_seconds(600) < LONGEST_FRAME_SECONDS
    assert frame_seconds(10_000) == LONGEST_FRAME_SECONDS
    all_ = Broadcasts(clock)
    reading = []
    for number in range(3):
        made = all_.open(Told(id_=f"m{number}").broadcast)
        reading += [made.events() for _ in range(200)]
    for events in reading:
        next(events)
    assert all_.frame_seconds() == frame_seconds(600)
    # Closing what reads, as its connection does.
    del reading[:400]
    assert all_.frame_seconds() == frame_seconds(200)


def test_many_answers_make_it_no_slower_to_know_how_long_frames_are(clock: FakeClock) -> None:
    calls: list[str] = []

    def called(_: object, event: str, __: object) -> None:
        if event == "call":
            calls.append(event)

    took = []
    for count in (1, 500):
        all_ = Broadcasts(clock)
        for number in range(count):
            all_.open(Told(id_=f"m{number}").broadcast)
        sys.setprofile(called)
        all_.frame_seconds()
        sys.setprofile(None)
        took.append(len(calls))
        calls.clear()
    assert took[0] == took[1] > 0
