"""Collections: what documents are grouped by."""

import msgspec

from likeopt.errors import BadInput, Conflict, Forbidden, NotFound
from likeopt.shapes import Collection
from likeopt.storage import collections as stored
from likeopt.web.context import reader, services
from likeopt.web.endpoint import Endpoints

collections = Endpoints("collections", tag="Collections", prefix="/api/v1/collections")

_WRITE_ERRORS = (BadInput, Forbidden, NotFound)


class CollectionName(msgspec.Struct, forbid_unknown_fields=True):
    """What a collection is called."""

    name: str


class CollectionList(msgspec.Struct):
    """Every readable collection, by name."""

    items: list[Collection]


@collections.operation("GET", "", summary="List the collections", returns=CollectionList)
def list_collections() -> CollectionList:
    found = services().db.read(lambda c: stored.list_(c, reader(c)))
    return CollectionList([Collection.of(one) for one in found])


@collections.operation(
    "POST",
    "",
    summary="Make a collection",
    body=CollectionName,
    returns=Collection,
    status=201,
    example='--json \'{"name": "Contracts"}\'',
)
def create_collection(body: CollectionName) -> Collection:
    clock = services().clock
    made = services().db.write(lambda c: stored.create(c, reader(c), clock, body.name))
    return Collection.of(made)


@collections.operation(
    "PATCH",
    "/<id:collection_id>",
    summary="Rename a collection",
    body=CollectionName,
    returns=Collection,
    errors=_WRITE_ERRORS,
    example='--json \'{"name": "Contracts"}\'',
)
def rename_collection(collection_id: str, body: CollectionName) -> Collection:
    renamed = services().db.write(lambda c: stored.rename(c, reader(c), collection_id, body.name))
    return Collection.of(renamed)


@collections.operation(
    "DELETE",
    "/<id:collection_id>",
    summary="Delete a collection with all its documents",
    status=204,
    errors=(*_WRITE_ERRORS, Conflict),
)
def delete_collection(collection_id: str) -> None:
    clock = services().clock
    services().db.write(lambda c: stored.delete(c, reader(c), clock, collection_id))
