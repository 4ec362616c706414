"""What a view may reach: the services, and who is asking."""

from typing import Any

from flask import Flask, current_app

from likeopt.services import Services
from likeopt.storage import access
from likeopt.storage.reader import Reader

_EXTENSION = "likeopt"


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions[_EXTENSION]
    return found


def reader(c: Any) -> Reader:
    """Who is asking, with what they may read in the snapshot of the connection `c`."""
    return access.local_reader(c)


def reader_of(c: Any, documents: list[str], collections: list[str]) -> Reader:
    """Who is asking, about these documents and collections only. NotFound if one is not theirs."""
    asking = reader(c)
    access.require_readable(c, asking, documents, collections)
    return asking


def install(app: Flask, services: Services) -> None:
    """Give `app` its services."""
    app.extensions[_EXTENSION] = services
