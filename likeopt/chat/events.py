"""What happens while an answer is written, in the order in which a reader sees it.

`start`, then any number of `queue`, then `sources`, then `delta` until `done` or `error`. The tag
is the SSE event's name and the body its data. The text of all deltas together is the answer as
`done` carries it, but for Unicode normalisation (NFC) and white space around it.

A second `start` begins anew: the process that wrote the answer died, and another writes it.

What one generation tells all its readers are the records of its log, and each has the same number
for every one of them, in whichever process: `start` is 1, and the first record 2.
"""

from typing import Literal

import msgspec

from likeopt.errors import LikeOptError
from likeopt.retrieval.types import Degraded
from likeopt.storage.messages import Citation, Message, Outcome


class Start(msgspec.Struct, frozen=True, tag="start", tag_field="event"):
    """The question is stored and an answer begins."""

    conversation_id: str
    question_id: str
    message_id: str
    title: str


class Queue(msgspec.Struct, frozen=True, tag="queue", tag_field="event"):
    """The model is busy; `position` 1 is next. 0: it works for this one from now on."""

    position: int


class Sources(msgspec.Struct, frozen=True, tag="sources", tag_field="event"):
    """What was searched for, and the passages that the answer will be made of.

    The citations' `quote` is the best of each passage, so a page can show them at once. `pending`
    passages cannot be found by meaning yet, and `degraded` names parts of search that did not
    work; an answer that is read again does not have them.

    Who joins a generation gets those of its leader's search, a moment earlier. That is right, since
    their own search has found the same passages (see `key`): if it missed nothing, neither did
    the answer; and both may read the same collections, so the number tells them nothing new.
    """

    query: str
    citations: list[Citation]
    pending: int = 0
    degraded: list[Degraded] = []


class Delta(msgspec.Struct, frozen=True, tag="delta", tag_field="event"):
    """More text of the answer."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """The answer as it is stored, with the citations that it really uses."""

    message: Message


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """The answer failed; fields as in `likeopt.errors`. `message` is what is stored of it, with
    the text that was written before."""

    code: str
    status: int
    detail: str
    retryable: bool
    retry_after: float | None = None
    message: Message | None = None

    @classmethod
    def of(cls, error: LikeOptError, message: Message | None = None) -> "Failed":
        """The event for an error of ours."""
        return cls(
            error.instance_code,
            error.status,
            error.message,
            error.retryable,
            error.retry_after,
            message,
        )


Event = Start | Queue | Sources | Delta | Done | Failed
Final = Done | Failed


class Restart(msgspec.Struct, frozen=True, tag="restart", tag_field="event"):
    """What was told so far does not count; each reader gets its `start` again."""


class End(msgspec.Struct, frozen=True, tag="end", tag_field="event"):
    """What became of a generation, and why if it failed. `whole` takes the place of `outcome` for
    readers who have seen nothing of the text yet."""

    outcome: Outcome
    failed: Failed | None = None
    whole: Outcome | None = None

    def seen(self, *, whole: bool) -> "End":
        """The end for one reader, who wants the `whole` or has seen the text."""
        return End(self.whole) if whole and self.whole else self


Told = Queue | Sources | Delta | Restart
Record = Told | End


class Numbered(msgspec.Struct):
    """An event with its place in the stream, from 1: what `Last-Event-ID` names.

    `frame` is what the web layer has made of it, once for all who read it in this process.
    """

    sequence: int
    event: Event
    frame: bytes | None = None


EventName = Literal["start", "queue", "sources", "delta", "done", "error"]


def name_of(event: Event) -> EventName:
    """The SSE event name."""
    return event.__struct_config__.tag  # type: ignore[return-value]
