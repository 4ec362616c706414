"""What of an address may be shown: people put names, passwords and keys into them although there
are settings for those."""

import re

MASK = "********"

# A password, to the last `@`: one that is not percent-encoded may hold `/`, `?`, `#` and `@`.
_USER = re.compile(r"(?<=://)(?:[^/?#@\s]*:\S*|[^/?#@\s]+)@")
_QUERY = re.compile(r"(?<=\?)\S+")


def masked(text: str) -> str:
    """A text without what may be secret in its addresses."""
    return _QUERY.sub(MASK, _USER.sub(f"{MASK}@", text))
