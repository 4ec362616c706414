"""The database: one SQLAlchemy code path for SQLite and PostgreSQL.

A unit of work is a function that takes a connection. `Database.read` and `Database.write` run the
whole of it in one transaction, and, inside a gevent worker on SQLite, in one call to gevent's
native thread pool, since SQLite's C code never yields to the event loop (90 to 170 µs a hop,
measured; see docs/architecture.md). psycopg 3 waits on sockets and so yields by itself.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool.base import _ConnectionRecord

from likeopt.errors import StorageFull, StorageUnavailable
from likeopt.storage import revisions
from likeopt.storage.revisions import ANNOUNCED, RAISED

T = TypeVar("T")


class Runner(Protocol):
    """Where work runs that would hold an event loop. It first enters `turn`, if there is one,
    where it was called and not where the work runs."""

    def __call__(
        self, work: Callable[[], Any], /, turn: AbstractContextManager[None] | None = None
    ) -> Any: ...


# Tells others which counters a committed transaction has raised; in how many seconds they know.
Spread = Callable[[Collection[str]], float]

BUSY_TIMEOUT_MS = 10_000
# SQLite connections that are kept for later: gevent has 10 native threads to use them.
SQLITE_IDLE = 10
# PostgreSQL connections of a process at most. It allows 97 by default, and refuses more: with 12 a
# process, two servers of two web workers had taken all, and answers under way could not be stored.
CONNECTIONS = 6
# Those of a web worker that must not wait behind its requests: for answers under way, and for news.
ANSWERS_CONNECTIONS = 2
NEWS_CONNECTIONS = 1
# A host that is cut off says nothing: connecting would take 130 s, and what was sent would wait for
# 15 minutes (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# A machine that is gone, or a process that is frozen, holds its row locks until the server ends
# its connection, which by TCP alone takes two hours. No transaction waits for anything but the
# database: one that is silent for so long has nobody behind it.
SILENT_MS = 10_000
# Longer than that: who waits behind such a transaction gets its lock. Behind several, it is told.
LOCK_MS = 15_000
# A connection that was idle for longer is asked whether it still stands; a server does not restart
# in less. Asking each time was one round trip of four of a short transaction.
IDLE_SECONDS = 1.0

BUSY = "The database is too busy. Try again in a moment."

_log = logging.getLogger(__name__)


def most_connections(workers: int) -> int:
    """PostgreSQL connections of a server with so many web workers, its engine and its indexing
    worker, at most."""
    return workers * (CONNECTIONS + ANSWERS_CONNECTIONS + NEWS_CONNECTIONS) + 2 * CONNECTIONS


def connections_allowed(c: sa.Connection) -> int:
    """How many connections PostgreSQL lets in that are not its administrator's."""
    setting = "current_setting('{}')::int"
    of_admin = setting.format("superuser_reserved_connections")
    allowed = f"SELECT {setting.format('max_connections')} - {of_admin}"
    return int(c.exec_driver_sql(allowed).scalar_one())


def run_here(work: Callable[[], Any], /, turn: AbstractContextManager[None] | None = None) -> Any:
    """The runner of processes without an event loop: just call it."""
    with turn or nullcontext():
        return work()


def tell_nobody(_names: Collection[str]) -> float:
    """The `spread` of a database that no other process remembers anything of."""
    return 0.0


