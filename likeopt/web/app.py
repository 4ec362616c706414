"""The application factory."""

from flask import Flask
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.wrappers import Request, Response

from likeopt.config import Config
from likeopt.monitoring.log import Write, line_writer
from likeopt.services import Services
from likeopt.web import context, errors, origin, pages
from likeopt.web.api.chat import chat
from likeopt.web.api.collections import collections
from likeopt.web.api.conversations import conversations
from likeopt.web.api.describe import describe
from likeopt.web.api.documents import documents
from likeopt.web.api.health import health
from likeopt.web.api.indexing import indexing
from likeopt.web.api.info import info
from likeopt.web.api.openai import openai
from likeopt.web.api.search import search
from likeopt.web.assets import Assets
from likeopt.web.endpoint import IdConverter
from likeopt.web.middleware import Edge

API = (
    health,
    info,
    collections,
    documents,
    indexing,
    search,
    chat,
    conversations,
    openai,
    describe,
)


def create_app(
    config: Config,
    services: Services | None = None,
    *,
    assets: Assets | None = None,
    write: Write | None = None,
) -> Flask:
    """The WSGI application.

    Opens nothing but the built page's files: services are built when first used, so the
    application may be made before a server forks. `write` gets the access log's records.
    """
    services = services or Services(config)
    app = Flask("likeopt.web", static_folder=None)
    app.session_interface = _NoSessions()
    app.url_map.converters["id"] = IdConverter
    context.install(app, services)
    errors.install(app)
    origin.install(app, config)
    for blueprint in API:
        app.register_blueprint(blueprint)
    pages.install(app, assets or Assets())
    edge = Edge(app.wsgi_app, services.clock, write or line_writer("web"))
    app.wsgi_app = edge  # type: ignore[method-assign]  # Flask's documented way to add middleware
    return app


class _NoSessions(SessionInterface):
    """Nothing is kept about a visitor, so no cookie is read or written."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002
        return _NOTHING

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing to save."""


class _Nothing(dict[str, object], SessionMixin):
    """The empty session that all requests share."""


_NOTHING = _Nothing()
