"""Everything that a request or a command needs, built from the settings when first used.

So that a web process can be forked before anything is open, and `likeopt search` does not load
what only answers need.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from likeopt.accounts import Accounts
from likeopt.cache.layered import Cache
from likeopt.cache.opening import open_cache
from likeopt.chat.answer import Chat
from likeopt.chat.opening import open_chat
from likeopt.chat.warm import Warmer
from likeopt.clock import Clock
from likeopt.config import Config
from likeopt.config.shown import Source
from likeopt.errors import ConfigError
from likeopt.monitoring.alive import is_held
from likeopt.passwords import Passwords
from likeopt.retrieval.images import Images
from likeopt.retrieval.ingest import Ingest
from likeopt.retrieval.rerank import Reranker, open_reranker
from likeopt.retrieval.search import EngineClient, search
from likeopt.storage import access, bootstrap, facts, revisions, schema, secret_key
from likeopt.storage.board import Board, board_file
from likeopt.storage.db import NEWS_CONNECTIONS, Database, Runner, migrate, run_here
from likeopt.storage.files import FileStore
from likeopt.storage.reader import DEFAULT_COLLECTION
from likeopt.storage.sessions import SessionStore, SqlSessions
from likeopt.storage.tag_versions import TagVersions
from likeopt.storage.watch import Watch

_PACKAGE = Path(__file__).parent

T = TypeVar("T")


class part(Generic[T]):  # noqa: N801  (used as a decorator)
    """A property that is made when it is first used, once.

    `functools.cached_property` makes it again for each greenlet that asks meanwhile: until Python
    3.11 its lock knows only the thread that they share, and since then it has none. A worker whose
    first questions came together had 15 chats, each with its own limits and connections.

    Never first used in what `Services.run` runs: whoever makes a part may need a native thread of
    gevent's while ten that wait for it hold all of them.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, services: None, owner: type) -> Self: ...

    @overload
    def __get__(self, services: "Services", owner: type) -> T: ...

    def __get__(self, services: "Services | None", owner: type) -> Self | T:
        if services is None:
            return self
        # Only until it is there: then the instance's own attribute comes first.
        made = services.__dict__
        with services.making:
            if self._name not in made:
                made[self._name] = self._make(services)
            return made[self._name]  # type: ignore[no-any-return]


