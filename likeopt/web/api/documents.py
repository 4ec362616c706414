"""Documents: adding, reading, changing, deleting."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from flask import Response
from msgspec import Meta

from likeopt.errors import (
    BadInput,
    Forbidden,
    LikeOptError,
    NotFound,
    StorageFull,
    TooLarge,
    UnreadableFile,
    UnsupportedType,
)
from likeopt.retrieval.ingest import ACTIONS, Outcome
from likeopt.shapes import Document, DocumentList
from likeopt.storage import access, passages
from likeopt.storage import documents as stored
from likeopt.storage.cursors import MAX_INTEGER
from likeopt.storage.reader import DEFAULT_COLLECTION, Reader
from likeopt.web import errors, middleware, originals, uploads
from likeopt.web.context import note, reader, services
from likeopt.web.endpoint import Endpoints
from likeopt.web.lease import Lease
from likeopt.web.remembered import INDEXING, Remembered

documents = Endpoints("documents", tag="Documents", prefix="/api/v1/documents")

# One request may bring several files, but not without an end.
TOTAL_UPLOAD_BYTES = 1 << 30
_FILE_ERRORS = (BadInput, UnsupportedType, UnreadableFile, TooLarge, StorageFull)
_WRITE_ERRORS = (Forbidden, NotFound)


class DocumentQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which documents to list."""

    collection: Annotated[str | None, Meta(description="Only of this collection.")] = None
    q: Annotated[str | None, Meta(description="Only with this in their name.")] = None
    state: Annotated[stored.State | None, Meta(description="Only in this state.")] = None
    tag: Annotated[str | None, Meta(description="Only with this tag.")] = None
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the page before.")] = None
    limit: Annotated[
        int,
        Meta(description="Documents a page, 1 to 200.", ge=-MAX_INTEGER, le=MAX_INTEGER),
    ] = 50


class AddedFile(msgspec.Struct, omit_defaults=True):
    """What became of one file: a document, or the problem that kept it from being one."""

    name: str
    outcome: stored.Outcome | None = None
    document: Document | None = None
    problem: dict[str, Any] | None = None


class AddedFiles(msgspec.Struct):
    """What became of each file, in their order."""

    items: list[AddedFile]


class DocumentChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: str | None = None
    tags: list[str] | None = None


class UrlToAdd(msgspec.Struct, forbid_unknown_fields=True):
    """A web page or file to fetch."""

    url: str
    collection: str = DEFAULT_COLLECTION
    tags: list[str] | None = None


class FolderToAdd(msgspec.Struct, forbid_unknown_fields=True):
    """A folder of the server, below one of LIKEOPT_FOLDER_ROOTS."""

    path: str
    collection: str = DEFAULT_COLLECTION
    tags: list[str] | None = None


class FailedFile(msgspec.Struct):
    """A file of a folder that could not be added."""

    name: str
    problem: dict[str, Any]


class AddedFolder(msgspec.Struct):
    """What became of a folder's files."""

    added: int
    changed: int
    unchanged: int
    failed: list[FailedFile]


class OriginalQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How to send the original."""

    download: Annotated[
        bool, Meta(description="Have the browser save the file instead of showing it.")
    ] = False


class TextQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the text."""

    at: Annotated[int, Meta(description="A character of the text, from 0.", le=MAX_INTEGER)] = 0
    version: Annotated[
        Annotated[int, Meta(le=MAX_INTEGER, ge=-MAX_INTEGER)] | None,
        Meta(description="The version that a citation names; else the newest."),
    ] = None


class TextDocument(msgspec.Struct):
    """Whose text it is."""

    id: str
    name: str
    media_type: str


class TextPage(msgspec.Struct):
    """A page of a document's text, or, with `paged` false, a part of a format without pages.

    `start` and `total` count characters (Unicode code points) of the whole text.
    """

    document: TextDocument
    version: int
    number: int
    pages: int
    paged: bool
    start: int
    text: str
    total: int


@documents.operation(
    "GET",
    "",
    summary="List documents",
    query=DocumentQuery,
    returns=DocumentList,
    errors=(NotFound,),
    remembered=Remembered(until=INDEXING, seconds=60),
)
def list_documents(query: DocumentQuery) -> DocumentList:
    wanted = stored.Wanted(query.collection, query.q, query.state, query.tag)
    page = services().db.read(
        lambda c: stored.list_(c, reader(c), wanted, cursor=query.cursor, limit=query.limit)
    )
    return DocumentList([Document.of(one) for one in page.items], page.next_cursor)


