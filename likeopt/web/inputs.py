"""Reading what a client sent: bounded, decoded, normalised, checked against a struct."""

import functools
import re
import unicodedata
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from flask import request
from msgspec import Meta
from werkzeug.exceptions import ClientDisconnected

from likeopt.clock import milliseconds
from likeopt.errors import BadInput, TooLarge, UnsupportedType

T = TypeVar("T")

# A question has at most 8,000 characters; an OpenAI client sends its whole conversation.
JSON_LIMIT = 256 * 1024
# Ids, tags or media types to search within. Each is a parameter of a query, of which some builds of
# SQLite take 32,766 (https://www.sqlite.org/limits.html#max_variable_number).
Names = Annotated[list[str], Meta(max_length=1000)]
TIME = "RFC 3339, such as 2026-01-31T09:00:00Z, or a date alone (midnight UTC)."

_MISSING = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_WRONG_VALUE = re.compile(r"Invalid enum value (.+)", re.DOTALL)
_KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def read_json(kind: type[T]) -> T:
    """The request's body as a `kind`.

    Raises TooLarge over 256 KiB, UnsupportedType for another media type, BadInput for anything
    that is not such an object; the message names the member.
    """
    if request.mimetype != "application/json":
        # A page of another site can make a browser send anything but this without being asked.
        raise UnsupportedType("Send JSON, with the header Content-Type: application/json.")
    raw = _read_body()
    if not raw.strip():
        raise BadInput("The request has no body; a JSON object was expected.", code="empty_body")
    try:
        value = clean(msgspec.json.decode(raw))
    except UnicodeDecodeError:
        raise _invalid_utf8("The request's body") from None
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        raise BadInput(f"The body is not JSON: {error}.", code="invalid_json") from None
    return convert(value, kind, strict=True)


def _read_body() -> bytes:
    """At most JSON_LIMIT bytes. Werkzeug's own limit cuts a body without a length silently."""
    body = bytearray()
    too_large = (request.content_length or 0) > JSON_LIMIT
    try:
        while not too_large and (piece := request.stream.read(1 << 16)):
            body += piece
            too_large = len(body) > JSON_LIMIT
    except ClientDisconnected:
        raise BadInput("The request ended too early.", code="incomplete_body") from None
    if too_large:
        raise TooLarge(f"The request is larger than {JSON_LIMIT >> 10} KiB. Ask something shorter.")
    return bytes(body)


def read_query(kind: type[T]) -> T:
    """The query string as a `kind`; a list member may be given several times.

    Raises BadInput as `read_json` does.
    """
    raw = request.query_string
    if b"%" in raw or not raw.isascii():
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise _invalid_utf8("The query string") from None
    struct: Any = kind
    many = _list_members(struct)
    values: dict[str, Any] = {}
    for name, given in request.args.lists():
        if name in many:
            values[name] = [clean(value) for value in given]
        elif len(given) > 1:
            raise BadInput(f"`{name}` is given more than once.")
        else:
            values[name] = clean(given[0])
    return convert(values, kind, strict=False)


def convert(value: Any, kind: type[T], *, strict: bool) -> T:
    """`value`, made of JSON's types, as a `kind`; BadInput says which member is wrong."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise BadInput(_explained(str(error), values_are_texts=not strict)) from None


def _explained(error: str, *, values_are_texts: bool) -> str:
    """A message of msgspec's as a sentence for a person."""
    what, _, path = error.partition(" - at `$")
    where = path.strip("`").lstrip(".")
    inside = f", in `{where}`." if where else "."
    named = f"`{where}`" if where else "The body"
    if found := _MISSING.fullmatch(what):
        return f"`{found[1]}` is missing{inside}"
    if found := _UNKNOWN.fullmatch(what):
        return f"`{found[1]}` is not known here{inside}"
    if found := _WRONG_TYPE.fullmatch(what):
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in found[1].split(" | "))
        got = "" if values_are_texts else f", not {_KINDS.get(found[2], found[2])}"
        return f"{named} must be {wanted}{got}."
    if found := _WRONG_VALUE.fullmatch(what):
        return f"{named} cannot be {found[1]}."
    return f"{what}{inside}"


def millis(name: str, text: str | None) -> int | None:
    """The parameter `name` as ms since the epoch. BadInput for a time that is none."""
    if text is None:
        return None
    try:
        return milliseconds(text)
    except ValueError:
        raise BadInput(f"`{name}` is not a time. Write it as {TIME}") from None


def clean(value: Any) -> Any:
    """Every text in `value` in Unicode's composed form (NFC); BadInput for a null character."""
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput("Text must not contain a null character.", code="null_character")
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


@functools.cache
def _list_members(kind: Any) -> frozenset[str]:
    return frozenset(
        member.encode_name for member in msgspec.structs.fields(kind) if _is_list(member.type)
    )


def _is_list(kind: Any) -> bool:
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    return isinstance(info, msgspec.inspect.ListType)


def _invalid_utf8(where: str) -> BadInput:
    return BadInput(f"{where} is not valid UTF-8.", code="invalid_utf8")