class Services:
    """One of each, for one process. `run` is where work that blocks belongs (see `storage.db`);
    `sources` say what set the settings, by name, where it was not their default."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        runner: Runner = run_here,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        self.config = config
        self.sources = sources or {}
        self.clock = clock or Clock()
        self.run = runner
        # One part is often made of others.
        self.making = threading.RLock()

    @part
    def db(self) -> Database:
        """The database; its schema is brought up to date by `prepare`."""
        return Database(self.config.database, runner=self.run, spread=self.board.mark)

    @part
    def board(self) -> Board:
        """What the processes of this machine have changed."""
        return Board(board_file(self.config.data_dir))

    @part
    def files(self) -> FileStore:
        """The originals."""
        return FileStore(self.config.originals)

    @part
    def ingest(self) -> Ingest:
        """Adding documents."""
        return Ingest(self.db, self.files, self.clock, self.config, runner=self.run)

    @part
    def images(self) -> Images:
        """Pictures of documents."""
        return Images(self.config, self.files, self.cache, self.run)

    @part
    def engine(self) -> EngineClient:
        """The computing process of this machine."""
        return EngineClient(self.config.data_dir / "run" / "engine.sock", self.clock)

    @part
    def reranker(self) -> Reranker:
        """The second look at passages, or none."""
        return open_reranker(self.config)

    @part
    def chat(self) -> Chat:
        """Questions and answers."""
        find = partial(
            search, self.engine, self.reranker, deadline_ms=self.config.search_deadline_ms
        )
        return open_chat(
            self.config,
            self.db,
            self.clock,
            find,
            self.run,
            self.cache,
            embed=lambda questions: self.engine.embed(questions).vectors,
            hear=self.watch.confirmed,
        )

    @part
    def warmer(self) -> Warmer:
        """Asking ahead what people ask most."""
        return Warmer(self.db, self.clock, self.chat, self.config.data_dir / "run" / "warm.lock")

    @part
    def sessions(self) -> SessionStore:
        """Who is signed in: in Redis if there is one, else in the database."""
        if not self.config.redis_url:
            return SqlSessions(self.db, self.clock)
        try:
            from likeopt.storage.redis_sessions import RedisSessions  # noqa: PLC0415  (an extra)
        except ImportError:
            raise ConfigError("LIKEOPT_REDIS_URL needs the extra `redis`") from None
        return RedisSessions(self.config.redis_url, self.db, self.clock)

    @part
    def accounts(self) -> Accounts:
        """Signing in, one-time links and passwords."""
        passwords = Passwords(self.run, words=self.config.names)
        oidc = bool(self.config.oidc_issuer)
        return Accounts(self.db, self.sessions, self.clock, passwords, oidc=oidc)

    @part
    def watch(self) -> Watch:
        """What has changed in any process."""
        return Watch(self.db.apart(NEWS_CONNECTIONS), self.clock, self.board)

    @part
    def cache(self) -> Cache:
        """What takes long to make, as long as it holds; `tags` are names of counters."""
        tenant = self.db.read(lambda c: facts.get(c, facts.DATABASE_ID)) or "new"
        tags = TagVersions(self.db, self.watch)
        made = open_cache(self.config, tenant=tenant, clock=self.clock, tags=tags, run=self.run)
        self.watch.hear(partial(_forget, made))
        return made

    @part
    def secret_key(self) -> bytes:
        """Signs what browsers bring back."""
        return secret_key.of(self.config)

    def setup_link(self) -> str | None:
        """The token of a new link to become the first administrator; None once there is one."""
        path = self.config.data_dir / "likeopt.db"
        if not self.config.database_url and schema.is_set_up(
            path, oidc=bool(self.config.oidc_issuer)
        ):
            return None
        return self.accounts.setup_link()

    def rest(self) -> None:
        """Begin nothing more that nobody has asked for: this process is about to stop."""
        if "warmer" in self.__dict__:
            self.warmer.close()

    def answers(self) -> bool:
        """Whether an answer is being written here, for whomever."""
        return "chat" in self.__dict__ and not self.chat.idle

    def worker_runs(self) -> bool:
        """Whether an indexing worker lives."""
        return is_held(self.config.data_dir / "indexes" / "worker.lock")

    def prepare(self) -> None:
        """Make the data folder and the database, or bring it up to date."""
        self.config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.config.database_url and schema.is_prepared(self.config.data_dir / "likeopt.db"):
            return
        migrate(self.db)
        self.db.write(lambda c: bootstrap.prepare(c, self.clock))

    def add_sample_library(self) -> None:
        """Fill a library that never held anything with Like-Opt's own documentation."""
        if self.db.read(lambda c: revisions.current(c, "library")):
            return
        reader = self.db.read(access.local_reader)
        for folder in _sample_folders():
            adding = self.ingest.folder(
                reader,
                DEFAULT_COLLECTION,
                folder,
                tags=[folder.name],
                source="sample",
                # Where this version is installed says nothing to a reader, nor to the next version.
                address=f"likeopt:docs/{folder.name}",
            )
            for result in adding:
                if result.problem is not None:
                    raise result.problem

    def close(self) -> None:
        """Close what was opened."""
        for name in ("warmer", "images", "watch", "cache", "db", "engine"):
            if name in self.__dict__:
                getattr(self, name).close()


def _forget(cache: Cache, names: list[str]) -> None:
    """An administrator, here or elsewhere, had caches cleared: do so in this process's memory at
    once, and in a moment in all layers, the slowest first: this machine's disk is out of anybody
    else's reach, and may have filled the quicker ones again meanwhile."""
    for name in names:
        if name.startswith(revisions.CACHE):
            only, _, of = name.removeprefix(revisions.CACHE).partition(":")
            use = None if of == "*" else of
            layers = [each for each in cache.layers if only in ("*", each)]
            if "memory" in layers:
                cache.clear(use, layer="memory")
            if layers not in ([], ["memory"]):
                clear = partial(_clear, cache, use, layers[::-1])
                threading.Thread(target=clear, daemon=True).start()


def _clear(cache: Cache, use: str | None, layers: list[str]) -> None:
    for layer in layers:
        cache.clear(use, layer=layer)


def _sample_folders() -> list[Path]:
    """The documentation in both languages: inside an installed package, or beside a checkout's."""
    for root in (_PACKAGE / "sample", _PACKAGE.parent / "docs"):
        found = [root / language for language in ("ko", "en") if (root / language).is_dir()]
        if found:
            return found
    return []
