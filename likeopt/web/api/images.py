"""Pictures of documents: pages, and pictures that lie in them."""

import base64
import io
import re
from typing import Annotated, Literal, NamedTuple

import msgspec
from flask import Response, request
from msgspec import Meta

from likeopt.errors import BadInput, Busy, NotFound, UnreadableFile
from likeopt.retrieval.images import (
    AVIF,
    JPEG,
    PLACEHOLDER,
    QUALITIES,
    SIZES,
    TALLEST,
    WEBP,
    Part,
    Wanted,
)
from likeopt.retrieval.parse.protocol import Drawn, Mark
from likeopt.storage import images as stored
from likeopt.storage.cursors import MAX_INTEGER
from likeopt.storage.db import run_here
from likeopt.web import originals
from likeopt.web.context import identity, reader, services
from likeopt.web.endpoint import ID_PATTERN, Endpoints
from likeopt.web.lease import Lease

images = Endpoints("images", tag="Documents", prefix="/api/v1/images")

Format = Literal["auto", "avif", "webp", "jpeg"]

_ID = re.compile(rf"({ID_PATTERN})-([pi])([1-9][0-9]{{0,5}})")
_PARTS: dict[str, Part] = {"p": "page", "i": "picture"}
# A passage has 800 characters or so; of a longer text the beginning is marked.
_LONGEST_MARK = 4000
_FORMATS = {"avif": AVIF, "webp": WEBP, "jpeg": JPEG}
_ERRORS = (NotFound, UnreadableFile, Busy)
_VERSION = Annotated[
    Annotated[int, Meta(le=MAX_INTEGER, ge=-MAX_INTEGER)] | None,
    Meta(description="The version that a citation names; else the newest."),
]
_BINARY = {"type": "string", "format": "binary"}
_IDS = (
    "The id is a document's with `-p` and the number of a page of a PDF, or with `-i` and the"
    " number of a picture that lies in a PDF, DOCX, PPTX, XLSX, ODS, HWP, HWPX or HTML (there only"
    " what is written into the page itself), both from 1."
)
_CHARACTER = Annotated[int, Meta(ge=0, le=MAX_INTEGER)] | None


