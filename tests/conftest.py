"""Fixtures shared by all tests, and the rules that every test run obeys."""

import ipaddress
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any, LiteralString

import msgspec
import psycopg
import pytest
import redis
from psycopg import sql
from pymemcache import PooledClient

from likeopt.config import PREFIX, Config
from likeopt.storage.db import Database, migrate
from tests import guest, servers
from tests.fakes import FakeClock, FakeEmbedder

# -- rules of the house --------------------------------------------------------------------------


def pytest_configure() -> None:
    """Shut the network and forget the settings of whoever runs the tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A background job ignores Ctrl-C, and so would every command that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    """Tests talk to this machine only (libpq, a C library, is not seen here)."""
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]}")
    elif event == "socket.getaddrinfo" and not _is_literal_or_here(args[0]):
        # What a machine without a network says; RFC 6761 keeps these two names for this use.
        if str(args[0]).endswith((".invalid", ".test")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        raise RuntimeError(f"a test tried to look up {args[0]}")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_literal_or_here(host: object) -> bool:
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in ("", "localhost", socket.gethostname()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # 2130706433 and 0x7f.1, too, are addresses that no name server is asked for.
        with suppress(OSError):
            return bool(socket.inet_aton(name))
        return False
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one, unless ALLOW_SKIP=1."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for modules that skip themselves."""
    report = yield
    if report.skipped:
        _fail_instead(report)
    return report


def _fail_instead(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("ALLOW_SKIP") != "1":
        report.outcome = "failed"
        report.longrepr = f"skipped (ALLOW_SKIP=1 allows it): {report.longrepr}"


def _start(server: AbstractContextManager[str]) -> Iterator[str]:
    try:
        url = server.__enter__()
    except servers.MissingServer as missing:
        pytest.skip(str(missing))
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


# -- time, models, folders -----------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    """Time stands still until the test calls `advance`."""
    return FakeClock()


@pytest.fixture
def embedder() -> FakeEmbedder:
    """See `FakeEmbedder`."""
    return FakeEmbedder()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data folder with a short name: a Unix socket's path has at most 107 bytes, which
    pytest's own `tmp_path` often exceeds."""
    with tempfile.TemporaryDirectory(prefix="lo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def config(data_dir: Path) -> Config:
    """SQLite, an empty data folder, a free port, no sample documents, and nobody has to sign in:
    see tests/guest.py."""
    key = guest.SECRET_KEY
    return Config(data_dir=data_dir, port=0, sample_library=False, guest=True, secret_key=key)


# -- databases -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, closed SQLite file: copying it is 50 times faster than migrating again."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[str]:
    yield from _start(servers.postgres())


class MigratedPostgres:
    """One migrated database for all tests of this process, new again for each: emptying it takes
    5 ms, copying a template 450 ms of CPU."""

    def __init__(self, server: str) -> None:
        self.url = f"{server}/migrated"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE migrated")
        database = Database(Config(database_url=self.url).database)
        migrate(database)
        database.close()
        self._admin = psycopg.connect(self.url, autocommit=True)
        # No triggers: the audit log refuses to lose a line, and rows go in any order.
        self._admin.execute("SET session_replication_role = replica")
        tables = self._names("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        self._sequences = self._names("SELECT sequencename FROM pg_sequences")
        self._rows = [(table, self._copied(table)) for table in tables]

    def _names(self, query: LiteralString) -> list[sql.Identifier]:
        return [sql.Identifier(name) for (name,) in self._admin.execute(query)]

    def _copied(self, table: sql.Identifier) -> bytes:
        with self._admin.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
            return b"".join(bytes(part) for part in copy)

    def renew(self) -> None:
        """As it was after its migration, and with nobody connected."""
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with self._admin.transaction(), self._admin.cursor() as cursor:
            for table, rows in self._rows:
                cursor.execute(sql.SQL("DELETE FROM {}").format(table))
                if rows:
                    with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                        copy.write(rows)
            for sequence in self._sequences:
                cursor.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sequence))

    def close(self) -> None:
        """Leave the server."""
        self._admin.close()


@pytest.fixture(scope="session")
def _postgres_migrated(_postgres_server: str) -> Iterator[MigratedPostgres]:
    with closing(MigratedPostgres(_postgres_server)) as made:
        yield made


@pytest.fixture
def postgres_url(_postgres_server: str) -> Iterator[str]:
    """`postgresql://...` of a new, empty database of a real server."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{_postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"{_postgres_server}/{name}"
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[str]:
    """`Config.database_url` of a new, migrated database: the test runs on SQLite (which is the
    default, so empty) and PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("_sqlite_template"), data_dir / "likeopt.db")
        yield ""
        return
    migrated: MigratedPostgres = request.getfixturevalue("_postgres_migrated")
    migrated.renew()
    yield migrated.url


@pytest.fixture
def database_config(config: Config, database_url: str) -> Config:
    """`config` with a new, migrated database behind it: the test runs on SQLite and PostgreSQL."""
    return msgspec.structs.replace(config, database_url=database_url)


@pytest.fixture
def database(database_config: Config) -> Iterator[Database]:
    """A new, migrated database: the test runs on SQLite and PostgreSQL."""
    opened = Database(database_config.database)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(config: Config, _sqlite_template: Path) -> Iterator[Database]:
    """A new, migrated SQLite database at `config.database`."""
    shutil.copy(_sqlite_template, config.data_dir / "likeopt.db")
    opened = Database(config.database)
    yield opened
    opened.close()


# -- other servers -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chroma_url() -> Iterator[str]:
    """Base URL of a real Chroma server, shared by the session: use your own collection names."""
    yield from _start(servers.chroma())


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[str]:
    yield from _start(servers.redis_server())


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """`redis://...` of a real, empty Redis."""
    with redis.Redis.from_url(_redis_server) as client:
        client.flushall()
    return _redis_server


@pytest.fixture(scope="session")
def _memcached_server() -> Iterator[str]:
    yield from _start(servers.memcached_server())


@pytest.fixture
def memcached(_memcached_server: str) -> str:
    """`host:port` of a real, empty Memcached."""
    with closing(PooledClient(_memcached_server)) as client:
        client.flush_all(noreply=False)
    return _memcached_server
