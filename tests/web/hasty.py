"""The web worker with patience for tests, under gunicorn alone: no engine, no supervisor."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from likeopt.cli.serve import environment, listen
from likeopt.cli.supervisor import die_with_parent
from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.connection import Patience
from likeopt.web.gunicorn_worker import Worker
from tests import guest

_SPEC = ["-c", "python:likeopt.web.gunicorn_conf", "--worker-class", "tests.web.hasty.Hasty"]


class Hasty(Worker):
    """What takes others a minute takes this one a second."""

    # A body may take longer than a stall, and 500 bytes a second are what tests cannot send.
    patience = Patience(idle=60.0, head=0.5, stall=1.0, body=1.5, reading=1.0)


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """The address of a running server with one such worker."""
    with tempfile.TemporaryDirectory(prefix="lo-") as folder:
        key = guest.SECRET_KEY
        config = Config(data_dir=Path(folder), guest=True, secret_key=key, max_upload_mb=64)
        with gunicorn(config, *_SPEC) as (bound, _):
            yield bound.getsockname()


@contextmanager
def gunicorn(
    config: Config, *spec: str
) -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    """gunicorn with one worker: its socket, and the arbiter."""
    services = Services(config)
    services.prepare()
    services.close()
    with listen("127.0.0.1", 0) as bound:
        command = [sys.executable, "-m", "gunicorn", *spec, "--workers", "1"]
        with subprocess.Popen(
            [*command, "--bind", f"fd://{bound.fileno()}"],
            stdout=subprocess.DEVNULL,
            env=environment(config) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=(bound.fileno(),),
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509  (one system call)
        ) as process:
            try:
                yield bound, process
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
