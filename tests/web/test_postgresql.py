"""The whole server on PostgreSQL, whose driver waits inside gevent."""

from concurrent.futures import ThreadPoolExecutor

import msgspec

from likeopt.config import Config
from tests.servers import wait_until
from tests.web.conftest import serving


def test_server_on_postgresql(config: Config, postgres_url: str) -> None:
    with serving(msgspec.structs.replace(config, database_url=postgres_url, workers=1)) as server:
        wait_until(lambda: server.request("GET", "/ready").status == 200, "the engine", seconds=60)
        server.add("kowari.txt", b"The kowari hunts in the Channel Country.")

        def ask(_: int) -> str:
            question = {"question": "Where does the kowari hunt?"}
            answer = server.json("POST", "/api/v1/chat", json=question)
            text: str = answer["message"]["content"]
            return text

        # More at once than the pool has connections, all in one worker.
        with ThreadPoolExecutor(24) as askers:
            answers = list(askers.map(ask, range(24)))
        assert all("Channel Country" in answer for answer in answers)
        listed = server.json("GET", "/api/v1/conversations?limit=200")["items"]
        assert len(listed) == 24
