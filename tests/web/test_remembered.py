"""What is remembered of answers is never older than what anybody has changed."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, answers, collections, conversations, jobs, messages, people
from likeopt.storage.board import board_file
from likeopt.storage.db import Database
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.storage.watch import Watch
from likeopt.web import auth
from likeopt.web.app import create_app
from likeopt.web.context import Identity
from tests import guest
from tests.servers import wait_until
from tests.web.api.test_conversations import hold
from tests.web.conftest import STRANGER, Client, as_stranger, file_part

CONVERSATIONS = "/api/v1/conversations"
DOCUMENTS = "/api/v1/documents"
COLLECTIONS = "/api/v1/collections"
INDEXING = "/api/v1/indexing"


@pytest.fixture
def config(config: Config, database_url: str) -> Config:
    return msgspec.structs.replace(config, database_url=database_url)


@pytest.fixture(autouse=True)
def watching(services: Services) -> None:
    wait_until(lambda: services.watch.stamp("library") is not None, "the watch")


@pytest.fixture
def reader(services: Services) -> Reader:
    return services.db.read(access.local_reader)


@pytest.fixture
def reads(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each reading of the database by a view, not by the watch."""
    seen: list[str] = []
    read = services.db.read

    def counted(work: Callable[[Any], Any]) -> Any:
        if "watch.py" not in work.__code__.co_filename:
            seen.append(work.__code__.co_filename)
        return read(work)

    monkeypatch.setattr(services.db, "read", counted)
    return seen


def test_a_number_of_any_size_is_refused_and_no_error(client: Client) -> None:
    for limit in (10**30, -(10**30), 2**64, 0):
        assert client.get(f"{CONVERSATIONS}?limit={limit}").status_code == 400


def test_asked_twice_read_once(client: Client, services: Services, reads: list[str]) -> None:
    reader = services.db.read(access.local_reader)
    hold(services, reader, "Where is the office?", "In Seoul [1].")
    first = client.get(CONVERSATIONS)

    def is_remembered() -> bool:
        reads.clear()
        again = client.get(CONVERSATIONS)
        assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])
        return not reads

    # The watch notices the change once more, in the database, up to 50 ms later.
    wait_until(is_remembered, "the list to be remembered")
    assert first.json["items"][0]["title"] == "Where is the office?"


def test_names_in_the_list_of_jobs_are_those_of_now(
    client: Client, services: Services, reads: list[str]
) -> None:
    stranger = as_stranger(services)
    own = services.db.write(lambda c: collections.create(c, stranger, services.clock, "Plans"))
    owner = as_stranger(services)
    services.ingest.file(owner, own.id, "plan.md", b"# Plan")

    def shown() -> tuple[str, str]:
        (job,) = client.get("/api/v1/jobs", query_string={"state": "queued"}).json["items"]
        return job["owner"], job["collection"]

    def is_remembered() -> bool:
        reads.clear()
        return shown() == ("S", "Plans") and not reads

    wait_until(is_remembered, "the list to be remembered")
    services.db.write(lambda c: people.update(c, STRANGER, name="Sam"))
    assert shown() == ("Sam", "Plans")
    services.db.write(lambda c: collections.rename(c, owner, own.id, "Ideas"))
    assert shown() == ("Sam", "Ideas")


