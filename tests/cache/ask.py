"""What an `Asker` runs; it imports little, so that many start soon."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from likeopt.cache.backends.layer import LayerFailed
from likeopt.cache.lease import Leases
from likeopt.cache.locks import MachineLocks
from likeopt.cache.serialize import MISSING
from likeopt.cache.single import Flights, Found, Permit, Reach
from likeopt.clock import Clock

KEY = "lo:test:numbers:1:abc"


class Shelf:
    """A cache with one key: in Redis if there is one and it answers, else in a file."""

    def __init__(self, work: Path, data: Path, url: str) -> None:
        self.client: Any = None
        if url:
            import redis

            self.client = redis.Redis.from_url(url, socket_timeout=5, retry=None)
        self.stored: list[bool] = []
        self._work = work
        self._data = data

    def look(self) -> Found[str]:
        """What is stored."""
        if self.client is not None:
            import redis

            try:
                found = self.client.get(KEY)
            except redis.RedisError:
                found = None
            if found is not None:
                return str(found.decode())
        file = self._data / "value"
        return file.read_text() if file.exists() else MISSING

    def make(self, permit: Permit) -> str:
        """Say so, wait for the gate, and store."""
        with (self._work / "computations").open("a") as log:
            log.write(f"{os.getpid()}\n")
        gate = self._work / f"go-{os.getpid()}"
        while not gate.exists():
            time.sleep(0.01)
        value = f"made by {os.getpid()}"
        self.stored.append(self._store(permit, value))
        return value

    def _store(self, permit: Permit, value: str) -> bool:
        if permit.lease is not None:
            try:
                return permit.lease.store(KEY, value.encode(), 60_000)
            except LayerFailed:
                return False
        if permit.is_alone():
            new = self._data / f"new-{os.getpid()}"
            new.write_text(value)
            new.rename(self._data / "value")
        return permit.share and permit.is_alone()


def ask(text: str) -> None:
    """Ask, and print a report."""
    settings = json.loads(text)
    work = Path(settings["work"])
    data = work / settings["machine"]
    data.mkdir(exist_ok=True)
    clock = Clock()
    shelf = Shelf(work, data, settings["redis"])
    reach, leases = Reach.MACHINE, None
    if shelf.client is not None:
        reach = Reach.MACHINES
        leases = Leases(lambda: shelf.client, "lo:test:", clock, lease_seconds=settings["lease"])
    avoided: list[str] = []
    flights: Flights[str] = Flights(
        clock,
        MachineLocks(data / "locks"),
        leases,
        avoided=avoided.append,
        wait_seconds=settings["wait"],
    )
    values: list[str] = []

    def one() -> None:
        values.append(flights.compute(KEY, shelf.look, shelf.make, reach=reach))

    threads = [threading.Thread(target=one) for _ in range(settings["askers"])]
    for thread in threads:
        thread.start()
    (work / f"asked-{os.getpid()}").touch()
    for thread in threads:
        thread.join()
    print(json.dumps({"values": values, "avoided": len(avoided), "stored": shelf.stored}))
