"""How soon what was revoked at one server counts at another: their next request, their open stream.

Two app servers with a data folder each, over one PostgreSQL and one Redis. At one, a session of a
member is ended, or a collection is no longer shared with them; the time is from the answer to that
request (0 if it is quicker) to what they get from the other: the first refusal by the later of its
two workers, or the event `access_revoked` of an answer's stream that is open and quiet. It is
promised that 99 of 100 take no more than 100 ms.
"""

import http.client
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import urllib3

from bench import common
from bench.session import cookie, person, signed_in
from likeopt.services import Services
from likeopt.storage.watch import POLL_SECONDS
from likeopt.web import auth, cookies
from tests import servers
from tests.stub_openai import StubOpenAI

ROUNDS = 20
LIMIT_MS = 100
VISITORS = " ".join(f"The quokka smiles at visitor {number}." for number in range(2 * ROUNDS))
DOCUMENT = ("quokka.txt", VISITORS.encode())

Ask = Callable[[http.client.HTTPConnection], bool]
# Milliseconds of the request that took something away, and from its answer until that was felt.
Times = tuple[float, float]


def main() -> None:
    """Measure and report; fails where it took longer than promised."""
    key = secrets.token_hex(32)
    with StubOpenAI() as model:
        settings: dict[str, Any] = {
            "llm": "openai",
            "llm_url": model.url,
            "llm_model": "stub",
            "secret_key": key,
        }
        with common.two_serving(guest=False, **settings) as (here, there):
            services = Services(here.config)
            try:
                both = _Both(services, model, here, there)
                rows = both.sessions() + both.collections()
            finally:
                services.close()
    unit = "ms from the answer to who revoked; p50 of that request"
    common.report("revocation", rows, unit=unit, limit_ms=LIMIT_MS)
    if late := [row["what"] for row in rows if row["p99"] > LIMIT_MS]:
        sys.exit(f"p99 over {LIMIT_MS} ms: {', '.join(late)}")


