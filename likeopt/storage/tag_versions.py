"""Versions of what cached values were made from: the values of counters.

They are the same numbers in every process and after a restart, so that an entry which a machine
put into a shared layer can be judged by all. Reading them costs a stamp of the `Watch`, 2 µs,
unless something changed or nobody has looked for a while; then the database is asked.
"""

from collections.abc import Collection

from likeopt.errors import StorageUnavailable
from likeopt.storage import revisions
from likeopt.storage.db import Database
from likeopt.storage.watch import Stamp, Watch

# Sets of names that are remembered; with more, all are forgotten.
MOST = 10_000


class TagVersions:
    """Fits what the cache asks of tags; a tag is a counter's name. Thread-safe."""

    def __init__(self, db: Database, watch: Watch) -> None:
        self._db = db
        self._watch = watch
        self._known: dict[frozenset[str], tuple[Stamp, dict[str, int]]] = {}

    def versions(self, names: Collection[str]) -> dict[str, int] | None:
        """The value of each counter at this moment, 0 for one that was never raised; None while the
        database does not say."""
        chosen = frozenset(names)
        # Before the values: whoever changes one after that changes the stamp, too.
        stamp = self._watch.stamp(*sorted(chosen))
        known = self._known.get(chosen)
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        try:
            values = self._db.read(lambda c: revisions.values(c, chosen))
        except StorageUnavailable:
            return None
        if stamp is not None:
            if len(self._known) >= MOST:
                self._known = {}
            self._known[chosen] = stamp, values
        return values

    def raise_(self, name: str) -> None:
        """Raise a counter in a transaction of its own."""
        self._db.write(lambda c: revisions.raise_(c, name))
