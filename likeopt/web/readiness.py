"""What works and what does not, asked for at most once a second."""

import threading
from collections.abc import Callable
from typing import Literal

import gevent
import msgspec
from flask import current_app

from likeopt.config import Config
from likeopt.errors import LikeOptError, ModelUnavailable
from likeopt.llm import local
from likeopt.retrieval.types import EngineStatus
from likeopt.services import Services
from likeopt.storage import revisions

# A load balancer asks every second or so, from every side; the answer is worked out once.
FRESH_SECONDS = 1.0
CHECK_SECONDS = 1.0
# A hosted model counts requests.
MODEL_FRESH_SECONDS = 30.0
ENGINE_MILLIS = 500

_WITHOUT = "Until it works, answers are made of the documents' own sentences."

PartStatus = Literal["ready", "degraded", "unavailable"]


class Part(msgspec.Struct):
    """How one part is, in a word and in a sentence, without a count or a name: everybody reads it,
    and whoever runs the server has `likeopt doctor`."""

    status: PartStatus
    detail: str


class Parts(msgspec.Struct):
    """What an answer needs (database, engine), and what it can do without for a while."""

    database: Part
    engine: Part
    worker: Part
    model: Part


class Readiness(msgspec.Struct):
    """`unavailable`: questions cannot be answered. `degraded`: they can, but something is missing.

    The status of the response is 503 for `unavailable`, else 200.
    """

    status: PartStatus
    parts: Parts


class _Memory:
    """The last answer of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state: Readiness | None = None
        self.at = 0.0
        self.model: Part | None = None
        self.model_at = 0.0


def latest(found: Services) -> Readiness:
    """How things are, not more than a second ago."""
    memory: _Memory = current_app.extensions.setdefault("likeopt-readiness", _Memory())
    with memory.lock:
        now = found.clock.monotonic()
        if memory.state is None or now - memory.at > FRESH_SECONDS:
            late = found.config.llm != "openai" or now - memory.model_at > MODEL_FRESH_SECONDS
            if memory.model is None or late:
                memory.model = model(found.config)
                memory.model_at = now
            memory.state = check(found, memory.model)
            memory.at = now
        return memory.state


def check(found: Services, writer: Part) -> Readiness:
    """Ask every part but the one that writes answers, which `writer` is."""
    parts = Parts(
        database=_asked(lambda: _database(found)),
        engine=_asked(lambda: _engine(found.engine.status(deadline_ms=ENGINE_MILLIS))),
        worker=_worker(found),
        model=writer,
    )
    needed = (parts.database.status, parts.engine.status)
    everything = (*needed, parts.worker.status, parts.model.status)
    if "unavailable" in needed:
        return Readiness("unavailable", parts)
    worse = any(status != "ready" for status in everything)
    return Readiness("degraded" if worse else "ready", parts)


def _asked(ask: Callable[[], Part]) -> Part:
    late = gevent.Timeout(CHECK_SECONDS)
    try:
        with late:
            return ask()
    except LikeOptError as error:
        return Part("unavailable", error.message)
    except gevent.Timeout as timeout:
        if timeout is not late:
            raise
        return Part("unavailable", f"No answer within {CHECK_SECONDS:g} s.")


def _database(found: Services) -> Part:
    found.db.read(lambda c: revisions.current(c, "library"))
    return Part("ready", "It answers.")


def _engine(status: EngineStatus) -> Part:
    if status.degraded:
        # Not the reasons: they can hold words of an embedding server's.
        parts = ", ".join(sorted({one.part for one in status.degraded}))
        return Part("degraded", f"Does not work: {parts}. The log says why.")
    return Part("ready", "Searches by words and by meaning.")


def _worker(found: Services) -> Part:
    if found.worker_runs():
        return Part("ready", "Indexing.")
    return Part("unavailable", "Not running: new documents wait until it does.")


def model(config: Config) -> Part:
    """What writes answers. A local model is looked for, another one's address is asked."""
    if config.llm == "openai":
        asked = _asked(lambda: _endpoint(config))
        if asked.status == "ready":
            return asked
        return Part("degraded", f"{asked.detail} {_WITHOUT}")
    if not local.is_local(config):
        return Part("ready", "Answers are made of the documents' own sentences.")
    if local.is_ready(config):
        return Part("ready", "Loaded.")
    return Part("degraded", f"Not loaded. {_WITHOUT}")


def _endpoint(config: Config) -> Part:
    # Importing it takes 60 ms.
    import urllib3  # noqa: PLC0415

    url = f"{config.llm_url.rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {config.llm_key}"} if config.llm_key else {}
    try:
        with urllib3.PoolManager(retries=False, timeout=CHECK_SECONDS) as pool:
            status = pool.request("GET", url, headers=headers, preload_content=False).status
    except urllib3.exceptions.HTTPError as error:
        why = type(error).__name__
        raise ModelUnavailable(f"The model's server does not answer ({why}).") from None
    if status in (401, 403):
        raise ModelUnavailable(f"The model's server refuses the key ({status}).")
    if status >= 500:
        raise ModelUnavailable(f"The model's server has a problem ({status}).")
    # Some servers have no list of models, and answer all the same.
    return Part("ready", "It answers.")
