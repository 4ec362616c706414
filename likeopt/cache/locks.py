"""Locks among the processes of a machine that the kernel frees when their holder dies.

All are in one file: a key is the byte at the offset that its hash says, so the file stays empty
and there is nothing to sweep. Two keys never share a byte (63 bits of BLAKE2), as they would
share one of some files; with those, a computation that needs another key could wait for itself.
"""

import errno
import fcntl
import hashlib
import logging
import os
import struct
from pathlib import Path


class MachineLocks:
    """Non-blocking locks by key. Opened when first used, by each process anew; thread-safe.

    One object never holds a key twice: its user has to see to that, as `Flights` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The process that opened the descriptor: a forked child must not share it, or it would
        # share what its parent holds.
        self._opened: tuple[int, int] | None = None

    def take(self, key: str) -> bool:
        """Whether this process now holds `key`; True also where locks cannot be had (a full or
        read-only disk): then the processes of the machine do not see each other."""
        try:
            _lock(self._descriptor(), key, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            logging.getLogger(__name__).warning("no lock of the machine: %s", error)
        return True

    def release(self, key: str) -> None:
        """Let `key` go; nothing happens if it is not held."""
        if self._opened is not None:
            _lock(self._opened[1], key, fcntl.F_UNLCK)

    def close(self) -> None:
        """Let every key go."""
        if self._opened is not None:
            os.close(self._opened[1])
            self._opened = None

    def _descriptor(self) -> int:
        opened, process = self._opened, os.getpid()
        if opened is not None and opened[0] == process:
            return opened[1]
        if opened is not None:
            os.close(opened[1])
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._opened = process, descriptor
        return descriptor


def _lock(descriptor: int, key: str, kind: int) -> None:
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    start = int.from_bytes(digest, "big") >> 1
    # The last offset plus one byte would be more than a signed number of 64 bits holds.
    start = min(start, 2**63 - 2)
    if hasattr(fcntl, "F_OFD_SETLK"):
        # Of the open file, not of the process: two `Services` in a process exclude each other, and
        # closing another descriptor of the file frees nothing. struct flock, fcntl(2); pid is 0.
        wanted = struct.pack("hhqqi0q", kind, os.SEEK_SET, start, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    else:  # macOS
        free = kind == fcntl.F_UNLCK
        how = fcntl.LOCK_UN if free else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(descriptor, how, 1, start)
