"""All settings in one table.

A setting's name, type, bounds, default and help are stated once, here; the environment
variable is `LIKEOPT_` + the upper-cased name. `docs/configuration.md` and `.env.example` are
generated from this table (`make docs`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

# Section -> its first setting.
SECTIONS = {
    "where": "data_dir",
    "people": "guest",
    "web workers": "workers",
    "cache": "cache",
    "indexing": "sample_library",
    "search": "analyser",
    "answers": "llm",
}


def _help(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its default. Build it with `load`, or directly in tests."""

    # -- where ---------------------------------------------------------------------------------
    data_dir: Annotated[
        Path, _help("Folder that holds the database, the originals and the indexes.")
    ] = Path("data")
    files_dir: Annotated[
        str,
        _help(
            "Folder of the originals; several servers need the same one, such as a network mount."
            " Empty: `files` in the data folder."
        ),
    ] = ""
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
            " and sign-in elsewhere. Empty: the one that a request names. With `https`,"
            " `TRUSTED_PROXIES` must not be 0."
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
            "Skip sign-in for whoever opens the link that the start prints, at this machine. Only"
            " with a loopback `HOST`, and never through a proxy."
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
            "Redis for sessions, for answers that several servers share while they are written, and"
            " for the layer `redis` of the cache, such as `redis://:password@host:6379/0`; needs"
            " the extra `redis`. Empty: sessions are kept in the database.",
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
            "Requests a minute of one person with all keys, or of one address without a sign-in;"
            " 0 is no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 1200
    rate_limit_chat: Annotated[
        int,
        _help("Questions a minute of one person with all keys; 0 is no limit.", ge=0, le=1_000_000),
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
    assets_url: Annotated[
        str,
        _help(
            "Where browsers fetch the page's files, such as `https://cdn.example.org/likeopt`: a"
            " CDN that fetches them from `/assets` here. Empty: from this server."
        ),
    ] = ""
    vitals_percent: Annotated[
        int,
        _help(
            "Share of visits whose browsers measure how fast the page is and tell this server; no"
            " person or address is kept with it. 0: none.",
            ge=0,
            le=100,
        ),
    ] = 100
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _help("Least severe log line written.")
    ] = "info"

    # -- cache ---------------------------------------------------------------------------------
    cache: Annotated[
        str,
        _help(
            "Layers of the cache, the quickest first, separated by commas: `memory`, `redis`,"
            " `memcached`, `disk`. Empty: nothing is cached."
        ),
    ] = "memory,disk"
    cache_memory_mb: Annotated[
        int, _help("Most that the memory layer of one process holds, MiB.", ge=1, le=65_536)
    ] = 32
    cache_disk_mb: Annotated[
        int, _help("Most that the disk layer of this machine holds, MiB.", ge=1, le=1_048_576)
    ] = 256
    memcached_servers: Annotated[
        str,
        _help(
            "Memcached servers, separated by commas, such as `10.0.0.5:11211` or"
            " `/run/memcached.sock`; needs the extra `memcached`."
        ),
    ] = ""
    semantic_cache: Annotated[
        bool,
        _help(
            "Give the answer to an earlier question to one that says the same in other words and"
            " finds the same passages. Read docs/caching.md first: of 460 near misses none passed."
        ),
    ] = False
    cache_warm: Annotated[
        int,
        _help(
            "Most asked questions that are asked ahead whenever documents have changed. With a"
            " model, it writes those answers anew whose passages changed. 0: none.",
            ge=0,
            le=1000,
        ),
    ] = 0

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
        int, _help("CPU threads of the local model; 0 takes every core it may use.", ge=0, le=256)
    ] = 0
    llm_context_tokens: Annotated[
        int, _help("Tokens of passages given to the model; 0 fits them to the model's speed.", ge=0)
    ] = 0
    llm_max_tokens: Annotated[int, _help("Longest answer in tokens.", ge=16, le=32_768)] = 512

    @property
    def originals(self) -> Path:
        """The folder of the originals in force."""
        return Path(self.files_dir) if self.files_dir else self.data_dir / "files"

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
        return frozenset(_listed(self.cors_origins))

    @property
    def cache_layers(self) -> list[str]:
        """The layers in `cache`."""
        return _listed(self.cache)

    @property
    def memcached(self) -> list[str]:
        """The servers in `memcached_servers`."""
        return _listed(self.memcached_servers)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
