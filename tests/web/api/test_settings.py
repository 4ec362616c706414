"""/api/v1/settings: what is in force, where it came from, and nothing secret."""

import re
from typing import Any

import msgspec
import pytest

from likeopt import __version__
from likeopt.config import PREFIX, Config, settings
from likeopt.config.table import SECTIONS
from likeopt.services import Services
from likeopt.storage import bootstrap
from likeopt.storage.secret_key import guest_token
from likeopt.web.app import create_app
from tests.web.conftest import Client, Server

PATH = "/api/v1/settings"
SECRET = "s3cret-" + "x" * 32


def setting(client: Client, name: str) -> Any:
    (found,) = (one for one in client.get(PATH).json["items"] if one["name"] == PREFIX + name)
    return found


@pytest.fixture
def told(config: Config, services: Services) -> Client:
    """A client of a server with settings from everywhere."""
    changed = msgspec.structs.replace(
        config,
        workers=3,
        secret_key=SECRET,
        chroma_url=f"http://me:{SECRET}@chroma.example.org:8000/v2?token={SECRET}",
    )
    built = Services(
        changed, sources={"workers": "option", "secret_key": "file", "chroma_url": "dotenv"}
    )
    built.db.write(lambda c: bootstrap.prepare(c, built.clock))
    client: Client = create_app(changed, built, write=lambda _: None).test_client()
    client.post("/api/v1/session/guest", json={"token": guest_token(SECRET.encode())})
    return client


def test_every_setting_is_told_in_both_languages(client: Client) -> None:
    items = client.get(PATH).json["items"]
    assert [one["name"] for one in items] == [PREFIX + name.upper() for name, _, _ in settings()]
    for one in items:
        assert one["help"]["en"], one["name"]
        assert re.search("[가-힣]", one["help"]["ko"]), one["name"]
        assert one["section"] in SECTIONS


def test_value_default_and_source(told: Client) -> None:
    workers = setting(told, "WORKERS")
    assert (workers["value"], workers["default"], workers["source"]) == (3, 2, "option")
    port = setting(told, "LOG_LEVEL")
    assert (port["value"], port["source"]) == ("info", "default")
    assert setting(told, "SAMPLE_LIBRARY")["value"] in (True, False)
    assert isinstance(setting(told, "DATA_DIR")["value"], str)


def test_no_secret_is_sent(told: Client) -> None:
    body = told.get(PATH).text
    assert SECRET not in body
    key = setting(told, "SECRET_KEY")
    assert (key["secret"], key["is_set"], key["value"], key["source"]) == (True, True, None, "file")
    assert setting(told, "LLM_KEY")["is_set"] is False
    chroma = setting(told, "CHROMA_URL")["value"]
    assert chroma == "http://********@chroma.example.org:8000/v2?********"


def test_the_server_without_an_engine(client: Client) -> None:
    server = client.get(PATH).json["server"]
    assert (server["version"], server["database"]) == (__version__, "sqlite")
    assert server["index"] is None
    assert server["parts"]["database"]["status"] == "ready"
    assert server["parts"]["engine"]["status"] == "unavailable"


def test_the_whole_server(served: Server) -> None:
    served.add("counted.md", b"# Counted among the passages")
    answer = served.json("GET", PATH)
    index = answer["server"]["index"]
    assert index["passages"] >= 1
    assert 0 < index["generation"] <= answer["server"]["library_revision"]
    assert {part["status"] for part in answer["server"]["parts"].values()} == {"ready"}
    by_name = {one["name"]: one for one in answer["items"]}
    assert by_name["LIKEOPT_DATA_DIR"]["source"] == "environment"
    assert by_name["LIKEOPT_LLM"]["source"] == "default"
