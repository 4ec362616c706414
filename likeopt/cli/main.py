"""The `likeopt` command.

Command modules import only what describes them; what a command needs to run is imported when it
runs, so that `likeopt --help` answers in a fifth of a second.
"""

import os
import sys
from pathlib import Path

import click

import likeopt
from likeopt.cli.ask import ask
from likeopt.cli.doctor import doctor
from likeopt.cli.eval import evaluate_command
from likeopt.cli.ingest import ingest
from likeopt.cli.model import model
from likeopt.cli.output import Exit, exit_code, print_error
from likeopt.cli.search import search
from likeopt.cli.settings import Environment, config
from likeopt.errors import LikeOptError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from LIKEOPT_... variables and from .env in the current folder.",
)
@click.version_option(likeopt.__version__, prog_name="likeopt")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the database, originals and indexes  [default: data]",
)
@click.pass_context
def cli(context: click.Context, data_dir: Path | None) -> None:
    """Ask your own documents, in Korean or English; every claim cites its passage."""
    context.obj = Environment(data_dir)


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 picks one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Web worker processes.")
@click.pass_obj
def serve(environment: Environment, host: str | None, port: int | None, workers: int | None) -> int:
    """Start everything, print the address, stop on Ctrl-C."""
    from likeopt.cli import serve as supervisor

    flags = {"host": host, "port": port, "workers": workers}
    return supervisor.serve(environment.config(**flags), environment.sources(**flags))


for command in (ingest, ask, search, doctor, evaluate_command, model, config):
    cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (see `likeopt.cli.output.Exit`)."""
    if argv is None:
        # A process of its own: what it and its children write is its user's alone.
        os.umask(0o077)
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    try:
        # Not `cli.main`, which has its own idea of what a closed pipe means.
        with cli.make_context("likeopt", list(arguments)) as context:
            code = cli.invoke(context) or Exit.OK
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except LikeOptError as error:
        code = exit_code(error)
        print_error(
            error.message, code=error.instance_code, as_json=as_json, retryable=error.retryable
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = Exit.OK
    except click.ClickException as error:
        hint = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        tail = f" Try `{hint} --help`." if hint and not as_json else ""
        print_error(error.format_message() + tail, code="usage", as_json=as_json)
        code = Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        print_error("Interrupted.", code="interrupted", as_json=as_json)
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); it must not be flushed again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.OK
    return int(code)
