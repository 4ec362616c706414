"""`likeopt ask`: an answer with its sources, in the terminal."""

from typing import TYPE_CHECKING, Any

import click

from likeopt.cli import filters
from likeopt.cli.output import Exit, note, print_error, print_json
from likeopt.cli.settings import Environment

if TYPE_CHECKING:
    from likeopt.chat.broadcast import Broadcast
    from likeopt.chat.events import Final
    from likeopt.storage.messages import Message


@click.command()
@click.argument("question")
@click.option("--conversation", help="Id of the conversation to go on with.")
@filters.options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ask(
    environment: Environment,
    /,
    question: str,
    conversation: str | None,
    as_json: bool,
    **narrowing: Any,
) -> int:
    """Answer QUESTION from the documents, citing them.

    Question and answer are kept in the history, as on the page. Exit code 3 means that the
    documents do not hold the answer.
    """
    from likeopt.chat import events
    from likeopt.cli import parts
    from likeopt.storage import access

    with (
        parts.services(environment.config()) as services,
        parts.engine(services),
        parts.model(services.config),
    ):
        reader = services.db.read(access.local_reader)
        wanted = services.db.read(lambda c: filters.build(c, reader, **narrowing))
        answer = services.chat.ask(reader, question, conversation, filters=wanted, whole=as_json)
        try:
            last = _show(answer, quiet=as_json)
        except KeyboardInterrupt:
            # What was written so far is kept, as when somebody stops on the page.
            answer.leave()
            _show(answer, quiet=True)
            raise
    if isinstance(last, events.Done):
        return _finish(last.message, as_json=as_json)
    print_error(last.detail, code=last.code, as_json=as_json, retryable=last.retryable)
    return Exit.UNAVAILABLE if last.retryable else Exit.FAILED


def _show(answer: "Broadcast", *, quiet: bool) -> "Final":
    """Print the text as it is written; returns the last event."""
    from likeopt.chat import events

    for numbered in answer.events():
        match numbered and numbered.event:
            case events.Queue(position=position) if position and not quiet:
                note(f"The model is busy; waiting at position {position}.")
            case events.Delta(text=text) if not quiet:
                click.echo(text, nl=False)
            case events.Done() | events.Failed() as last:
                return last
    raise AssertionError("an answer's events end with done or error")


def _finish(message: "Message", *, as_json: bool) -> int:
    from likeopt import shapes

    if as_json:
        print_json(shapes.Message.of(message))
    else:
        click.echo("\n")
        if message.kind == "not_found" and message.citations:
            click.echo(click.style("Nearest passages:", dim=True))
        for citation in message.citations:
            page = f", page {citation.page}" if citation.page else ""
            click.echo(click.style(f"[{citation.number}] {citation.document_name}{page}", dim=True))
    return Exit.NOTHING_FOUND if message.kind == "not_found" else Exit.OK
