"""Indexes that are replaced whole."""

import errno
from pathlib import Path

import pytest

from likeopt.errors import IndexDamaged, StorageFull, StorageUnavailable
from likeopt.retrieval.generations import Generations


def published(root: Path, text: str) -> Path:
    generations = Generations(root)
    with generations.create("it") as folder:
        (folder / "content").write_text(text)
        generations.publish(folder)
    return folder


def test_nothing_at_first(tmp_path: Path) -> None:
    assert Generations(tmp_path / "none").current() is None
    assert Generations(tmp_path / "none").damage() is None


def test_the_published_one_is_in_force_and_the_old_one_goes(tmp_path: Path) -> None:
    old = published(tmp_path, "old")
    reading = (old / "content").open()
    new = published(tmp_path, "new")
    current = Generations(tmp_path).current()
    assert current == new
    assert (new / "content").read_text() == "new"
    assert not old.exists()
    with reading:
        assert reading.read() == "old"  # whoever reads the old one can go on


def test_an_unfinished_one_is_never_in_force_and_is_removed(tmp_path: Path) -> None:
    kept = published(tmp_path, "kept")
    with Generations(tmp_path).create("it") as unfinished:
        assert Generations(tmp_path).current() == kept
    with pytest.raises(ZeroDivisionError), Generations(tmp_path).create("it"):
        raise ZeroDivisionError
    (tmp_path / "killed").mkdir()
    with Generations(tmp_path).create("it") as again:
        assert again != unfinished
        assert {path for path in tmp_path.iterdir() if path.is_dir()} == {kept, again}
    assert Generations(tmp_path).current() == kept


def test_what_goes_wrong_on_the_disk_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageFull, match="disk is full: the index"),
        Generations(tmp_path).create("the index"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(StorageUnavailable, match="Cannot write the index"),
        Generations(tmp_path).create("the index"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_damaged_pointer_is_reported(tmp_path: Path) -> None:
    published(tmp_path, "x")
    (tmp_path / "CURRENT").write_bytes(b"\xff../..")
    with pytest.raises(IndexDamaged):
        Generations(tmp_path).current()
    assert published(tmp_path, "y") == Generations(tmp_path).current()


def test_a_readers_note_is_about_the_generation_that_it_read(tmp_path: Path) -> None:
    folder = published(tmp_path, "x")
    generations = Generations(tmp_path)
    generations.report_damage(folder, "file cut short")
    assert generations.damage() == "file cut short"
    published(tmp_path, "y")
    assert generations.damage() is None
    generations.report_damage(folder, "too late")
    assert generations.damage() is None
