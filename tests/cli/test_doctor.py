"""`likeopt doctor` finds what is broken and says what to do."""

import json
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from joserfc.jwk import RSAKey

from likeopt.cli.main import main
from likeopt.config import Config
from likeopt.storage.db import Database
from tests.servers import free_port, openid_provider


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A model server that wants the key `right`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "Bearer right"
            self.send_response(200 if allowed and self.path == "/v1/models" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


class Doctor:
    """Runs the command and returns its lines by name."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch

    def __call__(self, code: int, **settings: object) -> dict[str, dict[str, Any]]:
        for name, value in settings.items():
            self._patch.setenv(f"LIKEOPT_{name.upper()}", str(value))
        assert main(["doctor", "--json"]) == code
        report = json.loads(self._capsys.readouterr().out)
        assert report["ok"] is (code == 0)
        return {check["name"]: check for check in report["checks"]}


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(capsys, monkeypatch)


def test_a_new_machine_is_healthy(
    doctor: Doctor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = doctor(0)
    assert {check["status"] for check in checks.values()} <= {"ok", "warn"}
    assert "not running" in checks["engine"]["detail"]
    assert not (tmp_path / "data").exists(), "looking changes nothing"
    assert main(["doctor"]) == 0
    assert "ok    answers      extractive" in capsys.readouterr().out


def test_a_data_folder_that_cannot_be_one(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checks = doctor(1, data_dir=tmp_path / "file")
    assert checks["data folder"]["status"] == "fail"
    assert "LIKEOPT_DATA_DIR" in checks["data folder"]["advice"]
    checks = doctor(1, data_dir=tmp_path / "data", files_dir=str(tmp_path / "file"))
    assert "LIKEOPT_FILES_DIR" in checks["data folder"]["advice"]


def test_fewer_open_files_than_connections(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 8192))
    check = doctor(0, data_dir=tmp_path / "data", worker_connections=8000)["open files"]
    assert check["status"] == "warn"
    assert "8,192 can be open, a web worker may need 8,512" in check["detail"]
    assert "LIKEOPT_WORKER_CONNECTIONS" in check["advice"]
    check = doctor(0, data_dir=tmp_path / "data", worker_connections=7000)["open files"]
    assert check["status"] == "ok"


def test_a_path_that_sockets_cannot_have(doctor: Doctor, tmp_path: Path) -> None:
    checks = doctor(1, data_dir=tmp_path / ("x" * 120))
    assert "bytes shorter" in checks["data folder"]["advice"]


def test_a_migrated_database(doctor: Doctor, database_config: Config) -> None:
    url = database_config.database_url
    checks = doctor(0, data_dir=database_config.data_dir, database_url=url)
    assert checks["database"]["status"] == "ok"
    assert ("PostgreSQL" if url else "SQLite") + ", schema 0" in checks["database"]["detail"]


def test_a_database_of_a_newer_version(doctor: Doctor, sqlite_database: Database) -> None:
    def age(c: Any) -> None:
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    sqlite_database.write(age)
    place = Path(str(sqlite_database.engine.url.database)).parent
    assert "newer" in doctor(1, data_dir=place)["database"]["advice"]


def test_an_empty_postgres_is_fine(doctor: Doctor, postgres_url: str) -> None:
    assert "makes its tables" in doctor(0, database_url=postgres_url)["database"]["detail"]


def test_a_postgres_that_lets_in_too_few(doctor: Doctor, database_config: Config) -> None:
    few = {"data_dir": database_config.data_dir, "database_url": database_config.database_url}
    check = doctor(0, **few, workers=64)["database"]
    if not database_config.database_url:
        assert check["status"] == "ok"
        return
    assert check["status"] == "warn"
    assert "allows 97 connections, this server may need 588" in check["detail"]
    assert "max_connections" in check["advice"]


def test_a_postgres_that_does_not_answer(doctor: Doctor) -> None:
    url = f"postgresql://me:hidden@127.0.0.1:{free_port()}/x"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    check = doctor(1, database_url=url)["database"]
    assert check["status"] == "fail"
    assert "hidden" not in json.dumps(check)


@pytest.mark.parametrize(
    "password", ["s3cr3t", "s3cr3t%2F%40%23", "/s3cr3t", "@s3cr3t", "#?s3cr3t"]
)
def test_no_password_of_an_address_is_told(
    password: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = f"{password}@127.0.0.1:{free_port()}"
    settings = {
        "LLM": "openai",
        "LLM_URL": f"http://me.test:{place}/v1",
        "LLM_MODEL": "m",
        "EMBEDDER": "openai",
        "EMBED_URL": f"http://me.test:{place}/v1?key=s3cr3t",
        "EMBED_MODEL": "m",
        "VECTOR_BACKEND": "chroma",
        "CHROMA_URL": f"http://me.test:{place}",
        "OIDC_ISSUER": f"http://me:{place.replace('/', '').replace('#?', '')}/realm",
        "OIDC_CLIENT_ID": "like-opt",
        "OIDC_CLIENT_SECRET": "s3cr3t",
    }
    if password.startswith("s3"):
        settings["DATABASE_URL"] = f"postgresql://me:{place}/x"
        settings["REDIS_URL"] = f"redis://:{place}/0"
        settings["CACHE"] = "redis"
    for name, value in settings.items():
        monkeypatch.setenv(f"LIKEOPT_{name}", value)
    for arguments in (["doctor"], ["doctor", "--json"]):
        assert main(arguments) == 1
        told = capsys.readouterr()
        assert "s3cr3t" not in told.out + told.err + caplog.text
    failed = {one["name"] for one in json.loads(told.out)["checks"] if one["status"] == "fail"}
    assert failed >= {"answers", "embeddings", "chroma", "sign-in"}
    # What is wrong can still be found.
    assert told.out.count("://********@127.0.0.1:") >= 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:a/s3cr3t@127.0.0.1/0"),
        ("REDIS_URL", "redis://:s3cr3t#x@127.0.0.1/0"),
        ("REDIS_URL", "redis://:12/s3cr3t@127.0.0.1/0"),
        ("REDIS_URL", "redis://:12#s3cr3t@127.0.0.1/0"),
        ("REDIS_URL", "redis://me:12?s3cr3t@127.0.0.1"),
        ("REDIS_URL", "http://:s3cr3t@127.0.0.1/0"),
        ("DATABASE_URL", "postgresql://me:x@s3cr3t@127.0.0.1/x"),
        ("DATABASE_URL", "postgresql://me:x@12/s3cr3t@127.0.0.1/x"),
        ("DATABASE_URL", "postgresql://me:s3cr3t"),
        ("MEMCACHED_SERVERS", "me:s3cr3t@127.0.0.1:x"),
        ("MEMCACHED_SERVERS", "me:s3cr3t,x@127.0.0.1:1"),
        ("PUBLIC_URL", "http://me:s3cr3t@127.0.0.1"),  # pragma: allowlist secret
        ("ASSETS_URL", "http://me:s3cr3t@127.0.0.1"),  # pragma: allowlist secret
        ("CORS_ORIGINS", "http://me:s3cr3t@127.0.0.1"),  # pragma: allowlist secret
        ("CORS_ORIGINS", "http://me:s3cr3t, x@127.0.0.1"),
        ("CHROMA_URL", "http://me:s3cr3t x@127.0.0.1"),
        ("LLM_URL", "http://me:x s3cr3t@127.0.0.1/v1"),
        ("EMBED_URL", "http://127.0.0.1/v1?key=x\ts3cr3t"),
        ("RERANK_URL", "http://me x:s3cr3t@127.0.0.1"),
        ("OIDC_ISSUER", "http://me:x, s3cr3t@127.0.0.1"),
        ("LLM", "http://me:x s3cr3t@127.0.0.1"),
        ("EMBEDDER", "http://me:s3cr3t@127.0.0.1"),  # pragma: allowlist secret
    ],
)
@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["config"]])
def test_no_password_of_an_address_that_is_refused_is_told(
    name: str,
    value: str,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"LIKEOPT_{name}", value)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert "s3cr3t" not in told.out + told.err
    assert name.lower() in (told.out + told.err).lower()


def test_endpoints_and_their_keys(doctor: Doctor, endpoint: str) -> None:
    named = {"llm": "openai", "llm_url": endpoint, "llm_model": "m"}
    assert "answers 401" in doctor(1, **named, llm_key="wrong")["answers"]["detail"]
    assert doctor(0, **named, llm_key="right")["answers"]["status"] == "ok"
    embed = {"embedder": "openai", "embed_model": "m", "embed_key": "right"}
    gone = f"http://127.0.0.1:{free_port()}/v1"
    assert "does not answer" in doctor(1, **embed, embed_url=gone)["embeddings"]["detail"]
    assert doctor(0, **embed, embed_url=endpoint)["embeddings"]["status"] == "ok"


def test_a_model_that_was_not_fetched(doctor: Doctor, tmp_path: Path) -> None:
    assert "likeopt model get local-small" in doctor(1, llm="local-small")["answers"]["detail"]
    assert doctor(1, llm=f"gguf:{tmp_path}/none.gguf")["answers"]["status"] == "fail"
    (tmp_path / "some.gguf").touch()
    assert doctor(0, llm=f"gguf:{tmp_path}/some.gguf")["answers"]["status"] == "ok"


def test_chroma(doctor: Doctor, chroma_url: str) -> None:
    assert doctor(0, vector_backend="chroma", chroma_url=chroma_url)["chroma"]["status"] == "ok"
    gone = f"http://127.0.0.1:{free_port()}"
    assert "chroma run" in doctor(1, chroma_url=gone)["chroma"]["advice"]


def test_secrets_that_others_can_read(doctor: Doctor, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret")
    key.chmod(0o644)
    check = doctor(0, llm_key_file=key)["secrets"]
    assert (check["status"], check["advice"]) == ("warn", f"chmod o-rwx {key}")
    key.chmod(0o600)
    assert doctor(0)["secrets"]["status"] == "ok"
    (tmp_path / ".env").write_text("LIKEOPT_EMBED_KEY=x\n")
    (tmp_path / ".env").chmod(0o644)
    assert doctor(0)["secrets"]["advice"] == "chmod o-rwx .env"


def test_key_of_cookies(doctor: Doctor, data_dir: Path) -> None:
    key = data_dir / "secret.key"
    key.write_text("x" * 64)
    key.chmod(0o644)
    check = doctor(0, data_dir=data_dir)["secrets"]
    assert (check["status"], check["advice"]) == ("warn", f"chmod o-rwx {key}")
    key.chmod(0o600)
    assert doctor(0, data_dir=data_dir)["secrets"]["status"] == "ok"
    key.write_text("short")
    check = doctor(1, data_dir=data_dir)["secrets"]
    assert check["status"] == "fail"
    assert "too short" in check["detail"]


def test_a_socket_that_nobody_answers_on(doctor: Doctor, data_dir: Path) -> None:
    (data_dir / "run").mkdir()
    (data_dir / "run" / "engine.sock").touch()
    check = doctor(0, data_dir=data_dir)["engine"]
    assert (check["status"], check["advice"]) == ("warn", "restart `likeopt serve`")


# -- the OpenID Connect provider -----------------------------------------------------------------

CLIENT = {"oidc_client_id": "like-opt", "oidc_client_secret": "hidden"}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with openid_provider() as issuer:
        yield issuer


class Described:
    """A provider that says of itself what the test wants."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.said: dict[str, Any] = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "code_challenge_methods_supported": ["plain", "S256"],
        }
        key = RSAKey.generate_key(2048, {"kid": "a"}).as_dict(private=False)
        self.keys: dict[str, Any] = {"keys": [key]}


