"""What is run off the event loop, and that PostgreSQL's driver waits on it."""

import subprocess
import sys
from pathlib import Path

import msgspec
import urllib3

from likeopt.config import Config
from tests import guest
from tests.web.hasty import gunicorn

PATCH = "from gevent import monkey; monkey.patch_all()\n"


def run(script: str, *arguments: str) -> str:
    """Standard output of a script in a process of its own, where gevent may patch."""
    done = subprocess.run(
        [sys.executable, "-c", PATCH + script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # gevent prints what its threads raise, unless it is kept from it.
    assert done.stderr == ""
    return done.stdout.strip()


def test_others_go_on_while_a_native_thread_works() -> None:
    # The native thread waits for what only another greenlet does: it would wait for ever if it
    # held the loop.
    script = """
import gevent
from gevent import monkey
from likeopt.web.native import in_native_thread
Event = monkey.get_original("threading", "Event")
event = Event()
gevent.spawn_later(0.01, event.set)
print(in_native_thread(lambda: event.wait(30)))
"""
    assert run(script) == "True"


def test_errors_come_back_to_the_caller() -> None:
    script = """
from likeopt.errors import NotFound
from likeopt.web.native import in_native_thread
def fail():
    raise NotFound("gone")
try:
    in_native_thread(fail)
except NotFound as error:
    print(error.message)
"""
    assert run(script) == "gone"


def test_work_inside_a_native_thread_stays_there() -> None:
    script = """
from gevent import monkey
from likeopt.web.native import in_native_thread
ident = monkey.get_original("_thread", "get_ident")
outer, inner = in_native_thread(lambda: (ident(), in_native_thread(ident)))
print(outer == inner, outer != ident())
"""
    assert run(script) == "True True"


def test_sqlite_leaves_the_loop() -> None:
    script = """
import sys, tempfile
from gevent import monkey
from likeopt.storage.db import Database
from likeopt.web.native import in_native_thread
ident = monkey.get_original("_thread", "get_ident")
with tempfile.TemporaryDirectory() as folder:
    database = Database(f"sqlite:///{folder}/x.db", runner=in_native_thread)
    print(database.read(lambda c: ident()) != ident())
    database.close()
"""
    assert run(script) == "True"


def test_two_sleeps_of_postgresql_overlap(postgres_url: str) -> None:
    # Two greenlets sleep in the database until a third has seen both there and wakes them: if the
    # driver blocked the loop, the third would never run.
    script = """
import sys, os
os.environ["LIKEOPT_DATABASE_URL"] = sys.argv[1]
import likeopt.web.gunicorn_conf  # what patches a web worker
import gevent
from likeopt.config import load
from likeopt.errors import StorageUnavailable
from likeopt.storage.db import Database
from sqlalchemy import text
database = Database(load(os.environ).database)
def sleep():
    try:
        database.read(lambda c: c.execute(text("SELECT pg_sleep(600)")))
    except StorageUnavailable:
        return "woken"
sleepers = [gevent.spawn(sleep), gevent.spawn(sleep)]
SEEN = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
while database.read(lambda c: c.execute(text("SELECT count(*) " + SEEN)).scalar()) < 2:
    gevent.sleep(0.01)
database.read(lambda c: c.execute(text("SELECT pg_cancel_backend(pid) " + SEEN)).all())
print(*[sleeper.get() for sleeper in sleepers])
database.close()
"""
    assert run(script, postgres_url).splitlines()[-1] == "woken woken"


SLOW_NAMES = """
import _socket
import gevent
from gevent import monkey, socket
from likeopt.web.gunicorn_conf import *

def post_worker_init(worker):
    never = monkey.get_original("threading", "Event")()
    _socket.getaddrinfo = lambda *_, **__: never.wait(60)
    for _ in range(20):
        gevent.spawn(socket.getaddrinfo, "slow.test", 80)
"""


def test_names_that_are_looked_up_slowly_hold_up_nothing_else(
    config: Config, tmp_path: Path
) -> None:
    conf = tmp_path / "slow_names.py"
    conf.write_text(SLOW_NAMES)
    config = msgspec.structs.replace(config, guest=True)
    with gunicorn(config, "-c", f"file:{conf}") as (bound, _):
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/api/v1/conversations"
        # SQLite is read in a native thread.
        asked = urllib3.request("GET", url, headers=guest.HEADERS, retries=False, timeout=30)
        assert asked.status == 200
