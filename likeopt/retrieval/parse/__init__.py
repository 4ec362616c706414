"""Files to text: what kind a file is, and what stands in it.

`detect` and `parse` run in the calling process; `sandbox.Sandbox` runs `parse` in another one,
with limits, and is what the indexing worker uses.
"""

from likeopt.retrieval.parse.kinds import HEAD_BYTES, MEDIA_TYPES, detect
from likeopt.retrieval.parse.read import parse

__all__ = ["HEAD_BYTES", "MEDIA_TYPES", "detect", "parse"]