class Database:
    """Runs units of work; holds the connection pool.

    `runner` decides where a SQLite unit of work runs (see the module's docstring); `spread` is
    called with the counters that a transaction raised, between its commit and `write`'s return,
    which waits until they are known. `connections` is how many PostgreSQL ones it has at most; who
    waits for one for 30 s is told that the database is busy (StorageUnavailable).
    """

    def __init__(
        self,
        url: str,
        *,
        runner: Runner = run_here,
        spread: Spread = tell_nobody,
        connections: int = CONNECTIONS,
    ) -> None:
        self._url = url
        self._apart: list[Database] = []
        self._spread = spread
        # `hide_parameters`: an error's message, which is logged, would hold questions and hashes.
        self.is_sqlite = url.startswith("sqlite")
        self._run = runner if self.is_sqlite else run_here
        # Of greenlets, where there is an event loop: SQLite lets one write at a time, and ten that
        # wait for that in gevent's native threads have all of them, and none is left to read.
        self._writing = None if self._run is run_here else threading.Lock()
        if self.is_sqlite:
            self.engine = sa.create_engine(
                url,
                hide_parameters=True,
                poolclass=_Stack,
                connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
            )
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
            if runner is not run_here:
                # What SQLAlchemy does at its very first connection is behind a lock: here and
                # now nobody contends for it.
                with self.engine.connect():
                    pass
        else:
            # The connection that was used last first, so that few need a look.
            self.engine = sa.create_engine(
                url,
                hide_parameters=True,
                poolclass=_Queue,
                pool_size=connections,
                max_overflow=0,
                pool_use_lifo=True,
                connect_args=_PATIENCE,
            )
            event.listen(self.engine, "connect", _prepare_postgresql)
            _look_at_idle_ones(self.engine)
            event.listen(self.engine, "handle_error", _leave_follower)

    def apart(self, connections: int) -> "Database":
        """The same for what must not wait behind requests that wait for a connection: with
        PostgreSQL connections of its own. Closed with this one."""
        if self.is_sqlite:
            return self
        made = Database(self._url, spread=self._spread, connections=connections)
        self._apart.append(made)
        return made

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction that sees one snapshot and changes nothing."""
        return self._transact(work, immediate=False)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a writing transaction; committed, and on disk, when this returns."""
        return self._transact(work, immediate=True)

    def _transact(self, work: Callable[[sa.Connection], T], *, immediate: bool) -> T:
        known_in = 0.0

        def unit() -> T:
            nonlocal known_in
            with self.engine.connect() as connection:
                connection.execution_options(likeopt_immediate=immediate)
                # Of a transaction that failed.
                for left in (RAISED, ANNOUNCED):
                    connection.info.pop(left, None)
                if not immediate and not self.is_sqlite:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin() as transaction:
                    result = work(connection)
                    if not immediate:
                        transaction.rollback()
                    # In one order, so that no two transactions wait for each other.
                    for name in sorted(connection.info.pop(ANNOUNCED, ())):
                        revisions.raise_(connection, name)
                raised = connection.info.pop(RAISED, ())
                if immediate and raised:
                    known_in = self._spread(raised)
                return result

        try:
            turn = self._turn(self._writing) if immediate and self._writing else None
            result = self._run(unit, turn)
        except DBAPIError as error:
            raise _translate(error) from error
        except PoolTimeout as error:
            _log.warning("database too busy: %s", error)
            raise StorageUnavailable(BUSY) from error
        if known_in:
            # Nobody waits behind this: the transaction is over.
            time.sleep(known_in)
        return result  # type: ignore[no-any-return]

    @contextmanager
    def _turn(self, writing: threading.Lock) -> Iterator[None]:
        if not writing.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise StorageUnavailable(BUSY)
        try:
            yield
        finally:
            writing.release()

    def close(self) -> None:
        """Close every pooled connection, and from now on each that comes back from a thread which
        is still at work."""
        for each in self._apart:
            each.close()
        # Not the engine's own `dispose`, which puts a new pool in place of this one.
        event.listen(self.engine.pool, "checkin", lambda _, record: record.invalidate())
        self.engine.pool.dispose()


