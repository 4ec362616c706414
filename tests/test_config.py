"""Settings that exclude each other, or that must have a certain form."""

from pathlib import Path

import pytest

from likeopt import config
from likeopt.config import Config, shown
from likeopt.config.korean import HELP_KO
from likeopt.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_a_guest_may_sit_at_this_machine(host: str) -> None:
    assert config.load({"LIKEOPT_GUEST": "true", "LIKEOPT_HOST": host}).guest


@pytest.mark.parametrize(
    "others",
    [
        {"HOST": "0.0.0.0"},
        {"HOST": "::"},
        {"HOST": "192.168.0.7"},
        {"HOST": "localhost.example.org"},
        {"HOST": ""},
        {"TRUSTED_PROXIES": "1"},
    ],
    ids=str,
)
def test_a_guest_may_not_come_from_elsewhere(others: dict[str, str]) -> None:
    environ = {f"LIKEOPT_{name}": value for name, value in others.items()}
    assert not config.load(environ).guest
    with pytest.raises(ConfigError, match="LIKEOPT_GUEST"):
        config.load(environ | {"LIKEOPT_GUEST": "true"})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("SECRET_KEY", ["k" * 32], ["k" * 31]),
        (
            "REDIS_URL",
            ["redis://:a@b@host:6379/0", "rediss://host", "unix:///run/redis.sock"],
            ["host:6379", "http://host", "redis://", "redis://:a/pw@host", "redis://:pw#@host"],
        ),
        (
            "DATABASE_URL",
            [
                "postgresql://me:pw@host:5432/x",
                "postgresql://me:p/w#?@host/x",
                "postgresql://me:pw@/x?host=/run/postgresql",
                "sqlite:////srv/a@b@c.db",
            ],
            ["postgresql://me:a@pw@host/x", "postgresql://me:pw", "postgresql://me@host:pw/x"],
        ),
        (
            "CACHE",
            ["", "memory", "disk, memory", "memory,disk"],
            ["Memory", "memory,memory", "files", "redis", "memcached"],
        ),
        (
            "MEMCACHED_SERVERS",
            ["", "10.0.0.5:11211, [::1]:11211", "cache.example.org:11211", "/run/memcached.sock"],
            ["10.0.0.5", "http://host:11211", "host:port", "a:1 b:2"],
        ),
        (
            "PUBLIC_URL",
            ["https://chat.example.org", "http://10.0.0.1:8080", "https://[::1]:8443"],
            ["chat.example.org", "https://chat.example.org/", "https://a.b/c", "ftp://a.b"],
        ),
        (
            "CORS_ORIGINS",
            ["", "https://a.example.org", " https://a.example.org, http://b:81 ,"],
            ["*", "null", "https://a.example.org/", "https://*.example.org", "https://A.org"],
        ),
    ],
)
def test_forms(name: str, good: list[str], bad: list[str]) -> None:
    variable = f"LIKEOPT_{name}"
    for value in good:
        config.load({variable: value, "LIKEOPT_TRUSTED_PROXIES": "1"})
    for value in bad:
        with pytest.raises(ConfigError, match=variable) as refused:
            config.load({variable: value})
        assert "pw" not in str(refused.value)


def test_an_address_with_tls_needs_to_know_of_the_proxy_that_speaks_it() -> None:
    address = {"LIKEOPT_PUBLIC_URL": "https://chat.example.org"}
    with pytest.raises(ConfigError, match=r"LIKEOPT_TRUSTED_PROXIES.*Secure"):
        config.load(address)
    assert config.load(address | {"LIKEOPT_TRUSTED_PROXIES": "1"}).trusted_proxies == 1
    config.load({"LIKEOPT_PUBLIC_URL": "http://10.0.0.1:8080"})


PROVIDER = {
    "LIKEOPT_OIDC_ISSUER": "https://id.example.org/realms/main",
    "LIKEOPT_OIDC_CLIENT_ID": "like-opt",
    "LIKEOPT_OIDC_CLIENT_SECRET": "pw",
}


@pytest.mark.parametrize("missing", PROVIDER)
def test_a_provider_is_set_up_whole_or_not_at_all(missing: str) -> None:
    assert config.load(PROVIDER).oidc_name == "OpenID Connect"
    with pytest.raises(ConfigError, match="LIKEOPT_OIDC_ISSUER"):
        config.load({name: value for name, value in PROVIDER.items() if name != missing})


