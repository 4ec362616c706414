"""A chat as the settings describe it."""

from collections.abc import Callable
from typing import Any

from likeopt.cache.layered import Cache
from likeopt.chat.answer import Chat
from likeopt.chat.exchange import Exchange
from likeopt.chat.exchange_files import FileExchange
from likeopt.chat.similar import Embed
from likeopt.chat.writer import Search, Writer
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.errors import ConfigError
from likeopt.llm import local
from likeopt.llm.local import LocalChat
from likeopt.llm.openai import open_openai
from likeopt.llm.queue import Queue
from likeopt.llm.stream import Run
from likeopt.llm.types import ChatModel
from likeopt.storage import facts, jobs
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader

# An endpoint schedules by itself; this only bounds what one machine of ours sends to it.
_ENDPOINT_CONCURRENCY = 32


def _unread(c: Any, reader: Reader) -> int:
    """Files that are waited for, being read, or on their way into the index of words."""
    now = jobs.summary(c, reader)
    return now.queued + sum(job.kind == "index" for job in now.running) + now.pending_words


def _open_exchange(config: Config, db: Database, clock: Clock, run: Run) -> Exchange:
    if not config.redis_url:
        return FileExchange(config.data_dir / "run" / "generations", run)
    try:
        from likeopt.chat.exchange_redis import RedisExchange  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ConfigError("LIKEOPT_REDIS_URL needs the extra `redis`") from None
    tenant = db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or "new"
    return RedisExchange(config.redis_url, tenant, clock)


def open_chat(  # noqa: PLR0913  (what a chat is made of; called in one place)
    config: Config,
    db: Database,
    clock: Clock,
    search: Search,
    run: Run,
    cache: Cache | None = None,
    *,
    embed: Embed | None = None,
    hear: Callable[[], object] = lambda: None,
) -> Chat:
    """The chat that the settings describe.

    `search` is `likeopt.retrieval.search.search` with its client and reranker bound, `embed` makes
    a question's vector; `run` is where work that blocks belongs, `hear` as for `KeptAnswers`.
    """
    model: ChatModel | None = None
    running = config.llm_concurrency or _ENDPOINT_CONCURRENCY
    if config.llm == "openai":
        model = open_openai(config, clock, run)
    elif local.is_local(config):
        model = LocalChat(config, clock)
        running = local.concurrency(config)
    folder = config.data_dir / "run" / "queue"
    queue = Queue(folder, running=running, waiting=config.llm_queue) if model else None
    exchange = _open_exchange(config, db, clock, run) if model else None
    writer = Writer(search, model, clock, lambda reader: db.read(lambda c: _unread(c, reader)))
    similar = embed if config.semantic_cache else None
    most = config.llm_max_tokens
    return Chat(
        db, clock, writer, queue, exchange, cache, embed=similar, hear=hear, max_tokens=most
    )
