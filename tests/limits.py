"""Limits of this process, and of what it starts, for a while (setrlimit(2))."""

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def soft_limit(of: int, value: int) -> Iterator[None]:
    """While the block runs, a soft limit, such as `resource.RLIMIT_NOFILE`, is this."""
    soft, hard = resource.getrlimit(of)
    resource.setrlimit(of, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(of, (soft, hard))


def full_disk(free: int) -> AbstractContextManager[None]:
    """No file can grow beyond `free` bytes."""
    return soft_limit(resource.RLIMIT_FSIZE, free)