@pytest.fixture
def described() -> Iterator[Described]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = {"/.well-known/openid-configuration": made.said, "/keys": made.keys}
            body = json.dumps(said.get(self.path)).encode()
            self.send_response(200 if self.path in said else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Described(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def test_no_provider_is_no_check(doctor: Doctor) -> None:
    assert "sign-in" not in doctor(0)


def test_a_real_provider(doctor: Doctor, provider: str) -> None:
    check = doctor(0, **CLIENT, oidc_issuer=provider)["sign-in"]
    # It checks PKCE and does not say so.
    assert check["status"] == "warn"
    assert "PKCE" in check["detail"]
    assert "hidden" not in json.dumps(check)


def test_a_provider_that_says_all(doctor: Doctor, described: Described) -> None:
    check = doctor(0, **CLIENT, oidc_issuer=described.url)["sign-in"]
    assert (check["status"], check["advice"]) == ("ok", "")
    assert described.url in check["detail"]


def test_a_provider_that_does_not_answer(doctor: Doctor) -> None:
    issuer = f"http://127.0.0.1:{free_port()}"
    check = doctor(1, **CLIENT, oidc_issuer=issuer)["sign-in"]
    assert "does not answer" in check["detail"]
    assert f"{issuer}/.well-known/openid-configuration" in check["advice"]


def test_an_issuer_that_is_not_the_providers(doctor: Doctor, provider: str) -> None:
    """A path that is not there, and a name that the provider does not call itself by."""
    check = doctor(1, **CLIENT, oidc_issuer=f"{provider}/realms/main")["sign-in"]
    assert "answers 404" in check["detail"]
    check = doctor(1, **CLIENT, oidc_issuer=f"{provider}/")["sign-in"]
    assert check["advice"].endswith(f"set LIKEOPT_OIDC_ISSUER={provider}")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id_token_signing_alg_values_supported": ["none", "HS256"]}, "with none, HS256 only"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "no client secret"),
        ({"response_types_supported": ["id_token"]}, "no authorization code flow"),
        ({"token_endpoint": "ftp://id.example.org/token"}, "without TLS"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"jwks_uri": "http://127.0.0.1:9/keys"}, "does not answer"),
    ],
)
def test_a_provider_that_nobody_can_sign_in_with(
    doctor: Doctor, described: Described, changed: dict[str, Any], said: str
) -> None:
    described.said |= changed
    check = doctor(1, **CLIENT, oidc_issuer=described.url)["sign-in"]
    assert (check["status"], bool(check["advice"])) == ("fail", True)
    assert said in check["detail"]


def test_a_provider_whose_keys_cannot_be_read(doctor: Doctor, described: Described) -> None:
    described.keys = {"keys": [{"kty": "RSA"}]}
    assert "keys" in doctor(1, **CLIENT, oidc_issuer=described.url)["sign-in"]["advice"]
