"""/api/v1/caches: how well caches work, and forgetting what they hold."""

from typing import Any

import pytest

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import audit, engine_queries
from tests.servers import wait_until
from tests.web.conftest import Client

PATH = "/api/v1/caches"


@pytest.fixture
def kept(services: Services) -> str:
    """The key of a value in all layers."""
    key = services.cache.key("answers", "where")
    services.cache.set(key, "In Seoul", ttl=600)
    assert services.cache.get(key) == "In Seoul"
    services.cache.get(services.cache.key("answers", "when"))
    return key


def use(client: Client, name: str) -> Any:
    (found,) = (one for one in client.get(PATH).json["uses"] if one["use"] == name)
    return found


def test_how_well_they_work(client: Client, kept: str) -> None:
    answer = client.get(PATH).json
    layers = {one.pop("name"): one for one in answer["layers"]}
    assert list(layers) == ["memory", "disk", "engine"]
    for name in ("memory", "disk"):
        assert layers[name].pop("bytes") > 0
        assert layers[name] == {"answers": True, "left_out": 0, "entries": 1, "evictions": 0}
    # There is no engine in these tests.
    nothing = {"left_out": 0, "entries": None, "bytes": None, "evictions": 0}
    assert layers["engine"] == {"answers": False} | nothing
    assert answer["warming"] is None
    memory, disk = use(client, "answers")["layers"]
    assert (memory["layer"], memory["hits"], memory["misses"]) == ("memory", 1, 1)
    assert memory["hit_rate"] == 0.5
    assert (disk["layer"], disk["misses"], disk["hit_rate"]) == ("disk", 1, 0.0)
    for layer in (memory, disk):
        assert (layer["entries"], layer["sets"], layer["errors"]) == (1, 1, 0)
        assert layer["bytes"] > 0
        assert layer["mean_us"] > 0


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({}, False),
        ({"use": "answers"}, False),
        ({"use": "embeddings"}, True),
        ({"layer": "memory"}, True),
        ({"layer": "disk", "use": "answers"}, True),
    ],
)
def test_forget(
    client: Client, services: Services, kept: str, query: dict[str, str], left: bool
) -> None:
    answer = client.delete(PATH, query_string=query).json["cleared"]
    wanted = [query["layer"]] if "layer" in query else ["disk", "memory"]
    assert [one["layer"] for one in answer if one["layer"] != "engine"] == wanted
    if query.get("use") == "embeddings":
        assert all(one["entries"] == 0 for one in answer if one["layer"] != "engine")
    else:
        assert all((one["entries"], one["failed"]) == (1, False) for one in answer[:1])
    if "layer" not in query and not left:
        # Nothing is there, which is not the same as not knowing.
        for layer in use(client, "answers")["layers"]:
            assert (layer["entries"], layer["bytes"]) == (0, 0)
    assert bool(services.cache.get(kept)) is left
    (entry,) = services.db.read(lambda c: audit.list_(c, audit.Filters(action="cache.clear"))).items
    assert entry.object_name == query.get("use")


def test_other_workers_forget_too(
    client: Client, config: Config, services: Services, kept: str
) -> None:
    other = Services(config)
    wait_until(lambda: other.watch.stamp("library") is not None, "the other worker's watch")
    assert other.cache.get(kept) == "In Seoul"
    assert other.cache.get(kept, layers=["memory"]) == "In Seoul"
    client.delete(PATH, query_string={"layer": "memory"})
    wait_until(lambda: not other.cache.get(kept, layers=["memory"]), "the memory to be cleared")
    assert other.cache.get(kept) == "In Seoul"
    other.close()


def listed(client: Client) -> int:
    """How often the list of collections was remembered, after asking for it once more."""
    assert client.get("/api/v1/collections").status_code == 200
    uses = client.get(PATH).json["uses"]
    return sum(one["layers"][0]["hits"] for one in uses if one["use"] == "responses")


def test_by_tag(client: Client, services: Services) -> None:
    key = services.cache.key("answers", "tagged")
    client.post("/api/v1/collections", json={"name": "New"})
    versions = services.cache.versions(["access"])
    assert versions
    services.cache.set(key, "said", ttl=600, tags=versions)
    assert services.cache.get(key) == "said"
    of_content = services.cache.key("answers", "of content")
    services.cache.set(of_content, "said", ttl=600)
    wait_until(lambda: listed(client) > 0, "the list of collections to be remembered")
    before = listed(client)
    (old,) = versions.values()
    told = client.delete(PATH, query_string={"tag": "access"}).json
    assert told == {"cleared": [], "version": old + 1}
    assert not services.cache.get(key)
    assert listed(client) == before, "what was remembered is not used"
    assert services.cache.get(of_content) == "said"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"layer": "tape"}, 404),
        ({"tag": "nothing"}, 404),
        ({"tag": "access", "use": "answers"}, 400),
    ],
)
def test_what_does_not_exist(client: Client, query: dict[str, str], status: int) -> None:
    assert client.delete(PATH, query_string=query).status_code == status


@pytest.mark.parametrize(
    ("query", "cleared"),
    [
        ({}, ["searches", "queries"]),
        ({"layer": "engine"}, ["searches", "queries"]),
        ({"use": "queries"}, ["queries"]),
        ({"use": "answers"}, []),
        ({"layer": "disk"}, []),
    ],
)
def test_engines_of_other_machines_are_told(
    client: Client, services: Services, query: dict[str, str], cleared: list[str]
) -> None:
    told = client.delete(PATH, query_string=query).json["cleared"]
    assert [one["layer"] for one in told].count("engine") == bool(cleared)
    seen = services.db.read(engine_queries.revisions)
    assert (seen.searches, seen.queries) == tuple(
        int(use in cleared) for use in ("searches", "queries")
    )


def test_an_engine_that_is_away_says_so(client: Client) -> None:
    (engine,) = client.delete(PATH, query_string={"layer": "engine"}).json["cleared"]
    assert engine == {"layer": "engine", "entries": None, "bytes": None, "failed": True}
    assert "searches" not in [one["use"] for one in client.get(PATH).json["uses"]]
