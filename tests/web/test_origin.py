"""A page of another site reads and changes nothing through its visitor's browser."""

import msgspec
import pytest
from flask import Flask

from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.app import create_app
from tests import guest
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
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_names_of_the_settings_are_answered(config: Config, services: Services) -> None:
    named = msgspec.structs.replace(
        config, host="box.lan", allowed_hosts="wiki.example.org, Docs.example.org"
    )
    client: Client = create_app(named, services, write=lambda _: None).test_client()
    for host in ("box.lan:8080", "wiki.example.org", "docs.example.org:443"):
        assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.get("/health", headers={"Host": "example.org"}).status_code == 421


def test_other_sites_change_nothing(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        refused = client.post(
            "/api/v1/collections", json={"name": "x"}, headers={"Sec-Fetch-Site": site}
        )
        assert refused.status_code == 403
        assert refused.json["code"] == "other_site"
        # Following a link from another site is reading.
        assert client.get("/health", headers={"Sec-Fetch-Site": site}).status_code == 200
    assert len(client.get("/api/v1/collections").json["items"]) == 1
    own = client.post(
        "/api/v1/collections", json={"name": "x"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert own.status_code == 201


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example.com", "http://localhost:8081", "null", "", "http://[::1"],
)
def test_other_origin_changes_nothing_without_fetch_metadata(client: Client, origin: str) -> None:
    refused = client.post("/api/v1/collections", json={"name": "x"}, headers={"Origin": origin})
    assert (refused.status_code, refused.json["code"]) == (403, "other_site")
    assert len(client.get("/api/v1/collections").json["items"]) == 1
    assert client.get("/health", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "[::1]:8080"])
def test_own_origin_may_write(app: Flask, host: str) -> None:
    client: Client = app.test_client(use_cookies=False)
    headers = guest.HEADERS | {"Host": host, "Origin": f"http://{host}".lower()}
    own = client.post("/api/v1/collections", json={"name": "x"}, headers=headers)
    assert own.status_code == 201