class _Both:
    """Who takes something away from a member at one server, and the member at the other."""

    def __init__(
        self, services: Services, model: StubOpenAI, here: common.Server, there: common.Server
    ) -> None:
        self._services = services
        self._model = model
        self._here = here
        self._there = there
        self._http = urllib3.PoolManager()
        self._member = person(services, "member")
        self._owner = self._headers(person(services, "admin"))
        made = self._change("POST", "/collections", json={"name": "X"}, headers=self._owner)
        self._readers = f"/collections/{made['id']}/readers"
        fields = {"file": DOCUMENT, "collection": made["id"]}
        (added,) = self._change("POST", "/documents", fields=fields, headers=self._owner)["items"]
        document = f"/documents/{added['document']['id']}"
        self._share(True)
        servers.wait_until(lambda: self._is_read(document), "the document's vectors", seconds=300)
        self._wait_until_found(self._owner)

    def sessions(self) -> list[dict[str, Any]]:
        """A session that is ended from another of the same person."""
        keeper = self._headers(self._member)

        def end() -> None:
            self._change("DELETE", "/me/sessions", headers=keeper)

        def asking(headers: dict[str, str]) -> Ask:
            return lambda one: self._is_let_in(one, headers)

        requests: list[Times] = []
        streams: list[Times] = []
        for turn in range(ROUNDS):
            requests.append(self._refused(asking(self._headers(self._member)), end, turn))
            streams.append(self._broken_off(self._headers(self._member), end, turn))
        return [
            _row("session: next request", requests),
            _row("session: open stream", streams),
        ]

    def collections(self) -> list[dict[str, Any]]:
        """A collection that is no longer shared."""
        headers = self._headers(self._member)

        def asking(one: http.client.HTTPConnection) -> bool:
            return self._finds(one, headers)

        requests: list[Times] = []
        streams: list[Times] = []
        for turn in range(ROUNDS):
            self._share(True)
            self._wait_until_found(headers)
            requests.append(self._refused(asking, lambda: self._share(False), turn))
            self._share(True)
            self._wait_until_found(headers)
            streams.append(self._broken_off(headers, lambda: self._share(False), turn + ROUNDS))
        return [
            _row("collection: next search", requests),
            _row("collection: open stream", streams),
        ]

    def _refused(self, asks: Ask, end: Callable[[], None], turn: int) -> Times:
        """Until no worker says yes any longer."""
        workers = self._one_each()
        # From here on each has a copy of who asks.
        assert all(asks(one) for one in workers for _ in range(3))
        _shift(turn)
        took = common.timed(end)
        answered = time.perf_counter()
        for one in workers:
            while asks(one):
                time.sleep(0.001)
        passed = (time.perf_counter() - answered) * 1000
        for one in workers:
            one.close()
        return took, passed

    def _broken_off(self, headers: dict[str, str], end: Callable[[], None], turn: int) -> Times:
        """Until the last event of an answer that is being written."""
        reply = self._model.say("It ", "smiles [1].", hold=1)
        connection = self._connection()
        # Each a question of its own, so that no answer is shared.
        body = {"question": f"Does the quokka smile at visitor {turn}?", "stream": True}
        sent = headers | {"Content-Type": "application/json"}
        connection.request("POST", "/api/v1/chat", json.dumps(body), sent)
        lines = iter(connection.getresponse())
        assert any(line.startswith(b"event: delta") for line in lines), "no answer"
        ended: list[float] = []

        def read() -> None:
            ended.extend(time.perf_counter() for line in lines if b"access_revoked" in line)

        reading = threading.Thread(target=read)
        reading.start()
        _shift(turn)
        took = common.timed(end)
        answered = time.perf_counter()
        reading.join(20)
        # The model has said nothing meanwhile.
        reply.release()
        connection.close()
        assert ended, "the stream did not end"
        return took, max(0.0, (ended[0] - answered) * 1000)

    def _one_each(self) -> list[http.client.HTTPConnection]:
        """A connection to each web worker of the other server."""
        found: dict[int, http.client.HTTPConnection] = {}
        workers = [
            one for name, one in self._there.processes().items() if name[:10] == "web worker"
        ]
        while len(found) < len(workers):
            one = self._connection()
            self._ask(one, "GET", "/info", {})
            port = one.sock.getsockname()[1]
            (pid,) = (
                worker.pid
                for worker in workers
                for each in worker.net_connections("tcp")
                if each.raddr and each.raddr.port == port
            )
            if found.setdefault(pid, one) is not one:
                one.close()
        return list(found.values())

    def _is_read(self, document: str) -> bool:
        state = self._change("GET", document, headers=self._owner)
        return bool(state["embedded"] == state["chunks"] > 0)

    def _wait_until_found(self, headers: dict[str, str]) -> None:
        for one in self._one_each():
            servers.wait_until(lambda one=one: self._finds(one, headers), "the document")  # type: ignore[misc]
            one.close()

    def _finds(self, one: http.client.HTTPConnection, headers: dict[str, str]) -> bool:
        body = {"query": "quokka", "mode": "lexical"}
        status, found = self._ask(one, "POST", "/search", headers, body)
        assert status == 200, found
        return bool(found["hits"])

    def _is_let_in(self, one: http.client.HTTPConnection, headers: dict[str, str]) -> bool:
        status, told = self._ask(one, "GET", "/info", headers)
        assert status in (200, 401), told
        return status == 200

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._there.url)
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: dict[str, str],
        body: object = None,
    ) -> tuple[int, Any]:
        sent = headers | {"Content-Type": "application/json"}
        connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, sent)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def _change(self, method: str, path: str, **options: Any) -> Any:
        answer = self._http.request(method, f"{self._here.url}/api/v1{path}", **options)
        assert answer.status < 300, answer.data
        return answer.json() if answer.data else None

    def _share(self, yes: bool) -> None:
        users = [self._member] if yes else []
        body = {"everyone": False, "users": users, "groups": []}
        self._change("PUT", self._readers, json=body, headers=self._owner)

    def _headers(self, user_id: str) -> dict[str, str]:
        made = signed_in(self._services, user_id)
        csrf = cookies.sign(self._services.secret_key, "csrf", made.session.id)
        return cookie(self._services, made) | {auth.CSRF_HEADER: csrf}


def _row(what: str, times: list[Times]) -> dict[str, Any]:
    took, passed = ([one[place] for one in times] for place in (0, 1))
    return {"what": what, **common.spread(passed), "request": common.spread(took)["p50"]}


def _shift(turn: int) -> None:
    """At another moment between two looks at the database each time."""
    time.sleep(POLL_SECONDS * (turn % ROUNDS) / ROUNDS)


if __name__ == "__main__":
    main()
