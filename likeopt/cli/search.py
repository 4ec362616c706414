"""`likeopt search`: the passages that answer a query."""

from typing import TYPE_CHECKING, Any, get_args

import click

from likeopt.cli import filters
from likeopt.cli.output import Exit, note, print_json
from likeopt.cli.settings import Environment
from likeopt.retrieval.types import Mode

if TYPE_CHECKING:
    from likeopt.retrieval.types import Hit, SearchResponse

# Characters of a passage that are shown, around its first match.
SHOWN = 320


@click.command()
@click.argument("query")
@click.option("-k", "--k", default=5, type=click.IntRange(1, 100), help="Passages to show.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="hybrid",
    help="By words (lexical), by meaning (vector) or both.",
    show_default=True,
)
@filters.options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def search(
    environment: Environment, /, query: str, k: int, mode: Mode, as_json: bool, **narrowing: Any
) -> int:
    """Find passages for QUERY, best first.

    Exit code 3 means that there are none.
    """
    from likeopt.cli import parts
    from likeopt.retrieval.search import search as find
    from likeopt.shapes import Found
    from likeopt.storage import access

    with parts.services(environment.config()) as services, parts.engine(services):
        reader = services.db.read(access.local_reader)
        wanted = services.db.read(lambda c: filters.build(c, reader, **narrowing))
        found = find(
            services.engine,
            services.reranker,
            reader,
            query,
            k=k,
            mode=mode,
            filters=wanted,
            deadline_ms=services.config.search_deadline_ms,
        )
    if as_json:
        print_json(Found.of(found))
    else:
        _show(found)
    return Exit.OK if found.hits else Exit.NOTHING_FOUND


def _show(found: "SearchResponse") -> None:
    for number, hit in enumerate(found.hits, 1):
        page = f", page {hit.page}" if hit.page else ""
        name = click.style(hit.document_name, bold=True)
        click.echo(f"{number}. {name}{page}\n{_excerpt(hit)}\n")
    for part in found.degraded:
        note(f"Searched without {part.part}: {part.reason}")
    if found.pending:
        note(f"{found.pending:,} passages are not searchable by meaning yet.")
    if not found.hits:
        note("Nothing was found.")


def _excerpt(hit: "Hit") -> str:
    """The part of the passage around its first match, with the matches in colour."""
    start = max(0, hit.highlights[0][0] - SHOWN // 4) if hit.highlights else 0
    end = min(len(hit.text), start + SHOWN)
    pieces, at = [], start
    for first, last in hit.highlights:
        if first < at or last > end:
            continue
        pieces += [hit.text[at:first], click.style(hit.text[first:last], fg="green", bold=True)]
        at = last
    text = "".join([*pieces, hit.text[at:end]])
    shown = ("…" if start else "") + text + ("…" if end < len(hit.text) else "")
    return "\n".join(f"   {line}" for line in shown.splitlines() if line.strip())
