"""`likeopt ingest`: add files and folders, and watch them become searchable."""

import getpass
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from likeopt.cli.output import Exit, is_terminal, note, print_json
from likeopt.cli.settings import Environment
from likeopt.errors import EngineUnavailable

if TYPE_CHECKING:
    from likeopt.retrieval.ingest import FileResult, Outcome
    from likeopt.services import Services
    from likeopt.storage.collections import Collection
    from likeopt.storage.documents import Document
    from likeopt.storage.jobs import Summary
    from likeopt.storage.reader import Reader

POLL_SECONDS = 0.25
# The index of words follows within a second, unless its disk is full or it is being rebuilt.
BEHIND_SECONDS = 30.0
Watch = Callable[["Summary"], None]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--collection", help="Name of the collection; made if there is none of that name.")
@click.option("--tag", "tags", multiple=True, help="Tag for the documents; can be repeated.")
@click.option("--prune", is_flag=True, help="Delete documents whose file is gone from the folder.")
@click.option("--wait", is_flag=True, help="Wait for search by meaning too, if a server indexes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ingest(
    environment: Environment,
    paths: tuple[Path, ...],
    collection: str | None,
    tags: tuple[str, ...],
    prune: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Add the files and folders PATHS to the library.

    Unchanged files are skipped, changed ones replaced, hidden ones left out; what cannot be read
    is reported and stops nothing.

    With a running server this returns when everything is searchable by words. Without one, the
    documents are indexed here, to the end; after Ctrl-C the next start goes on.
    """
    from likeopt.cli import parts
    from likeopt.storage import access

    with parts.services(environment.config()) as services:
        reader = services.db.read(access.local_reader)
        collection_id, reader = _collection(services, reader, collection)
        results: list[FileResult] = []
        audited = services.ingest.noting(partial(_audit_document, services))
        for path in paths:
            adding = audited.folder(
                reader, collection_id, path, tags=list(tags) or None, prune=prune
            )
            for result in adding:
                results.append(result)
                if result.problem is not None:
                    note(f"{result.name}: {result.problem.message}")
        everything = wait or not parts.server_runs(services.config)
        try:
            with parts.worker(services.config) as alive, _progress() as show:
                last = _wait(services, reader, alive, show, everything=everything)
        except KeyboardInterrupt:
            note("Stopped. What was added stays in the queue: `likeopt serve` or `ingest` goes on.")
            raise
        unreadable = _unreadable(services, reader, results) if last.failed else {}
        return _report(results, unreadable, as_json=as_json)


def _collection(services: "Services", reader: "Reader", name: str | None) -> tuple[str, "Reader"]:
    """The id of the collection to add to, and the reader who may see it."""
    from likeopt.storage import access, collections
    from likeopt.storage.reader import DEFAULT_COLLECTION

    if name is None:
        return DEFAULT_COLLECTION, reader
    known = services.db.read(lambda c: collections.list_(c, reader))
    for collection in known:
        if name in (collection.name, collection.id):
            return collection.id, reader

    def make(c: Any) -> "Collection":
        made = collections.create(c, reader, services.clock, name)
        _audit(services, c, "collection.create", made)
        return made

    made = services.db.write(make)
    note(f"Made the collection {made.name!r}.")
    return made.id, services.db.read(access.local_reader)


def _audit_document(services: "Services", c: Any, outcome: "Outcome", document: "Document") -> None:
    from likeopt.retrieval.ingest import ACTIONS

    if action := ACTIONS.get(outcome):
        _audit(services, c, action, document)


def _audit(services: "Services", c: Any, action: str, done_to: "Collection | Document") -> None:
    """Who runs this command could read and write the database itself; only their account on this
    machine is known of them."""
    from likeopt.storage import audit
    from likeopt.storage.reader import LOCAL_USER

    entry = audit.Entry(
        action=action,
        via="cli",
        actor_id=LOCAL_USER,
        actor_name=_login(),
        object_kind=action.partition(".")[0],
        object_id=done_to.id,
        object_name=done_to.name,
    )
    audit.write(c, services.clock, entry)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return str(os.getuid())


def _wait(
    services: "Services",
    reader: "Reader",
    alive: Callable[[], bool],
    show: Watch,
    *,
    everything: bool,
) -> "Summary":
    """Poll until nothing waits to be indexed or, with `everything`, to be embedded."""
    from likeopt.cli import parts
    from likeopt.storage import jobs

    words_follow = parts.words_follow(services)
    behind_since: float | None = None
    while True:
        summary = services.db.read(lambda c: jobs.summary(c, reader))
        show(summary)
        indexing = summary.queued or any(job.kind == "index" for job in summary.running)
        if not indexing and not (everything and summary.embedding):
            if words_follow():
                return summary
            behind_since = behind_since or time.monotonic()
            if time.monotonic() - behind_since > BEHIND_SECONDS:
                note("The index of words is behind; the newest documents are found a little later.")
                return summary
        if not alive():
            raise EngineUnavailable(
                "The indexing process stopped. What was added stays in the queue;"
                f" {services.config.data_dir}/run/worker.log may say why.",
                code="indexer_stopped",
            )
        time.sleep(POLL_SECONDS)


def _unreadable(
    services: "Services", reader: "Reader", results: "list[FileResult]"
) -> dict[str, str]:
    """Document -> reason, of the documents whose content could not be read."""
    from likeopt.storage import documents

    ids = [result.document.id for result in results if result.document is not None]
    now = services.db.read(lambda c: [documents.get(c, reader, id_) for id_ in ids])
    return {one.id: one.error_message for one in now if one.error_message is not None}


def _report(results: "list[FileResult]", unreadable: dict[str, str], *, as_json: bool) -> int:
    files = []
    for result in results:
        id_ = result.document.id if result.document else None
        problem = result.problem.message if result.problem else unreadable.get(id_ or "")
        outcome = "failed" if problem else result.outcome
        if result.problem is None and problem and not as_json:
            note(f"{result.name}: {problem}")
        files.append({"name": result.name, "outcome": outcome, "id": id_, "problem": problem})
    counts = Counter(str(file["outcome"]) for file in files)
    if as_json:
        print_json({"files": files, "counts": counts})
    else:
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        click.echo(said or "There are no files to add.")
    return Exit.FAILED if counts["failed"] else Exit.OK


@contextmanager
def _progress() -> Iterator[Watch]:
    """Draws the state of indexing on a terminal; elsewhere says nothing."""
    if not is_terminal():
        yield lambda _summary: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        words = bars.add_task("Reading", total=None)
        meaning = bars.add_task(
            "Search by meaning (search by words works)", total=None, visible=False
        )
        most = {"documents": 0, "passages": 0}

        def show(summary: "Summary") -> None:
            reading = [job for job in summary.running if job.kind == "index"]
            left = summary.queued + len(reading)
            most["documents"] = max(most["documents"], left)
            most["passages"] = max(most["passages"], summary.pending_embeddings)
            bars.update(
                words,
                total=most["documents"],
                completed=most["documents"] - left,
                description=f"Reading {reading[0].document_name[:40]}" if reading else "Reading",
                visible=left > 0,
            )
            bars.update(
                meaning,
                total=most["passages"],
                completed=most["passages"] - summary.pending_embeddings,
                visible=left == 0 and most["passages"] > 0,
            )

        yield show
