"""An answer that another process writes, or wrote long ago, followed in the database.

Its text grows there every two seconds; numbers of events mean nothing across processes, so a
reader that comes back to another process than it left is told everything again.
"""

import threading
from collections.abc import Iterator

from likeopt.chat.broadcast import Telling
from likeopt.chat.events import Delta, Done, Event, Failed, Numbered, Sources, Start
from likeopt.clock import Clock
from likeopt.errors import Forbidden, ModelUnavailable, NotFound
from likeopt.storage import conversations, messages
from likeopt.storage.conversations import Conversation
from likeopt.storage.db import Database
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader

# How often the database is asked what is new in it.
POLL_SECONDS = 0.25
# Numbers of events from here on count what was read in the database, not what a writer published.
ELSEWHERE = 1_000_000


def follow(
    db: Database,
    clock: Clock,
    reader: Reader,
    message: Message,
    after: int,
    ping: float,
    telling: Telling,
) -> Iterator[Numbered | None]:
    """The events of an answer that this process does not write; the last three as for
    `Broadcast.events`. One that is being written is told from `start`."""
    id_ = message.id
    number = _elsewhere(after) if message.state == "streaming" else 0
    sent, bound = "", False
    heard = clock.monotonic()
    woken = threading.Event()
    try:
        conversation, _ = db.read(lambda c: conversations.question_of(c, reader, id_))
        if number:
            number += 1
            yield Numbered(number, _start(conversation, message))
        with telling(woken.set):
            while message.state == "streaming":
                if message.citations and not bound:
                    # Before any text of it: they are what its reader's right to it hangs on.
                    number, bound = number + 1, True
                    yield Numbered(number, Sources("", message.citations))
                if grown := _beyond(sent, message.content):
                    number += 1
                    yield Numbered(number, Delta(grown))
                    sent, heard = message.content, clock.monotonic()
                if clock.now_ms() - message.updated_at > messages.STALE_MS:
                    db.write(lambda c: messages.abandon_stale(c, clock))
                elif woken.wait(POLL_SECONDS) or clock.monotonic() - heard >= ping:
                    woken.clear()
                    heard = clock.monotonic()
                    yield None
                message = db.read(lambda c: messages.get(c, reader, id_))
    except NotFound as error:
        yield Numbered(max(number, after) + 1, Failed.of(error))
        return
    rest = _replay(conversation, message, sent)
    if number:
        rest = rest[2:] if bound else rest[1:]
    elif after:
        # The last event holds the whole answer.
        number, rest = after, rest[-1:]
    for place, event in enumerate(rest, number + 1):
        yield Numbered(place, event)


def _elsewhere(after: int) -> int:
    """Where the numbers of a new telling begin, so that they are higher than `after`."""
    return (after // ELSEWHERE + 1) * ELSEWHERE


def again(after: int, events: Iterator[Numbered | None]) -> Iterator[Numbered | None]:
    """All `events` for a reader who comes with a number that was told elsewhere."""
    first = _elsewhere(after)
    return (one and Numbered(first + one.sequence, one.event) for one in events)


def _beyond(sent: str, text: str) -> str:
    return text[len(sent) :] if text.startswith(sent) else ""


def _start(conversation: Conversation, answer: Message) -> Start:
    return Start(conversation.id, answer.parent_id or "", answer.id, conversation.title)


def _replay(conversation: Conversation, answer: Message, sent: str) -> list[Event]:
    """The events of a finished answer, without the text that was `sent`."""
    events: list[Event] = [_start(conversation, answer)]
    events.append(Sources(answer.query or "", answer.citations))
    if rest := _beyond(sent, answer.content):
        events.append(Delta(rest))
    if answer.error_code == "access_revoked":
        gone = "You no longer have access to what this answer is made of."
        events.append(Failed.of(Forbidden(gone, code=answer.error_code), answer))
    elif answer.state == "failed":
        error = ModelUnavailable(
            "Writing this answer was interrupted. Ask again.", code=answer.error_code
        )
        events.append(Failed.of(error, answer))
    else:
        events.append(Done(answer))
    return events
