"""What lets a guest into the servers of tests: all that skip sign-in have the same key."""

from typing import Any

from flask import Flask

from likeopt.accounts import Client
from likeopt.storage.reader import LOCAL_USER
from likeopt.storage.secret_key import guest_token
from likeopt.web import cookies
from likeopt.web.context import services_of

SECRET_KEY = "what every test may know, and nobody else uses"
SETTINGS = {"LIKEOPT_GUEST": "true", "LIKEOPT_SECRET_KEY": SECRET_KEY}
TOKEN = guest_token(SECRET_KEY.encode())
LINK = "/api/v1/session/guest"
# What a program sends.
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# The same in a request that a test writes by hand.
LINE = f"Authorization: {HEADERS['Authorization']}\r\n".encode()


def client(app: Flask) -> Any:
    """A browser that has opened the link, and whose page sends the token of its session.

    Without a request: a test may still add routes to `app`, or count what is asked of it.
    """
    services = services_of(app)
    key = services.secret_key
    opened = services.accounts.open_session(LOCAL_USER, Client("127.0.0.1", "tests"), how="guest")
    made = app.test_client()
    made.set_cookie(
        cookies.NAME, f"{opened.cookie_id}.{cookies.sign(key, 'session', opened.cookie_id)}"
    )
    made.environ_base["HTTP_X_CSRF_TOKEN"] = cookies.sign(key, "csrf", opened.session.id)
    return made
