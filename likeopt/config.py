"""All settings in one table.

A setting's name, type, bounds, default and help are stated once, here; the environment
variable is `LIKEOPT_` + the upper-cased name. `docs/configuration.md` and `.env.example` are
generated from this table (`make docs`). Nothing is read at import.
"""

import difflib
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from likeopt.errors import ConfigError

PREFIX = "LIKEOPT_"
SECRET_KEY_CHARS = 32
# As browsers write an origin: no path, no slash at the end, lower case.
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _help(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default. Build it with `load`, or directly in tests."""

    # -- where ---------------------------------------------------------------------------------
    data_dir: Annotated[
        Path, _help("Folder that holds the database, the originals and the indexes.")
    ] = Path("data")
    host: Annotated[
        str, _help("Address to listen on. Anything but loopback makes Like-Opt reachable.")
    ] = "127.0.0.1"
    allowed_hosts: Annotated[
        str,
        _help(
            "Names, separated by commas, that people use for this server in addresses, such as"
            " `docs.example.org`. IP addresses, `localhost` and the host above always work."
        ),
    ] = ""
    port: Annotated[int, _help("Port to listen on; 0 picks a free one.", ge=0, le=65535)] = 8080
    database_url: Annotated[
        str,
        _help(
            "Database: empty for SQLite in the data folder, or"
            " `postgresql://user:password@host/name`.",
            extra={"secret": True},
        ),
    ] = ""

    public_url: Annotated[
        str,
        _help(
            "Address that people use, such as `https://chat.example.org`, for links in invitations"
            " and sign-in elsewhere. Empty: the one that a request names."
        ),
    ] = ""
    trusted_proxies: Annotated[
        int,
        _help(
            "Proxies in front whose `X-Forwarded-*` headers are believed; 0 believes nobody's.",
            ge=0,
            le=10,
        ),
    ] = 0

    # -- people --------------------------------------------------------------------------------
    guest: Annotated[
        bool,
        _help(
            "Skip sign-in for whoever sits at this machine. Only with a loopback `HOST`, and never"
            " through a proxy."
        ),
    ] = False
    secret_key: Annotated[
        str,
        _help(
            "Signs cookies; at least 32 characters, the same on every server. Empty: made once"
            " and kept in the data folder.",
            extra={"secret": True},
        ),
    ] = ""
    redis_url: Annotated[
        str,
        _help(
            "Redis for sessions, such as `redis://:password@host:6379/0`; needs the extra `redis`."
            " Empty: they are kept in the database.",
            extra={"secret": True},
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        _help(
            "Origins, separated by commas, whose pages may call the API with a key, such as"
            " `https://intranet.example.org`."
        ),
    ] = ""

    oidc_issuer: Annotated[
        str,
        _help(
            "OpenID Connect provider that people may sign in with, such as"
            " `https://id.example.org/realms/main`; needs the extra `oidc`. Empty: none."
        ),
    ] = ""
    oidc_client_id: Annotated[str, _help("What the provider calls Like-Opt.")] = ""
    oidc_client_secret: Annotated[
        str, _help("Proves to the provider that Like-Opt asks.", extra={"secret": True})
    ] = ""
    oidc_name: Annotated[
        str, _help("The provider's name on the button for signing in.", min_length=1, max_length=60)
    ] = "OpenID Connect"

    rate_limit: Annotated[
        int,
        _help(
            "Requests a minute of one person, key or (not signed in) address; 0 is no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 1200
    rate_limit_chat: Annotated[
        int, _help("Questions a minute of one person or key; 0 is no limit.", ge=0, le=1_000_000)
    ] = 60

    # -- web workers ---------------------------------------------------------------------------
    workers: Annotated[
        int, _help("Web worker processes. More than cores bought nothing but memory.", ge=1, le=64)
    ] = 2
    worker_connections: Annotated[
        int, _help("Connections one web worker holds open at the same time.", ge=10, le=20_000)
    ] = 8000
    graceful_timeout: Annotated[
        int,
        _help(
            "Seconds a stopping worker waits for its open requests; must exceed the longest"
            " answer stream, or a restart cuts streams.",
            ge=1,
            le=3600,
        ),
    ] = 180
    max_upload_mb: Annotated[int, _help("Largest file that can be added, MiB.", ge=1, le=4096)] = (
        100
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _help("Least severe log line written.")
    ] = "info"

    # -- indexing ------------------------------------------------------------------------------
    sample_library: Annotated[
        bool, _help("Add Like-Opt's own documentation as the first documents of a new library.")
    ] = True
    folder_roots: Annotated[
        str,
        _help(
            "Folders, separated by `:`, that the page and the API may add documents from. Empty:"
            " only `likeopt ingest` adds folders."
        ),
    ] = ""
    url_allow_private: Annotated[
        bool, _help("Let URL ingestion reach loopback and private addresses (an intranet wiki).")
    ] = False
    parse_timeout: Annotated[
        int,
        _help("Seconds one file may take to be read before its reader is stopped.", ge=1, le=3600),
    ] = 120
    parse_memory_mb: Annotated[
        int, _help("Memory limit of the process that reads files, MiB.", ge=256, le=65536)
    ] = 1024
    chunk_chars: Annotated[
        int, _help("Target size of a passage in characters.", ge=200, le=4000)
    ] = 800
    chunk_overlap: Annotated[
        int, _help("Characters that neighbouring passages share.", ge=0, le=1000)
    ] = 100

    # -- search --------------------------------------------------------------------------------
    analyser: Annotated[
        Literal["script", "kiwi"],
        _help(
            "Text analysis for search by words: `script` (Hangul bigrams, Latin stems) or `kiwi`"
            " (Korean morphemes; extra `kiwi`, 493 MB more memory)."
        ),
    ] = "script"
    vector_backend: Annotated[
        Literal["local", "chroma"],
        _help("Where vectors are searched: built in, or a Chroma server."),
    ] = "local"
    chroma_url: Annotated[str, _help("Address of the Chroma server.")] = "http://127.0.0.1:8000"
    embedder: Annotated[
        Literal["local", "openai"],
        _help(
            "What turns text into vectors: the built-in model, or an OpenAI-compatible endpoint."
        ),
    ] = "local"
    embed_url: Annotated[
        str, _help("OpenAI-compatible base URL for embeddings, for example `http://host/v1`.")
    ] = ""
    embed_model: Annotated[str, _help("Model name for the embedding endpoint.")] = ""
    embed_key: Annotated[str, _help("Key for the embedding endpoint.", extra={"secret": True})] = ""
    rerank_url: Annotated[
        str,
        _help("Optional reranker: base URL of a server with a `/rerank` endpoint (Jina's format)."),
    ] = ""
    rerank_model: Annotated[str, _help("Model name for the reranker.")] = ""
    rerank_key: Annotated[str, _help("Key for the reranker.", extra={"secret": True})] = ""
    search_deadline_ms: Annotated[
        int,
        _help("Longest a search may wait for the engine before it is refused.", ge=50, le=60_000),
    ] = 5000

    # -- answers -------------------------------------------------------------------------------
    llm: Annotated[
        str,
        _help(
            "What writes answers: `extractive` (best cited sentences, no model), `local` (1.5B"
            " model), `local-small` (0.5B), `gguf:/path/to/model.gguf`, or `openai`."
        ),
    ] = "extractive"
    llm_url: Annotated[
        str,
        _help("OpenAI-compatible base URL, for example `http://127.0.0.1:11434/v1` for Ollama."),
    ] = ""
    llm_model: Annotated[str, _help("Model name to ask the endpoint for.")] = ""
    llm_key: Annotated[str, _help("Key for the endpoint.", extra={"secret": True})] = ""
    llm_timeout: Annotated[
        int, _help("Seconds to wait for the model's next token before giving up.", ge=1, le=600)
    ] = 60
    llm_concurrency: Annotated[
        int, _help("Answers a model writes at the same time; 0 chooses by the kind of model.", ge=0)
    ] = 0
    llm_queue: Annotated[
        int,
        _help(
            "Questions that may wait for a model; one more is refused with 503.", ge=0, le=10_000
        ),
    ] = 64
    llm_threads: Annotated[
        int, _help("CPU threads of the local model; 0 takes the idle cores.", ge=0, le=256)
    ] = 0
    llm_context_tokens: Annotated[
        int, _help("Tokens of passages given to the model; 0 fits them to the model's speed.", ge=0)
    ] = 0
    llm_max_tokens: Annotated[int, _help("Longest answer in tokens.", ge=16, le=32_768)] = 512

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        if not self.database_url:
            return f"sqlite:///{(self.data_dir / 'likeopt.db').absolute()}"
        scheme, _, rest = self.database_url.partition("://")
        if scheme in ("postgresql", "postgres"):
            return f"postgresql+psycopg://{rest}"
        return self.database_url

    @property
    def names(self) -> list[str]:
        """What this server and its organization are called, and so no password should be: its
        host names, the parts of these but the last, and the name of the provider."""
        hosts = [urlsplit(self.public_url).hostname or "", *self.allowed_hosts.split(",")]
        parts = [part for host in hosts for part in host.strip().split(".")[:-1]]
        return [name for name in (*hosts, *parts, self.oidc_name) if name]

    @property
    def origins(self) -> frozenset[str]:
        """The origins in `cors_origins`."""
        return frozenset(filter(None, map(str.strip, self.cors_origins.split(","))))


def settings() -> list[tuple[str, Any, Meta]]:
    """(name, default, metadata) of every setting in table order."""
    hints = get_type_hints(Config, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Config):
        meta = next(m for m in get_args(hints[field.name]) if isinstance(m, Meta))
        rows.append((field.name, field.default, meta))
    return rows


def is_secret(meta: Meta) -> bool:
    """Whether a setting's value must not be shown; such a setting also has a `..._FILE` form."""
    return bool((meta.extra or {}).get("secret"))


def load(environ: Mapping[str, str], **overrides: Any) -> Config:
    """Build the settings from environment variables, then `overrides` (command-line flags).

    Raises ConfigError for an unknown `LIKEOPT_` name, a value out of bounds, or a secret's file
    that cannot be read.
    """
    known = {PREFIX + name.upper(): (name, meta) for name, _, meta in settings()}
    values: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable in known:
            values[known[variable][0]] = value
            continue
        base = variable.removesuffix("_FILE")
        if base in known and is_secret(known[base][1]):
            values[known[base][0]] = _read_secret(variable, value)
            continue
        close = difflib.get_close_matches(variable, known, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"{variable} is not a setting of Like-Opt.{meant}")
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        config = msgspec.convert(values, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(f"Setting refused: {error}") from None
    _check_together(config)
    return config


def _decode(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, (str, Path)) and str(value):
        return Path(value)
    raise NotImplementedError(kind)


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable} names a file that cannot be read: {error}") from None


def _check_together(config: Config) -> None:
    _check_models(config)
    _check_people(config)
    _check_provider(config)


def _check_people(config: Config) -> None:
    if config.guest and not is_loopback(config.host):
        raise ConfigError(
            f"LIKEOPT_GUEST=true needs LIKEOPT_HOST=127.0.0.1, not {config.host!r}: it lets"
            " everyone in who reaches that address"
        )
    if config.guest and config.trusted_proxies:
        raise ConfigError("LIKEOPT_GUEST=true and LIKEOPT_TRUSTED_PROXIES exclude each other")
    if config.secret_key and len(config.secret_key) < SECRET_KEY_CHARS:
        raise ConfigError(f"LIKEOPT_SECRET_KEY needs {SECRET_KEY_CHARS} characters or more")
    if config.redis_url and not re.match(r"(rediss?|unix)://.", config.redis_url):
        raise ConfigError("LIKEOPT_REDIS_URL must begin with redis://, rediss:// or unix://")
    if config.public_url and not _ORIGIN.fullmatch(config.public_url):
        raise ConfigError(
            "LIKEOPT_PUBLIC_URL must be like https://chat.example.org, without a path or a slash"
            f" at its end, not {config.public_url!r}"
        )
    for origin in config.origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                "LIKEOPT_CORS_ORIGINS must list origins like https://intranet.example.org, not"
                f" {origin!r}"
            )


