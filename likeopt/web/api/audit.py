"""The audit log, for administrators."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from flask import Response
from msgspec import Meta

from likeopt.clock import rfc3339
from likeopt.errors import BadInput
from likeopt.storage import audit as stored
from likeopt.web import context, inputs
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints
from likeopt.web.lease import Lease

audit = Endpoints("audit", tag="Audit", prefix="/api/v1/audit")

CSV = "text/csv; charset=utf-8"
JSON_LINES = "application/jsonl"

_Actor = Annotated[str | None, Meta(description="Only what this person did.")]
_Action = Annotated[
    str | None, Meta(description="Only this action; ending with a dot, all that begin so.")
]
_Kind = Annotated[str | None, Meta(description="Only what was done to this kind of thing.")]
_Object = Annotated[str | None, Meta(description="Only what was done to the thing with this id.")]
_Text = Annotated[str | None, Meta(description="Only with this in the actor's or thing's name.")]
_Since = Annotated[str | None, Meta(description=f"Not before this. {inputs.TIME}")]
_Until = Annotated[str | None, Meta(description=f"Before this. {inputs.TIME}")]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which events to list."""

    actor: _Actor = None
    action: _Action = None
    kind: _Kind = None
    object: _Object = None
    q: _Text = None
    since: _Since = None
    until: _Until = None
    cursor: Annotated[str | None, Meta(description="`next_cursor` of the page before.")] = None
    limit: Annotated[int, Meta(description="Events a page, 1 to 200.")] = 50


class AuditExportQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which events to write down, and how."""

    format: Annotated[Literal["jsonl", "csv"], Meta(description="The file's format.")] = "jsonl"
    actor: _Actor = None
    action: _Action = None
    kind: _Kind = None
    object: _Object = None
    q: _Text = None
    since: _Since = None
    until: _Until = None


class AuditEvent(msgspec.Struct):
    """What somebody did. Names are those of that time; `detail` depends on the action."""

    id: int
    at: str
    action: str
    via: stored.Via
    actor_id: str | None
    actor_name: str
    object_kind: str
    object_id: str | None
    object_name: str | None
    address: str
    request_id: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct):
    """Events, newest first."""

    items: list[AuditEvent]
    next_cursor: str | None


@audit.operation(
    "GET",
    "",
    summary="What was done, by whom and when",
    detail="Sign-ins, changes of accounts, access, documents and collections, exports, key use.",
    query=AuditQuery,
    returns=AuditPage,
    access="admin",
)
def list_audit(query: AuditQuery) -> AuditPage:
    filters = _filters(query)
    page = services().db.read(
        lambda c: stored.list_(c, filters, limit=query.limit, cursor=query.cursor)
    )
    return AuditPage([_event(one) for one in page.items], page.next_cursor)


@audit.operation(
    "GET",
    "/export",
    summary="The audit log as a file",
    detail="As JSON lines or CSV, newest first. The export itself is logged.",
    query=AuditExportQuery,
    media={JSON_LINES: {"type": "string"}, "text/csv": {"type": "string"}},
    errors=(BadInput,),
    access="admin",
    example="-OJ",
)
def export_audit(query: AuditExportQuery) -> Response:
    filters, found = _filters(query), services()
    wanted = {k: v for k, v in msgspec.structs.asdict(query).items() if v is not None}
    found.db.write(lambda c: context.note(c, "audit.export", kind="audit", filters=wanted))
    events = _permitted(stored.export(found.db, filters), Lease(admin=True))
    as_csv = query.format == "csv"
    body = _csv_lines(events) if as_csv else (msgspec.json.encode(one) + b"\n" for one in events)
    response = Response(body, content_type=CSV if as_csv else JSON_LINES)
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{query.format}"'
    return response


def _filters(query: AuditQuery | AuditExportQuery) -> stored.Filters:
    return stored.Filters(
        actor_id=query.actor,
        action=query.action,
        object_kind=query.kind,
        object_id=query.object,
        text=query.q,
        since=inputs.millis("since", query.since),
        until=inputs.millis("until", query.until),
    )


def _permitted(events: Iterator[stored.Event], lease: Lease) -> Iterator[AuditEvent]:
    for event in events:
        lease.check()
        yield _event(event)


def _event(found: stored.Event) -> AuditEvent:
    return AuditEvent(**msgspec.structs.asdict(found) | {"at": rfc3339(found.at)})


def _csv_lines(events: Iterator[AuditEvent]) -> Iterator[bytes]:
    """RFC 4180, with a mark that has Excel read UTF-8. No cell can be a spreadsheet's formula."""
    names = AuditEvent.__struct_fields__
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(names)
    yield b"\xef\xbb\xbf" + line.getvalue().encode()
    for event in events:
        line.seek(0)
        line.truncate()
        values = msgspec.structs.asdict(event) | {"detail": msgspec.json.encode(event.detail)}
        writer.writerow([_cell(values[name]) for name in names])
        yield line.getvalue().encode()


def _cell(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