class _Stack(sa.pool.Pool):
    """SQLite connections that wait on a list, whose `pop` and `append` no thread can interrupt.

    SQLAlchemy's own pools have locks, which in a gevent worker are gevent's and can hang between
    its native threads, or one connection for each thread, and those threads come and go: closing
    what belongs to one that is gone crashed the process when another was using it.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **options)
        self._free: list[ConnectionPoolEntry] = []

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return self._free.pop()
        except IndexError:
            return self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if len(self._free) < SQLITE_IDLE:
            self._free.append(record)
        else:
            record.close()

    def dispose(self) -> None:
        while self._free:
            self._free.pop().close()

    def recreate(self) -> "_Stack":
        return _Stack(self._creator, echo=self.echo, _dispatch=self.dispatch, dialect=self._dialect)

    def status(self) -> str:
        return f"{len(self._free)} idle"


class _Queue(sa.pool.QueuePool):
    """SQLAlchemy's, whose places are made without their connections: who cannot connect returns the
    place to whoever waits. Made with them, it was gone, and others waited the whole 30 s for it."""

    # Its logger's name: only SQLAlchemy's own are kept from telling each connection at info.
    __module__ = sa.pool.QueuePool.__module__

    def _create_connection(self) -> ConnectionPoolEntry:
        return _ConnectionRecord(self, connect=False)


def _look_at_idle_ones(engine: sa.Engine) -> None:
    """As `pool_pre_ping`, but only of connections that were idle for `IDLE_SECONDS`."""

    def used(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    def check(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info["used"] < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.dbapi.Error as error:  # type: ignore[union-attr]
            raise InvalidatePoolError from error

    event.listen(engine, "connect", used)
    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", check)


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Have the server be as patient with us as we are with it (`_PATIENCE`).

    Not as `options` of the connection, which PgBouncer refuses
    (https://www.pgbouncer.org/config.html#ignore_startup_parameters).
    """
    settings = {
        "idle_in_transaction_session_timeout": SILENT_MS,
        "lock_timeout": LOCK_MS,
        # Of a transaction that is being sent a result, which is not silent.
        "tcp_user_timeout": _PATIENCE["tcp_user_timeout"],
    } | {f"tcp_{name}": value for name, value in _PATIENCE.items() if name.startswith("keepalives")}
    connection.autocommit = True
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
    connection.autocommit = False


def _leave_follower(context: sa.engine.ExceptionContext) -> None:
    # read_only_sql_transaction: after a failover this server follows another; a new connection
    # finds that one (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    if getattr(context.original_exception, "sqlstate", None) == "25006":
        context.is_disconnect = True


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not open transactions by itself; `_begin_sqlite` does.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        # FULL syncs the log at each commit: an acknowledged write survives a power cut too.
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        # 8 MiB of page cache a connection (SQLite's own default is 2).
        "cache_size=-8192",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    # SQLite's own `lower` knows ASCII only (https://www.sqlite.org/lang_corefunc.html#lower).
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock at once: a read that is upgraded later fails with BUSY
    # without waiting (https://www.sqlite.org/isolation.html).
    immediate = connection.get_execution_options().get("likeopt_immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _translate(error: DBAPIError) -> Exception:
    text = str(error.orig)
    # lock_not_available, deadlock_detected: it does answer.
    if getattr(error.orig, "sqlstate", None) in ("55P03", "40P01"):
        _log.warning("database too busy: %s", text)
        return StorageUnavailable(BUSY)
    if "database or disk is full" in text or "No space left" in text or "disk I/O error" in text:
        return StorageFull("The disk is full. Nothing was changed; free some space and try again.")
    # SQLite says of a damaged file no more than DatabaseError.
    away = isinstance(error, OperationalError) or type(error) is DatabaseError
    if away or error.connection_invalidated:
        _log.warning("database unavailable: %s", text)
        return StorageUnavailable("The database does not answer. Try again in a moment.")
    return error


def migrate(database: Database) -> None:
    """Bring the schema to the newest revision; safe to call from several processes at once."""
    from alembic import command  # noqa: PLC0415  (30 MB and 0.2 s that only this needs)
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.engine.connect() as connection:
        connection.execution_options(likeopt_immediate=True)
        with connection.begin():
            if not database.is_sqlite:
                # Others may be migrating, and a large table takes as long as it takes.
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                # Any number that only Like-Opt uses; held until commit.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7463001)")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