def _check_provider(config: Config) -> None:
    given = [config.oidc_issuer, config.oidc_client_id, config.oidc_client_secret]
    if any(given) and not all(given):
        raise ConfigError(
            "LIKEOPT_OIDC_ISSUER, LIKEOPT_OIDC_CLIENT_ID and LIKEOPT_OIDC_CLIENT_SECRET need each"
            " other"
        )
    try:
        url = urlsplit(config.oidc_issuer)
        known = url.scheme == "https" and url.hostname
        # What is said to a provider on this machine passes nobody's wire.
        near = url.scheme == "http" and url.hostname and is_loopback(url.hostname)
    except ValueError:
        known = near = None
    if config.oidc_issuer and (not (known or near) or url.query or url.fragment):
        raise ConfigError(
            "LIKEOPT_OIDC_ISSUER must be like https://id.example.org/realms/main, not"
            f" {config.oidc_issuer!r}"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_models(config: Config) -> None:
    if config.llm not in ("extractive", "local", "local-small", "openai") and not (
        config.llm.startswith("gguf:") and len(config.llm) > len("gguf:")
    ):
        raise ConfigError(
            "LIKEOPT_LLM must be extractive, local, local-small, openai or"
            f" gguf:/path/to/model.gguf, not {config.llm!r}"
        )
    if config.llm == "openai" and not (config.llm_url and config.llm_model):
        raise ConfigError("LIKEOPT_LLM=openai needs LIKEOPT_LLM_URL and LIKEOPT_LLM_MODEL")
    if config.embedder == "openai" and not (config.embed_url and config.embed_model):
        raise ConfigError("LIKEOPT_EMBEDDER=openai needs LIKEOPT_EMBED_URL and LIKEOPT_EMBED_MODEL")
    if config.chunk_overlap * 2 > config.chunk_chars:
        raise ConfigError("LIKEOPT_CHUNK_OVERLAP must be at most half of LIKEOPT_CHUNK_CHARS")


__all__ = ["PREFIX", "SECRET_KEY_CHARS", "Config", "is_loopback", "is_secret", "load", "settings"]
