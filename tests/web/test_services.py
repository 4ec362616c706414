"""What a process has one of, when many ask for it at once."""

import subprocess
import sys
from pathlib import Path

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


# Somebody makes a part, and needs a native thread for it, while many ask for a document's file.
FILES = """
from gevent import monkey
monkey.patch_all()
import sys
import threading
from pathlib import Path
import gevent
from likeopt.config import Config
from likeopt.services import Services
from likeopt.web.app import create_app
from likeopt.web.native import in_native_thread
from tests import guest

config = Config(data_dir=Path(sys.argv[1]), guest=True, secret_key=guest.SECRET_KEY)
services = Services(config, runner=in_native_thread)
services.prepare()
app = create_app(config, services)
client = guest.client(app)
added = client.post("/api/v1/documents", data={"file": (open(__file__, "rb"), "a.txt")})
path = f"/api/v1/documents/{added.json['items'][0]['document']['id']}/original"
assert client.get(path).status_code == 200
del services.__dict__["files"]

class Noted:
    entered = 0
    lock = threading.RLock()
    def __enter__(self):
        Noted.entered += 1
        self.lock.acquire()
    def __exit__(self, *_):
        self.lock.release()

services.making = Noted()

def make():
    with services.making:
        while Noted.entered < 11:
            gevent.sleep(0.01)
        return services.run(lambda: 200)

def get():
    return guest.client(app).get(path).status_code

waiting = [gevent.spawn(make), *(gevent.spawn(get) for _ in range(10))]
gevent.joinall(waiting, raise_error=True)
print({one.value for one in waiting})
"""


def test_files_asked_for_while_a_part_is_made(config: Config, tmp_path: Path) -> None:
    script = tmp_path / "files.py"
    script.write_text(FILES)
    command = [sys.executable, str(script), str(config.data_dir)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "{200}"
