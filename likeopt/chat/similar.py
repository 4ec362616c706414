"""Answers to questions that were worded otherwise and given the same passages. Off by default.

Embeddings propose, `semantic` decides (docs/decisions/0004-semantic-answers.md says how well), and
the passages found must be the very same ones: an answer whose documents have changed is another
list of earlier questions.
"""

import hashlib
import re
from array import array
from collections.abc import Callable
from operator import mul

import msgspec

from likeopt.cache.layered import Cache
from likeopt.chat import prompt, semantic
from likeopt.chat.kept import KEEP_SECONDS, Kept, KeptAnswers
from likeopt.chat.writer import Prepared
from likeopt.errors import LikeOptError

USE = "similar"
# Earlier questions that are looked through for the same passages: 0.3 ms.
MOST = 16

# The vectors of questions, float32, L2-normalised.
Embed = Callable[[list[str]], list[bytes]]

_marker = re.compile(r"\[(\d+)\]")


class _Known(msgspec.Struct, frozen=True, array_like=True):
    """An earlier question, under which key its answer is kept, and the passages by number.

    Not its vector: the engine remembers that, and only it knows of which model."""

    question: str
    key: str
    chunks: list[int]


class SimilarAnswers:
    """See the module. Thread-safe; of two that are added at the same moment, one may be lost."""

    def __init__(self, cache: Cache, kept: KeptAnswers, embed: Embed) -> None:
        self._cache = cache
        self._kept = kept
        self._embed = embed

    def find(self, prepared: Prepared) -> Kept | None:
        """The answer that was given to the same question in other words, if there is one."""
        family = self._family(prepared)
        known = self._known(family) if family else []
        if not known:
            return None
        question = prepared.task.question
        questions = [one.question for one in known]
        try:
            vectors = [array("f", each) for each in self._embed([question, *questions])]
        except LikeOptError:
            # The model that compares does not answer: the other one will.
            return None
        cosines = (sum(map(mul, vectors[0], other)) for other in vectors[1:])
        nearest = semantic.nearest(question, map(semantic.Earlier, questions, cosines))
        if nearest is None:
            return None
        found = known[nearest]
        kept = self._kept.get(found.key)
        return kept and _renumbered(kept, found, prepared)

    def add(self, prepared: Prepared) -> None:
        """The question has an answer under its key now."""
        family = self._family(prepared)
        if not family:
            return
        chunks = [source.hit.chunk_id for source in prepared.sources]
        new = _Known(prepared.task.question, prepared.key, chunks)
        others = [one for one in self._known(family) if one.key != new.key]
        self._cache.set(family, [new, *others][:MOST], ttl=KEEP_SECONDS)

    def _known(self, family: str) -> list[_Known]:
        known = self._cache.get(family, list[_Known])
        return known if isinstance(known, list) else []

    def _family(self, prepared: Prepared) -> str | None:
        """What a question's answer depends on but for its words; None for one in a conversation,
        whose words mean something else there, whether or not the prompt has room for it."""
        task = prepared.task
        if prepared.asked is None or task.exchanges:
            return None
        hits = [source.hit for source in prepared.sources]
        passages = sorted(
            (hit.chunk_id, hit.version_id, hit.document_name, _digest(hit.text)) for hit in hits
        )
        return self._cache.key(
            USE,
            prompt.fixed(task.language),
            prepared.model,
            task.language,
            task.max_tokens,
            task.temperature,
            sorted(task.scope.collections),
            passages,
        )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _renumbered(kept: Kept, known: _Known, prepared: Prepared) -> Kept:
    """The same answer with today's numbers of the same passages."""
    today = {source.hit.chunk_id: source.number for source in prepared.sources}
    numbers = {then: today[chunk] for then, chunk in enumerate(known.chunks, 1)}
    text = _marker.sub(lambda m: f"[{numbers.get(int(m[1]), int(m[1]))}]", kept.text)
    used = [numbers[number] for number in kept.used]
    return msgspec.structs.replace(kept, text=text, used=used, question=known.question)
