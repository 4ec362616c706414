"""The built front end, as the build's manifest describes it.

`manifest.json` has `entry` (js and css of the first paint), `routes` (page -> what it loads on
top), `icon`, `icons` (of the installed app), `worker` (the service worker), `shells` (what a page
shows before its scripts run), and `assets` (every file that may be served). The build puts `.br`
and `.gz` copies beside each file, so that nothing is compressed while somebody waits (546 req/s
against 29,800 precompressed; see docs/architecture.md).
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import msgspec

STATIC = Path(__file__).parent / "static"

# Tokens of Accept-Encoding in our order of preference, with the suffix of the copy.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
# Not `mimetypes`, which knows what the machine's own tables say.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_HASHED = re.compile(r"\.[0-9a-f]{8,}\.")


class Entry(msgspec.Struct, frozen=True):
    """Files of the first paint, in order."""

    js: list[str]
    css: list[str]


class Shell(msgspec.Struct, frozen=True):
    """What a page shows before its scripts run: markup by language, and the style it needs; by
    language and name, markup of what the server fills in, with holes such as `{{title}}`."""

    css: str
    html: dict[str, str]
    parts: dict[str, dict[str, str]] = {}


class Manifest(msgspec.Struct, frozen=True):
    """What the build wrote; names are relative to the output folder."""

    entry: Entry
    routes: dict[str, list[str]]
    assets: list[str]
    icon: str | None = None
    icons: dict[str, str] = {}
    worker: str | None = None
    shells: dict[str, Shell] = {}


class Asset(NamedTuple):
    """One file with its copies by encoding (`identity`, `br`, `gzip`)."""

    media_type: str
    etag: str
    immutable: bool
    copies: dict[str, bytes]


class Build:
    """One build, in memory: all of it is about 300 KB, read before the workers fork."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.assets = {name: _read(folder, name) for name in manifest.assets}


class Assets:
    """The newest build in a folder. Looks at the manifest's time stamp at each use (2 µs), so
    that a build made while the server runs is picked up whole."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._stamp = 0
        self._build: Build | None = None
        self.build()

    def build(self) -> Build | None:
        """The build, or None when the front end has not been built."""
        path = self._folder / "manifest.json"
        try:
            stamp = path.stat().st_mtime_ns
            if stamp != self._stamp:
                manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
                self._build = Build(self._folder, manifest)
                self._stamp = stamp
        except (FileNotFoundError, msgspec.DecodeError):
            # Not built, or being written just now: what was there before still serves.
            return self._build
        return self._build


def _read(folder: Path, name: str) -> Asset:
    path = folder / name
    copies = {"identity": path.read_bytes()}
    for encoding, suffix in ENCODINGS.items():
        copy = path.with_name(path.name + suffix)
        if copy.exists():
            copies[encoding] = copy.read_bytes()
    media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    digest = hashlib.sha256(copies["identity"]).hexdigest()[:16]
    return Asset(media_type, digest, _HASHED.search(name) is not None, copies)
