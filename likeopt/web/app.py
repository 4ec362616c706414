"""The application factory."""

from typing import TYPE_CHECKING

from flask import Flask
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from likeopt.config import Config
from likeopt.monitoring.log import Write, line_writer
from likeopt.services import Services
from likeopt.web import auth, compression, context, cors, errors, limits, origin, pages, refusals
from likeopt.web.api.audit import audit
from likeopt.web.api.caches import caches
from likeopt.web.api.chat import chat
from likeopt.web.api.collections import collections
from likeopt.web.api.conversations import conversations
from likeopt.web.api.describe import describe
from likeopt.web.api.documents import documents
from likeopt.web.api.health import health
from likeopt.web.api.images import images
from likeopt.web.api.indexing import indexing
from likeopt.web.api.info import info
from likeopt.web.api.jobs import jobs
from likeopt.web.api.me import me
from likeopt.web.api.messages import messages
from likeopt.web.api.metrics import metrics
from likeopt.web.api.oidc import install as install_provider
from likeopt.web.api.oidc import oidc
from likeopt.web.api.openai import openai
from likeopt.web.api.people import people
from likeopt.web.api.search import search
from likeopt.web.api.session import session
from likeopt.web.api.settings import settings
from likeopt.web.assets import Assets
from likeopt.web.endpoint import HashConverter, IdConverter, MadeIdConverter
from likeopt.web.middleware import HEADER_HOOKS, Edge

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

API = (
    health,
    info,
    collections,
    documents,
    images,
    indexing,
    search,
    chat,
    conversations,
    messages,
    openai,
    describe,
    session,
    oidc,
    me,
    people,
    audit,
    caches,
    jobs,
    settings,
    metrics,
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
    app.url_map.converters["made"] = MadeIdConverter
    app.url_map.converters["hash"] = HashConverter
    context.install(app, services)
    origin.install(app, config)
    auth.install(app, services)
    errors.install(app)
    compression.install(app)
    limits.install(app, config, services.clock)
    refusals.install(app, services.clock)
    install_provider(app, services)
    if config.origins:
        cors.install(app, config.origins)
    for blueprint in API:
        app.register_blueprint(blueprint)
    pages.install(app, assets or Assets())
    hooks = (*HEADER_HOOKS, cors.hook(config.origins)) if config.origins else HEADER_HOOKS
    whole = _behind(config.trusted_proxies, app)
    edge = Edge(whole, services.clock, write or line_writer("web"), hooks)
    app.wsgi_app = edge  # type: ignore[method-assign]  # Flask's documented way to add middleware
    return app


def _behind(proxies: int, app: Flask) -> "WSGIApplication":
    """The application, told what as many proxies say of the client; nobody else is believed."""
    if not proxies:
        return app.wsgi_app
    return ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)


class _NoSessions(SessionInterface):
    """Flask's own sessions are not used: see `auth` and `cookies`."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002
        return _NOTHING

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing to save."""


class _Nothing(dict[str, object], SessionMixin):
    """The empty session that all requests share."""


_NOTHING = _Nothing()
