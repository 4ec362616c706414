"""Korean or English: by the cookie that the page sets, else by what the browser asks for."""

from typing import Literal

from flask import request

Language = Literal["ko", "en"]

# Set by the page's own language switch; holds nothing but `ko` or `en`.
COOKIE = "lang"
# What answers of two languages under one address depend on.
VARY = "Accept-Language, Cookie"


def of_request() -> Language:
    """The language to answer in; English for who asks for neither."""
    chosen = request.cookies.get(COOKIE)
    if chosen not in ("ko", "en"):
        chosen = request.accept_languages.best_match(["ko", "en"], default="en")
    return "ko" if chosen == "ko" else "en"
