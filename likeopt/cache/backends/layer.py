"""What every layer does: keep bytes under a key for a while."""

from collections.abc import Iterable
from typing import Protocol

import msgspec


class LayerFailed(Exception):
    """A layer did not do what it was asked; the message says why, without any address."""


class LayerBusy(LayerFailed):
    """Too much was asked at once of a layer that may work."""


class Size(msgspec.Struct, frozen=True):
    """How much a layer holds."""

    entries: int = 0
    bytes: int = 0
    # Entries thrown out for want of room, where the layer itself counts them.
    evictions: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(
            self.entries + other.entries,
            self.bytes + other.bytes,
            self.evictions + other.evictions,
        )


class Layer(Protocol):
    """One place where entries are kept. Thread-safe; opened when first used, and again in a forked
    child.

    Each method but `close` raises LayerFailed within a second when the place does not work. What
    is set may be gone at any moment, and is gone after its time.
    """

    name: str

    def get(self, key: str) -> bytes | None:
        """What is kept under the key, or None."""

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """What is kept under those of the keys that are there, in one round trip."""

    def set(self, key: str, data: bytes, ttl: float) -> None:
        """Keep `data` for `ttl` seconds; what is too large for the layer is not kept, and nothing
        else stays there in its place."""

    def delete(self, keys: Iterable[str]) -> None:
        """Forget these keys."""

    def clear(self, use: str | None) -> Size | None:
        """Forget everything kept for a use, or for any, of this installation; returns what that
        was, or None where the layer cannot count it."""

    def sizes(self) -> dict[str, Size]:
        """What is held, by use; under "" what the layer cannot tell apart."""

    def close(self) -> None:
        """Close what was opened."""
