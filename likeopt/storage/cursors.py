"""Opaque cursors of keyset pages: the sort key of the last row, in base64."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from likeopt.errors import BadInput

T = TypeVar("T")

MAX_LIMIT = 200
# Of SQLite's and PostgreSQL's widest column: both drivers fail at more.
MAX_INTEGER = 2**63 - 1
# What a sort key is made of; anything else is not compared with a column.
Number = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-z]{1,32}\Z")]


def encode(*key: str | int) -> str:
    """The cursor that continues after the row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode(cursor: str, kind: type[T]) -> T:
    """The sort key in `cursor`; `kind` is its type, such as `tuple[Number, Id]`.

    Raises BadInput for anything that `encode` did not make.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=kind
        )
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError):
        raise BadInput("The cursor is not one of this list; start again without it.") from None


def check_limit(limit: int) -> int:
    """`limit` if a page may have that many rows, else BadInput."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInput(f"limit must be between 1 and {MAX_LIMIT}.")
    return limit


def next_cursor(rows: Sequence[Any], limit: int, *columns: str) -> str | None:
    """The cursor after a page read with `limit + 1`, or None if it is the last one."""
    if len(rows) <= limit:
        return None
    return encode(*(rows[limit - 1][column] for column in columns))
