"""gunicorn's settings, for `likeopt serve` and for production alike.

Without the supervisor: `gunicorn -c python:likeopt.web.gunicorn_conf` (or deploy/gunicorn.conf.py).
This file is an entry point: it patches, reads the environment and configures the log.
"""

# First of all: what is imported before it keeps blocking sockets and locks. psycopg then waits
# through gevent, and TLS works with a preloaded application.
from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402

# Looking for garbage in what is being imported costs a tenth of the time; see `when_ready`.
gc.disable()

import os  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from likeopt.config import load  # noqa: E402
from likeopt.monitoring import log, open_files  # noqa: E402
from likeopt.web.context import services_of  # noqa: E402

_config = load(os.environ)
log.configure("web", _config.log_level)

wsgi_app = "likeopt.web.wsgi:application()"
bind = (
    f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"
)
backlog = 2048
proc_name = "likeopt: web"

workers = _config.workers
worker_class = "likeopt.web.gunicorn_worker.Worker"
# Workers inherit the limit; what would not fit in it waits in the backlog.
worker_connections = open_files.connections_within(
    open_files.raise_limit(), _config.worker_connections
)
# Loaded once and shared by fork; what the collector has marked as permanent stays unwritten, so
# its pages stay shared (3 idle workers: 148 MB together instead of 356 MB).
preload_app = True

# Connections are kept; for how long says the worker's Patience.
keepalive = 75
# Only a heartbeat under gevent: seconds without a turn of the loop until a worker is killed.
timeout = 30
graceful_timeout = _config.graceful_timeout
# No recycling by request count: it would cut streams that last longer than graceful_timeout.
max_requests = 0
if Path("/dev/shm").is_dir():  # noqa: S108  (gunicorn makes its heartbeat file there safely)
    # The heartbeat must not wait for a disk.
    worker_tmp_dir = "/dev/shm"  # noqa: S108

# What proxies say of a client is believed as far as LIKEOPT_TRUSTED_PROXIES says, and not, as
# gunicorn would, because it comes from this machine.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190

logger_class = "likeopt.web.gunicorn_worker.Logger"
# gunicorn tells each start and stop of a worker at info; a request's line is ours.
loglevel = "debug" if _config.log_level == "debug" else "warning"
accesslog = None
# A socket in the home folder through which gunicorn could be commanded: signals are enough.
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    """In the new worker, which cannot yet be told to stop."""
    worker.signals = server.SIG_QUEUE


def post_worker_init(worker: Any) -> None:
    """This worker is about to serve."""
    if _config.cache_warm:
        services_of(worker.app.callable).warmer.follow(_config.cache_warm)


def when_ready(server: Any) -> None:  # noqa: ARG001  (gunicorn's signature)
    """The application is loaded and no worker forked yet."""
    gc.collect()
    gc.freeze()
    gc.enable()
