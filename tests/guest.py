"""What lets a guest into the servers of tests: all that skip sign-in have the same key."""

from typing import Any

from flask import Flask

from likeopt.storage.secret_key import guest_token

SECRET_KEY = "what every test may know, and nobody else uses"
SETTINGS = {"LIKEOPT_GUEST": "true", "LIKEOPT_SECRET_KEY": SECRET_KEY}
TOKEN = guest_token(SECRET_KEY.encode())
LINK = "/api/v1/session/guest"
# What a program sends.
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# The same in a request that a test writes by hand.
LINE = f"Authorization: {HEADERS['Authorization']}\r\n".encode()


def client(app: Flask) -> Any:
    """A browser that has opened the link, and whose page sends the token of its session."""
    made = app.test_client()
    opened = made.post(LINK, json={"token": TOKEN})
    assert opened.status_code == 200, opened.text
    made.environ_base["HTTP_X_CSRF_TOKEN"] = opened.get_json()["csrf"]
    return made
