"""The application as gunicorn loads it."""

import os

from flask import Flask

from likeopt.config import load
from likeopt.config.shown import sources
from likeopt.services import Services
from likeopt.web.app import create_app
from likeopt.web.native import in_native_thread


def application() -> Flask:
    """Settings from the environment; SQLite and files off the event loop."""
    config = load(os.environ)
    services = Services(config, runner=in_native_thread, sources=sources(os.environ))
    return create_app(config, services)
