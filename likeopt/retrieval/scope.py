"""What one search may return, as both indexes need to know it."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Scope(msgspec.Struct, frozen=True):
    """`allowed[v]` says whether passages of version v may be returned; a version beyond its end
    may not. `passages` counts the passages of allowed versions, `total` those of all versions
    that somebody may read."""

    allowed: NDArray[np.bool_]
    passages: int
    total: int

    @property
    def share(self) -> float:
        """The part of the library that is allowed, 0 to 1."""
        return self.passages / self.total if self.total else 0.0

    def permits(self, version_ids: Ids) -> NDArray[np.bool_]:
        """Which of these versions are allowed; same shape as `version_ids`."""
        size = len(self.allowed)
        if not size:
            return np.zeros(version_ids.shape, dtype=np.bool_)
        known = version_ids < size
        permitted: NDArray[np.bool_] = self.allowed[np.where(known, version_ids, 0)] & known
        return permitted
