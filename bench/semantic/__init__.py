"""How often a semantic cache would give a wrong answer, and how often it would help.

Decisions of `likeopt.chat.semantic` with the built-in embedder on the pairs beside this file. Its
SOURCE.md says what was made while looking at which of them. Rows, in order: near misses served
(false hits) and paraphrases served (hits) with 95 % intervals (Clopper-Pearson); those that no
guard has seen, and all of them, by kind; what embeddings alone would do at the threshold that
keeps false hits under 1 % on `tune`; any two questions of different pairs; real questions of the
data sets at hand, where those that would share an answer are listed to be judged by eye; and, for
the pairs about Like-Opt, how often both questions find the same passages in its own documentation,
which a hit needs as well.
"""

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench import common
from likeopt.chat import semantic
from likeopt.chat.reading.types import Reading
from likeopt.chat.sources import select
from likeopt.chat.text import language_of
from likeopt.chat.writer import HITS, SENTENCES
from likeopt.cli import parts
from likeopt.config import Config
from likeopt.errors import BadInput
from likeopt.retrieval.embed import Embedder, open_embedder
from likeopt.retrieval.search import search
from likeopt.storage import access, jobs
from likeopt.storage.reader import Reader

PAIRS = Path(__file__).with_name("pairs.jsonl")
# Written by who had not read the guards, which have not been changed since.
UNSEEN = ("fourth", "fifth")
# Sets of real questions; those of SciFact are claims.
WILD = ("boolq_en", "msdocs_en", "msdocs_ko", "xquad_en")


class Pair(msgspec.Struct, frozen=True):
    """Two questions, and whether one answer serves both."""

    id: str
    language: str
    same: bool
    kind: str
    split: str
    a: str
    b: str
    docs: bool = False


class Judged(msgspec.Struct, frozen=True):
    """A pair with what was decided."""

    pair: Pair
    cosine: float
    differ: str | None

    @property
    def served(self) -> bool:
        """Whether the answer to one would be given to the other."""
        return self.cosine >= semantic.THRESHOLD and self.differ is None


def pairs() -> list[Pair]:
    """All pairs."""
    decode = msgspec.json.Decoder(Pair).decode
    return [decode(line) for line in PAIRS.read_bytes().splitlines()]


def main() -> None:
    """Measure and report."""
    embedder = open_embedder(Config(data_dir=common.WORK / "semantic"), threads=2)
    judged = [_judge(embedder, pair) for pair in pairs()]
    unseen = [one for one in judged if one.pair.split in UNSEEN]
    rows = [
        *_rates(judged, lambda one: one.pair.language),
        *_rates(_called("unseen", unseen), lambda one: one.pair.kind),
        *_rates(_called("all", judged), lambda one: one.pair.kind),
        *_embeddings_alone(judged),
        *_crossed(embedder, judged),
    ]
    merged: list[str] = []
    rows += _wild(merged)
    rows += _passages(judged)
    common.report("semantic", rows, model=embedder.model, threshold=semantic.THRESHOLD,
                  merged=merged)  # fmt: skip


def interval(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of Clopper and Pearson (Biometrika 26, 1934) for `hits` of `of`."""

    def at_least(p: float) -> float:
        return sum(math.comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(hits, of + 1))

    def at_most(p: float) -> float:
        return sum(math.comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(hits + 1))

    low = 0.0 if not hits else _where(lambda p: at_least(p) >= 0.025)
    high = 1.0 if hits == of else _where(lambda p: at_most(p) <= 0.025)
    return low, high


def _where(holds: Callable[[float], bool]) -> float:
    """The least share for which `holds`, which is false below it and true above."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _judge(embedder: Embedder, pair: Pair) -> Judged:
    # One by one, as the engine embeds: in a batch the last digits differ.
    a, b = embedder.queries([pair.a])[0], embedder.queries([pair.b])[0]
    differ = semantic.difference(semantic.read(pair.a), semantic.read(pair.b))
    return Judged(pair, float(a @ b), differ)


def _called(name: str, judged: list[Judged]) -> list[Judged]:
    change = msgspec.structs.replace
    return [change(one, pair=change(one.pair, split=name)) for one in judged]


def _rates(judged: list[Judged], group: Callable[[Judged], str]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, bool, str], list[bool]] = defaultdict(list)
    for one in judged:
        for name in dict.fromkeys((group(one), "all")):
            groups[one.pair.split, one.pair.same, name].append(one.served)
    for (split, same, name), served in sorted(groups.items()):
        what = "paraphrases" if same else "near misses"
        yield _row(f"{split}: {what}", name, sum(served), len(served))


def _row(what: str, group: str, hits: int, of: int) -> dict[str, Any]:
    low, high = interval(hits, of) if of < 1000 else (None, None)
    return {
        "what": what,
        "group": group,
        "pairs": of,
        "served": hits,
        "share %": round(100 * hits / of, 3 if of >= 1000 else 1),
        "from": None if low is None else round(100 * low, 1),
        "to": None if high is None else round(100 * high, 1),
    }