@documents.operation(
    "POST",
    "",
    summary="Add files",
    detail="Each file becomes searchable by words within seconds, by meaning as its embeddings"
    " are made. A file of the same name in the same collection is replaced. A file that cannot be"
    " added stops no other; if it is the only one, its problem is the answer, and if none of"
    " several could be added, the problem has the `items`. Name the `collection` before the files:"
    " who may not write to it is then refused before they are read.",
    form={
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "collection": {"type": "string", "default": DEFAULT_COLLECTION},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    },
    returns=AddedFiles,
    status=202,
    errors=(*_FILE_ERRORS, *_WRITE_ERRORS),
    example="-F file=@report.pdf -F tags=finance",
)
def add_files() -> AddedFiles | Response:
    found = services()
    limit = found.config.max_upload_mb << 20
    folder = found.config.data_dir / "tmp"
    total = max(limit + (1 << 20), TOTAL_UPLOAD_BYTES)
    found.db.read(lambda c: access.require_some_writable(c, reader(c)))
    with uploads.read_form(
        folder, found.run, _check_field, file_limit=limit, total_limit=total
    ) as form:
        files = [upload for upload in form.files if upload.name or upload.size]
        if not files:
            raise BadInput("The form has no file; send it in a part named `file`.", code="no_file")
        collection = form.field("collection") or DEFAULT_COLLECTION
        if "collection" not in form.fields:
            _who_may_add(collection)
        tags = form.fields.get("tags")
        items = [_add_upload(collection, tags, upload) for upload in files]
    if len(items) == 1 and items[0].problem is not None:
        return errors.respond(items[0].problem)
    if all(item.problem is not None for item in items):
        raise UnreadableFile(
            f"None of the {len(items)} files was added.", items=msgspec.to_builtins(items)
        )
    return AddedFiles(items)


def _check_field(field: str, text: str) -> None:
    if field == "collection":
        _who_may_add(text or DEFAULT_COLLECTION)


def _add_upload(collection: str, tags: list[str] | None, upload: uploads.Upload) -> AddedFile:
    found = services()
    try:
        if upload.problem is not None:
            raise upload.problem
        asking = found.db.read(reader)
        ingest = found.ingest.noting(_note)
        added = ingest.file(asking, collection, upload.name, upload.content, tags=tags)
    except LikeOptError as error:
        return AddedFile(upload.name, problem=_problem(error))
    return AddedFile(upload.name, added.outcome, Document.of(added.document))


@documents.operation(
    "POST",
    "/url",
    summary="Add a web page or file by its address",
    body=UrlToAdd,
    returns=Document,
    status=202,
    errors=(*_FILE_ERRORS, *_WRITE_ERRORS),
    example='--json \'{"url": "https://example.org/handbook.html"}\'',
)
def add_url(body: UrlToAdd) -> Document:
    found = services()
    # Before the page is fetched.
    asking = _who_may_add(body.collection)
    ingest = found.ingest.noting(_note)
    added = ingest.url(asking, body.collection, body.url, tags=body.tags)
    return Document.of(added.document)


@documents.operation(
    "POST",
    "/folder",
    summary="Add a folder of the server",
    detail="For administrators: what lies there has no readers of its own.",
    access="admin",
    body=FolderToAdd,
    returns=AddedFolder,
    status=202,
    errors=(*_FILE_ERRORS, *_WRITE_ERRORS),
    example='--json \'{"path": "/srv/documents"}\'',
)
def add_folder(body: FolderToAdd) -> AddedFolder:
    found = services()
    asking = _who_may_add(body.collection)
    folder: Path = found.ingest.server_folder(body.path)
    counts = {"added": 0, "changed": 0, "unchanged": 0}
    failed = []
    ingest = found.ingest.noting(_note)
    for result in ingest.folder(asking, body.collection, folder, tags=body.tags):
        if result.problem is not None:
            failed.append(FailedFile(result.name, _problem(result.problem)))
        else:
            counts[result.outcome] += 1
    return AddedFolder(**counts, failed=failed)


@documents.operation(
    "GET",
    "/<id:document_id>",
    summary="Read a document",
    returns=Document,
    errors=(NotFound,),
    remembered=Remembered(until=INDEXING, seconds=60),
)
def get_document(document_id: str) -> Document:
    return Document.of(services().db.read(lambda c: stored.get(c, reader(c), document_id)))


