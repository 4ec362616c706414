"""What is being sent ends when its reader may no longer read it."""

import io
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from flask import Flask, request

from likeopt.accounts import SignedIn
from likeopt.chat.broadcast import Broadcast, Log
from likeopt.chat.events import Delta, Done, Event, Failed, Numbered, Record, Sources, Start
from likeopt.config import Config
from likeopt.errors import LikeOptError, StorageUnavailable
from likeopt.services import Services
from likeopt.storage import access, collections, documents, groups, people
from likeopt.storage.collections import Readers
from likeopt.storage.db import CONNECTIONS
from likeopt.storage.messages import Citation, Message
from likeopt.web import auth, cookies, originals
from likeopt.web import lease as lease_module
from likeopt.web.lease import Lease, permitted
from likeopt.web.middleware import Exchange
from tests.fakes import FakeClock
from tests.servers import wait_until
from tests.web.conftest import let_in

# Far longer than any test: who waits for it hangs.
PING = 3600.0


@pytest.fixture
def config(config: Config, database_url: str) -> Config:
    return msgspec.structs.replace(config, database_url=database_url, guest=False)


@pytest.fixture
def reader(services: Services) -> SignedIn:
    return let_in(services, "reader@example.org")


@pytest.fixture
def shared(services: Services, reader: SignedIn) -> tuple[str, str]:
    """A collection that the reader is named in, and a document in it."""
    owner = let_in(services, "owner@example.org", role="admin").user.id

    def make(c: Any) -> str:
        made = collections.create(c, access.reader_for(c, owner), services.clock, "Shared")
        asking = access.reader_for(c, owner)
        collections.set_readers(c, asking, made.id, Readers(False, [reader.user.id], []))
        return made.id

    collection = services.db.write(make)
    asking = services.db.read(lambda c: access.reader_for(c, owner))
    return collection, services.ingest.file(asking, collection, "a.md", b"# A").document.id


@pytest.fixture
def lease(app: Flask, services: Services, reader: SignedIn) -> Iterator[Lease]:
    """Of a request of the reader's."""
    signature = cookies.sign(services.secret_key, "session", reader.cookie_id)
    headers = {"Cookie": f"{cookies.NAME}={reader.cookie_id}.{signature}"}
    with app.test_request_context("/", headers=headers):
        request.environ["likeopt.exchange"] = Exchange(request.environ, services.clock)
        auth.admit("member", "read")
        yield Lease()


def sources(document: str, *, available: bool = True) -> Sources:
    return Sources("q", [Citation(1, document, "a.md", 1, 1, None, 0, 3, "# A", available)])


def unshare(services: Services, collection: str) -> None:
    def change(c: Any) -> None:
        owner = access.reader_for(c, collections.get(c, _everybody(c), collection).owner_id)
        collections.set_readers(c, owner, collection, Readers(False, [], []))

    def _everybody(c: Any) -> Any:
        found = access.local_reader(c)
        return msgspec.structs.replace(found, collections=found.collections | {collection})

    services.db.write(change)


class Answer:
    """An answer being written, and its events as the reader gets them."""

    def __init__(self, services: Services, lease: Lease) -> None:
        reader = services.db.read(access.local_reader)
        self.broadcast = Broadcast(reader, Start("c", "q", "m", "T"), services.clock)
        self.log = Log()
        self.broadcast.attach(self.log, lambda: None)
        events = self.broadcast.events(ping=PING, telling=lease.telling)
        self.events = said(permitted(events, lease))

    def publish(self, record: Record) -> None:
        self.log.add(record)
        self.broadcast.news(record)


def begin(services: Services, lease: Lease) -> tuple[Answer, Iterator[Event]]:
    made = Answer(services, lease)
    return made, made.events


def showing(
    services: Services, lease: Lease, document: str, *, available: bool = True
) -> tuple[Answer, Iterator[Event]]:
    """An answer whose reader has been told that it is made of this document."""
    made, events = begin(services, lease)
    made.publish(sources(document, available=available))
    assert [type(next(events)) for _ in range(2)] == [Start, Sources]
    return made, events


