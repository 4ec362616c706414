"""What settings may not say, beyond what the table can tell of each alone."""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from likeopt.config.masking import masked
from likeopt.config.table import Config
from likeopt.errors import ConfigError

SECRET_KEY_CHARS = 32
# As browsers write an origin: no path, no slash at the end, lower case.
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
# Goes into headers and attributes of the page as it is.
_ASSETS = re.compile(_ORIGIN.pattern + r"(/[A-Za-z0-9._~/-]*)?")
_LAYERS = ("memory", "redis", "memcached", "disk")
_SERVER = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}|/.+")
# Text of any kind, and lists, of which none that has a password passes.
_NO_ADDRESS = ("_key", "_secret", "_name", "_dir", "_roots", "_origins")


def check_spaces(values: Mapping[str, object]) -> None:
    """Raise ConfigError for white space in an address: where it ends in a text, and with that what
    of it is secret, could not be told."""
    for name, value in values.items():
        text = str(value)
        if "://" in text and len(text.split()) > 1 and not name.endswith(_NO_ADDRESS):
            raise ConfigError(f"LIKEOPT_{name.upper()} has a space in an address. Write it as %20")


def check(config: Config) -> None:
    """Raise ConfigError for settings that exclude each other, or have a wrong form."""
    try:
        _check_models(config)
        _check_addresses(config)
        _check_people(config)
        _check_provider(config)
        _check_cache(config)
    except ConfigError as error:
        raise ConfigError(masked(error.message)) from None


def _check_addresses(config: Config) -> None:
    """Refuse what never worked: an address whose password is not percent-encoded is another one,
    with a piece of the password as a host or a port, which whoever reads it there would tell."""
    # The question mark at the end: what follows one is masked.
    how = (
        "is not an address. Write what is special in its password or path as %40 for @, %2F for /,"
        " %23 for #, %25 for % and %3F for ?"
    )
    kind, _, rest = config.database_url.partition("://")
    # To SQLAlchemy a password ends at the first `@`.
    server = _netloc(f"//{rest.partition('@')[2] or rest}")
    if kind.startswith("postgres") and (server is None or "@" in server):
        raise ConfigError(f"LIKEOPT_DATABASE_URL {how}")
    if _netloc(config.redis_url) is None:
        raise ConfigError(f"LIKEOPT_REDIS_URL {how}")


def _netloc(url: str) -> str | None:
    """Whose address it is and where; None if that cannot be told, as with a port that is none, or
    with an `@` further on, which may be the end of a password like `12/34`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in f"{parts.path}{parts.query}{parts.fragment}" else parts.netloc


def _check_people(config: Config) -> None:
    if config.guest and not is_loopback(config.host):
        raise ConfigError(
            f"LIKEOPT_GUEST=true needs LIKEOPT_HOST=127.0.0.1, not {config.host!r}: a"
            " guest sits at this machine"
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
    if config.public_url.startswith("https:") and not config.trusted_proxies:
        raise ConfigError(
            "LIKEOPT_PUBLIC_URL with https needs LIKEOPT_TRUSTED_PROXIES, the number of proxies in"
            " front, of which the first speaks TLS; 1 for one. Else requests would be taken for"
            " plain HTTP, with cookies that are not Secure and without HSTS"
        )
    if config.assets_url and not _ASSETS.fullmatch(config.assets_url):
        raise ConfigError(
            "LIKEOPT_ASSETS_URL must be like https://cdn.example.org/likeopt, not"
            f" {config.assets_url!r}"
        )
    for origin in config.origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(
                # Not what stands there: it may be a piece of a password with a comma in it.
                "LIKEOPT_CORS_ORIGINS must list origins like https://intranet.example.org, without"
                " a path or a slash at the end, separated by commas"
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


def _check_cache(config: Config) -> None:
    layers = config.cache_layers
    if len(set(layers)) < len(layers) or not set(layers) <= set(_LAYERS):
        raise ConfigError(
            f"LIKEOPT_CACHE must list some of {', '.join(_LAYERS)}, each once, not {config.cache!r}"
        )
    if "redis" in layers and not config.redis_url:
        raise ConfigError("LIKEOPT_CACHE with redis needs LIKEOPT_REDIS_URL")
    if "memcached" in layers and not config.memcached:
        raise ConfigError("LIKEOPT_CACHE with memcached needs LIKEOPT_MEMCACHED_SERVERS")
    for server in config.memcached:
        if not _SERVER.fullmatch(server):
            raise ConfigError(
                "LIKEOPT_MEMCACHED_SERVERS must list servers like 10.0.0.5:11211 or"
                " /run/memcached.sock, without a name or password, separated by commas"
            )
