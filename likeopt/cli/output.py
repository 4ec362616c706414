"""How commands speak: results on stdout, progress and errors on stderr, one exit code a kind.

With `--json` stdout holds exactly one JSON value, also when the command fails.
"""

import sys
from enum import IntEnum
from typing import Any

import click
import msgspec

from likeopt.errors import (
    BadInput,
    ConfigError,
    LikeOptError,
    NotFound,
    TooLarge,
    UnsupportedType,
)


class Exit(IntEnum):
    """Exit codes; the docstring of each is what `docs/commands.md` says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOTHING_FOUND = 3
    UNAVAILABLE = 4
    NOT_THERE = 5
    INTERRUPTED = 130


EXIT_HELP = {
    Exit.OK: "Done.",
    Exit.FAILED: "It failed, or `doctor` found something wrong, or a file could not be indexed.",
    Exit.USAGE: "The command line or a setting is wrong.",
    Exit.NOTHING_FOUND: "Nothing was found: no passage, or no answer in the documents.",
    Exit.UNAVAILABLE: "A part does not answer at the moment; trying again can help.",
    Exit.NOT_THERE: "What was named does not exist: no such conversation or document.",
    Exit.INTERRUPTED: "Interrupted with Ctrl-C; nothing is half-done.",
}


def exit_code(error: LikeOptError) -> Exit:
    """The exit code that tells a script what to do about `error`."""
    if isinstance(error, (BadInput, ConfigError, TooLarge, UnsupportedType)):
        return Exit.USAGE
    if isinstance(error, NotFound):
        return Exit.NOT_THERE
    return Exit.UNAVAILABLE if error.retryable else Exit.FAILED


def print_json(value: Any) -> None:
    """Write `value` (structs included) to stdout as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(text)


def print_error(message: str, *, code: str, as_json: bool, retryable: bool = False) -> None:
    """One line on stderr, or with --json an object on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": message, "retryable": retryable}})
    else:
        click.echo(f"likeopt: {message}", err=True)


def note(message: str) -> None:
    """Something a person may want to know, on stderr so that pipes stay clean."""
    click.echo(message, err=True)


def is_terminal() -> bool:
    """Whether a person watches stderr, so that progress may be drawn there."""
    return sys.stderr.isatty()
