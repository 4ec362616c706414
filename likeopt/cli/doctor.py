"""`likeopt doctor`: what works, what does not, and what to do about it."""

from itertools import chain

import click
import msgspec

from likeopt.cli.output import Exit, print_json
from likeopt.cli.settings import Environment
from likeopt.config.masking import masked

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(environment: Environment, as_json: bool) -> int:
    """Check this machine, the settings and every part.

    Exit code 1 means that something is broken; what to do stands below it.
    """
    from likeopt.cli import cache_checks
    from likeopt.cli.checks import examine

    found = []
    config = environment.config()
    made = chain(examine(config, environment.variables), cache_checks.layers(config))
    checks = (
        msgspec.structs.replace(one, detail=masked(one.detail), advice=masked(one.advice))
        for one in made
    )
    for check in checks:
        found.append(check)
        if not as_json:
            status = click.style(f"{check.status:4}", fg=COLOURS[check.status])
            click.echo(f"{status}  {check.name:12} {check.detail}")
            if check.advice:
                click.echo(f"      {'':12} -> {check.advice}")
    broken = any(check.status == "fail" for check in found)
    if as_json:
        print_json({"ok": not broken, "checks": found})
    return Exit.FAILED if broken else Exit.OK
