import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from likeopt.errors import Busy
from likeopt.llm.queue import Queue, Ticket
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue", running=1, waiting=2)


class Waiter:
    """Somebody in the queue, in a thread."""

    def __init__(self, queue: Queue) -> None:
        self.ticket = queue.enter()
        self.positions: list[int] = []
        self.stopping = threading.Event()
        self.turn: bool | None = None
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        self.turn = self.ticket.wait(self.stopping, self.positions.append)

    def leave(self) -> None:
        self.stopping.set()
        self.thread.join()
        self.ticket.leave()


@pytest.fixture
def waiters() -> Iterator[list[Waiter]]:
    made: list[Waiter] = []
    yield made
    for waiter in made:
        waiter.leave()


def enter_elsewhere(queue: Queue, folder: Path) -> "subprocess.Popen[str]":
    """A process that takes a place and keeps it."""
    script = (
        "import sys; from pathlib import Path; from likeopt.llm.queue import Queue\n"
        "t = Queue(Path(sys.argv[1]), running=1, waiting=2).enter(); print('in', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def nothing(_: int) -> None:
    raise AssertionError("nobody is ahead")


def wait(ticket: Ticket) -> bool:
    return ticket.wait(threading.Event(), nothing)


def test_an_empty_queue_holds_nobody_up(queue: Queue) -> None:
    ticket = queue.enter()
    assert wait(ticket)
    assert wait(ticket)
    ticket.leave()
    ticket.leave()


def test_first_come_first_served_with_positions(queue: Queue, waiters: list[Waiter]) -> None:
    running = queue.enter()
    first, second = Waiter(queue), Waiter(queue)
    waiters += [first, second]
    wait_until(lambda: first.positions == [1] and second.positions == [2], "both positions")
    running.leave()
    wait_until(lambda: first.turn is True, "the first one's turn")
    assert first.positions == [1, 0]
    wait_until(lambda: second.positions == [2, 1], "the second one to move up")
    assert second.turn is None


def test_beyond_the_limit_is_busy_and_takes_no_place(queue: Queue, waiters: list[Waiter]) -> None:
    tickets = [queue.enter() for _ in range(3)]
    with pytest.raises(Busy) as caught:
        queue.enter()
    assert caught.value.retry_after
    tickets[1].leave()
    tickets.append(queue.enter())
    assert len(queue.places()) == 3
    for ticket in tickets:
        ticket.leave()
    assert queue.places() == []


def test_who_follows_somebody_dead_waits_beyond_the_limit(queue: Queue) -> None:
    tickets = [queue.enter() for _ in range(3)]
    follower = queue.enter(beyond=True)
    positions: list[int] = []
    stopping = threading.Event()

    def told(position: int) -> None:
        positions.append(position)
        stopping.set()

    assert not follower.wait(stopping, told)
    assert positions == [3]
    with pytest.raises(Busy):
        queue.enter()
    for ticket in tickets:
        ticket.leave()
    assert wait(follower)
    follower.leave()


def test_whoever_gives_up_leaves_no_gap(queue: Queue, waiters: list[Waiter]) -> None:
    running = queue.enter()
    first, second = Waiter(queue), Waiter(queue)
    waiters += [first, second]
    wait_until(lambda: first.positions == [1], "a place")
    first.leave()
    assert first.turn is False
    wait_until(lambda: second.positions[-1:] == [1], "the second one to move up")
    running.leave()
    wait_until(lambda: second.turn is True, "its turn")


def test_the_place_of_a_killed_process_is_free_again(
    queue: Queue, tmp_path: Path, waiters: list[Waiter]
) -> None:
    running = enter_elsewhere(queue, tmp_path / "queue")
    ahead = enter_elsewhere(queue, tmp_path / "queue")
    waiter = Waiter(queue)
    waiters.append(waiter)
    try:
        wait_until(lambda: waiter.positions == [2], "a place behind both")
        ahead.send_signal(signal.SIGKILL)
        wait_until(lambda: waiter.positions == [2, 1], "moving up past the dead")
        running.send_signal(signal.SIGKILL)
        wait_until(lambda: waiter.turn is True, "its turn")
    finally:
        end(running)
        end(ahead)


def test_a_queue_full_of_the_dead_is_not_busy(queue: Queue, tmp_path: Path) -> None:
    processes = [enter_elsewhere(queue, tmp_path / "queue") for _ in range(3)]
    for process in processes:
        end(process)
    ticket = queue.enter()
    assert wait(ticket)
    ticket.leave()


def test_a_place_that_is_given_out_again_is_not_taken_for_a_dead_one(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets = [queue.enter()]
    (name,) = queue.places()
    flock = fcntl.flock

    def late(file: IO[bytes], kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        tickets[0].leave()
        tickets.append(queue.enter())
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    assert not queue.reap(name)
    assert queue.places() == [name]
    # So it is one answer at a time still.
    third = queue.enter()
    positions: list[int] = []
    stopping = threading.Event()

    def told(position: int) -> None:
        positions.append(position)
        stopping.set()

    assert not third.wait(stopping, told)
    assert positions == [1]
    for ticket in (*tickets, third):
        ticket.leave()


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_queue_that_is_cleared_away_lets_everybody_through(
    queue: Queue, tmp_path: Path, waiters: list[Waiter], folder_too: bool
) -> None:
    running = queue.enter()
    waiter = Waiter(queue)
    waiters.append(waiter)
    wait_until(lambda: waiter.positions == [1], "a place")
    cleared = tmp_path / "cleared"
    if folder_too:
        (tmp_path / "queue").rename(cleared)
    else:
        for name in queue.places():
            (tmp_path / "queue" / name).unlink()
    wait_until(lambda: waiter.turn is True, "its turn")
    running.leave()
    waiter.leave()
    # And the next one finds a queue in order.
    ticket = queue.enter()
    assert wait(ticket)
    ticket.leave()


def test_several_may_run_at_once(tmp_path: Path, waiters: list[Waiter]) -> None:
    queue = Queue(tmp_path, running=2, waiting=1)
    one, two = queue.enter(), queue.enter()
    assert wait(one)
    assert wait(two)
    third = Waiter(queue)
    waiters.append(third)
    wait_until(lambda: third.positions == [1], "a place")
    one.leave()
    wait_until(lambda: third.turn is True, "its turn")
    two.leave()
