"""Waking the indexing worker: jobs wait in the database, this only has it look for them at once."""

import contextlib
import socket
from pathlib import Path


def wake_socket(data_dir: Path) -> Path:
    """Where this machine's indexing worker listens for a datagram."""
    return data_dir / "run" / "worker.sock"


def ring(bell: Path) -> None:
    """Have the worker look for jobs at once; without one, or without hearing it, it looks later."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line,
    ):
        line.setblocking(False)
        line.sendto(b"!", str(bell))
