"""Versions of what cached values were made from, as every process of a machine sees them."""

from collections.abc import Collection, Iterator

import msgspec
import pytest
from sqlalchemy import Connection

from likeopt.cache.serialize import MISSING
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import revisions
from likeopt.storage.board import Board, board_file
from likeopt.storage.db import Database
from likeopt.storage.tag_versions import TagVersions
from likeopt.storage.watch import Watch
from tests.servers import wait_until


class Process:
    """What each process has of its own."""

    def __init__(self, config: Config) -> None:
        board = Board(board_file(config.data_dir))
        self.db = Database(config.database, spread=board.mark)
        self.watch = Watch(self.db, Clock(), board)
        self.tags = TagVersions(self.db, self.watch)

    def close(self) -> None:
        self.watch.close()
        self.db.close()


@pytest.fixture
def processes(database_config: Config) -> Iterator[tuple[Process, Process]]:
    both = Process(database_config), Process(database_config)
    yield both
    for process in both:
        process.close()


def test_versions_are_the_same_in_every_process(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    names = ["library", "conversations:me"]
    raised = one.db.read(lambda c: revisions.values(c, names))
    assert raised["conversations:me"] == 0
    for process in processes:
        assert process.tags.versions(names) == raised
    for _ in range(3):
        one.tags.raise_("conversations:me")
        raised["conversations:me"] += 1
        # At once, on this machine.
        for process in processes:
            assert process.tags.versions(names) == raised


def test_what_has_not_changed_is_not_asked_for_again(
    processes: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = processes
    wait_until(lambda: one.watch.stamp("library") is not None, "the watch")
    first = one.tags.versions(["library"])
    asked: list[object] = []
    values = revisions.values

    def ask(c: Connection, names: Collection[str]) -> dict[str, int]:
        asked.append(names)
        return values(c, names)

    monkeypatch.setattr(revisions, "values", ask)

    def unasked() -> bool:
        # A watch that a busy machine kept from looking asks, and says the same.
        asked.clear()
        assert one.tags.versions(["library"]) == first
        return not asked

    wait_until(unasked, "a version that is remembered")


def test_without_the_database_nothing_is_sure(config: Config) -> None:
    config.data_dir.joinpath("likeopt.db").mkdir()
    process = Process(config)
    assert process.tags.versions(["library"]) is None
    process.close()


def test_services_keep_what_depends_on_the_database(database_config: Config) -> None:
    one, other = Services(database_config), Services(database_config)
    cache = one.cache
    assert cache.layers == ("memory", "disk")
    key = cache.key("answers", "q")
    assert cache.get_or_compute(key, lambda: "first", ttl=600, tags=["library"]) == "first"
    assert other.cache.key("answers", "q") == key
    assert other.cache.get(key) == "first"
    # A write, in its own transaction, by whichever process.
    other.db.write(lambda c: revisions.raise_(c, "library"))
    assert cache.get(key) is MISSING
    assert other.cache.get(key) is MISSING
    assert cache.get_or_compute(key, lambda: "second", ttl=600, tags=["library"]) == "second"
    assert other.cache.get(key) == "second"
    one.close()
    other.close()
    # It outlives the processes.
    again = Services(database_config)
    assert again.cache.get(key) == "second"
    hits = {(row.use, row.layer): row.hits for row in again.cache.stats.totals()}
    assert hits["answers", "disk"] >= 2
    again.close()


def test_a_cache_without_layers_makes_everything_anew(database_config: Config) -> None:

    services = Services(msgspec.structs.replace(database_config, cache=""))
    key, made = services.cache.key("answers", "q"), list[int]()
    for _ in range(2):
        assert services.cache.get_or_compute(key, lambda: made.append(1), ttl=60) is None
    assert len(made) == 2
    services.close()
