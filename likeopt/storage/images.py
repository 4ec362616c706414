"""Which original a picture of a document is made of."""

import msgspec
import sqlalchemy as sa

from likeopt.errors import NotFound
from likeopt.storage.reader import Reader
from likeopt.storage.tables import documents, pages, versions


class Original(msgspec.Struct, frozen=True):
    """A document's original, by its SHA-256. `version_id` is None while it has not been read."""

    document_id: str
    name: str
    media_type: str
    sha256: str
    version_id: int | None = None


def original(
    c: sa.Connection, reader: Reader, document_id: str, version: int | None = None
) -> Original:
    """That of a version of a document, None being the one that readers see, or the newest while
    they see none. NotFound (no_picture) if the reader may not read it, or the version is
    not kept."""
    found = c.execute(
        sa.select(
            documents,
            versions.c.sha256.label("version_sha256"),
            versions.c.id.label("used_version_id"),
        )
        .outerjoin(
            versions,
            (versions.c.document_id == documents.c.id)
            & (versions.c.id == (documents.c.version_id if version is None else version))
            & (versions.c.state != "building"),
        )
        .where(
            documents.c.id == document_id,
            documents.c.collection_id.in_(reader.collections),
            documents.c.deleted == 0,
        )
    ).first()
    sha256 = None
    if found is not None:
        sha256 = found.version_sha256 or (found.sha256 if version is None else None)
    if found is None or sha256 is None:
        raise NotFound("No such picture.", code="no_picture")
    return Original(document_id, found.name, found.media_type, sha256, found.used_version_id)


def text_of_page(c: sa.Connection, original: Original, number: int, start: int, end: int) -> str:
    """What of the characters `start` to `end` of its text stands on a page; "" for none."""
    found = c.execute(
        sa.select(pages.c.start, pages.c.text).where(
            pages.c.version_id == original.version_id, pages.c.number == number
        )
    ).first()
    if found is None:
        return ""
    text: str = found.text[max(0, start - found.start) : max(0, end - found.start)]
    return text
