"""Versions of what cached values were made from.

A tag names something that changes, such as a collection; its version is raised with each change.
An entry carries the versions that its tags had before its data was read, and is of use only while
they are still the same.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Protocol


class Tags(Protocol):
    """Where versions are kept. Thread-safe."""

    def versions(self, names: Collection[str]) -> Mapping[str, int] | None:
        """The version of each name at this moment; None if that is not sure, and so nothing that
        depends on them may be taken from the cache, or put there."""

    def raise_(self, name: str) -> None:
        """From when this returns, nothing older with this tag is found in this process; in others
        of this machine, neither; on other machines, within 100 ms."""


class LocalTags:
    """Versions of one process, for what no other one shares with it."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}
        self._lock = threading.Lock()

    def versions(self, names: Collection[str]) -> dict[str, int]:
        """See `Tags`."""
        return {name: self._versions.get(name, 0) for name in names}

    def raise_(self, name: str) -> None:
        """See `Tags`."""
        with self._lock:
            self._versions[name] = self._versions.get(name, 0) + 1