def said(events: Iterator[Numbered | None]) -> Iterator[Event]:
    return (one.event for one in events if one is not None)


def test_quiet_stream_ends_when_its_source_is_taken_away(
    services: Services, lease: Lease, shared: tuple[str, str]
) -> None:
    collection, document = shared
    _, events = showing(services, lease, document)
    unshare(services, collection)
    # Nothing is published: only the change itself can end the stream.
    last = next(events)
    assert isinstance(last, Failed)
    assert (last.code, last.status) == ("access_revoked", 403)
    assert list(events) == []


def test_sources_that_were_taken_away_while_searching_are_not_shown(
    services: Services, lease: Lease, shared: tuple[str, str]
) -> None:
    collection, document = shared
    broadcast, events = begin(services, lease)
    assert isinstance(next(events), Start)
    unshare(services, collection)
    broadcast.publish(sources(document))
    assert isinstance(next(events), Failed)


def test_stream_ends_with_its_session(
    services: Services, lease: Lease, reader: SignedIn, shared: tuple[str, str]
) -> None:
    _, events = begin(services, lease)
    assert isinstance(next(events), Start)
    services.sessions.revoke(reader.user.id, reader.session.id)
    last = next(events)
    assert isinstance(last, Failed)
    assert last.code == "access_revoked"


def test_stream_ends_with_its_account(services: Services, lease: Lease, reader: SignedIn) -> None:
    _, events = begin(services, lease)
    assert isinstance(next(events), Start)
    services.db.write(lambda c: people.update(c, reader.user.id, disabled=True))
    assert isinstance(next(events), Failed)


def noticed(services: Services) -> None:
    """Have all that was changed until now be seen by the watch."""
    with services.watch._looking:
        services.watch._look()


