"""`likeopt eval`: how well search finds the right passages, on data sets in the BEIR layout."""

import hashlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from likeopt.cli.output import is_terminal, note, print_json
from likeopt.cli.settings import Environment
from likeopt.retrieval import evaluate
from likeopt.retrieval.types import Mode

if TYPE_CHECKING:
    from likeopt.config import Config
    from likeopt.retrieval.types import Hit
    from likeopt.services import Services
    from likeopt.storage.documents import NewDocument
    from likeopt.storage.indexing import Reading, Target

# Documents added and published in one transaction each.
_GROUP = 200


class Row(msgspec.Struct, frozen=True):
    """One line of the table; `p50_ms` and `p95_ms` are what a client of the engine waits."""

    data: str
    passages: int
    mode: Mode
    scores: evaluate.Scores
    p50_ms: float
    p95_ms: float


class Answered(msgspec.Struct, frozen=True):
    """What `LEAST_SCORE` of the extractive answerer decides: the shares (0 to 1) of questions that
    it answers if it were `threshold`, with the judged passages found, and with those left out."""

    data: str
    questions: int
    threshold: float
    with_passage: float
    without: float


@click.command("eval")
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False)
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(get_args(Mode)),
    help="Only this way of searching; may be repeated.  [default: all three]",
)
@click.option(
    "--passages",
    default=5000,
    show_default=True,
    type=click.IntRange(0),
    help="Passages of each set, judged ones first; 0 takes all. Embedding takes about 0.06 s each.",
)
@click.option(
    "--queries", default=300, show_default=True, type=click.IntRange(1), help="Questions a set."
)
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    type=click.FloatRange(0, 1),
    help="Tell also how many questions get an answer without a model if its best sentence must"
    " score this (now 0.47), with the right passages and without them; may be repeated.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to keep the libraries in, so that the next run need not embed again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def evaluate_command(  # noqa: PLR0913  (the options of one command)
    environment: Environment,
    folders: tuple[Path, ...],
    *,
    modes: tuple[Mode, ...],
    passages: int,
    queries: int,
    thresholds: tuple[float, ...],
    keep: Path | None,
    as_json: bool,
) -> None:
    """Measure search on the data sets in FOLDERS (corpus.jsonl, queries.jsonl, qrels.tsv).

    Prints nDCG@10, recall@10, MRR@10 and the share of questions with a right passage first and
    among ten, with the time of a search.
    """
    rows: list[Row] = []
    answers: list[Answered] = []
    for folder in folders:
        data = evaluate.load(folder)
        part = evaluate.sample(data, passages=passages or len(data.corpus), queries=queries)
        ways = list(modes or get_args(Mode))
        found, answered = measure(environment.config(), part, ways, keep, thresholds)
        rows += found
        answers += answered
        if not as_json:
            _print(found, header=folder == folders[0])
    if as_json:
        print_json({"search": rows, "answers": answers} if thresholds else rows)
    elif answers:
        _print_answers(answers)


def measure(
    config: "Config",
    data: evaluate.DataSet,
    modes: list[Mode],
    keep: Path | None,
    thresholds: tuple[float, ...] = (),
) -> tuple[list[Row], list[Answered]]:
    """Index a set in a library of its own and ask it everything, in each of the modes; and what
    would be answered at each of the thresholds."""
    from likeopt.cli import parts

    with tempfile.TemporaryDirectory(prefix="likeopt-eval-") as temporary:
        folder = (keep or Path(temporary)) / f"{data.name}-{len(data.corpus)}"
        own = msgspec.structs.replace(
            config, data_dir=folder, database_url="", sample_library=False
        )
        with parts.services(own) as services:
            library = fill(services, data)
            with parts.engine(services):
                with parts.worker(own):
                    _wait(services, data.name, words_only=modes == ["lexical"])
                rows = [_ask_all(services, library, data, mode) for mode in modes]
                return rows, _answer_all(services, library, data, modes, thresholds)


def fill(services: "Services", data: evaluate.DataSet) -> dict[str, list[str]]:
    """Publish the passages through the path that files take, one document for all that share
    what is before `#` in their ids; returns the passage ids of each document in order."""
    pages: dict[str, list[evaluate.Passage]] = {}
    for passage in data.corpus:
        pages.setdefault(passage.id.partition("#")[0], []).append(passage)
    keys = list(pages)
    library: dict[str, list[str]] = {}
    for start in range(0, len(keys), _GROUP):
        library |= _publish(services, {key: pages[key] for key in keys[start : start + _GROUP]})
    return library


def _publish(
    services: "Services", pages: dict[str, list[evaluate.Passage]]
) -> dict[str, list[str]]:
    from likeopt.storage import access, documents, indexing, jobs

    db, clock, owner = services.db, services.clock, "eval:0"
    reader = db.read(access.local_reader)
    news = [_document(key, passages) for key, passages in pages.items()]
    added = db.write(lambda c: documents.add_all(c, reader, clock, news))
    by_id = {one.document.id: passages for one, passages in zip(added, pages.values(), strict=True)}

    def publish_some() -> int:
        claimed = db.write(lambda c: jobs.claim(c, clock, owner, 60_000, "index", _GROUP))
        targets = db.read(lambda c: indexing.targets(c, claimed))
        readings = [_reading(target, by_id[target.document_id]) for target in targets]
        return db.write(lambda c: indexing.publish(c, clock, owner, readings))

    while publish_some():
        pass
    return {id_: [passage.id for passage in passages] for id_, passages in by_id.items()}


