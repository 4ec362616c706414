"""Collections: what documents are grouped by."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from likeopt.errors import BadInput, Conflict, Forbidden, NotFound
from likeopt.shapes import Collection
from likeopt.storage import collections as stored
from likeopt.web.context import note, reader, services
from likeopt.web.endpoint import Endpoints
from likeopt.web.remembered import ACCESS, Remembered

collections = Endpoints("collections", tag="Collections", prefix="/api/v1/collections")

_WRITE_ERRORS = (BadInput, Forbidden, NotFound)


class CollectionName(msgspec.Struct, forbid_unknown_fields=True):
    """What a collection is called."""

    name: str


class CollectionReaders(msgspec.Struct, forbid_unknown_fields=True):
    """Who may read a collection besides its owner: ids of people and of groups."""

    everyone: bool
    users: Annotated[list[str], Meta(max_length=10_000)]
    groups: Annotated[list[str], Meta(max_length=10_000)]


class CollectionList(msgspec.Struct):
    """Every readable collection, by name."""

    items: list[Collection]


@collections.operation(
    "GET",
    "",
    summary="List the collections",
    returns=CollectionList,
    remembered=Remembered(until=("collections", "library", *ACCESS), seconds=60),
)
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
    def make(c: Any) -> stored.Collection:
        made = stored.create(c, reader(c), services().clock, body.name)
        note(c, "collection.create", kind="collection", id_=made.id, name=made.name)
        return made

    return Collection.of(services().db.write(make))


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
    def rename(c: Any) -> stored.Collection:
        renamed = stored.rename(c, reader(c), collection_id, body.name)
        note(c, "collection.update", kind="collection", id_=renamed.id, name=renamed.name)
        return renamed

    return Collection.of(services().db.write(rename))


@collections.operation(
    "DELETE",
    "/<id:collection_id>",
    summary="Delete a collection with all its documents",
    status=204,
    errors=(*_WRITE_ERRORS, Conflict),
)
def delete_collection(collection_id: str) -> None:
    def delete(c: Any) -> None:
        asking = reader(c)
        former = stored.get(c, asking, collection_id)
        stored.delete(c, asking, services().clock, collection_id)
        note(
            c,
            "collection.delete",
            kind="collection",
            id_=former.id,
            name=former.name,
            documents=former.documents,
        )

    services().db.write(delete)


@collections.operation(
    "GET",
    "/<id:collection_id>/readers",
    summary="Who may read a collection",
    detail="For its owner, and for administrators who may read it.",
    returns=CollectionReaders,
    errors=(Forbidden, NotFound),
)
def get_readers(collection_id: str) -> CollectionReaders:
    found = services().db.read(lambda c: stored.readers(c, reader(c), collection_id))
    return CollectionReaders(found.everyone, found.users, found.groups)


@collections.operation(
    "PUT",
    "/<id:collection_id>/readers",
    summary="Replace who may read a collection",
    detail="Who no longer may loses it everywhere within 100 ms, answers being written included.",
    body=CollectionReaders,
    returns=CollectionReaders,
    errors=_WRITE_ERRORS,
    example='--json \'{"everyone": false, "users": ["local"], "groups": []}\'',
)
def set_readers(collection_id: str, body: CollectionReaders) -> CollectionReaders:
    wanted = stored.Readers(body.everyone, body.users, body.groups)

    def change(c: Any) -> stored.Readers:
        asking = reader(c)
        name = stored.get(c, asking, collection_id).name
        changed = stored.set_readers(c, asking, collection_id, wanted)
        now = msgspec.structs.asdict(changed)
        note(c, "collection.share", kind="collection", id_=collection_id, name=name, **now)
        return changed

    found = services().db.write(change)
    return CollectionReaders(found.everyone, found.users, found.groups)
