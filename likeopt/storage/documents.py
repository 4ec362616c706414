"""Documents as people see them: adding, listing, reading, changing, deleting."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.errors import BadInput, NotFound
from likeopt.storage import access, cursors, document_rows, files, jobs, revisions
from likeopt.storage.document_rows import Document, Progress, Source, State
from likeopt.storage.ids import new_id
from likeopt.storage.reader import Reader
from likeopt.storage.tables import document_tags, documents, versions
from likeopt.storage.text import clean_line, contains

Outcome = Literal["added", "changed", "unchanged"]

NAME_LIMIT = 255
URI_LIMIT = 4096
TAG_LIMIT = 64
TAGS_LIMIT = 20
# Failures that say nothing about the file, or that a setting can end: adding it again is another
# try.
NOT_THE_FILE = frozenset(
    {"cancelled", "gave_up", "missing_file", "parser_memory", "parser_timeout"}
)


class DocumentPage(msgspec.Struct, frozen=True):
    """Documents, newest first, and the cursor of the page after them."""

    items: list[Document]
    next_cursor: str | None


class Wanted(msgspec.Struct, frozen=True):
    """Which documents to list; None is any. `query` stands in the name, whatever the case."""

    collection: str | None = None
    query: str | None = None
    state: State | None = None
    tag: str | None = None


class Added(msgspec.Struct, frozen=True):
    """What adding came to."""

    document: Document
    outcome: Outcome


class NewDocument(msgspec.Struct, frozen=True):
    """A stored original with what is to be known of it.

    `source` and `source_uri` say, within the collection, which document this is: the same ones
    again replace its content. `tags` of None leave an existing document's as they are.
    """

    collection_id: str
    name: str
    source: Source
    source_uri: str
    media_type: str
    file: files.StoredFile
    tags: list[str] | None = None


# -- changing --------------------------------------------------------------------------------------


def add(c: sa.Connection, reader: Reader, clock: Clock, new: NewDocument) -> Added:
    """Add a document, or give an existing one new content; call inside `FileStore.put`.

    The same content again is `unchanged` and costs no job. Readers see the old version until the
    new one is indexed.
    """
    return add_all(c, reader, clock, [new])[0]


def add_all(
    c: sa.Connection, reader: Reader, clock: Clock, new: Sequence[NewDocument]
) -> list[Added]:
    """`add` for many: a hundred documents take the same dozen statements as one.

    No two of `new` may be the same document.
    """
    revisions.lock(c, "library")
    for collection_id in {one.collection_id for one in new}:
        access.require_writable(c, reader, collection_id)
    plan = _plan(c, clock, [_clean(one) for one in new])
    changed = [one for one in plan if one.outcome != "unchanged"]
    retagged = _retagged(c, plan)
    if changed or retagged:
        revision = revisions.raise_(c, "library")
        if changed:
            _put_content(c, reader, clock, changed, revision)
        _put_tags(c, retagged)
        _update(c, list(retagged), revision=revision)
    ids = [one.document_id for one in plan]
    found = document_rows.read(c, ids)
    return [Added(found[one.document_id], one.outcome) for one in plan]


class _Planned(msgspec.Struct):
    """What adding comes to, before it is done."""

    new: NewDocument
    document_id: str
    outcome: Outcome


def _clean(new: NewDocument) -> NewDocument:
    return msgspec.structs.replace(
        new,
        name=clean_line(new.name, what="The document's name", limit=NAME_LIMIT),
        source_uri=clean_line(new.source_uri, what="The document's source", limit=URI_LIMIT),
        tags=None if new.tags is None else clean_tags(new.tags),
    )


def _plan(c: sa.Connection, clock: Clock, new: Sequence[NewDocument]) -> list[_Planned]:
    sources, uris = {one.source for one in new}, [one.source_uri for one in new]
    known = {
        (row.collection_id, row.source, row.source_uri): row for row in _known(c, sources, uris)
    }
    plan = []
    for one in new:
        row = known.get((one.collection_id, one.source, one.source_uri))
        if row is None:
            plan.append(_Planned(one, new_id(clock), "added"))
        else:
            same = _is_same(row, one.file.sha256)
            plan.append(_Planned(one, row.id, "unchanged" if same else "changed"))
    return plan


def _known(c: sa.Connection, sources: Collection[Source], uris: Collection[str]) -> list[Any]:
    query = sa.select(documents).where(
        documents.c.source_uri.in_(uris), documents.c.source.in_(sources), documents.c.deleted == 0
    )
    return list(c.execute(query))


def _is_same(row: Any, sha256: str) -> bool:
    return bool(row.sha256 == sha256 and row.error_code not in NOT_THE_FILE)


def _put_content(
    c: sa.Connection, reader: Reader, clock: Clock, plan: Sequence[_Planned], revision: int
) -> None:
    now = clock.now_ms()
    files.record(c, clock, [one.new.file for one in plan])
    rows = [
        {
            "id": one.document_id,
            "collection_id": one.new.collection_id,
            "owner_id": reader.user_id,
            "name": one.new.name,
            "source": one.new.source,
            "source_uri": one.new.source_uri,
            "media_type": one.new.media_type,
            "sha256": one.new.file.sha256,
            "size": one.new.file.size,
            "error_code": None,
            "error_message": None,
            "revision": revision,
            "created_at": now,
            "updated_at": now,
        }
        for one in plan
    ]
    added = [row for row, one in zip(rows, plan, strict=True) if one.outcome == "added"]
    changed = [row for row, one in zip(rows, plan, strict=True) if one.outcome == "changed"]
    if added:
        c.execute(sa.insert(documents), added)
    for row in changed:
        fixed = ("collection_id", "owner_id", "source", "source_uri", "created_at")
        values = {name: value for name, value in row.items() if name not in fixed}
        c.execute(sa.update(documents).where(documents.c.id == row["id"]).values(values))
    if changed:
        # The originals that are no longer the newest may be in no version.
        jobs.enqueue_cleanup(c, clock)
    jobs.enqueue(c, clock, "index", [one.document_id for one in plan])


def _retagged(c: sa.Connection, plan: Sequence[_Planned]) -> dict[str, list[str]]:
    wanted = {one.document_id: one.new.tags for one in plan if one.new.tags is not None}
    now = document_rows.tags_of(c, list(wanted)) if wanted else {}
    return {id_: tags for id_, tags in wanted.items() if tags != now.get(id_, [])}


def _update(c: sa.Connection, ids: list[str], **values: Any) -> None:
    if ids:
        c.execute(sa.update(documents).where(documents.c.id.in_(ids)).values(values))


def update(
    c: sa.Connection,
    reader: Reader,
    clock: Clock,
    document_id: str,
    *,
    name: str | None = None,
    tags: list[str] | None = None,
) -> Document:
    """Rename a document or replace its tags; None leaves things as they are."""
    revision = revisions.raise_(c, "library")
    _require_writable(c, reader, document_id)
    values: dict[str, Any] = {"revision": revision, "updated_at": clock.now_ms()}
    if name is not None:
        values["name"] = clean_line(name, what="The document's name", limit=NAME_LIMIT)
    if tags is not None:
        _put_tags(c, {document_id: clean_tags(tags)})
    _update(c, [document_id], **values)
    return get(c, reader, document_id)


def delete(c: sa.Connection, reader: Reader, clock: Clock, document_id: str) -> None:
    """Delete a document: unreadable from this commit on, and removed from disk afterwards."""
    revision = revisions.raise_(c, "library")
    _require_writable(c, reader, document_id)
    bury(c, clock, sa.select(documents.c.id).where(documents.c.id == document_id), revision)


def bury(c: sa.Connection, clock: Clock, which: sa.Select[tuple[str]], revision: int) -> None:
    """Turn documents into tombstones; their texts and originals are left to a clean-up job."""
    now = clock.now_ms()
    jobs.cancel_of(c, clock, which)
    c.execute(sa.delete(document_tags).where(document_tags.c.document_id.in_(which)))
    c.execute(
        sa.update(versions)
        .where(versions.c.document_id.in_(which), versions.c.state == "published")
        .values(state="retired", retired_revision=revision, retired_at=now)
    )
    c.execute(
        sa.update(documents)
        .where(documents.c.id.in_(which), documents.c.deleted == 0)
        .values(
            deleted=1,
            name="",
            source_uri="",
            sha256=None,
            size=0,
            version_id=None,
            error_code=None,
            error_message=None,
            revision=revision,
            updated_at=now,
        )
    )
    jobs.enqueue_cleanup(c, clock)


def reindex(c: sa.Connection, reader: Reader, clock: Clock, document_id: str) -> Document:
    """Read the original again: after a failure, or with other settings."""
    revision = revisions.raise_(c, "library")
    _require_writable(c, reader, document_id)
    restart(c, clock, document_id, revision)
    return get(c, reader, document_id)


def restart(c: sa.Connection, clock: Clock, document_id: str, revision: int) -> None:
    """What `reindex` does, for whoever may."""
    _update(c, [document_id], error_code=None, error_message=None, revision=revision)
    jobs.enqueue(c, clock, "index", [document_id])


def cancel(c: sa.Connection, reader: Reader, clock: Clock, document_id: str) -> Document:
    """Stop reading a document; what is read stays searchable, and its passages are embedded all
    the same. `reindex` takes it up again."""
    revision = revisions.raise_(c, "library")
    _require_writable(c, reader, document_id)
    stop(c, clock, document_id, revision)
    return get(c, reader, document_id)


def stop(c: sa.Connection, clock: Clock, document_id: str, revision: int) -> None:
    """What `cancel` does, for whoever may."""
    if jobs.cancel_of(c, clock, [document_id], ["index"]):
        reason = {"error_code": "cancelled", "error_message": "Indexing was cancelled."}
        _update(c, [document_id], revision=revision, updated_at=clock.now_ms(), **reason)
        jobs.enqueue_cleanup(c, clock)


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are stored: lines of at most 64 characters, sorted, each once, at most 20."""
    clean = sorted({clean_line(tag, what="A tag", limit=TAG_LIMIT) for tag in tags})
    if len(clean) > TAGS_LIMIT:
        raise BadInput(f"A document has at most {TAGS_LIMIT} tags.")
    return clean