def _document(key: str, passages: list[evaluate.Passage]) -> "NewDocument":
    from likeopt.storage.documents import NewDocument
    from likeopt.storage.files import StoredFile
    from likeopt.storage.reader import DEFAULT_COLLECTION

    text = "\n".join(f"{p.title}\0{p.text}" for p in passages).encode("utf-8", "replace")
    file = StoredFile(hashlib.sha256(text).hexdigest(), len(text))
    name = key.replace("/", " ")[:200]
    return NewDocument(DEFAULT_COLLECTION, name, "url", f"eval:{key}", "text/plain", file)


def _reading(target: "Target", passages: list[evaluate.Passage]) -> "Reading":
    from likeopt.storage.indexing import Reading

    chunks, start = [], 0
    for ordinal, passage in enumerate(passages):
        text = passage.text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
        chunks.append(
            {
                "ordinal": ordinal,
                "text": text,
                "start": start,
                "end": start + len(text),
                "context": passage.title,
                "page": None,
            }
        )
        start += len(text)
    return Reading(target, None, None, [], chunks)


def _wait(services: "Services", name: str, *, words_only: bool) -> None:
    """Until every passage can be found by words and, unless `words_only`, by meaning."""
    from likeopt.cli import parts
    from likeopt.storage import access, jobs

    reader = services.db.read(access.local_reader)
    words_follow = parts.words_follow(services)
    shown = -1
    while True:
        pending = services.db.read(lambda c: jobs.summary(c, reader)).pending_embeddings
        if words_follow() and (words_only or not pending):
            return
        if is_terminal() and pending != shown:
            shown = pending
            note(f"{name}: {pending:,} passages left to embed")
        time.sleep(0.5)


def _ask_all(
    services: "Services", library: dict[str, list[str]], data: evaluate.DataSet, mode: Mode
) -> Row:
    from likeopt.retrieval.search import search
    from likeopt.storage import access

    reader = services.db.read(access.local_reader)
    runs: dict[str, list[str]] = {}
    times: list[float] = []
    for query, text in data.queries.items():
        start = time.perf_counter()
        found = search(
            services.engine, services.reranker, reader, text[:2000], mode=mode, deadline_ms=60_000
        )
        times.append((time.perf_counter() - start) * 1000)
        for part in found.degraded:
            note(f"{data.name}: without {part.part}: {part.reason}")
        runs[query] = [library[hit.document_id][hit.ordinal] for hit in found.hits]
    times.sort()
    return Row(
        data.name,
        len(data.corpus),
        mode,
        evaluate.score(runs, data.qrels),
        round(times[len(times) // 2], 2),
        round(times[int(len(times) * 0.95)], 2),
    )


def _answer_all(
    services: "Services",
    library: dict[str, list[str]],
    data: evaluate.DataSet,
    modes: list[Mode],
    thresholds: tuple[float, ...],
) -> list[Answered]:
    """As chat searches: by both, unless there are only words."""
    from likeopt.chat.writer import HITS, SENTENCES
    from likeopt.retrieval.search import MAX_HITS, search
    from likeopt.storage import access

    reader = services.db.read(access.local_reader)
    mode: Mode = "lexical" if modes == ["lexical"] else "hybrid"
    bests: list[tuple[float, float]] = []
    for query, text in data.queries.items() if thresholds else ():
        right = data.qrels[query]
        hits = search(
            services.engine,
            services.reranker,
            reader,
            text[:2000],
            mode=mode,
            k=min(MAX_HITS, HITS + len(right)),
            sentences=SENTENCES,
            deadline_ms=60_000,
        ).hits
        others = [hit for hit in hits if library[hit.document_id][hit.ordinal] not in right]
        bests.append((_best(hits[:HITS]), _best(others[:HITS])))
    sides = list(zip(*bests, strict=True)) or [(0.0,), (0.0,)]
    return [
        Answered(
            data.name,
            len(bests),
            least,
            *(sum(b >= least for b in side) / len(side) for side in sides),
        )
        for least in thresholds
    ]


def _best(hits: "list[Hit]") -> float:
    """The score of the best sentence that an answer may be made of."""
    from likeopt.chat.sources import select

    found = [one.score for source in select(hits) for one in source.candidates()]
    return max(found, default=0.0)


def _print_answers(answers: list[Answered]) -> None:
    click.echo(f"\n{'set':<14}{'questions':>10}{'threshold':>11}{'answered':>10}{'without':>9}")
    for one in answers:
        click.echo(
            f"{one.data:<14}{one.questions:>10,}{one.threshold:>11.2f}{one.with_passage:>10.3f}"
            f"{one.without:>9.3f}"
        )


def _print(rows: list[Row], *, header: bool) -> None:
    if header:
        click.echo(
            f"{'set':<14}{'passages':>9}{'questions':>10}  {'mode':<9}{'nDCG@10':>8}"
            f"{'recall@10':>10}{'MRR@10':>8}{'hit@1':>7}{'hit@10':>8}{'p50 ms':>8}{'p95 ms':>8}"
        )
    for row in rows:
        s = row.scores
        click.echo(
            f"{row.data:<14}{row.passages:>9,}{s.queries:>10,}  {row.mode:<9}{s.ndcg_10:>8.3f}"
            f"{s.recall_10:>10.3f}{s.mrr_10:>8.3f}{s.hit_1:>7.3f}{s.hit_10:>8.3f}"
            f"{row.p50_ms:>8.1f}{row.p95_ms:>8.1f}"
        )
