"""A page of another site reads and changes nothing through its visitor's browser."""

import msgspec
import pytest

from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.app import create_app
from tests.web.conftest import Client


@pytest.mark.parametrize("path", ["/api/v1/documents", "/", "/health", "/nothing"])
@pytest.mark.parametrize(
    "host", ["evil.example.com", "evil.example.com:8080", "127.0.0.1.example.com", "[::1", "a:b:c"]
)
def test_name_of_another_site_is_refused(client: Client, host: str, path: str) -> None:
    refused = client.get(path, headers={"Host": host})
    assert refused.status_code == 421
    assert refused.json["code"] == "misdirected"
    assert "LIKEOPT_ALLOWED_HOSTS" in refused.json["detail"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:8080", "192.168.0.7", "[::1]:8080"],
)
def test_addresses_and_localhost_are_always_answered(client: Client, host: str) -> None:
    assert client.get("/api/v1/documents", headers={"Host": host}).status_code == 200


def test_names_of_the_settings_are_answered(config: Config, services: Services) -> None:
    named = msgspec.structs.replace(
        config, host="box.lan", allowed_hosts="wiki.example.org, Docs.example.org"
    )
    client: Client = create_app(named, services, write=lambda _: None).test_client()
    for host in ("box.lan:8080", "wiki.example.org", "docs.example.org:443"):
        assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.get("/health", headers={"Host": "example.org"}).status_code == 421
