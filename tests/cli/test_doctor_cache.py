"""`likeopt doctor` on the cache's layers."""

import json
from pathlib import Path

import pytest
import redis

from likeopt.cli.main import main
from likeopt.clock import Clock
from likeopt.config import Config
from tests.cache.build import Built
from tests.servers import free_port


def doctor(
    capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, **settings: object
) -> dict[str, dict[str, str]]:
    for name, value in settings.items():
        patch.setenv(f"LIKEOPT_{name.upper()}", str(value))
    main(["doctor", "--json"])
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_layers_that_answer(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: Config,
    redis_url: str,
    memcached: str,
) -> None:
    built = Built(config.data_dir, Clock(), lambda _: "")
    cache = built.cache("disk")
    cache.set(cache.key("answers", "q"), "a", ttl=60)
    built.close()
    settings = {
        "data_dir": config.data_dir,
        "cache": "memory,redis,memcached,disk",
        "redis_url": redis_url,
        "memcached_servers": memcached,
    }
    checks = doctor(capsys, monkeypatch, **settings)
    assert checks["memcached"]["status"] == "ok"
    assert checks["cache disk"]["status"] == "ok"
    assert "1 entries" in checks["cache disk"]["detail"]
    # Ours has no bound: it would take all memory there is.
    assert checks["redis"]["status"] == "warn"
    assert "maxmemory" in checks["redis"]["advice"]
    with redis.Redis.from_url(redis_url) as client:
        try:
            client.config_set("maxmemory", 64 << 20)
            client.config_set("maxmemory-policy", "allkeys-lru")
            found = doctor(capsys, monkeypatch)["redis"]
            assert (found["status"], "volatile-ttl" in found["advice"]) == ("warn", True)
            client.config_set("maxmemory-policy", "volatile-ttl")
            assert doctor(capsys, monkeypatch)["redis"]["status"] == "ok"
            # One for sessions alone may not forget whose they are either.
            for policy, status in (("noeviction", "ok"), ("allkeys-lru", "warn")):
                client.config_set("maxmemory-policy", policy)
                found = doctor(capsys, monkeypatch, cache="memory")["redis"]
                assert found["status"] == status
            assert "noeviction" in found["advice"]
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")


def test_layers_that_do_not_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    folder = config.data_dir / "cache"
    folder.mkdir()
    (folder / "disk.db").mkdir()
    checks = doctor(
        capsys,
        monkeypatch,
        data_dir=config.data_dir,
        cache="redis,memcached,disk",
        redis_url=f"redis://:hidden@127.0.0.1:{free_port()}/0",
        memcached_servers=f"127.0.0.1:{free_port()}",
    )
    for name in ("redis", "memcached", "cache disk"):
        assert checks[name]["status"] == "fail"
        assert checks[name]["advice"]
    assert "hidden" not in json.dumps(checks)


def test_a_disk_layer_that_nobody_has_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checks = doctor(capsys, monkeypatch, data_dir=tmp_path / "none")
    assert checks["cache disk"]["status"] == "ok"
    assert not (tmp_path / "none").exists()
