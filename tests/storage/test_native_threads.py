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


def test_bursts_with_idle_gaps_are_all_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", BURSTS, str(tmp_path / "x.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stderr == ""
    assert (ended.returncode, ended.stdout.strip()) == (0, str(8 * 4 * 40))
