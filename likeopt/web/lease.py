"""Ending what is being sent within 100 ms of its reader losing the right to it."""

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import g

from likeopt.chat.events import Done, Failed, Numbered, Sources
from likeopt.errors import Forbidden, LikeOptError, Unauthorized
from likeopt.storage import access, documents
from likeopt.storage.watch import Stamp
from likeopt.web import auth
from likeopt.web.context import identity, services


class Lease:
    """The right to go on with the current request's response. Outlives the request."""

    def __init__(
        self, shown: Iterable[str] = (), *, admin: bool = False, read_at: Stamp | None = None
    ) -> None:
        """`shown` are ids of documents that the response has something of; `admin` says that it is
        for administrators. What is shown was found for a reader who was read after the stamp
        `read_at` of `access` was taken: as long as it stays, the documents need no look."""
        self._admin = admin
        self._auth = auth.of_app()
        self._services = services()
        self._credential: str = g.credential
        self._user_id = identity().user.id
        self._shown = set(shown)
        # Of the counter `access`, from before all was last found well.
        self._well_at: Stamp | None = None
        self._read_at = read_at

    def show(self, document_ids: Iterable[str]) -> None:
        """What follows has something of these documents, too."""
        more = set(document_ids) - self._shown
        if more:
            self._shown |= more
            self._well_at = None

    def lost(self) -> LikeOptError | None:
        """Why the response must end here; None if it may go on.

        Costs nothing while the watch says that nothing has changed.
        """
        # On a busy machine the watch is late: then one looks for all the streams of this process.
        stamp = self._services.watch.confirmed("access")
        if stamp is not None and stamp == self._well_at:
            return None
        try:
            who = self._auth.of(self._credential)
            if who is None or (self._admin and who.user.role != "admin"):
                return _revoked()
            if stamp is None or stamp != self._read_at:
                self._services.db.read(self._look)
            self._well_at = stamp
        except Unauthorized:
            return _revoked()
        except LikeOptError as error:
            return error
        return None

    def check(self) -> None:
        """Break the response off if it may not go on.

        That closes the connection: an end in good order would pass for the body's own.
        """
        if self.lost() is not None:
            raise ConnectionResetError(errno.ECONNRESET, "access to this was revoked")

    def _look(self, c: Any) -> None:
        reader = access.reader_for(c, self._user_id)
        if documents.any_unreadable(c, reader, self._shown):
            raise _revoked()


def permitted(
    events: Iterator[Numbered | None], lease: Lease, shown: Callable[[], Iterable[str]] = tuple
) -> Iterator[Numbered | None]:
    """The events of an answer, until its reader may no longer read what it is made of.

    `shown` are the documents that an answer has something of by now: the event that names them may
    be one that the client has seen before, or skips."""
    number = 0
    for one in events:
        event = one.event if one is not None else None
        if isinstance(event, Sources):
            lease.show(cited.document_id for cited in event.citations if cited.available)
        elif isinstance(event, (Done, Failed)) and event.message is not None:
            lease.show(shown())
            cited_last = event.message.citations
            lease.show(cited.document_id for cited in cited_last if cited.available)
        lost = lease.lost()
        if lost is not None:
            yield Numbered(number + 1, Failed.of(lost))
            return
        if one is not None:
            number = one.sequence
        yield one


def _revoked() -> Forbidden:
    return Forbidden("You no longer have access to what was shown here.", code="access_revoked")