@pytest.mark.parametrize(
    "issuer",
    ["id.example.org", "http://id.example.org", "https://", "https://a.org?x", "http://[::1"],
)
def test_a_provider_is_reached_with_tls(issuer: str) -> None:
    for near in ("http://127.0.0.1:9400", "http://[::1]:9400", "http://localhost"):
        config.load(PROVIDER | {"LIKEOPT_OIDC_ISSUER": near})
    with pytest.raises(ConfigError, match="LIKEOPT_OIDC_ISSUER"):
        config.load(PROVIDER | {"LIKEOPT_OIDC_ISSUER": issuer})


def test_what_is_no_address_may_hold_one_and_spaces() -> None:
    loaded = config.load(
        {
            "LIKEOPT_SECRET_KEY": "this key :// is as good as another",
            "LIKEOPT_FOLDER_ROOTS": "/srv/a://srv/My Files",
            "LIKEOPT_OIDC_NAME": "Acme (https://id.acme.example) ID",
        }
    )
    assert loaded.oidc_name == "Acme (https://id.acme.example) ID"
    assert loaded.folder_roots == "/srv/a://srv/My Files"


def test_an_address_that_is_none_is_refused_with_what_helps() -> None:
    with pytest.raises(ConfigError) as refused:
        config.load({"LIKEOPT_DATABASE_URL": "postgresql://me:pw@host/my@db"})
    assert refused.value.message == (
        "LIKEOPT_DATABASE_URL is not an address. Write what is special in its password or path as"
        " %40 for @, %2F for /, %23 for #, %25 for % and %3F for ?"
    )


def test_origins_are_a_set() -> None:
    listed = config.load({"LIKEOPT_CORS_ORIGINS": "https://a.org, https://b.org,"})
    assert listed.origins == {"https://a.org", "https://b.org"}
    assert config.load({}).origins == frozenset()


def test_names_of_the_server() -> None:
    config = Config(
        public_url="https://docs.acme.example", allowed_hosts="intra.acme.example, wiki"
    )
    assert {"acme", "docs", "docs.acme.example", "intra"} <= set(config.names)
    assert not {"example", ""} & set(config.names)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s" * 40 + "\n")
    assert config.load({"LIKEOPT_SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "s" * 40


def test_what_set_a_setting_is_told_to_the_parts_of_the_server() -> None:
    environ = {
        "LIKEOPT_PORT": "9001",
        "LIKEOPT_WORKERS": "4",
        "LIKEOPT_LOG_LEVEL": "debug",
        "LIKEOPT_LLM_KEY_FILE": "/run/secrets/key",
        "PATH": "/bin",
    }
    found = shown.sources(environ, dotenv={"LIKEOPT_WORKERS"}, options=["log_level"])
    assert found == {
        "port": "environment",
        "workers": "dotenv",
        "log_level": "option",
        "llm_key": "file",
    }
    # To them, each setting in force is a variable.
    part = {"LIKEOPT_DATA_DIR": "/srv/data", "LIKEOPT_PORT": "9001"} | shown.told(found)
    assert shown.sources(part) == found
    assert config.load(part).port == 9001


@pytest.mark.parametrize(
    ("value", "public"),
    [
        ("http://me:hidden@host:8000/v1", "http://********@host:8000/v1"),
        ("https://hidden@host", "https://********@host"),
        ("https://host/v1?key=hidden&a=b#part", "https://host/v1?********"),
        ("http://host/a@b", "http://host/a@b"),
        ("redis://:a/hidden#@b?@host", "redis://********@host"),
        ("10.0.0.5:11211, host:11211", "10.0.0.5:11211, host:11211"),
        ("", ""),
        (Path("/srv/data"), "/srv/data"),
        (8080, 8080),
        (True, True),
    ],
)
def test_secrets_in_addresses_are_not_shown(value: str | int | Path, public: str | int) -> None:
    assert shown.public(value) == public


def test_every_setting_is_described_in_korean() -> None:
    assert list(HELP_KO) == [name for name, _, _ in config.settings()]
