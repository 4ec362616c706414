"""/api/v1/collections."""

from likeopt.services import Services
from likeopt.storage import collections
from tests.web.conftest import Client, as_stranger, file_part

PATH = "/api/v1/collections"


def test_new_library_has_one_collection(client: Client) -> None:
    (only,) = client.get(PATH).json["items"]
    assert (only["id"], only["writable"], only["documents"]) == ("default", True, 0)


def test_make_rename_delete(client: Client) -> None:
    made = client.post(PATH, json={"name": " Contracts "})
    assert made.status_code == 201
    assert made.json["name"] == "Contracts"
    path = f"{PATH}/{made.json['id']}"
    assert client.patch(path, json={"name": "계약"}).json["name"] == "계약"
    client.post(
        "/api/v1/documents",
        data={"file": file_part("a.md", b"# A"), "collection": made.json["id"]},
    )
    assert [item["documents"] for item in client.get(PATH).json["items"]] == [0, 1]
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404
    assert client.get("/api/v1/documents").json["items"] == []


def test_default_collection_stays(client: Client) -> None:
    response = client.delete(f"{PATH}/default")
    assert (response.status_code, response.json["code"]) == (409, "conflict")
    assert len(client.get(PATH).json["items"]) == 1


def test_someone_elses_private_collection_does_not_exist(
    client: Client, services: Services
) -> None:
    stranger = as_stranger(services)
    theirs = services.db.write(lambda c: collections.create(c, stranger, services.clock, "Mine"))
    assert [item["id"] for item in client.get(PATH).json["items"]] == ["default"]
    path = f"{PATH}/{theirs.id}"
    for response in (client.patch(path, json={"name": "x"}), client.delete(path)):
        assert response.status_code == 404
