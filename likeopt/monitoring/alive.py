"""Whether another process of this machine lives."""

import fcntl
from pathlib import Path


def is_held(lock: Path) -> bool:
    """Whether a process holds flock(2)'s lock on this file, which the kernel ends with it."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