def test_as_many_people_are_remembered_as_are_connected(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    person = services.db.read(lambda c: people.get(c, LOCAL_USER))

    def find(_: auth.Auth, credential: str) -> Identity:
        looked_up.append(credential)
        return Identity(person, "session")

    monkeypatch.setattr(auth.Auth, "_find", find)
    # Nothing changes while they come.
    monkeypatch.setattr(Watch, "stamp", lambda *_: ("as it was",))
    remembered = auth.Auth(services)
    # The first look-up says whose it is, and so what the copy of the second depends on.
    for _ in range(4):
        for number in range(10_000):
            remembered.of(f"person {number}")
    assert len(looked_up) == 20_000
    # And not without a bound.
    for number in range(20_000):
        remembered.of(f"visitor {number}")
    assert len(remembered._copies) == auth.MOST_COPIES


def test_who_has_it_gets_no_body(client: Client, services: Services, reader: Reader) -> None:
    held = hold(services, reader, "Where?", "Here [1].")
    for path in (CONVERSATIONS, f"{CONVERSATIONS}/{held}", DOCUMENTS, COLLECTIONS):
        etag = client.get(path).headers["ETag"]
        assert not etag.startswith("W/")
        again = client.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == "no-store"
        assert again.headers["Vary"].startswith("Cookie, Authorization")
        assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


def test_while_the_watch_is_not_sure_nothing_is_remembered(
    client: Client, services: Services, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(services, reader, "Where?", "Here [1].")
    client.get(CONVERSATIONS)
    monkeypatch.setattr(Watch, "stamp", lambda *_: None)
    # As another machine would, whose change has not been noticed yet.
    services.db._spread = lambda _: 0.0
    hold(services, reader, "And when?", "Now [1].")
    assert len(client.get(CONVERSATIONS).json["items"]) == 2


def test_what_grows_by_itself_is_not_remembered(
    client: Client, services: Services, reader: Reader
) -> None:
    def begin(c: Any) -> messages.Message:
        _, asked = conversations.add_question(c, reader, services.clock, None, "Where?")
        return messages.start_answer(c, services.clock, asked)

    begun = services.db.write(begin)
    path = f"{CONVERSATIONS}/{begun.conversation_id}"
    assert client.get(path).json["messages"][1]["content"] == ""
    services.db.write(lambda c: answers.keep_alive(c, services.clock, [begun.id], "In Se"))
    assert client.get(path).json["messages"][1]["content"] == "In Se"


def test_change_by_another_process_is_seen(
    client: Client, config: Config, services: Services, reader: Reader
) -> None:
    held = hold(services, reader, "Where?", "Here [1].")
    assert client.get(CONVERSATIONS).json["items"][0]["title"] == "Where?"
    # Of another machine: it does not share the board.
    elsewhere = Database(config.database)
    elsewhere.write(lambda c: conversations.rename(c, reader, held, "Offices"))
    wait_until(
        lambda: client.get(CONVERSATIONS).json["items"][0]["title"] == "Offices", "the new title"
    )
    # Of this machine: at once.
    near = Services(config)
    near.db.write(lambda c: conversations.rename(c, reader, held, "Places"))
    assert client.get(CONVERSATIONS).json["items"][0]["title"] == "Places"
    near.close()
    elsewhere.close()


def test_a_worker_that_cannot_open_the_board_changes_and_shows_what_is_so(
    client: Client, config: Config, services: Services
) -> None:
    path = board_file(config.data_dir)
    path.unlink()
    path.mkdir()
    near = Services(config)
    apart: Client = guest.client(create_app(config, near))
    for number in range(3):
        # Both have the list in memory, if they may.
        for one in (client, client, apart, apart):
            names = [each["name"] for each in one.get(COLLECTIONS).json["items"]]
            assert len([name for name in names if name.startswith("New ")]) == number
        made = (apart, client, apart)[number].post(COLLECTIONS, json={"name": f"New {number}"})
        assert made.status_code == 201, made.text
    near.close()


def test_everybody_has_their_own(services: Services, client: Client, reader: Reader) -> None:
    hold(services, reader, "Where?", "Here [1].")
    hold(services, as_stranger(services), "Secret?", "Yes [1].")
    assert [one["title"] for one in client.get(CONVERSATIONS).json["items"]] == ["Where?"]


def changes(client: Client, services: Services, reader: Reader) -> Iterator[str]:
    """Changes a library and its conversations in every way; gives the name of each."""

    def index(step: str) -> None:
        def work(c: Any) -> None:
            (job,) = jobs.claim(c, services.clock, "worker", 60_000, "index")
            jobs.progress(c, services.clock, job.id, step, 1, 2)

        services.db.write(work)

    form = {"file": file_part("a.md", b"# A")}
    document = client.post(DOCUMENTS, data=form).json["items"][0]["document"]["id"]
    yield "added"
    index("parse")
    yield "being read"
    services.db.write(lambda c: jobs.put_back(c, services.clock, "worker"))
    yield "put back"
    client.post(f"{DOCUMENTS}/{document}/cancel")
    yield "cancelled"
    client.patch(f"{DOCUMENTS}/{document}", json={"name": "b.md", "tags": ["x"]})
    yield "renamed and tagged"
    made = client.post(COLLECTIONS, json={"name": "New"}).json["id"]
    yield "collection made"
    client.patch(f"{COLLECTIONS}/{made}", json={"name": "Newer"})
    yield "collection renamed"
    client.put(f"{COLLECTIONS}/{made}/readers", json={"everyone": True, "users": [], "groups": []})
    yield "collection shared"
    client.post(DOCUMENTS, data={"file": file_part("c.md", b"# C"), "collection": made})
    yield "added to the collection"
    client.delete(f"{DOCUMENTS}/{document}")
    yield "deleted"
    client.delete(f"{COLLECTIONS}/{made}")
    yield "collection deleted"
    held = hold(services, reader, "Where?", "Here [1].")
    yield "asked and answered"
    client.patch(f"{CONVERSATIONS}/{held}", json={"title": "Places"})
    yield "conversation renamed"
    client.delete(f"{CONVERSATIONS}/{held}")
    yield "conversation deleted"


def test_nothing_remembered_is_ever_stale(
    client: Client, services: Services, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = (
        CONVERSATIONS,
        f"{CONVERSATIONS}?q=where",
        DOCUMENTS,
        f"{DOCUMENTS}?tag=x",
        f"{DOCUMENTS}?state=failed",
        COLLECTIONS,
        INDEXING,
    )
    for path in paths:
        client.get(path)
    differed = set()
    for change in changes(client, services, reader):
        for path in paths:
            before = client.get(path).data
            with monkeypatch.context() as unsure:
                unsure.setattr(Watch, "stamp", lambda *_: None)
                assert client.get(path).data == before, (change, path)
            differed.add((path, before))
    # The changes did change what is shown.
    assert all(sum(one == path for one, _ in differed) > 1 for path in paths[:4])
