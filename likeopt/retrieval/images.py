"""Pictures of documents, made once and kept in the cache."""

from functools import cached_property
from importlib.metadata import version
from typing import Literal

import msgspec

from likeopt.cache.layered import Cache
from likeopt.config import Config
from likeopt.errors import Busy, UnreadableFile
from likeopt.retrieval.parse.failures import unreadable
from likeopt.retrieval.parse.protocol import Draw, Drawn
from likeopt.retrieval.parse.renderer import Renderer
from likeopt.retrieval.turns import Turns
from likeopt.storage.db import Runner
from likeopt.storage.files import FileStore
from likeopt.storage.images import Original

Part = Literal["page", "picture"]

AVIF, WEBP, JPEG = "image/avif", "image/webp", "image/jpeg"
PICTURES = frozenset({AVIF, WEBP, JPEG})

# Of a box that a picture is fitted into: what pages and screens need, and few enough that nobody
# can have the same picture made in a thousand sizes.
SIZES = (160, 320, 480, 640, 800, 1200, 1600, 2400)
QUALITIES = (50, 65, 80, 90)
# What a page can be where only its width is given: a long one would be large beyond measure.
TALLEST = 4096
# Width of what stands where a picture will be.
PLACEHOLDER = 16

USE = "images"
KEPT_SECONDS = 7 * 86_400
# What breaks its renderer, or is refused, would take it away from others for seconds each time:
# remembered of the picture, and not of each size and format of it.
_REFUSED_SECONDS = 300
_BREAKS = ("parser_timeout", "parser_crashed", "parser_memory")
# Raise it when the same picture would be made another way.
_FORMAT = 3


class Wanted(msgspec.Struct, frozen=True):
    """Which picture of a document: its page `number` or the `number`th picture in it, from 1 (0:
    none, only their count), fitted into a box of pixels, in one of `formats`, which are media
    types. With `mark`, a text of the page, only where it stands is told: drawing the page
    again for each citation would take far longer."""

    part: Part
    number: int
    width: int
    height: int = TALLEST
    quality: int | None = None
    formats: tuple[str, ...] = (JPEG,)
    mark: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    code: str
    message: str


class Images:
    """Draws pictures, unless the cache has them."""

    def __init__(self, config: Config, files: FileStore, cache: Cache, run: Runner) -> None:
        """`run` is where work that blocks belongs."""
        self._files = files
        self._cache = cache
        self._renderer = Renderer(config, run)
        self._turns = Turns()
        # Next to what else is in the memory, a picture is large; browsers keep it, too.
        slow = tuple(name for name in cache.layers if name != "memory")
        self._layers = slow or cache.layers

    def etag(self, original: Original, wanted: Wanted) -> str:
        """Of the picture that `draw` would return."""
        return self._key(original, wanted).rpartition(":")[2]

    def draw(self, original: Original, wanted: Wanted, who: str) -> Drawn:
        """For the person with the id `who`. Raises UnreadableFile: no_picture, too_large_picture,
        and as `parse.parse` does; Busy while too many pictures are being made."""
        asked = False

        def make() -> Drawn:
            nonlocal asked
            asked = True
            return self._made(original, wanted, who)

        while True:
            try:
                drawn = self._cache.get_or_compute(
                    self._key(original, wanted),
                    make,
                    kind=Drawn,
                    ttl=KEPT_SECONDS,
                    layers=self._layers,
                )
            except Busy:
                # It may be somebody else who has no place, and for whom we have waited.
                if asked:
                    raise
            else:
                assert isinstance(drawn, Drawn), "nothing else is computed"
                return drawn

    def _made(self, original: Original, wanted: Wanted, who: str) -> Drawn:
        which = (original.document_id, original.sha256, wanted.part, wanted.number)
        key = self._cache.key(USE, "refused", *which, self._made_by)
        with self._turns.of(who):
            # Now, not before: it may be what the same person has just waited for.
            known = self._cache.get(key, _Refusal, layers=self._layers)
            if isinstance(known, _Refusal):
                raise UnreadableFile(known.message, code=known.code)
            try:
                return self._renderer.draw(self._task(original, wanted))
            except UnreadableFile as error:
                broke = error.instance_code in _BREAKS
                told = unreadable("not_drawn", original.name) if broke else error
                if told.instance_code != "missing_file":
                    refusal = _Refusal(told.instance_code, told.message)
                    self._cache.set(key, refusal, ttl=_REFUSED_SECONDS, layers=self._layers)
                raise told from error

    def close(self) -> None:
        """End the process that draws."""
        self._renderer.close()

    def _key(self, original: Original, wanted: Wanted) -> str:
        # By document too: who has the same file must not find out that others looked at theirs.
        which = (original.document_id, original.sha256, msgspec.structs.astuple(wanted))
        return self._cache.key(USE, *which, self._made_by)

    @cached_property
    def _made_by(self) -> tuple[int, str, str]:
        """What the bytes of a picture depend on beside its original."""
        return _FORMAT, version("pillow"), version("pypdfium2")

    def _task(self, original: Original, wanted: Wanted) -> Draw:
        return Draw(
            path=str(self._files.path(original.sha256).absolute()),
            media_type=original.media_type,
            name=original.name,
            part=wanted.part,
            number=wanted.number,
            width=wanted.width,
            height=wanted.height,
            quality=wanted.quality,
            formats=list(wanted.formats),
            mark=wanted.mark,
        )