def test_somebody_elses_sign_out_costs_a_stream_nothing(
    services: Services, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = let_in(services, "other@example.org")
    noticed(services)
    assert lease.lost() is None
    looked: list[str] = []
    monkeypatch.setattr(lease._auth, "of", looked.append)
    woken: list[str] = []
    with lease.telling(lambda: woken.append("")):
        services.sessions.revoke(other.user.id, other.session.id)
        noticed(services)
        assert lease.lost() is None
    assert looked == woken == []


def test_streams_look_a_few_at_a_time_and_leave_requests_their_connections(
    services: Services, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = [Lease() for _ in range(3 * CONNECTIONS)]
    noticed(services)
    assert [one.lost() for one in leases] == [None] * len(leases)
    confirmed, done = services.watch.confirmed, threading.Event()
    asked: list[int] = []
    inside: list[int] = []
    most: list[int] = []
    ends: list[LikeOptError | None] = []

    def asking(*names: str) -> Any:
        asked.append(1)
        return confirmed(*names)

    def slow(*_: object) -> bool:
        inside.append(1)
        most.append(len(inside))
        assert done.wait(30)
        inside.pop()
        return False

    monkeypatch.setattr(services.watch, "confirmed", asking)
    monkeypatch.setattr(documents, "any_unreadable", slow)
    # Who they are does not depend on groups: nobody is looked up.
    monkeypatch.setattr(lease._auth, "of", lambda _: None)
    services.db.write(lambda c: groups.create(c, services.clock, "Lab"))
    streams = [threading.Thread(target=lambda one=one: ends.append(one.lost())) for one in leases]
    for stream in streams:
        stream.start()
    wait_until(lambda: len(asked) >= len(leases) and len(inside) >= auth.MOST_LOOKS, "the looks")
    for _ in range(20):
        assert services.db.read(lambda c: people.get(c, lease._user_id)).role == "member"
    done.set()
    for stream in streams:
        stream.join()
    assert ends == [None] * len(leases)
    assert max(most) == auth.MOST_LOOKS


class Away:
    """Looks fail a number of times, each of which takes a second."""

    def __init__(self, services: Services, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.looks = 0
        self._any_unreadable = documents.any_unreadable
        self._clock = FakeClock()
        held = SimpleNamespace(watch=services.watch, db=services.db, clock=self._clock)
        monkeypatch.setattr(lease, "_services", held)
        monkeypatch.setattr(documents, "any_unreadable", self.any_unreadable)
        monkeypatch.setattr(lease_module, "AGAIN_SECONDS", 0)

    def any_unreadable(self, *asked: Any) -> bool:
        self.looks += 1
        if self.left:
            self.left -= 1
            self._clock.advance(1)
            raise StorageUnavailable("The database does not answer.")
        return self._any_unreadable(*asked)


@pytest.fixture
def away(services: Services, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> Away:
    return Away(services, lease, monkeypatch)


def test_stream_goes_on_once_the_database_answers(
    services: Services, lease: Lease, shared: tuple[str, str], away: Away
) -> None:
    _, document = shared
    broadcast, events = showing(services, lease, document)
    away.left = 10
    services.db.write(lambda c: groups.create(c, services.clock, "Lab"))
    broadcast.publish(Delta("more"))
    assert next(events) == Delta("more")
    assert away.left == 0


def test_who_lost_access_while_the_database_was_away_is_shown_nothing_more(
    services: Services, lease: Lease, shared: tuple[str, str], away: Away
) -> None:
    collection, document = shared
    broadcast, events = showing(services, lease, document)
    unshare(services, collection)
    away.left = 10
    broadcast.publish(Delta("more"))
    last = next(events)
    assert isinstance(last, Failed)
    assert last.code == "access_revoked"
    assert list(events) == []


def test_stream_ends_when_the_database_stays_away(
    services: Services, lease: Lease, shared: tuple[str, str], away: Away
) -> None:
    _, document = shared
    broadcast, events = showing(services, lease, document)
    away.left, away.looks = 10_000, 0
    services.db.write(lambda c: groups.create(c, services.clock, "Lab"))
    broadcast.publish(Delta("more"))
    last = next(events)
    assert isinstance(last, Failed)
    assert last.code == "storage_unavailable"
    assert away.looks == lease_module.WAIT_SECONDS + 1
    assert list(events) == []


def test_other_changes_end_nothing(
    services: Services, lease: Lease, shared: tuple[str, str]
) -> None:
    _, document = shared
    broadcast, events = showing(services, lease, document)
    let_in(services, "new@example.org")
    broadcast.publish(Delta("more"))
    assert next(events) == Delta("more")


def test_what_was_out_of_reach_before_ends_nothing(
    services: Services, lease: Lease, shared: tuple[str, str]
) -> None:
    collection, document = shared
    unshare(services, collection)
    showing(services, lease, document, available=False)


def test_download_breaks_off(services: Services, lease: Lease, shared: tuple[str, str]) -> None:
    collection, document = shared
    lease.show([document])
    size = 3 * originals.BLOCK_BYTES
    response = originals.send(
        io.BytesIO(bytes(size)),
        lambda work: work(),
        lease,
        size=size,
        etag="e",
        name="a.bin",
        media_type="application/octet-stream",
        download=True,
    )
    blocks = response.iter_encoded()
    assert len(next(blocks)) == originals.BLOCK_BYTES
    unshare(services, collection)
    wait_until(lambda: lease.lost() is not None, "the change to be seen")
    with pytest.raises(ConnectionResetError):
        next(blocks)


def test_the_last_event_alone_is_looked_at_too(
    services: Services, lease: Lease, shared: tuple[str, str]
) -> None:
    """Whoever resumes after the event that names the sources has it in the whole answer."""
    collection, document = shared
    cited = sources(document).citations
    answer = Message("a" * 32, "c" * 32, "assistant", "15 days [1].", "complete", 1, 1)
    done = Numbered(9, Done(msgspec.structs.replace(answer, citations=cited)))
    told = [one.event for one in permitted(iter([done]), lease) if one]
    assert told == [done.event]
    unshare(services, collection)
    (event,) = [one.event for one in permitted(iter([done]), lease) if one]
    assert isinstance(event, Failed)
    uncited = Numbered(9, Done(answer))
    told = [one.event for one in permitted(iter([uncited]), lease, lambda: [document]) if one]
    assert isinstance(told[0], Failed)
