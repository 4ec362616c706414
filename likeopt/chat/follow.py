"""An answer whose text this process does not have: finished long ago, or not begun.

One that is finished is told from the database. One that is not yet part of a generation, or whose
generation nobody knows any more, is waited for there.
"""

import threading
from collections.abc import Callable, Iterator

from likeopt.chat.broadcast import PING_SECONDS, Telling
from likeopt.chat.events import Delta, Done, Event, Failed, Final, Numbered, Sources, Start
from likeopt.clock import Clock
from likeopt.errors import Forbidden, ModelUnavailable, NotFound
from likeopt.storage import conversations, messages
from likeopt.storage.conversations import Conversation
from likeopt.storage.db import Database
from likeopt.storage.messages import Message
from likeopt.storage.reader import Reader

# How often the database is asked what is new in it.
POLL_SECONDS = 0.25

# The events of an answer after a number, once its text can be had in this process.
Begun = Callable[[int], Iterator[Numbered | None] | None]


def follow(
    db: Database,
    clock: Clock,
    reader: Reader,
    message: Message,
    after: int,
    telling: Telling,
    begun: Begun,
) -> Iterator[Numbered | None]:
    """The events of an answer that this process does not write, after number `after`; `telling` as
    for `Broadcast.events`. `begun` is asked from time to time, and goes on."""
    id_ = message.id
    heard = changed = clock.monotonic()
    woken = threading.Event()
    try:
        conversation, _ = db.read(lambda c: conversations.question_of(c, reader, id_))
        if message.state == "streaming" and after == 0:
            after = 1
            yield Numbered(1, start_of(conversation, message))
        with telling(woken.set):
            while message.state == "streaming":
                if events := begun(after):
                    yield from events
                    return
                if clock.monotonic() - changed > messages.STALE_SECONDS:
                    unsaved = {id_: message.updated_at}
                    db.write(lambda c: messages.give_up(c, clock, unsaved))  # noqa: B023
                elif woken.wait(POLL_SECONDS) or clock.monotonic() - heard >= PING_SECONDS:
                    woken.clear()
                    heard = clock.monotonic()
                    yield None
                before = message.updated_at
                message = db.read(lambda c: messages.get(c, reader, id_))
                changed = clock.monotonic() if message.updated_at != before else changed
    except NotFound as error:
        yield Numbered(after + 1, Failed.of(error))
        return
    told = _replay(conversation, message)
    # Who has begun it elsewhere gets the whole in the last event.
    rest = told if after == 0 else told[1:] if after == 1 else told[-1:]
    for place, event in enumerate(rest, after + 1):
        yield Numbered(place, event)


def final_of(answer: Message) -> Final:
    """The last event of a stored answer."""
    if answer.error_code == "access_revoked":
        gone = "You no longer have access to what this answer is made of."
        return Failed.of(Forbidden(gone, code=answer.error_code), answer)
    if answer.state == "failed":
        error = ModelUnavailable(
            "Writing this answer was interrupted. Ask again.", code=answer.error_code
        )
        return Failed.of(error, answer)
    return Done(answer)


def start_of(conversation: Conversation, answer: Message) -> Start:
    """The first event of a stored answer."""
    return Start(conversation.id, answer.parent_id or "", answer.id, conversation.title)


def _replay(conversation: Conversation, answer: Message) -> list[Event]:
    """The events of a finished answer."""
    events: list[Event] = [start_of(conversation, answer)]
    events.append(Sources(answer.query or "", answer.citations))
    if answer.content:
        events.append(Delta(answer.content))
    events.append(final_of(answer))
    return events
