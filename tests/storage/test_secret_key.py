"""The key that signs cookies."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeopt.errors import ConfigError
from likeopt.storage import secret_key


def test_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as many:
        keys = set(many.map(lambda _: secret_key.read_or_make(tmp_path), range(8)))
    (key,) = keys
    assert len(key) == 64
    assert secret_key.read_or_make(tmp_path) == key
    (only,) = tmp_path.iterdir()
    assert only == secret_key.path_in(tmp_path)
    assert only.stat().st_mode & 0o777 == 0o600


def test_every_folder_has_its_own(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        keys.add(secret_key.read_or_make(tmp_path / name))
    assert len(keys) == 2


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_key_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes) -> None:
    secret_key.path_in(tmp_path).write_bytes(content)
    with pytest.raises(ConfigError, match=r"secret\.key"):
        secret_key.read_or_make(tmp_path)
