"""What people are shown of the settings: where each comes from, and nothing that is secret."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from likeopt.config import PREFIX, settings
from likeopt.config.masking import masked

# What set it: nothing, a variable of the process, `.env`, the file of a secret (`NAME_FILE`), or an
# option of the command.
Source = Literal["default", "environment", "dotenv", "file", "option"]

# Not a setting: `likeopt serve` gives its parts what is in force, whatever set it, and with this
# what it was.
_SOURCES = "_LIKEOPT_SOURCES"


def sources(
    environ: Mapping[str, str], *, dotenv: Collection[str] = (), options: Collection[str] = ()
) -> dict[str, Source]:
    """What set each setting that is set, by its name.

    `dotenv` are the variables in `environ` that come from `.env`; `options` the settings that the
    command was told.
    """
    if _SOURCES in environ:
        return msgspec.json.decode(environ[_SOURCES], type=dict[str, Source])
    found: dict[str, Source] = {}
    for name, _, _ in settings():
        variable = PREFIX + name.upper()
        if name in options:
            found[name] = "option"
        elif variable in environ:
            found[name] = "dotenv" if variable in dotenv else "environment"
        elif f"{variable}_FILE" in environ:
            found[name] = "file"
    return found


def told(found: Mapping[str, Source]) -> dict[str, str]:
    """The variable that tells a part of the server what `sources` found."""
    return {_SOURCES: msgspec.json.encode(found).decode()}


def public(value: str | int | Path) -> str | int:
    """A setting's value without what may be secret in an address."""
    return value if isinstance(value, int) else masked(str(value))
