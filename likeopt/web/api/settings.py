"""The settings in force and how the server is, for administrators."""

import platform
from typing import Literal

import msgspec

from likeopt import __version__
from likeopt.config import PREFIX, is_secret, sections
from likeopt.config import settings as table
from likeopt.config.korean import HELP_KO
from likeopt.config.shown import Source, public
from likeopt.errors import EngineUnavailable
from likeopt.retrieval.types import EngineStatus
from likeopt.storage import revisions
from likeopt.web import readiness
from likeopt.web.context import services
from likeopt.web.endpoint import Endpoints

settings = Endpoints("settings", tag="Settings", prefix="/api/v1/settings")

Value = str | int | bool


class Help(msgspec.Struct):
    """What a setting is, in both languages."""

    en: str
    ko: str


class Setting(msgspec.Struct, kw_only=True):
    """A setting in force. Of a secret one, `value` and `default` are null, and `is_set` says
    whether there is one; in addresses, names, passwords and parameters are masked. `source` is what
    set it: its default, a variable of the process, `.env`, the file of a secret, or an option of
    the command."""

    name: str
    section: str
    value: Value | None
    default: Value | None
    is_set: bool
    secret: bool
    source: Source
    help: Help


class Index(msgspec.Struct):
    """What the search engine of this machine serves: `passages`, `embedded` of them by meaning, of
    the library's revision `generation`."""

    generation: int
    passages: int
    embedded: int
    embedder: str
    vector_backend: str


class Server(msgspec.Struct):
    """What this server is, and how it is; `index` is null while the engine does not answer."""

    version: str
    python: str
    database: Literal["sqlite", "postgresql"]
    library_revision: int
    index: Index | None
    parts: readiness.Parts


class Settings(msgspec.Struct):
    """All settings in the order of their table, and the server that they are in force in."""

    items: list[Setting]
    server: Server


@settings.operation(
    "GET",
    "",
    summary="The settings in force, and how the server is",
    detail="No secret is sent. A change is made where they come from, and counts from the next"
    " start.",
    access="admin",
    returns=Settings,
)
def get_settings() -> Settings:
    found = services()
    section_of = sections()
    items = []
    for name, default, meta in table():
        secret = is_secret(meta)
        value = getattr(found.config, name)
        items.append(
            Setting(
                name=PREFIX + name.upper(),
                section=section_of[name],
                value=None if secret else public(value),
                default=None if secret else public(default),
                is_set=value != "",
                secret=secret,
                source=found.sources.get(name, "default"),
                help=_help(name, meta.description or ""),
            )
        )
    return Settings(items, _server())


def _help(name: str, english: str) -> Help:
    # A test has every setting described in Korean; none is worth a page that fails.
    return Help(english, HELP_KO.get(name, english))


def _server() -> Server:
    found = services()
    try:
        index = _index(found.engine.status(deadline_ms=readiness.ENGINE_MILLIS))
    except EngineUnavailable:
        index = None
    return Server(
        version=__version__,
        python=platform.python_version(),
        database="postgresql" if found.config.database.startswith("postgresql") else "sqlite",
        library_revision=found.db.read(lambda c: revisions.current(c, "library")),
        index=index,
        parts=readiness.latest(found).parts,
    )


def _index(status: EngineStatus) -> Index:
    return Index(
        generation=status.generation,
        passages=status.chunks,
        embedded=status.embedded,
        embedder=status.embedder,
        vector_backend=status.vector_backend,
    )
