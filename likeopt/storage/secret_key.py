"""The key that signs cookies, made once and kept in the data folder for its owner only."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from likeopt.config import Config
from likeopt.errors import ConfigError

# Like an API key, so that programs send it as one.
GUEST_PREFIX = "lo_guest_"


def of(config: Config) -> bytes:
    """The key that the settings give, or that of their data folder."""
    return (config.secret_key or read_or_make(config.data_dir)).encode()


def guest_token(key: bytes) -> str:
    """What the link of a server without sign-in carries: the same at each start, so that a browser
    that has opened it once stays in, and no second secret to keep."""
    return GUEST_PREFIX + hmac.digest(key, b"guest", hashlib.sha256).hex()


def path_in(data_dir: Path) -> Path:
    """Where the key is kept unless the settings give one."""
    return data_dir / "secret.key"


def read_or_make(data_dir: Path) -> str:
    """The key of this data folder. Of several processes that make one at once, one does."""
    path = path_in(data_dir)
    try:
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The secret key {path} cannot be used: {error}") from None
    if len(key) < 32:
        raise ConfigError(f"The secret key {path} is too short; delete it and start again")
    return key


def _make(path: Path) -> None:
    """Written beside its place and linked there: nobody ever reads half a key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