def _embeddings_alone(judged: list[Judged]) -> Iterator[dict[str, Any]]:
    """The least threshold with at most 1 % false hits on `tune`, and its rates on the others."""
    misses = sorted(
        (one.cosine for one in judged if not one.pair.same and one.pair.split == "tune"),
        reverse=True,
    )
    threshold = misses[int(len(misses) * 0.01)] + 1e-6
    for same in (False, True):
        cosines = [
            one.cosine for one in judged if one.pair.same == same and one.pair.split != "tune"
        ]
        what = "paraphrases" if same else "near misses"
        served = sum(cosine >= threshold for cosine in cosines)
        yield _row(f"others: {what}", f"cosine >= {threshold:.4f} alone", served, len(cosines))


def _crossed(embedder: Embedder, judged: list[Judged]) -> Iterator[dict[str, Any]]:
    """Any two questions of different pairs of a split that no pair calls the same."""
    for split in dict.fromkeys(one.pair.split for one in judged):
        inside = [one.pair for one in judged if one.pair.split == split]
        same = {frozenset((pair.a, pair.b)) for pair in inside if pair.same}
        texts = list(dict.fromkeys(text for pair in inside for text in (pair.a, pair.b)))
        close = list(_alike(texts))
        found = [
            (a, b)
            for a, b in close
            if frozenset((a, b)) not in same and _cosine(embedder, a, b) >= semantic.THRESHOLD
        ]
        for a, b in found:
            print(f"{split}, different pairs: {a} | {b}")
        yield _row(f"{split}: different pairs", "all", len(found), math.comb(len(texts), 2))


def _cosine(embedder: Embedder, a: str, b: str) -> float:
    return float(embedder.queries([a])[0] @ embedder.queries([b])[0])


def _alike(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Two different texts each that the guards let through; all with all, by their letters."""
    groups: dict[str, list[tuple[str, Reading]]] = defaultdict(list)
    for text in texts:
        reading = semantic.read(text)
        # Equal for every two that the guard of words lets through.
        groups[_letters(reading)].append((text, reading))
        groups[" ".join(sorted(reading.names))].append((text, reading))
    seen: set[tuple[str, str]] = set()
    for group in groups.values():
        for (a, first), (b, second) in itertools.combinations(group, 2):
            if a == b or (a, b) in seen:
                continue
            seen.add((a, b))
            if semantic.difference(first, second) is None:
                yield a, b


def _letters(reading: Reading) -> str:
    return "".join(sorted("".join(word.written for word in reading.words)))


def _wild(merged: list[str]) -> Iterator[dict[str, Any]]:
    """Real questions, all with all; the text of those that would share an answer to `merged`."""
    for name in WILD:
        try:
            queries = list(common.data_set(name).queries.values())
        except BadInput:
            print(f"{name} is not at hand")
            continue
        start = time.perf_counter()
        for query in queries:
            semantic.read(query)
        micros = (time.perf_counter() - start) / len(queries) * 1e6
        found = list(_alike(queries))
        merged += [f"{a} | {b}" for a, b in found]
        print(f"{name}: {micros:.0f} µs to read a question")
        yield _row(f"{name}: real questions", "to judge", len(found), math.comb(len(queries), 2))


def _passages(judged: list[Judged]) -> Iterator[dict[str, Any]]:
    """Whether both questions of the pairs about Like-Opt find the same in its documentation."""
    config = Config(data_dir=common.WORK / "semantic", sample_library=True)
    with parts.services(config) as services:
        services.add_sample_library()
        reader = services.db.read(access.local_reader)
        words_follow = parts.words_follow(services)
        with parts.engine(services):
            with parts.worker(config):
                while not (words_follow() and services.db.read(lambda c: _done(c, reader))):
                    time.sleep(0.5)

            def sources(question: str) -> list[int]:
                found = search(services.engine, services.reranker, reader, question, k=HITS,
                               sentences=SENTENCES)  # fmt: skip
                return [one.hit.chunk_id for one in select(found.hits, language_of(question))]

            both = [(one, sources(one.pair.a), sources(one.pair.b)) for one in judged
                    if one.pair.docs]  # fmt: skip
    for same in (False, True):
        of = [(one, a, b) for one, a, b in both if one.pair.same == same]
        what = "all about Like-Opt: " + ("paraphrases" if same else "near misses")
        yield _row(
            what, "same passages, any order", sum(set(a) == set(b) for _, a, b in of), len(of)
        )
        yield _row(what, "same passages, in order", sum(a == b for _, a, b in of), len(of))
        yield _row(
            what,
            "each one's best passage among the other's",
            sum(bool(a and b) and a[0] in b and b[0] in a for _, a, b in of),
            len(of),
        )
        yield _row(what, "served by guards", sum(one.served for one, _, _ in of), len(of))
        yield _row(what, "served, and same passages",
                   sum(one.served and set(a) == set(b) for one, a, b in of), len(of))  # fmt: skip


def _done(connection: Any, reader: Reader) -> bool:
    now = jobs.summary(connection, reader)
    return not (now.queued or now.running or now.pending_words or now.pending_embeddings)
