"""`likeopt model`: language models that run on this machine."""

import click

from likeopt.cli.output import is_terminal, note, print_json
from likeopt.cli.settings import Environment

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def model() -> None:
    """List and fetch language models for this machine."""


@model.command("list")
@json_option
@click.pass_obj
def list_(environment: Environment, as_json: bool) -> None:
    """List the models that `likeopt model get` can fetch."""
    from likeopt.llm.models import CATALOGUE

    folder = environment.config().data_dir / "models"
    rows = [
        {
            "name": name,
            "title": entry.title,
            "licence": entry.licence,
            "bytes": entry.size,
            "fetched": (folder / entry.file).exists(),
        }
        for name, entry in CATALOGUE.items()
    ]
    if as_json:
        print_json(rows)
        return
    for row, entry in zip(rows, CATALOGUE.values(), strict=True):
        state = "fetched" if row["fetched"] else f"{entry.size / 1e6:.0f} MB to fetch"
        click.echo(f"{row['name']:12} {entry.title} ({entry.licence}): {state}")


@model.command()
@click.argument("name", default="local")
@json_option
@click.pass_obj
def get(environment: Environment, name: str, as_json: bool) -> None:
    """Fetch the model NAME, check its SHA-256, and say how to use it.

    An interrupted download goes on where it stopped.
    """
    from likeopt.llm.models import find
    from likeopt.llm.models import get as fetch

    folder = environment.config().data_dir / "models"
    title = find(name).title
    if not is_terminal():
        path = fetch(name, folder)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title)
            path = fetch(
                name, folder, lambda done, all_: bar.update(task, completed=done, total=all_)
            )
    if as_json:
        print_json({"name": name, "path": str(path)})
        return
    click.echo(path)
    setting = name if name.startswith("local") else f"gguf:{path}"
    note(f"Answer with it: LIKEOPT_LLM={setting} likeopt serve")
