"""Who is asking: every service call takes a `Reader`."""

import msgspec

LOCAL_USER = "local"
DEFAULT_COLLECTION = "default"
SAMPLE_COLLECTION = "sample"


class Reader(msgspec.Struct, frozen=True):
    """A person, with what they may read at the moment of the request.

    `collections` is the canonical set of ids of readable collections: the scope of searches,
    and the part of a person that shared cache keys may contain.
    """

    user_id: str
    is_admin: bool
    collections: frozenset[str]