def _one_of(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" or {numbers[-1]}"


def _choice(numbers: tuple[int, ...], description: str) -> Meta:
    # Only told: `_check` says in its refusal what is allowed.
    return Meta(description=description, extra_json_schema={"enum": list(numbers)})


class ImageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How the picture is wanted. It keeps its proportions; one in a document is never enlarged."""

    w: Annotated[int, _choice(SIZES, "Widest, in pixels.")] = 800
    h: Annotated[int | None, _choice(SIZES, "Highest, in pixels.")] = None
    q: Annotated[int | None, _choice(QUALITIES, "Quality; by itself, what suits the picture.")] = (
        None
    )
    f: Annotated[
        Format, Meta(description="Format; `auto` is the best of those that `Accept` names.")
    ] = "auto"
    version: _VERSION = None


class InfoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which version, and which of its characters to look for on the page."""

    version: _VERSION = None
    start: Annotated[_CHARACTER, Meta(description="First character of a citation.")] = None
    end: Annotated[_CHARACTER, Meta(description="The character after its last.")] = None


class ListQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose pictures."""

    document: Annotated[str, Meta(pattern=f"^{ID_PATTERN}$")]
    version: _VERSION = None


class ImageInfo(msgspec.Struct):
    """What is shown until the picture is there: a box of its proportions, filled with a blurred
    one. `width` and `height` are pixels, or for a page points; `widths` are what `w` may be.
    `marks` are boxes around the cited characters, as far as they are found on the page: left, top,
    width and height in parts of the page's own."""

    id: str
    width: int
    height: int
    placeholder: str
    widths: tuple[int, ...]
    marks: list[Mark]


class ImageList(msgspec.Struct):
    """How many pictures lie in a document: their ids end with `-i1` and so on."""

    document: str
    pictures: int


class _Named(NamedTuple):
    document_id: str
    part: Part
    number: int


@images.operation(
    "GET",
    "/<image_id>",
    summary="A picture of a document",
    detail=f"{_IDS} It comes without the metadata of its file, upright, and in sRGB. Browsers keep"
    " it, and ask each time whether they still may show it.",
    query=ImageQuery,
    media={AVIF: _BINARY, WEBP: _BINARY, JPEG: _BINARY},
    errors=_ERRORS,
    example="-O",
)
def image(image_id: str, query: ImageQuery) -> Response:
    _check("w", query.w, SIZES)
    _check("h", query.h, SIZES)
    _check("q", query.q, QUALITIES)
    named = _named(image_id)
    wanted = Wanted(
        part=named.part,
        number=named.number,
        width=query.w,
        height=query.h or TALLEST,
        quality=query.q,
        formats=_accepted() if query.f == "auto" else (_FORMATS[query.f],),
    )
    found, asked, lease = services(), _original(named, query.version), Lease([named.document_id])
    etag = found.images.etag(asked, wanted)
    if request.if_none_match.contains(etag):
        drawn = Drawn(wanted.formats[0], b"", 0, 0)
    else:
        drawn = _drawn(asked, wanted, lease)
    response = originals.send(
        io.BytesIO(drawn.data),
        run_here,  # it is in the memory
        lease,
        size=len(drawn.data),
        etag=etag,
        name=f"{image_id}.{drawn.media_type.partition('/')[2]}",
        media_type=drawn.media_type,
        download=False,
    )
    response.vary.add("Accept")
    return response


@images.operation(
    "GET",
    "/<image_id>/info",
    summary="What to show until a picture is there",
    detail=_IDS,
    query=InfoQuery,
    returns=ImageInfo,
    errors=_ERRORS,
)
def image_info(image_id: str, query: InfoQuery) -> ImageInfo:
    named = _named(image_id)
    original = _original(named, query.version)
    wanted = Wanted(
        part=named.part,
        number=named.number,
        width=PLACEHOLDER,
        height=4 * PLACEHOLDER,
        quality=QUALITIES[0],
        formats=(WEBP,),
    )
    drawn = _drawn(original, wanted, Lease([named.document_id]))
    mark = _marked(original, named, query)
    marks: list[Mark] = []
    if mark:
        looked_for = msgspec.structs.replace(wanted, mark=mark)
        marks = _drawn(original, looked_for, Lease([named.document_id])).marks
    data = base64.b64encode(drawn.data).decode()
    shown = f"data:{WEBP};base64,{data}"
    return ImageInfo(image_id, drawn.width, drawn.height, shown, SIZES, marks)


@images.operation(
    "GET",
    "",
    summary="How many pictures lie in a document",
    query=ListQuery,
    returns=ImageList,
    errors=_ERRORS,
    example="--get -d document=<document>",
)
def image_list(query: ListQuery) -> ImageList:
    named = _Named(query.document, "picture", 0)
    counting = Wanted(named.part, named.number, 1)
    drawn = _drawn(_original(named, query.version), counting, Lease([named.document_id]))
    return ImageList(query.document, drawn.count)


def _named(image_id: str) -> _Named:
    found = _ID.fullmatch(image_id)
    if found is None:
        raise NotFound("No such picture.", code="no_picture")
    return _Named(found[1], _PARTS[found[2]], int(found[3]))


def _original(named: _Named, version: int | None) -> stored.Original:
    return services().db.read(lambda c: stored.original(c, reader(c), named.document_id, version))


def _marked(original: stored.Original, named: _Named, query: InfoQuery) -> str:
    """The text to look for on the page; "" for none."""
    if named.part != "page" or query.start is None or query.end is None:
        return ""
    start, end = query.start, min(query.end, query.start + _LONGEST_MARK)
    return services().db.read(lambda c: stored.text_of_page(c, original, named.number, start, end))


def _drawn(original: stored.Original, wanted: Wanted, lease: Lease) -> Drawn:
    try:
        drawn = services().images.draw(original, wanted, identity().user.id)
    except UnreadableFile as error:
        if error.instance_code in ("no_picture", "missing_file"):
            raise NotFound("No such picture.", code="no_picture") from None
        raise
    finally:
        # It may have taken seconds.
        lost = lease.lost()
    if lost is not None:
        raise lost
    return drawn


def _check(name: str, value: int | None, allowed: tuple[int, ...]) -> None:
    if value is not None and value not in allowed:
        raise BadInput(
            f"`{name}` must be {_one_of(allowed)}.", code="bad_size", allowed=list(allowed)
        )


def _accepted() -> tuple[str, ...]:
    """The formats that the client says it shows, the best first. One that says nothing, or that it
    takes everything, gets JPEG."""
    named = {kind for kind, quality in request.accept_mimetypes if quality > 0}
    return tuple(kind for kind in (AVIF, WEBP) if kind in named) or (JPEG,)
