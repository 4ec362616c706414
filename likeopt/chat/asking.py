"""How a question was asked, beside its words: what is needed to ask it again in the same way."""

import msgspec

from likeopt.chat.text import Language
from likeopt.retrieval.types import Filters


class Asking(msgspec.Struct, frozen=True, omit_defaults=True):
    """What it may be answered from, and in which language, if that was said."""

    filters: Filters = Filters()
    language: Language | None = None

    def stored(self) -> str | None:
        """As text; None for a question without any of it."""
        return None if self == Asking() else msgspec.json.encode(self).decode()


def asking_of(stored: str | None) -> Asking:
    """What was `stored`. Raises msgspec.MsgspecError for what another version has stored."""
    return msgspec.json.decode(stored, type=Asking) if stored else Asking()
