"""What happens while an answer is written, in the order in which a reader sees it.

`start`, then any number of `queue`, then `sources`, then `delta` until `done` or `error`. The tag
is the SSE event's name and the body its data. The text of all deltas together is the answer as
`done` carries it, but for Unicode normalisation (NFC) and white space around it.

A reader that comes back to another process than it left may get a second `start`, which begins
anew; `sources` then come with the first text that was saved, or at the end.
"""

from typing import Literal

import msgspec

from likeopt.errors import LikeOptError
from likeopt.retrieval.types import Degraded
from likeopt.storage.messages import Citation, Message


class Start(msgspec.Struct, frozen=True, tag="start", tag_field="event"):
    """The question is stored and an answer begins."""

    conversation_id: str
    question_id: str
    message_id: str
    title: str


class Queue(msgspec.Struct, frozen=True, tag="queue", tag_field="event"):
    """The model is busy; `position` 1 is next."""

    position: int


class Sources(msgspec.Struct, frozen=True, tag="sources", tag_field="event"):
    """What was searched for, and the passages that the answer will be made of.

    The citations' `quote` is the best of each passage, so a page can show them at once. `pending`
    passages cannot be found by meaning yet, and `degraded` names parts of search that did not
    work; an answer that is read again does not have them.
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


class Numbered(msgspec.Struct, frozen=True):
    """An event with its place in the stream, from 1: what `Last-Event-ID` names."""

    sequence: int
    event: Event


EventName = Literal["start", "queue", "sources", "delta", "done", "error"]


def name_of(event: Event) -> EventName:
    """The SSE event name."""
    return event.__struct_config__.tag  # type: ignore[return-value]