@documents.operation(
    "PATCH",
    "/<id:document_id>",
    summary="Rename a document or replace its tags",
    body=DocumentChange,
    returns=Document,
    errors=_WRITE_ERRORS,
    example='--json \'{"tags": ["finance", "2026"]}\'',
)
def change_document(document_id: str, body: DocumentChange) -> Document:
    def change(c: Any) -> stored.Document:
        clock = services().clock
        changed = stored.update(c, reader(c), clock, document_id, name=body.name, tags=body.tags)
        note(c, "document.update", kind="document", id_=document_id, name=changed.name)
        return changed

    return Document.of(services().db.write(change))


@documents.operation(
    "DELETE",
    "/<id:document_id>",
    summary="Delete a document",
    detail="Nobody can read, find or cite it from that moment on.",
    status=204,
    errors=_WRITE_ERRORS,
)
def delete_document(document_id: str) -> None:
    def delete(c: Any) -> None:
        asking = reader(c)
        name = stored.get(c, asking, document_id).name
        stored.delete(c, asking, services().clock, document_id)
        note(c, "document.delete", kind="document", id_=document_id, name=name)

    services().db.write(delete)


@documents.operation(
    "POST",
    "/<id:document_id>/reindex",
    summary="Read the original again",
    returns=Document,
    status=202,
    errors=_WRITE_ERRORS,
)
def reindex_document(document_id: str) -> Document:
    def reindex(c: Any) -> stored.Document:
        queued = stored.reindex(c, reader(c), services().clock, document_id)
        note(c, "document.reindex", kind="document", id_=document_id, name=queued.name)
        return queued

    return Document.of(services().db.write(reindex))


@documents.operation(
    "POST",
    "/<id:document_id>/cancel",
    summary="Stop reading a document",
    detail="What is read already stays searchable, and its passages are embedded all the same. For"
    " a document that is not being read, and does not wait for it, nothing changes.",
    returns=Document,
    status=202,
    errors=_WRITE_ERRORS,
)
def cancel_document(document_id: str) -> Document:
    def cancel(c: Any) -> stored.Document:
        stopped = stored.cancel(c, reader(c), services().clock, document_id)
        note(c, "document.cancel", kind="document", id_=document_id, name=stopped.name)
        return stopped

    return Document.of(services().db.write(cancel))


@documents.operation(
    "GET",
    "/<id:document_id>/original",
    summary="The file as it was added",
    detail="PDF, HTML and text (as `text/plain`) come to be shown, everything else to be saved."
    " Answers to Range, If-Range, If-None-Match and HEAD.",
    query=OriginalQuery,
    # The document's own.
    media={"*/*": {"type": "string", "format": "binary"}},
    errors=(NotFound,),
    example="-O",
)
def original(document_id: str, query: OriginalQuery) -> Response:
    found = services()
    document = found.db.read(lambda c: stored.get(c, reader(c), document_id))
    # Taken before: a native thread that waits for a part leaves none for whoever makes it.
    files = found.files
    opened = found.run(lambda: files.open(document.sha256))
    return originals.send(
        opened,
        found.run,
        Lease([document_id]),
        size=document.size,
        etag=document.sha256,
        name=document.name,
        media_type=document.media_type,
        download=query.download,
    )


@documents.operation(
    "GET",
    "/<id:document_id>/text",
    summary="A page of a document's text",
    detail="The page that holds character `at`: what a citation's `start` is for.",
    query=TextQuery,
    returns=TextPage,
    errors=(NotFound,),
)
def text(document_id: str, query: TextQuery) -> TextPage:
    page = services().db.read(
        lambda c: passages.text_at(c, reader(c), document_id, query.at, query.version)
    )
    return TextPage(
        document=TextDocument(page.document_id, page.document_name, page.media_type),
        version=page.version_id,
        number=page.number,
        pages=page.pages,
        paged=page.paged,
        start=page.start,
        text=page.text,
        total=page.total,
    )


def _who_may_add(collection_id: str) -> Reader:
    """Who asks; raises NotFound and Forbidden unless they may add to the collection."""

    def find(c: Any) -> Reader:
        asking = reader(c)
        access.require_writable(c, asking, collection_id)
        return asking

    return services().db.read(find)


def _note(c: Any, outcome: Outcome, document: stored.Document) -> None:
    # Fetching and checking a file takes seconds to minutes, in which who adds it may have lost the
    # right to: then nothing of this transaction counts.
    access.require_writable(c, reader(c), document.collection_id)
    if action := ACTIONS.get(outcome):
        note(c, action, kind="document", id_=document.id, name=document.name)


def _problem(error: LikeOptError) -> dict[str, Any]:
    return errors.details(error, middleware.exchange().request_id)
