"""The map of versions: what is visible when, and to whom."""

import numpy as np

from likeopt.engine.catalogue import Catalogue
from likeopt.retrieval.types import Filters
from likeopt.storage.engine_queries import VersionRow


def row(version: int, published: int, retired: int | None = None, **more: object) -> VersionRow:
    fields: dict[str, object] = {
        "document_id": f"document{version}",
        "collection_id": "default",
        "media_type": "text/plain",
        "updated_at": 0,
        "deleted": 0,
        "chunk_count": 10,
        "embedded_count": 4,
    }
    return VersionRow(
        version_id=version,
        published_revision=published,
        retired_revision=retired,
        **(fields | more),  # type: ignore[arg-type]
    )


def visible(catalogue: Catalogue, applied: int, *collections: str) -> list[int]:
    readable = catalogue.readable(applied, collections or ("default",), Filters(), lambda _: [])
    return np.flatnonzero(readable.scope.allowed).tolist()


def test_nothing_is_visible_at_first() -> None:
    catalogue = Catalogue()
    readable = catalogue.readable(10, ["default"], Filters(), lambda _: [])
    assert (readable.scope.passages, readable.scope.total, readable.pending) == (0, 0, 0)
    assert catalogue.passages(10) == (0, 0)


def test_of_two_versions_exactly_one_is_visible_in_every_snapshot() -> None:
    catalogue = Catalogue()
    catalogue.apply([[row(1, 5, 8), row(2, 8)]], 8)
    seen = {applied: visible(catalogue, applied) for applied in range(4, 11)}
    assert seen == {4: [], 5: [1], 6: [1], 7: [1], 8: [2], 9: [2], 10: [2]}


def test_a_deleted_document_is_visible_in_none() -> None:
    catalogue = Catalogue()
    catalogue.apply([[row(1, 5)]], 5)
    catalogue.apply([[row(1, 5, 6, deleted=1)]], 6)
    assert [visible(catalogue, applied) for applied in (5, 6, 7)] == [[], [], []]


def test_numbers_are_of_what_the_reader_may_see() -> None:
    catalogue = Catalogue()
    catalogue.apply([[row(1, 1), row(700, 1, collection_id="other", chunk_count=90)]], 1)
    readable = catalogue.readable(1, ["default"], Filters(), lambda _: [])
    assert (readable.scope.passages, readable.scope.total, readable.pending) == (10, 100, 6)
    assert abs(readable.scope.share - 0.1) < 1e-9
    catalogue.embedded([(1, 10), (5000, 3)])
    assert catalogue.readable(1, ["default"], Filters(), lambda _: []).pending == 0


def test_a_scope_is_remembered_until_something_changes() -> None:
    catalogue = Catalogue()
    asked: list[list[str]] = []

    def tagged(tags: list[str]) -> list[str]:
        asked.append(tags)
        return ["document1"]

    catalogue.apply([[row(1, 1), row(2, 1)]], 1)
    for _ in range(3):
        readable = catalogue.readable(1, ["default"], Filters(tags=["hr"]), tagged)
        assert np.flatnonzero(readable.scope.allowed).tolist() == [1]
    assert asked == [["hr"]]
    catalogue.apply([[row(3, 2)]], 2)
    catalogue.readable(2, ["default"], Filters(tags=["hr"]), tagged)
    assert len(asked) == 2
    for number in range(100):
        catalogue.readable(2, [f"collection{number}"], Filters(), tagged)
    assert len(catalogue._masks) <= 16
