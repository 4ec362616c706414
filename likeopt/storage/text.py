"""What every stored text goes through, and comparing texts as people read them."""

import re
import unicodedata
from typing import Any

import sqlalchemy as sa

from likeopt.errors import BadInput


def clean_line(text: str, *, what: str, limit: int) -> str:
    """`text` as one stored line: NFC, without white space around it.

    Raises BadInput, naming `what`, if nothing is left, if it is longer than `limit` characters,
    or if it holds control characters or half of a surrogate pair.
    """
    line = unicodedata.normalize("NFC", text).strip()
    if not any(map(is_seen, line)):
        raise BadInput(f"{what} is empty.")
    if len(line) > limit:
        raise BadInput(f"{what} is longer than {limit} characters.")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in line):
        raise BadInput(f"{what} holds characters that cannot be shown.")
    return line


# Letters and symbols by their category, of which nothing is seen: the fillers of Hangul's jamo, and
# Braille without dots.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def is_seen(char: str) -> bool:
    """Whether `char` leaves a mark where it stands: not so spaces, controls, fillers."""
    return char not in _BLANK and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zs")


def clean_name(text: str, *, what: str, limit: int) -> str:
    """`text` as the name that people tell somebody by: `clean_line`, and BadInput for characters
    that are not seen, or turn the direction of those that are: with them, two names look alike."""
    name = clean_line(text, what=what, limit=limit)
    if any(map(hides, name)):
        raise BadInput(f"{what} holds characters that are not seen.")
    return name


def hides(char: str) -> bool:
    """Whether nothing is seen of `char` itself: marks of direction, joiners, zero-width spaces
    (all of category Cf), fillers, and the combining grapheme joiner."""
    return char in _BLANK or char == "\u034f" or unicodedata.category(char) == "Cf"


# RFC 5321 allows 254; the rest is for the mail server to judge.
EMAIL_LIMIT = 254
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def clean_email(text: str) -> str:
    """`text` as a stored e-mail address: one line, NFC, lower-cased. Raises BadInput."""
    email = clean_line(text, what="The e-mail address", limit=EMAIL_LIMIT)
    # Unseen characters would make two addresses that look like one.
    if not _EMAIL.fullmatch(email) or not email.isprintable() or _BLANK & set(email):
        raise BadInput("The e-mail address is not one: it looks like name@example.org.")
    return unicodedata.normalize("NFC", email.lower())


def contains(c: sa.Connection, column: sa.ColumnElement[Any], needle: str) -> sa.ColumnElement[Any]:
    """Whether `needle` stands in `column`, whatever the case, in every script.

    SQLite's own `lower` knows ASCII only and is replaced in `db.py`; PostgreSQL's depends on the
    database's locale, which is often C, so an ICU collation is named.
    """
    folded = unicodedata.normalize("NFC", needle).lower()
    if c.dialect.name == "postgresql":
        column = sa.collate(column, "und-x-icu")
    return sa.func.lower(column).contains(folded, autoescape=True)
