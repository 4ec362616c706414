"""What narrows `search` and `ask`: documents, tags, types, times."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from likeopt.clock import milliseconds
from likeopt.errors import NotFound

if TYPE_CHECKING:
    from likeopt.retrieval.types import Filters
    from likeopt.storage.reader import Reader

F = TypeVar("F", bound=Callable[..., Any])

_TIME = "such as 2026-01-31 or 2026-01-31T09:00:00Z."


def _time(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else milliseconds(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time, {_TIME}") from None


def options(command: F) -> F:
    """Add the options whose values `build` takes."""
    for option in (
        click.option("--before", callback=_time, help="Only documents updated before this time."),
        click.option(
            "--after", callback=_time, help=f"Only documents updated at this time or later, {_TIME}"
        ),
        click.option(
            "--type", "types", multiple=True, help="Only this media type, such as application/pdf."
        ),
        click.option("--tag", "tags", multiple=True, help="Only documents with this tag."),
        click.option(
            "--document", "documents", multiple=True, help="Only the document of this name or id."
        ),
    ):
        command = option(command)
    return command


def build(
    c: Any,
    reader: "Reader",
    *,
    documents: tuple[str, ...],
    tags: tuple[str, ...],
    types: tuple[str, ...],
    after: int | None,
    before: int | None,
) -> "Filters":
    """The options' values as search takes them. NotFound for a document that is not there."""
    from likeopt.retrieval.types import Filters

    return Filters(
        documents=[id_ for named in documents for id_ in _named(c, reader, named)],
        tags=list(tags),
        media_types=list(types),
        updated_after=after,
        updated_before=before,
    )


def _named(c: Any, reader: "Reader", named: str) -> list[str]:
    """Ids of the documents of this name, or the one with this id."""
    from likeopt.storage.documents import Wanted, get, list_

    found = list_(c, reader, Wanted(query=named), limit=200)
    if ids := [document.id for document in found.items if document.name == named]:
        return ids
    try:
        return [get(c, reader, named).id]
    except NotFound:
        raise NotFound(f"There is no document {named[:200]!r}.") from None
