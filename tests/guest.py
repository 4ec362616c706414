"""What lets a guest into the servers of tests: all that skip sign-in have the same key."""

from typing import Any

from flask import Flask

from likeopt.storage.secret_key import guest_token
from likeopt.web import cookies
from likeopt.web.guests import GUEST

SECRET_KEY = "what every test may know, and nobody else uses"
SETTINGS = {"LIKEOPT_GUEST": "true", "LIKEOPT_SECRET_KEY": SECRET_KEY}
TOKEN = guest_token(SECRET_KEY.encode())
# What a browser keeps that has opened the link.
COOKIE = f"{GUEST}.{cookies.sign(SECRET_KEY.encode(), 'session', GUEST)}"
HEADERS = {"Cookie": f"{cookies.NAME}={COOKIE}"}
# The same in a request that a test writes by hand.
LINE = f"Cookie: {HEADERS['Cookie']}\r\n".encode()


def client(app: Flask) -> Any:
    """A client of `app` that has opened the link."""
    made = app.test_client()
    made.set_cookie(cookies.NAME, COOKIE)
    return made
