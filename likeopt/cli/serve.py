"""`likeopt serve`, and each process that it consists of.

`python -m likeopt.cli.serve PART` is one of them: prepare, engine, worker or model. The web
processes are gunicorn's.
"""

import errno
import fcntl
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from likeopt.config import PREFIX, Config, load, settings
from likeopt.config.shown import Source, told
from likeopt.errors import ConfigError, Conflict, LikeOptError
from likeopt.monitoring import log, open_files
from likeopt.storage import secret_key
from likeopt.storage.schema import is_prepared, is_set_up

BACKLOG = 2048


def serve(config: Config, sources: Mapping[str, Source] | None = None) -> int:
    """Run until a signal asks to stop; returns the exit code. `sources` say what set the settings,
    for people; without them, the environment did.

    Raises Conflict when another server uses the data folder or the port.
    """
    from likeopt.cli.supervisor import Supervisor, plan

    # The parts must mean the same folder whatever they do with theirs.
    config = msgspec.structs.replace(config, data_dir=config.data_dir.absolute())
    with _alone(config.data_dir), listen(config.host, config.port) as listener:
        # The parts inherit it.
        open_files.raise_limit()
        parts = plan(config, listener, prepared=_is_prepared(config))
        environ = environment(config)
        if sources is not None:
            environ |= told(sources)
        grace = config.graceful_timeout
        guest = secret_key.guest_token(secret_key.of(config)) if config.guest else ""
        supervisor = Supervisor(parts, environ, listener, graceful_timeout=grace, guest=guest)
        return supervisor.run()


def _is_prepared(config: Config) -> bool:
    """Whether a process that prepares the database would find nothing to do."""
    path = config.data_dir / "likeopt.db"
    return (
        not config.database_url
        and is_prepared(path, used=config.sample_library)
        and (config.guest or is_set_up(path, oidc=bool(config.oidc_issuer)))
    )


def _alone(data_dir: Path) -> IO[str]:
    """Lock the data folder for as long as the returned file is open."""
    try:
        # `mode` is for the last folder of a path only.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        run = data_dir / "run"
        run.mkdir(exist_ok=True, mode=0o700)
        lock = (run / "serve.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise LikeOptError(
            f"The data folder {data_dir} cannot be used: {error.strerror}. Choose another with"
            f" --data-dir or {PREFIX}DATA_DIR.",
            code="data_dir_unusable",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise Conflict(
            f"Like-Opt already runs with the data folder {data_dir} (process {owner}). Stop it"
            f" first, or choose another folder with --data-dir or {PREFIX}DATA_DIR.",
            code="already_running",
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; Conflict if there cannot be one. Port 0 is a free one."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror:
        raise Conflict(f"The address {host} is not known.", code="bad_address") from None
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it when they arrive, which may be before gunicorn is there. Without
        # it an answer in two writes takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} of {host} is used by another program. Stop that, or choose another"
                f" port with --port or {PREFIX}PORT.",
                code="port_in_use",
            ) from None
        raise Conflict(
            f"Like-Opt cannot listen on port {port} of {host}: {error.strerror}.",
            code="bad_address",
        ) from None
    return listener


def environment(config: Config) -> dict[str, str]:
    """This process's environment with exactly the settings of `config`."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    for name, default, _ in settings():
        value = getattr(config, name)
        if value != default:
            text = str(value)
            environ[PREFIX + name.upper()] = text.lower() if isinstance(value, bool) else text
    return environ


# -- inside a part -------------------------------------------------------------------------------


def _watch_parent() -> None:
    """Where the kernel does not tell of the parent's death: look twice a second."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_part(name: str, answer: int | None = None) -> int:
    """Be the process `name`; returns its exit code.

    `answer` is a file descriptor for what it tells the supervisor alone.
    """
    from setproctitle import setproctitle

    setproctitle(f"likeopt: {name}")
    if not sys.platform.startswith("linux"):
        _watch_parent()
    config = load(os.environ)
    log.configure(name, config.log_level)
    try:
        _load(name, answer)(config)
    except LikeOptError as error:
        # For the supervisor, which tells it to the person at the terminal.
        print(error.message, file=sys.stderr)
        return os.EX_CONFIG if isinstance(error, ConfigError) else 1
    return 0


def _load(name: str, answer: int | None) -> Callable[[Config], None]:
    """The function that is the process `name`, with everything that it imports."""
    # What is imported stays: looking for garbage in it costs a tenth of the time.
    gc.disable()
    run: Callable[[Config], None]
    if name == "engine":
        from likeopt.engine.server import main as run
    elif name == "worker":
        from likeopt.worker.main import main as run
    elif name == "model":
        from likeopt.chat.prompt import PREFIX
        from likeopt.llm.local import main

        run = partial(main, warm=PREFIX.values())
    else:
        run = partial(_prepare, answer=answer)
    gc.freeze()
    gc.enable()
    return run


def _prepare(config: Config, *, answer: int | None) -> None:
    """Bring the database up to date; the answer is a set-up link's token, if one is needed."""
    from likeopt.services import Services

    # Lists its plugins each time.
    logging.getLogger("alembic.runtime.plugins").setLevel("WARNING")
    services = Services(config)
    try:
        services.prepare()
        if config.sample_library:
            services.add_sample_library()
        token = None if config.guest else services.setup_link()
        if token is not None and answer is not None:
            os.write(answer, token.encode())
    finally:
        services.close()


if __name__ == "__main__":
    sys.exit(run_part(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None))
