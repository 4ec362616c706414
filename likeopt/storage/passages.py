"""The text of documents as people read it: one page at a time, or one passage."""

import msgspec
import sqlalchemy as sa

from likeopt.errors import BadInput, NotFound
from likeopt.storage.reader import Reader
from likeopt.storage.tables import chunks, documents, pages, versions


class Page(msgspec.Struct, frozen=True):
    """A page, or a part of about 16,000 characters of a format without pages (`paged` false).

    `start` and `total` count characters of the version's whole text; `pages` counts pages or
    parts; `number` starts at 1.
    """

    document_id: str
    document_name: str
    media_type: str
    version_id: int
    number: int
    pages: int
    paged: bool
    start: int
    text: str
    total: int


class Passage(msgspec.Struct, frozen=True):
    """A passage with where it stands; `start` and `end` count characters of the version's text."""

    id: int
    document_id: str
    document_name: str
    version_id: int
    ordinal: int
    text: str
    context: str
    start: int
    end: int
    page: int | None


def text_at(
    c: sa.Connection, reader: Reader, document_id: str, offset: int, version: int | None = None
) -> Page:
    """The page that holds character `offset` of a document's text.

    `version` None is the one that readers see. NotFound with the code `version_gone` for an older
    one that is no longer kept, or for a document that has no text yet.
    """
    if offset < 0:
        raise BadInput("The offset must not be negative.")
    document = c.execute(
        sa.select(documents).where(
            documents.c.id == document_id,
            documents.c.collection_id.in_(reader.collections),
            documents.c.deleted == 0,
        )
    ).first()
    if document is None:
        raise NotFound("No such document.")
    version_id = version or document.version_id
    found = c.execute(
        sa.select(pages, versions.c.page_count)
        .join_from(pages, versions, pages.c.version_id == versions.c.id)
        .where(
            versions.c.id == version_id,
            versions.c.document_id == document_id,
            versions.c.state != "building",
            pages.c.start <= offset,
        )
        .order_by(pages.c.number.desc())
        .limit(1)
    ).first()
    if version_id is None or found is None:
        raise NotFound("This version of the document's text is not kept.", code="version_gone")
    last = c.execute(
        sa.select(pages.c.number, (pages.c.start + sa.func.length(pages.c.text)).label("total"))
        .where(pages.c.version_id == version_id)
        .order_by(pages.c.number.desc())
        .limit(1)
    ).one()
    if offset > last.total:
        raise BadInput("The offset is beyond the end of the document.")
    return Page(
        document_id=document_id,
        document_name=document.name,
        media_type=document.media_type,
        version_id=version_id,
        number=found.number,
        pages=last.number,
        paged=found.page_count is not None,
        start=found.start,
        text=found.text,
        total=last.total,
    )


def passage(c: sa.Connection, reader: Reader, chunk_id: int) -> Passage:
    """One passage of a document that the reader may read, of a kept version."""
    row = (
        c.execute(
            sa.select(
                chunks,
                documents.c.id.label("document_id"),
                documents.c.name.label("document_name"),
            )
            .join_from(chunks, versions, chunks.c.version_id == versions.c.id)
            .join(documents, versions.c.document_id == documents.c.id)
            .where(
                chunks.c.id == chunk_id,
                versions.c.state != "building",
                documents.c.collection_id.in_(reader.collections),
                documents.c.deleted == 0,
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise NotFound("No such passage.")
    return Passage(**row)
