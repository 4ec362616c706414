"""Whether the server lives, and what of it works."""

import threading
from collections.abc import Callable
from typing import Literal

import gevent
import msgspec
from flask import Response, current_app

from likeopt.errors import LikeOptError, StorageUnavailable
from likeopt.llm import local
from likeopt.retrieval.types import EngineStatus
from likeopt.services import Services
from likeopt.storage import access, jobs
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints

health = Endpoints("health", tag="Server", prefix="/")

# A load balancer asks every second or so, from every side; the answer is worked out once.
FRESH_SECONDS = 1.0
CHECK_SECONDS = 1.0
ENGINE_MILLIS = 500

PartStatus = Literal["ready", "degraded", "unavailable"]


class Health(msgspec.Struct):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Part(msgspec.Struct):
    """How one part is, in a word and in a sentence."""

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


@health.operation(
    "GET", "/health", summary="Whether the server lives", returns=Health, access="public"
)
def get_health() -> Health:
    return Health()


@health.operation(
    "GET",
    "/ready",
    summary="What works and what does not",
    detail="Really asks each part, at most once a second.",
    returns=Readiness,
    errors=(StorageUnavailable,),
    access="public",
)
def get_ready() -> Response:
    state = _latest(services())
    status = 503 if state.status == "unavailable" else 200
    return Response(msgspec.json.encode(state), status, content_type="application/json")


class _Memory:
    """The last answer of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state: Readiness | None = None
        self.at = 0.0


def _latest(found: Services) -> Readiness:
    memory: _Memory = current_app.extensions.setdefault("likeopt-readiness", _Memory())
    with memory.lock:
        now = found.clock.monotonic()
        if memory.state is None or now - memory.at > FRESH_SECONDS:
            memory.state = check(found)
            memory.at = now
        return memory.state


def check(found: Services) -> Readiness:
    """Ask every part."""
    parts = Parts(
        database=_asked(lambda: _database(found)),
        engine=_asked(lambda: _engine(found.engine.status(deadline_ms=ENGINE_MILLIS))),
        worker=_worker(found),
        model=_model(found),
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
    summary = found.db.read(lambda c: jobs.summary(c, access.local_reader(c)))
    return Part("ready", f"At revision {summary.library_revision} of the library.")


def _engine(status: EngineStatus) -> Part:
    if status.degraded:
        return Part("degraded", " ".join(f"{one.part}: {one.reason}" for one in status.degraded))
    return Part("ready", f"{status.chunks} passages, {status.embedded} of them by meaning.")


def _worker(found: Services) -> Part:
    if found.worker_runs():
        return Part("ready", "Indexing.")
    return Part("unavailable", "Not running: new documents wait until it does.")


def _model(found: Services) -> Part:
    config = found.config
    if not local.is_local(config):
        name = config.llm_model if config.llm == "openai" else "extractive"
        return Part("ready", f"Answers are written by: {name}.")
    if local.is_ready(config):
        return Part("ready", "Loaded.")
    return Part("degraded", "Not loaded: answers are made of the documents' own sentences.")
