"""SQLite from the native threads of a gevent worker, which come with a burst and go when idle."""

import subprocess
import sys
from pathlib import Path

BURSTS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import sqlalchemy as sa
from likeopt.storage.db import Database
from likeopt.web.native import in_native_thread

gevent.config.threadpool_idle_task_timeout = 0.01
QUERY = (
    "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t WHERE x < 20000)"
    " SELECT sum(x) FROM t"
)
answers = 0
for cold in range(8):
    database = Database("sqlite:///" + sys.argv[1], runner=in_native_thread)
    for burst in range(4):
        def one():
            return database.read(lambda c: c.exec_driver_sql(QUERY).scalar())
        asked = [gevent.spawn(one) for _ in range(40)]
        gevent.joinall(asked, raise_error=True)
        answers += sum(one.value == 200010000 for one in asked)
        while len(gevent.get_hub().threadpool):
            gevent.sleep(0.005)
    assert len(database.engine.pool._free) <= 10
    database.close()
print(answers)
"""


WRITERS = """
from gevent import monkey
monkey.patch_all()
import sqlite3
import sys
import gevent
from likeopt.errors import StorageUnavailable
from likeopt.storage.db import Database
from likeopt.web.native import in_native_thread

database = Database("sqlite:///" + sys.argv[1], runner=in_native_thread)
database.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x)"))
happened = []

def write():
    try:
        database.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (1)"))
        happened.append("written")
    except StorageUnavailable:
        happened.append("refused")

def count():
    return database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM t").scalar())

other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
writers = [gevent.spawn(write) for _ in range(10)]
gevent.sleep(0)  # each begins
happened.append(count())
other.execute("COMMIT")
gevent.joinall(writers, raise_error=True)
happened.append(count())
print(*happened)
"""

PATIENCE = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from likeopt.errors import StorageUnavailable
from likeopt.storage import db
from likeopt.web.native import in_native_thread

db.BUSY_TIMEOUT_MS = 50
database = db.Database("sqlite:///" + sys.argv[1], runner=in_native_thread)
Event = monkey.get_original("threading", "Event")
begun, done = Event(), Event()
slow = gevent.spawn(database.write, lambda c: (begun.set(), done.wait()))
gevent.sleep(0)
in_native_thread(begun.wait)
try:
    database.write(lambda c: None)
except StorageUnavailable as error:
    print(error.message)
done.set()
slow.get()
# A unit inside another, in the same thread, does not wait for its turn.
print(in_native_thread(lambda: database.write(lambda c: "written")))
"""


def printed(script: str, *arguments: str) -> str:
    """Of a process of its own, where gevent may patch."""
    command = [sys.executable, "-X", "faulthandler", "-c", script, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def test_reads_do_not_wait_for_writers(tmp_path: Path) -> None:
    """While another process writes, ten wait for it."""
    assert printed(WRITERS, str(tmp_path / "x.db")) == " ".join(["0", *["written"] * 10, "10"])


def test_who_waits_too_long_to_write_is_told(tmp_path: Path) -> None:
    told = printed(PATIENCE, str(tmp_path / "x.db")).splitlines()
    assert told == ["The database is too busy. Try again in a moment.", "written"]


def test_bursts_with_idle_gaps_are_all_answered(tmp_path: Path) -> None:
    assert printed(BURSTS, str(tmp_path / "x.db")) == str(8 * 4 * 40)
