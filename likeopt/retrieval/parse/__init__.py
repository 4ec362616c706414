"""Files to text: what kind a file is, and what stands in it.

`detect` and `examine` tell from a few bytes whether a file can be one; `parse` reads it. All run in
the calling process; `sandbox.Sandbox` runs `parse` in another one, with limits, and is what the
indexing worker uses.
"""

from likeopt.retrieval.parse.kinds import HEAD_BYTES, MEDIA_TYPES, detect
from likeopt.retrieval.parse.read import examine, parse

__all__ = ["HEAD_BYTES", "MEDIA_TYPES", "detect", "examine", "parse"]
