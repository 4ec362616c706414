"""The settings: their table, how they are read, and what must not be together.

Nothing is read at import.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from likeopt.config.checks import SECRET_KEY_CHARS, check, check_spaces, is_loopback
from likeopt.config.masking import masked
from likeopt.config.table import SECTIONS, Config
from likeopt.errors import ConfigError

PREFIX = "LIKEOPT_"


def settings() -> list[tuple[str, Any, Meta]]:
    """(name, default, metadata) of every setting in table order."""
    hints = get_type_hints(Config, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Config):
        meta = next(m for m in get_args(hints[field.name]) if isinstance(m, Meta))
        rows.append((field.name, field.default, meta))
    return rows


def sections() -> dict[str, str]:
    """Setting -> the section of the table that it stands in."""
    begins = {first: section for section, first in SECTIONS.items()}
    found: dict[str, str] = {}
    section = ""
    for name, _, _ in settings():
        section = begins.get(name, section)
        found[name] = section
    return found


def is_secret(meta: Meta) -> bool:
    """Whether a setting's value must not be shown; such a setting also has a `..._FILE` form."""
    return bool((meta.extra or {}).get("secret"))


def load(environ: Mapping[str, str], **overrides: Any) -> Config:
    """Build the settings from environment variables, then `overrides` (command-line flags).

    Raises ConfigError for an unknown `LIKEOPT_` name, a value out of bounds, or a secret's file
    that cannot be read.
    """
    known = {PREFIX + name.upper(): (name, meta) for name, _, meta in settings()}
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable in known:
            values[known[variable][0]] = value
            continue
        base = variable.removesuffix("_FILE")
        if base in known and is_secret(known[base][1]):
            values[known[base][0]] = _read_secret(variable, value)
            continue
        close = difflib.get_close_matches(variable, known, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"{variable} is not a setting of Like-Opt.{meant}")
    values |= {name: value for name, value in overrides.items() if value is not None}
    check_spaces(values)
    try:
        config = msgspec.convert(values, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(masked(f"Setting refused: {error}")) from None
    check(config)
    return config


def _decode(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, (str, Path)) and str(value):
        return Path(value)
    raise NotImplementedError(kind)


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable} names a file that cannot be read: {error}") from None


__all__ = [
    "PREFIX",
    "SECRET_KEY_CHARS",
    "Config",
    "is_loopback",
    "is_secret",
    "load",
    "sections",
    "settings",
]