# -- reading ---------------------------------------------------------------------------------------


def get(c: sa.Connection, reader: Reader, document_id: str) -> Document:
    """One document; NotFound if it was deleted or the reader may not read it."""
    found = document_rows.read(c, [document_id]).get(document_id)
    if found is None or found.collection_id not in reader.collections:
        raise NotFound("No such document.")
    return found


def list_(
    c: sa.Connection,
    reader: Reader,
    wanted: Wanted,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> DocumentPage:
    """Readable documents, most recently changed first, `limit` (1 to 200) at a time."""
    cursors.check_limit(limit)
    if wanted.collection is not None and wanted.collection not in reader.collections:
        raise NotFound("No such collection.")
    key = None if cursor is None else cursors.decode(cursor, tuple[cursors.Number, cursors.Id])
    scope = [wanted.collection] if wanted.collection else sorted(reader.collections)
    ids = c.execute(_newest(c, scope, wanted, key, limit + 1)).scalars().all()
    found = document_rows.read(c, ids[:limit])
    items = [found[document_id] for document_id in ids[:limit]]
    more = len(ids) > limit
    return DocumentPage(
        items=items,
        next_cursor=cursors.encode(items[-1].updated_at, items[-1].id) if more else None,
    )


_NEWEST_FIRST = (documents.c.updated_at.desc(), documents.c.id.desc())
# Readers of more collections than this sort what they may read.
_MOST_BRANCHES = 16


def _newest(
    c: sa.Connection, scope: list[str], wanted: Wanted, key: tuple[int, str] | None, limit: int
) -> sa.Select[Any]:
    """Ids of a page. The index holds each collection in order, so each gives its newest, and the
    newest of these are the page: 1 ms for the newest 50 of 50,000, where sorting took 130 ms."""
    query = sa.select(documents.c.id, documents.c.updated_at).where(documents.c.deleted == 0)
    if wanted.query:
        query = query.where(contains(c, documents.c.name, wanted.query))
    if wanted.state is not None:
        query = document_rows.with_index_job(query).where(
            document_rows.current_state == wanted.state
        )
    if wanted.tag is not None:
        tagged = sa.select(document_tags.c.document_id).where(document_tags.c.tag == wanted.tag)
        query = query.where(documents.c.id.in_(tagged))
    if key is not None:
        query = query.where(sa.tuple_(documents.c.updated_at, documents.c.id) < sa.tuple_(*key))
    if not 1 < len(scope) <= _MOST_BRANCHES:
        inside = query.where(documents.c.collection_id.in_(scope))
        if len(scope) == 1:
            inside = query.where(documents.c.collection_id == scope[0])
        return inside.order_by(*_NEWEST_FIRST).limit(limit)
    branches = [
        query.where(documents.c.collection_id == one)
        .order_by(*_NEWEST_FIRST)
        .limit(limit)
        .subquery()
        .select()
        for one in scope
    ]
    merged = sa.union_all(*branches).subquery()
    return (
        sa.select(merged.c.id).order_by(merged.c.updated_at.desc(), merged.c.id.desc()).limit(limit)
    )


def unchanged(
    c: sa.Connection,
    reader: Reader,
    collection_id: str,
    source: Source,
    hashes: dict[str, str],
) -> dict[str, Document]:
    """Of files to add (source URI -> SHA-256), those that `add` would call unchanged, by URI."""
    if collection_id not in reader.collections:
        raise NotFound("No such collection.")
    same = {
        row.source_uri: row.id
        for row in _known(c, [source], list(hashes))
        if row.collection_id == collection_id and _is_same(row, hashes[row.source_uri])
    }
    found = document_rows.read(c, list(same.values()))
    return {uri: found[document_id] for uri, document_id in same.items()}


def under(
    c: sa.Connection, reader: Reader, collection_id: str, source: Source, prefix: str
) -> dict[str, str]:
    """Source URI -> id of the documents whose source URI starts with `prefix`."""
    query = sa.select(documents.c.source_uri, documents.c.id).where(
        documents.c.collection_id == collection_id,
        documents.c.collection_id.in_(reader.collections),
        documents.c.source == source,
        # Not LIKE, which takes /Docs/ for /docs/ on SQLite.
        sa.func.substr(documents.c.source_uri, 1, len(prefix)) == prefix,
        documents.c.deleted == 0,
    )
    return {row.source_uri: row.id for row in c.execute(query)}


def _put_tags(c: sa.Connection, tags: dict[str, list[str]]) -> None:
    if tags:
        c.execute(sa.delete(document_tags).where(document_tags.c.document_id.in_(list(tags))))
    rows = [{"document_id": id_, "tag": tag} for id_, some in tags.items() for tag in some]
    if rows:
        c.execute(sa.insert(document_tags), rows)


def any_unreadable(c: sa.Connection, reader: Reader, document_ids: Collection[str]) -> bool:
    """Whether one of these documents, as far as they still exist, is not the reader's to read."""
    hidden = sa.select(documents.c.id).where(
        documents.c.id.in_(document_ids),
        documents.c.deleted == 0,
        documents.c.collection_id.not_in(reader.collections),
    )
    return bool(document_ids) and c.execute(hidden.limit(1)).first() is not None


def readable(c: sa.Connection, reader: Reader, document_ids: Collection[str]) -> set[str]:
    """Which of these documents exist and are the reader's to read."""
    theirs = sa.select(documents.c.id).where(
        documents.c.id.in_(document_ids),
        documents.c.deleted == 0,
        documents.c.collection_id.in_(reader.collections),
    )
    return set(c.execute(theirs).scalars()) if document_ids else set()


def _require_writable(c: sa.Connection, reader: Reader, document_id: str) -> None:
    collection = c.execute(
        sa.select(documents.c.collection_id).where(
            documents.c.id == document_id, documents.c.deleted == 0
        )
    ).scalar_one_or_none()
    if collection is None or collection not in reader.collections:
        raise NotFound("No such document.")
    access.require_writable(c, reader, collection)


__all__ = [
    "Added",
    "Document",
    "DocumentPage",
    "NewDocument",
    "Outcome",
    "Progress",
    "Source",
    "State",
    "Wanted",
    "add",
    "add_all",
    "bury",
    "cancel",
    "clean_tags",
    "delete",
    "get",
    "list_",
    "reindex",
    "restart",
    "stop",
    "unchanged",
    "under",
    "update",
]
