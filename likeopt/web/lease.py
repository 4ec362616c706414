"""Ending what is being sent within 100 ms of its reader losing the right to it.

Whatever changes what several may read (a group, a collection's readers) has every open stream look
whether it may go on: a few at a time, so that requests find connections. Who waits sends nothing.
"""

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from flask import g

from likeopt.chat.events import Done, Failed, Numbered, Sources
from likeopt.errors import Forbidden, LikeOptError, StorageUnavailable, Unauthorized
from likeopt.storage import access, documents, revisions
from likeopt.storage.db import BUSY
from likeopt.storage.watch import Stamp
from likeopt.web import auth
from likeopt.web.context import Identity, identity, services

# Who waits for its turn or for the database sends nothing: a reader whose right is gone sees no
# more however long that takes, and who still has it goes on where they were. So the bound is for
# what is held meanwhile: two at a time, 5,000 looks of 6 ms have had their turn, a database that
# was restarted is back, and the page has not given up, which it does after 40 s of silence.
WAIT_SECONDS = 15.0
# How soon a look that failed is tried again.
AGAIN_SECONDS = 1.0


class Lease:
    """The right to go on with the current request's response. Outlives the request."""

    def __init__(
        self, shown: Iterable[str] = (), *, admin: bool = False, read_at: Stamp | None = None
    ) -> None:
        """`shown` are ids of documents that the response has something of; `admin` says that it is
        for administrators. What is shown was found for a reader who was read after the stamp
        `read_at` (`auth.stamp`) was taken: as long as it stays, the documents need no look."""
        self._admin = admin
        self._auth = auth.of_app()
        self._services = services()
        self._credential: str = g.credential
        self._user_id = identity().user.id
        self._counters = revisions.of_access(self._user_id)
        self._shown = set(shown)
        # Who they were when last looked up, and the stamp of their own counter from before that.
        self._who: Identity | None = None
        self._known_at: Stamp | None = None
        # Of both counters, from before all was last found well.
        self._well_at: Stamp | None = None
        self._read_at = read_at

    def show(self, document_ids: Iterable[str]) -> None:
        """What follows has something of these documents, too."""
        more = set(document_ids) - self._shown
        if more:
            self._shown |= more
            self._well_at = None

    def telling(self, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """While the block runs, call `changed` whenever the right may have been lost."""
        return self._services.watch.telling(changed, *self._counters)

    def lost(self) -> LikeOptError | None:
        """Why the response must end here; None if it may go on.

        Costs nothing while the watch says that nothing has changed. While the database cannot say,
        waits: for `WAIT_SECONDS` from the first look that failed, and while the last one takes.
        """
        clock, until = self._services.clock, None
        while True:
            try:
                return self._looked()
            except StorageUnavailable as error:
                now = clock.monotonic()
                until = now + WAIT_SECONDS if until is None else until
                if now >= until:
                    return error
            time.sleep(AGAIN_SECONDS)

    def _looked(self) -> LikeOptError | None:
        """As `lost`, but raises StorageUnavailable when that cannot be found out now."""
        stamp = self._stamp()
        if stamp is not None and stamp == self._well_at:
            return None
        if stamp is not None and stamp == self._read_at:
            # A new answer's: it does not queue with those that a change has woken.
            return self._found(stamp)
        if not self._auth.looks.acquire(timeout=WAIT_SECONDS):
            raise StorageUnavailable(BUSY)
        try:
            # As late as can be, so that what changed in the meantime needs no further look.
            return self._found(self._stamp())
        finally:
            self._auth.looks.release()

    def _found(self, stamp: Stamp | None) -> LikeOptError | None:
        try:
            who = self._identity()
            if who is None or (self._admin and who.user.role != "admin"):
                return _revoked()
            if stamp is None or stamp != self._read_at:
                self._services.db.read(self._look)
            self._well_at = stamp
        except StorageUnavailable:
            raise
        except Unauthorized:
            return _revoked()
        except LikeOptError as error:
            return error
        return None

    def _identity(self) -> Identity | None:
        """Who they are, kept here too: `Auth` may have no room for a copy of each stream's, and a
        change of what several may read is no reason to look them all up."""
        known_at = self._services.watch.confirmed(revisions.of_person(self._user_id))
        known = known_at is not None and known_at == self._known_at
        if not known or self._who is None or not self._auth.lasts(self._who):
            self._who, self._known_at = self._auth.of(self._credential), known_at
        return self._who

    def _stamp(self) -> Stamp | None:
        # On a busy machine the watch is late: then one looks for all the streams of this process.
        return self._services.watch.confirmed(*self._counters)

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
