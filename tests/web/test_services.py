"""What a process has one of, when many ask for it at once."""

import subprocess
import sys

import pytest

from likeopt.config import Config

# As a web worker: greenlets, and a database that is waited for.
TOGETHER = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
import gevent
from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.native import in_native_thread

folder, name = sys.argv[1:]
config = Config(data_dir=Path(folder), llm="openai", llm_url="http://127.0.0.1:9", llm_model="x")
services = Services(config, runner=in_native_thread)
services.prepare()
asked = [gevent.spawn(getattr, services, name) for _ in range(20)]
gevent.joinall(asked, raise_error=True)
print(len({id(one.value) for one in asked}))
"""


@pytest.mark.parametrize("name", ["cache", "chat"])
def test_greenlets_that_ask_at_once_share_one(config: Config, name: str) -> None:
    command = [sys.executable, "-c", TOGETHER, str(config.data_dir), name]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "1"
