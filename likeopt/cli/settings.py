"""`likeopt config`: the settings in force."""

import os
from pathlib import Path
from typing import Any

import click
from dotenv import dotenv_values

from likeopt.cli.output import print_json
from likeopt.config import PREFIX, Config, is_secret, load, settings
from likeopt.config.masking import MASK
from likeopt.config.shown import Source, public, sources


class Environment:
    """Where a command's settings come from: `.env` in the current folder, the process's
    variables, which win (what is set by hand for one run must count), then flags."""

    def __init__(self, data_dir: Path | None = None) -> None:
        dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        self.variables = dotenv | dict(os.environ)
        self._dotenv = dotenv.keys() - os.environ.keys()
        self._data_dir = data_dir

    def config(self, **flags: Any) -> Config:
        """The settings in force. Raises ConfigError."""
        return load(self.variables, data_dir=self._data_dir, **flags)

    def sources(self, **flags: Any) -> dict[str, Source]:
        """What set each of them that is set, by name."""
        flags |= {"data_dir": self._data_dir}
        given = [name for name, value in flags.items() if value is not None]
        return sources(self.variables, dotenv=self._dotenv, options=given)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--changed", is_flag=True, help="Only what differs from the default.")
@click.pass_obj
def config(environment: Environment, as_json: bool, changed: bool) -> None:
    """Print the settings in force, with secrets masked."""
    in_force = environment.config()
    values: dict[str, object] = {}
    for name, default, meta in settings():
        value: Any = getattr(in_force, name)
        if changed and value == default:
            continue
        shown: object = MASK if is_secret(meta) and value else public(value)
        values[PREFIX + name.upper()] = shown
    if as_json:
        print_json(values)
        return
    for variable, shown in values.items():
        click.echo(f"{variable}={str(shown).lower() if isinstance(shown, bool) else shown}")
